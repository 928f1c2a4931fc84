// The wasm target: every kernel as AssemblyScript over a small fixed library.
//
// A program is compiled from `librarySources()` (file name -> text, in one folder) plus one file that begins with
// `libraryImports` (a function of the folder's path) and holds the emitted functions.
import { readdirSync, readFileSync } from 'node:fs';
import type { Kernel } from '../ir.ts';
import type { EmitWasm, WasmKernel } from '../targets.ts';
import { emitAttention } from './attention.ts';

export { emitGradients, type Gradients, gradientsAt } from './attention.ts';

import { emitContract } from './contract.ts';
import { functionsSource } from './functions.ts';
import { emitMap } from './map.ts';
import { emitReduce } from './reduce.ts';

/** One kernel's AssemblyScript, parameter words and scratch. Throws EmitError (`code` WASM_…) for what it cannot express. */
export const emitWasm: EmitWasm = (kernel: Kernel): WasmKernel => {
  switch (kernel.kind) {
    case 'map':
      return emitMap(kernel);
    case 'reduce':
      return emitReduce(kernel);
    case 'contract':
      return emitContract(kernel);
    case 'attention':
    case 'attentionGrad':
      return emitAttention(kernel);
  }
};

const folder = new URL('../assembly/', import.meta.url);

/** The library's AssemblyScript files by name. */
export function librarySources(): Map<string, string> {
  const sources = new Map<string, string>();
  for (const name of readdirSync(folder).sort()) {
    if (name.endsWith('.ts')) sources.set(name, readFileSync(new URL(name, folder), 'utf8'));
  }
  sources.set('functions.ts', functionsSource);
  return sources;
}

/** The import statement that emitted kernels need; `path` is the library's folder as seen from the importing file. */
export function libraryImports(path: string): string {
  return [...librarySources()]
    .map(([file, text]) => {
      const names = [...text.matchAll(/export function (\w+)/g)].map((m) => m[1]!);
      return names.length === 0 ? '' : `import { ${names.join(', ')} } from '${path}/${file.replace(/\.ts$/, '')}';`;
    })
    .filter((l) => l)
    .join('\n');
}
