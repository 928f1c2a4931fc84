// Tables of measured schedules: which kernels are the same, which schedules there are, who prefers what, and that a build takes
// what its tables name and nothing of the machine.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { tuningJobs } from '../../bench/tune/kernels.ts';
import { addToStore, readStore, storeFile } from '../../bench/tune/store.ts';
import { build } from '../../compiler/index.ts';
import { kernelHash } from '../../compiler/kernel-hash.ts';
import { compileEntry } from '../../compiler/pipeline.ts';
import { flatten } from '../../compiler/repeats.ts';
import { trace } from '../../compiler/trace.ts';
import { parseTable, preferences, readTables, shippedTables, type TuningTable } from '../../compiler/tuning.ts';
import * as t from '../../dsl/index.ts';
import mlp from '../../examples/mlp.ts';
import type { Kernel } from '../../kernels/ir.ts';
import { samples } from '../../kernels/samples/index.ts';
import { alternatives, emitWgsl } from '../../kernels/wgsl/index.ts';
import { adapterKey } from '../../runtime/adapter-key.ts';
import type { Manifest } from '../../runtime/manifest.ts';
import { type PackedManifest, packManifest, unpackManifest } from '../../runtime/manifest-pack.ts';

const OPTIONS = { readOnly: new Set<number>(), maxFold: 65535 };

/** The kernels of y = f(a · b) under these names of axes. */
function product(axes: readonly [string, string, string], m: number, f: (y: t.Tensor) => t.Tensor): readonly Kernel[] {
  const [r, c, k] = axes;
  const spec = t.model({
    name: axes.join(''),
    settings: {},
    build: () => ({
      entries: {
        e: {
          inputs: { a: t.f32({ [r]: m, [k]: 24 }), b: t.f32({ [k]: 24, [c]: 40 }) },
          run: (x) => ({ y: f(t.einsum(x.a!, x.b!, `${r} ${c}`)) }),
        },
      },
    }),
  });
  const model = trace(spec, {});
  return flatten(compileEntry(model, model.entries[0]!).forward).kernels;
}
const same = (y: t.Tensor): t.Tensor => y;

test('a kernel is known by its shape and what it computes, not by names', () => {
  const hash = (...args: Parameters<typeof product>): string =>
    product(...args)
      .map(kernelHash)
      .join();
  const plain = hash(['m', 'n', 'k'], 32, same);
  assert.match(plain, /^[0-9a-f]{16}$/);
  assert.is(hash(['tokens', 'out', 'in'], 32, same), plain);
  assert.is(hash(['z', 'b', 'a'], 32, same), plain);
  assert.is.not(hash(['m', 'n', 'k'], 33, same), plain);
  assert.is.not(
    hash(['m', 'n', 'k'], 32, (y) => y.mul(2)),
    plain,
  );
  const relu = hash(['m', 'n', 'k'], 32, t.relu);
  assert.is.not(relu, plain);
  assert.is.not(
    hash(['m', 'n', 'k'], 32, (y) => t.leakyRelu(y, 0.5)),
    relu,
  );
});

test('samples that differ have hashes that differ', () => {
  const hashes = new Map<string, string>();
  for (const { name, kernel } of samples) {
    const other = hashes.get(kernelHash(kernel));
    assert.is(other, undefined, `${name} and ${other} have one hash`);
    hashes.set(kernelHash(kernel), name);
  }
});

test('every schedule is emitted under its id, inside what adapters have, and differs from the kernel’s own', () => {
  const families = new Set<string>();
  for (const { name, kernel } of samples) {
    const own = emitWgsl(kernel, OPTIONS);
    assert.equal(own.scheduled ?? [], [], 'none is emitted unasked');
    for (const family of own.variants.map((v) => v.id)) {
      for (const id of alternatives(kernel, family).slice(0, 4)) {
        families.add(id.split('-')[0]!);
        const found = emitWgsl(kernel, { ...OPTIONS, schedules: [id] });
        assert.equal(
          found.variants.map((v) => v.code),
          own.variants.map((v) => v.code),
        );
        const [v, ...rest] = found.scheduled!;
        assert.is(rest.length, 0);
        assert.is(v?.id, id, name);
        assert.ok(
          (v!.requires.workgroupStorage ?? 0) <= 32768 && (v!.requires.invocations ?? 0) <= 512,
          `${name}: ${id}`,
        );
        assert.ok(!own.variants.some((o) => o.code === v!.code), `${name}: ${id} is a variant that is there already`);
      }
    }
  }
  assert.equal([...families].sort(), ['subgroup8', 'threads', 'tile', 'tiled']);
  const { kernel } = samples[0]!;
  assert.equal(
    emitWgsl(kernel, { ...OPTIONS, schedules: ['tile-4', 'nothing', 'threads-64', 'tiled-4x4'] }).scheduled,
    [],
  );
});

const entry = (schedule: string, heuristic = 'subgroup8') => ({
  what: 'x',
  heuristic,
  schedule,
  ms: { [schedule]: 1 },
  discarded: {},
});
const table = (adapter: string, kernels: TuningTable['kernels']): TuningTable => ({
  format: 1,
  adapter,
  description: adapter,
  kernels,
});
const HASH = '0123456789abcdef';

test('preferences: by schedule, a later table over an earlier one, none where the heuristic is the fastest', () => {
  const tables = [
    table('b', { [HASH]: entry('tiled-4x16-1-16') }),
    table('a', { [HASH]: entry('tiled-4x16-1-16') }),
    table('c', { [HASH]: entry('subgroup8-2x2') }),
    table('d', { [HASH]: entry('subgroup8') }),
    table('e', { [HASH]: entry('subgroup8-4x4') }),
    table('e', { [HASH]: entry('subgroup8') }),
  ];
  assert.equal(preferences(tables, HASH), [
    { schedule: 'subgroup8-2x2', adapters: ['c'] },
    { schedule: 'tiled-4x16-1-16', adapters: ['a', 'b'] },
  ]);
  assert.equal(preferences(tables, 'fedcba9876543210'), []);
});

test('a table that cannot be used says which file and why', () => {
  const bad = (text: string, why: RegExp): void => {
    assert.throws(
      () => parseTable(text, 'tuned/x.json'),
      (e: Error & { code?: string }) =>
        e.code === 'tuning-table' && /^tuned\/x.json/.test(e.message) && why.test(e.message),
    );
  };
  bad('{', /no JSON/);
  bad('{"format":2}', /format 2, expected 1/);
  bad('{"format":1}', /no adapter/);
  bad(JSON.stringify(table('a', { zz: entry('x') })), /kernel zz/);
  assert.equal(readTables('/no/such/folder'), []);
  for (const s of shippedTables()) {
    assert.ok(Object.keys(s.kernels).length > 0, s.adapter);
    for (const [hash, k] of Object.entries(s.kernels))
      assert.ok(k.ms[k.schedule]! <= k.ms[k.heuristic]! && k.ms[k.schedule]! > 0, `${hash} was not measured`);
  }
});

test('an adapter’s key has vendor, architecture, subgroups, features and limits, and nothing else', () => {
  const info = {
    vendor: 'mesa',
    architecture: 'software',
    device: 'llvmpipe',
    description: 'driver 1.2',
    subgroupMinSize: 8,
    subgroupMaxSize: 8,
  } as unknown as GPUAdapterInfo;
  const limits = { maxComputeWorkgroupStorageSize: 32768, maxComputeInvocationsPerWorkgroup: 1024 };
  const with_ = (...features: string[]) => adapterKey(info, { features: new Set(features), limits });
  const key = 'mesa/software subgroups 8-8 storage 32768 invocations 1024 shader-f16 subgroups';
  assert.is(with_('subgroups', 'shader-f16', 'timestamp-query'), key);
  assert.is(with_('shader-f16', 'subgroups'), key);
  assert.is(with_(), 'mesa/software storage 32768 invocations 1024');
  assert.is(
    adapterKey(null, { features: new Set(), limits: { ...limits, maxComputeInvocationsPerWorkgroup: 256 } }),
    'unknown/unknown storage 32768 invocations 256',
  );
});

test('a build emits what its tables name, for those adapters alone, and keeps its own variants', async () => {
  const of = (m: Manifest) => m.kernels.map((k) => k.variants.map((v) => [v.id, v.adapters?.join('+') ?? 'all']));
  const model = trace(mlp, { ...mlp.settings });
  const programs = model.entries.flatMap((e) => {
    const { forward, grad } = compileEntry(model, e);
    return (grad ? [forward, grad] : [forward]).map(flatten);
  });
  const jobs = tuningJobs(programs);
  assert.ok(jobs.length > 3);
  assert.ok(Math.abs(jobs.reduce((s, j) => s + j.share, 0) - 1) < 1e-9);
  const [job, second] = jobs as [(typeof jobs)[0], (typeof jobs)[0]];
  const schedule = alternatives(job.kernel, 'default')[0]!;
  const tuning = [
    table('a', { [job.hash]: entry(schedule), [second.hash]: entry('default') }),
    table('b', { [job.hash]: entry(schedule) }),
    table('c', { [second.hash]: entry('tiled-of-old') }),
  ];
  const lines: string[] = [];
  const log = (pass: string, list: readonly string[]) => {
    if (pass === 'webgpu: schedules') lines.push(...list);
  };
  const tuned = await build(mlp, { targets: ['webgpu'], tuning, log });
  const plain = await build(mlp, { targets: ['webgpu'], tuning: [] });
  assert.match(lines.join('\n'), /^[2-9] kernels.*\n.*not known to this version: tiled-of-old$/);
  const list = of(tuned.manifest);
  const first = list.find((v) => v[0]![0] === schedule)!;
  assert.equal(first[0], [schedule, 'a+b']);
  assert.equal(first.at(-1), ['default', 'all']);
  assert.ok(list.some((v) => v[0]![0] === 'default' && v[0]![1] === 'a' && v.at(-1)!.join() === 'default,all'));
  assert.ok(of(plain.manifest).every((k) => k.every(([, adapters]) => adapters === 'all')));
  for (const d of tuned.manifest.dispatches)
    assert.is(d.grids.length, tuned.manifest.kernels[d.kernel]!.variants.length);
  for (const k of tuned.manifest.kernels)
    for (const v of k.variants) assert.ok(tuned.files.has(v.file), `${k.name}: ${v.id} has no file`);
  const again = JSON.parse(JSON.stringify(packManifest(tuned.manifest))) as PackedManifest;
  assert.equal(unpackManifest(again).kernels, tuned.manifest.kernels);
});

test('a store grows by a kernel at a time and is read by builds', async () => {
  const dir = mkdtempSync(join(tmpdir(), 't3dc-tuning-'));
  try {
    const empty = readStore(dir, 'mesa/software storage 1', 'd');
    assert.equal(empty.kernels, {});
    const one = await addToStore(dir, empty, HASH, entry('subgroup8-2x2'));
    await addToStore(dir, one, 'fedcba9876543210', entry('subgroup8'));
    const [name, ...rest] = readdirSync(dir);
    assert.equal(rest, []);
    assert.match(name!, /^mesa-software-[0-9a-f]{8}\.json$/);
    assert.is(storeFile(dir, 'mesa/software storage 1'), join(dir, name!));
    assert.is.not(storeFile(dir, 'mesa/software storage 2'), join(dir, name!));
    const [read] = readTables(dir);
    assert.equal(Object.keys(read!.kernels), [HASH, 'fedcba9876543210']);
    assert.equal(readStore(dir, 'mesa/software storage 1', 'd'), read);
    writeFileSync(join(dir, 'other.json'), 'x');
    assert.throws(() => readTables(dir), /other.json/);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test.run();
