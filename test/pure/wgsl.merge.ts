// Kernels that share a file mean what they meant alone: the shared text with a member's constants is the member's own text.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Kernel } from '../../kernels/ir.ts';
import { samples } from '../../kernels/samples/index.ts';
import { emitWgsl } from '../../kernels/wgsl/index.ts';
import { type MergedCode, mergeCode } from '../../kernels/wgsl/merge.ts';

const OVERRIDE = /^override (N\d+): (i32|u32|f32) = (.*);\n/gm;
const LITERAL = /(?<![\w.])(?:\d+\.\d+(?:e[-+]?\d+)?f|\d+u?)(?![\w.])/g;

/** Numbers written one way, so that 1e-5f and 0.00001f are the same text. */
const canonical = (code: string): string =>
  code.replace(LITERAL, (x) => `${Math.fround(Number.parseFloat(x))}${/[fu]$/.exec(x)?.[0] ?? ''}`);

/** What a pipeline made with these constants runs. */
function specialise(code: string, constants: readonly number[]): string {
  const declared = [...code.matchAll(OVERRIDE)];
  assert.is(declared.length, constants.length, 'a value for each override');
  const literals = new Map<string, string>();
  for (const [i, [, name, type]] of declared.entries()) {
    assert.is(name, `N${i}`, 'overrides are numbered in the order of the constants');
    const value = constants[i]!;
    literals.set(
      name!,
      type === 'f32'
        ? `${Number.isInteger(value) ? value.toFixed(1) : value}f`
        : `${value}${type === 'u32' ? 'u' : ''}`,
    );
  }
  return code.replace(OVERRIDE, '').replace(/\bN\d+\b/g, (name) => literals.get(name) ?? name);
}

function checkMembers(codes: readonly string[], merged: readonly MergedCode[]): void {
  const seen: number[] = [];
  for (const { code, members } of merged) {
    for (const { index, constants } of members) {
      seen.push(index);
      assert.is(canonical(specialise(code, constants)), canonical(codes[index]!), `member ${index}`);
    }
  }
  assert.equal(
    seen.sort((a, b) => a - b),
    codes.map((_, i) => i),
    'every text in one group',
  );
}

const kernel = (body: string, head = ''): string =>
  `${head}@group(0) @binding(1) var<storage, read_write> b1: array<f32>;\n@compute @workgroup_size(64)\nfn main() {\n${body}\n}\n`;

test('texts that differ in numbers share one', () => {
  const codes = [kernel('  b1[3] = 0.5f * f32(4u);'), kernel('  b1[7] = 0.25f * f32(4u);')];
  const merged = mergeCode(codes);
  assert.is(merged.length, 1);
  assert.match(merged[0]!.code, 'override N0: i32 = 3;\noverride N1: f32 = 0.5f;\n');
  assert.match(merged[0]!.code, 'f32(4u)');
  checkMembers(codes, merged);
});

test('numbers that always agree share a constant', () => {
  const codes = [kernel('  b1[3] = f32(3 + 8);'), kernel('  b1[5] = f32(5 + 9);')];
  const merged = mergeCode(codes);
  assert.equal(
    merged[0]!.members.map((m) => m.constants),
    [
      [3, 8],
      [5, 9],
    ],
  );
  checkMembers(codes, merged);
});

test('numbers that agree in one kernel alone keep constants of their own', () => {
  const codes = [kernel('  b1[3] = f32(3);'), kernel('  b1[5] = f32(6);')];
  const merged = mergeCode(codes);
  assert.is(merged.length, 1);
  assert.equal(merged[0]!.members[1]!.constants, [5, 6]);
  checkMembers(codes, merged);
});

test('names, types of numbers, attributes, array sizes and broadcast lanes keep texts apart', () => {
  const codes = [
    kernel('  b1[3] = x;'),
    kernel('  b1[3u] = x;'),
    kernel('  b1[3] = y;'),
    kernel('  b1[3] = x;').replace('size(64)', 'size(32)'),
    kernel('  var s: array<f32, 4>; b1[3] = x;'),
    kernel('  var s: array<f32, 8>; b1[3] = x;'),
    kernel('  b1[3] = subgroupBroadcast(x, 0u);'),
    kernel('  b1[3] = subgroupBroadcast(x, 1u);'),
  ];
  const merged = mergeCode(codes);
  assert.is(merged.length, codes.length);
  checkMembers(codes, merged);
});

test('overrides come after the enable directives', () => {
  const codes = [1, 2].map((n) => kernel(`  b1[${n}] = 0.0f;`, 'enable subgroups;\n'));
  const merged = mergeCode(codes);
  assert.ok(merged[0]!.code.startsWith('enable subgroups;\noverride N0: i32 = 1;\n'));
  checkMembers(codes, merged);
});

test('every kernel sample comes back from its shared text', () => {
  const kernels = samples.flatMap(({ kernel: k }): Kernel[] =>
    k.kind === 'contract' ? [k, { ...k, halves: true }] : [k],
  );
  const codes = kernels.flatMap((k) =>
    emitWgsl(k, { readOnly: new Set(), maxFold: 65535 }).variants.map((v) => v.code),
  );
  assert.ok(codes.some((c) => c.includes('subgroup_matrix_left')));
  const merged = mergeCode(codes);
  assert.ok(merged.length < codes.length, 'some share');
  checkMembers(codes, merged);
});

test.run();
