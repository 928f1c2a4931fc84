// index.js and index.d.ts: the runtime bundled with the artifact, typed for its entries.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';

export interface EntrySignature {
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly loss: string | null;
}

export async function bundleRuntime(entries: readonly EntrySignature[]): Promise<Map<string, Uint8Array>> {
  const template = fileURLToPath(new URL('../runtime/index.ts', import.meta.url));
  const source = `import { open as openArtifact } from ${JSON.stringify(template)};
export * from ${JSON.stringify(template)};
/** Opens this artifact. */
export const open = (options) => openArtifact(new URL('.', import.meta.url), options);
`;
  const result = await esbuild.build({
    stdin: { contents: source, resolveDir: fileURLToPath(new URL('..', import.meta.url)), loader: 'js' },
    bundle: true,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    conditions: ['browser', 'import'],
    target: 'es2022',
    minify: true,
    legalComments: 'none',
    external: ['node:*', 'webgpu', 'worker_threads'],
    write: false,
    logLevel: 'silent',
  });
  return new Map([
    ['index.js', result.outputFiles[0]!.contents],
    ['index.d.ts', new TextEncoder().encode(declarations(entries))],
  ]);
}

function declarations(entries: readonly EntrySignature[]): string {
  const head = readFileSync(new URL('./index.d.ts.template', import.meta.url), 'utf8');
  const one = (e: EntrySignature): string =>
    `    ${JSON.stringify(e.name)}(inputs: { ${e.inputs.map((i) => `${JSON.stringify(i)}: TensorInput`).join('; ')} }): Promise<{ ${e.outputs.map((o) => `${JSON.stringify(o)}: TensorData`).join('; ')} }>;`;
  const losses = entries.filter((e) => e.loss).map((e) => JSON.stringify(e.name));
  return head
    .replace('/* ENTRIES */', entries.map(one).join('\n'))
    .replaceAll('/* TRAINABLE */', losses.join(' | ') || 'never');
}
