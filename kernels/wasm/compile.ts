// AssemblyScript to WebAssembly, with the flags of asconfig.json and nothing read from or written to disk.
import { readFileSync } from 'node:fs';
import asc from 'assemblyscript/asc';
import { EmitError } from './emitter.ts';

export type WasmTarget = 'release' | 'relaxed';

/** Compiles `entry` among the sources (path -> text). Throws EmitError WASM_COMPILE with the compiler's messages. */
export async function compileAssembly(
  sources: ReadonlyMap<string, string>,
  entry: string,
  target: WasmTarget,
): Promise<Uint8Array> {
  const config = readFileSync(new URL('../../asconfig.json', import.meta.url), 'utf8');
  let binary: Uint8Array | null = null;
  let messages = '';
  const { error } = await asc.main(
    [entry, '--config', 'asconfig.json', '--target', target, '--outFile', 'program.wasm'],
    {
      readFile: (name: string) => (name.endsWith('asconfig.json') ? config : (sources.get(name) ?? null)),
      writeFile: (name: string, contents: string | Uint8Array) => {
        if (name.endsWith('.wasm')) binary = contents as Uint8Array;
      },
      listFiles: () => [],
      stderr: {
        write: (s: string | Uint8Array) => {
          messages += s;
        },
      },
    },
  );
  if (error || !binary)
    throw new EmitError('WASM_COMPILE', `asc could not compile ${entry}:\n${messages}${error ?? ''}`);
  return binary;
}
