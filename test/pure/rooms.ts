// The rooms and what each may import, as in docs/architecture.md: read from the import statements of every source file.
import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

/** Room -> rooms it may import. `room:types` allows `import type` alone; `room/file` one file alone. */
const MAY: Readonly<Record<string, readonly string[]>> = {
  dsl: [],
  kernels: ['dsl:types', 'dsl/int.ts', 'dsl/types.ts', 'runtime/half.ts'],
  compiler: [
    'dsl',
    'kernels',
    'runtime/manifest.ts',
    'runtime/manifest-pack.ts',
    'runtime/memory.ts',
    'runtime/program.ts',
  ],
  runtime: [],
  data: [],
  models: ['dsl', 'data:types'],
  examples: ['dsl'],
  tasks: ['runtime', 'data'],
  viewer: ['runtime', 'data', 'tasks'],
  cli: ['dsl', 'kernels', 'compiler', 'runtime', 'data', 'models', 'examples', 'tasks', 'viewer', 'bench'],
  bin: ['cli', 'tasks', 'runtime', 'data', 'compiler', 'viewer'],
  bench: ['dsl', 'kernels', 'compiler', 'runtime', 'data', 'models', 'examples', 'tasks', 'test'],
  test: ['dsl', 'kernels', 'compiler', 'runtime', 'data', 'models', 'examples', 'tasks', 'viewer', 'cli', 'bench'],
};
/** Packages that a room may import; `node:` modules stand apart. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  kernels: ['assemblyscript', 'webgpu'],
  compiler: ['assemblyscript', 'esbuild', 'fflate'],
  runtime: ['fflate', 'webgpu'],
  data: ['@huggingface/tokenizers', 'csv-parse', 'dicom-parser', 'fflate', 'nifti-reader-js', 'pngjs', 'zarrita'],
  // All of the demonstration page's alone.
  viewer: ['@niivue/niivue', 'dicom-parser', 'jpeg-lossless-decoder-js', 'uplot'],
  cli: ['sade', 'webgpu', 'fflate', 'pngjs', 'esbuild'],
  bin: ['tsx'],
};
/** Rooms that run in a page: Node's modules only by dynamic import, behind a check. data/node.ts is data's own Node door. */
const BROWSER = new Set(['runtime', 'tasks', 'dsl', 'kernels', 'models', 'viewer']);
/** Rooms free to import any package. */
const FREE = new Set(['test', 'bench', 'examples']);

interface Import {
  readonly file: string;
  readonly room: string;
  readonly to: string;
  readonly typeOnly: boolean;
  readonly dynamic: boolean;
}

const root = new URL('../../', import.meta.url).pathname;

function sources(): string[] {
  return Object.keys(MAY).flatMap((room) => {
    try {
      return readdirSync(posix.join(root, room), { recursive: true, encoding: 'utf8' })
        .filter((f) => /\.(ts|mts|mjs)$/.test(f) && !f.includes('node_modules') && !f.includes('golden'))
        .map((f) => `${room}/${f.replaceAll('\\', '/')}`);
    } catch {
      return []; // a room that is still empty
    }
  });
}

/** Static imports, re-exports and dynamic imports of literal names. */
function imports(file: string): Import[] {
  const text = readFileSync(posix.join(root, file), 'utf8').replace(/^\s*(\/\/|\*).*$/gm, '');
  const found: Import[] = [];
  const add = (to: string, typeOnly: boolean, dynamic: boolean): void => {
    found.push({
      file,
      room: file.split('/')[0]!,
      to: to.startsWith('.') ? posix.normalize(posix.join(posix.dirname(file), to)) : to,
      typeOnly,
      dynamic,
    });
  };
  for (const m of text.matchAll(/^\s*(?:import|export)\s+(type\s)?[^'"`;]*?from\s*'([^']+)'/gm)) {
    const names = m[0].match(/\{([^}]*)\}/)?.[1];
    const eachType =
      names?.trim() &&
      names.split(',').every((n) => !n.trim() || n.trim().startsWith('type ')) &&
      /^\s*(?:import|export)\s*\{/.test(m[0]);
    add(m[2]!, Boolean(m[1] || eachType), false);
  }
  for (const m of text.matchAll(/^\s*import\s*'([^']+)'/gm)) add(m[1]!, false, false);
  for (const m of text.matchAll(/\bimport\(\s*'([^']+)'\s*\)/g)) add(m[1]!, false, true);
  return found;
}

const isFile = (i: Import): boolean => /^[a-z-]+\//.test(i.to) && i.to.split('/')[0]! in MAY;
const all = sources().flatMap(imports);

test('there is something to check', () => {
  assert.ok(all.length > 300, `${all.length} imports`);
  assert.ok(all.some((i) => i.typeOnly) && all.some((i) => i.dynamic));
});

test('a room imports only the rooms below it', () => {
  const wrong = all.filter((i) => {
    if (!isFile(i)) return false;
    const target = i.to.split('/')[0]!;
    if (target === i.room) return false;
    const may = MAY[i.room]!;
    return !(may.includes(target) || may.includes(i.to) || (i.typeOnly && may.includes(`${target}:types`)));
  });
  assert.equal(
    wrong.map((i) => `${i.file} imports ${i.to}; ${i.room} may import ${MAY[i.room]!.join(', ') || 'nothing'}`),
    [],
  );
});

test('an import that leaves the rooms is a package of its room', () => {
  const wrong = all.filter((i) => {
    if (i.to.startsWith('node:') || isFile(i) || FREE.has(i.room) || i.typeOnly) return false;
    if (i.to.startsWith('.') || i.to.includes('..')) return true;
    const name = i.to.startsWith('@') ? i.to.split('/').slice(0, 2).join('/') : i.to.split('/')[0]!;
    return !(PACKAGES[i.room] ?? []).includes(name);
  });
  assert.equal(
    wrong.map((i) => `${i.file} imports ${i.to}`),
    [],
  );
});

test("rooms that run in a page import Node's modules only dynamically", () => {
  const tools = /^kernels\/(wasm\/(check|compile|index)|wgsl\/(check|device))\.ts$|^kernels\/bench/;
  const wrong = all.filter(
    (i) => BROWSER.has(i.room) && i.to.startsWith('node:') && !i.dynamic && !i.typeOnly && !tools.test(i.file),
  );
  assert.equal(
    wrong.map((i) => `${i.file} imports ${i.to}`),
    [],
  );
});

test("nothing below the models knows the project's model by name", () => {
  const wrong = sources()
    .filter((f) => /^(dsl|kernels|runtime)\//.test(f) || (f.startsWith('compiler/') && f !== 'compiler/models.ts'))
    .filter((f) =>
      /\bT3D\b|\bt3d\b|swin/i.test(
        readFileSync(posix.join(root, f), 'utf8')
          .replaceAll('t3dc', '')
          .replace(/^\s*(\/\/|\*|\/\*).*$/gm, ''),
      ),
    );
  assert.equal(wrong, []);
});

test.run();
