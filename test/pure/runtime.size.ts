// What a page loads stays small: the budgets of viewer/sizes.json, which holds what was last measured, too. Growth is printed;
// past a budget the test fails. Sizes are of minified scripts and of wasm, gzipped as a server would send
// them.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import * as esbuild from 'esbuild';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bundleRuntime } from '../../compiler/bundle.ts';
import { compileProgram } from '../../compiler/emit-wasm.ts';
import { buildScripts } from '../../scripts/build-package.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const budgets = join(root, 'viewer/sizes.json');
const gzipped = (data: Uint8Array): number => gzipSync(data, { level: 9 }).length;

interface Budget {
  readonly what: string;
  readonly limit: number;
  /** When the file was last written: `T3DC_SIZES=write node test/run.mjs runtime.size`. */
  readonly measured: number;
}

/** A program without kernels and without entries: the scheduler and what it needs of AssemblyScript's library. */
const NO_KERNELS = `
import { unpack } from './unpack';
export function kernel(id: u32, p: usize, t: u32, nt: u32): void { unreachable(); }
export const TABLE: usize = memory.data(8);
unpack(memory.data<u32>([0x00000001]), TABLE, 2);
`;

async function measure(): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  const dir = await mkdtemp(join(tmpdir(), 't3dc-sizes-'));
  try {
    await buildScripts(dir);
    /** What a page's bundler makes of an import. */
    const bundled = async (contents: string): Promise<number> => {
      const { outputFiles } = await esbuild.build({
        stdin: { contents, resolveDir: dir },
        bundle: true,
        minify: true,
        format: 'esm',
        target: 'es2022',
        write: false,
        logLevel: 'silent',
      });
      return gzipped(outputFiles[0]!.contents);
    };
    const runtime = (await bundleRuntime([], false)).get('index.js')!;
    sizes.set('runtime', gzipped(runtime));
    sizes.set('artifact', gzipped((await bundleRuntime([], true)).get('index.js')!));
    sizes.set('openInWorker', await bundled(`export { openInWorker } from './index.js';`));
    sizes.set('open', await bundled(`export { open } from './index.js';`));
    sizes.set('worker', gzipped(await readFile(join(dir, 'worker.js'))));
    sizes.set('scheduler', gzipped((await compileProgram(NO_KERNELS)).plain));
    // What viewers share counts once, apart from what each has of its own.
    const shared = ['viewer/volume.ts', 'viewer/labels.ts', 'data/errors.ts'];
    sizes.set('viewers', await own(shared, []));
    for (const name of ['niivue', 'cornerstone', 'vtk']) sizes.set(name, await own([`viewer/${name}.ts`], shared));
    sizes.set('ohif', await own(['viewer/ohif/index.ts'], [...shared, 'viewer/cornerstone.ts']));
    return sizes;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Of these sources and what they import, without some others. */
async function own(sources: readonly string[], without: readonly string[]): Promise<number> {
  const apart = new Set(without.map((f) => join(root, f)));
  const { outputFiles } = await esbuild.build({
    stdin: { contents: sources.map((f) => `export * from './${f}';`).join('\n'), resolveDir: root },
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    packages: 'external',
    plugins: [
      {
        name: 'apart',
        setup: (build) =>
          build.onResolve({ filter: /^\./ }, ({ path, resolveDir }) =>
            apart.has(join(resolveDir, path)) ? { path, external: true } : undefined,
          ),
      },
    ],
    write: false,
    logLevel: 'silent',
  });
  return gzipped(outputFiles[0]!.contents);
}

test('every size is within its budget', async () => {
  const known = JSON.parse(await readFile(budgets, 'utf8')) as Record<string, Budget>;
  const sizes = await measure();
  const over: string[] = [];
  console.log();
  for (const [name, size] of sizes) {
    const budget = known[name];
    assert.ok(budget, `viewer/sizes.json has no budget for ${name}`);
    assert.ok(size > 200, `${name}: ${size} bytes: nothing was bundled`);
    const grown = size - budget.measured;
    const change = grown === 0 ? '' : `, ${grown > 0 ? '+' : ''}${grown} since it was last written`;
    console.log(`${name.padEnd(14)} ${String(size).padStart(6)} of ${String(budget.limit).padStart(6)} bytes${change}`);
    if (size > budget.limit) over.push(`${name}: ${size} bytes, its budget is ${budget.limit}`);
  }
  if (process.env.T3DC_SIZES === 'write') {
    const now = Object.entries(known).map(([name, b]) => [name, { ...b, measured: sizes.get(name) ?? b.measured }]);
    await writeFile(budgets, `${JSON.stringify(Object.fromEntries(now), null, 2)}\n`);
  }
  assert.equal(over, []);
});

test.run();
