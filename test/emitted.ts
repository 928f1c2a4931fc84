// What the compiler prints and emits for a few small kernels and one small model, as text to be read in a review.
//
//   npm run golden          writes test/golden/emitted anew; look at the difference before you commit it
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { print } from '../compiler/print.ts';
import { resolveSettings } from '../compiler/settings.ts';
import { trace } from '../compiler/trace.ts';
import mlp from '../examples/mlp.ts';
import type { ContractKernel } from '../kernels/ir.ts';
import { samples } from '../kernels/samples/index.ts';
import { emitWasm } from '../kernels/wasm/index.ts';
import { emitWgsl } from '../kernels/wgsl/index.ts';

const KERNELS = [
  'matmul 5×7×9 bias',
  'conv 6→14 k3 s2 6×5×7 bias',
  'map pad roll 4×5×3×8',
  'reduce column sum 2×3×5×7×12',
  'attention forward g3 h2 n8 e8',
] as const;

const HALVES = 'matmul 64×48×32';
const EMIT = { readOnly: new Set<number>(), maxFold: 65535 };

export const folder = new URL('./golden/emitted/', import.meta.url);

/** Texts by file name. */
export function emitted(): Map<string, string> {
  const files = new Map<string, string>();
  const model = trace(mlp, resolveSettings(mlp, {}));
  for (const e of model.entries) files.set(`mlp.${e.name}.ir.txt`, `${print(e.outputs)}\n`);
  for (const name of KERNELS) {
    const sample = samples.find((s) => s.name === name);
    if (!sample) throw new Error(`no kernel sample is named ${name}`);
    const file = name.replaceAll('→', '-').replaceAll('×', 'x').replaceAll(' ', '_');
    for (const v of emitWgsl(sample.kernel, EMIT).variants) files.set(`${file}.${v.id}.wgsl`, v.code);
    files.set(`${file}.as.txt`, emitWasm(sample.kernel).code);
  }
  // What multiplies halves, of one kernel.
  const { kernel } = samples.find((s) => s.name === HALVES)!;
  for (const v of emitWgsl({ ...(kernel as ContractKernel), halves: true }, EMIT).variants)
    if (v.requires.features.includes('shader-f16'))
      files.set(`${HALVES.replaceAll('×', 'x').replaceAll(' ', '_')}.${v.id}.wgsl`, v.code);
  return files;
}

export const stored = (name: string): string => readFileSync(new URL(name, folder), 'utf8');

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const files = emitted();
  for (const [name, text] of files) writeFileSync(new URL(name, folder), text);
  console.log(`${files.size} files in test/golden/emitted`);
}
