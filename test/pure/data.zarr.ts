// Volumes in chunks: bit-exact, a crop reads what it touches, over HTTP too, and damage is an error.

import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { distance } from '../../data/affine.ts';
import { type Box, cut, diagonalAffine, isDataError, stream, type Volume, type VoxelArray } from '../../data/index.ts';
import { readVolume } from '../../data/node.ts';
import { fetchStore, openOmeZarr } from '../../data/ome-zarr.ts';
import { fileStore, writeOmeZarr } from '../../data/zarr-files.ts';

const test = suite<{ dir: string }>('zarr');
test.before(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 't3dc-zarr-'));
});
test.after(({ dir }) => rm(dir, { recursive: true }));

const DIMS = [21, 17, 13] as const;
const AFFINE = [0, -1.5, 0, 10, 1.4, 0, 0.2, -20, 0.1, 0, 2, 30, 0, 0, 0, 1];

function sample<T extends VoxelArray>(
  make: new (n: number) => T,
  dims: readonly [number, number, number] = DIMS,
): Volume<T> {
  const random = stream(7, 1);
  const data = new make(dims[0] * dims[1] * dims[2]);
  for (let i = 0; i < data.length; i++)
    data[i] = data instanceof Float32Array ? random.normal() * 300 : random.int(4000) - 1024;
  return { data, dims, affine: AFFINE };
}

async function refuses(made: Promise<unknown>, code: string, said: RegExp): Promise<void> {
  try {
    await made;
  } catch (err) {
    assert.ok(isDataError(err, code), String((err as Error).stack));
    assert.match((err as Error).message, said);
    return;
  }
  assert.unreachable(`expected ${code}`);
}

test('every numeric type comes back bit for bit, with its affine and attributes', async ({ dir }) => {
  for (const make of [
    Int8Array,
    Uint8Array,
    Int16Array,
    Uint16Array,
    Int32Array,
    Uint32Array,
    Float32Array,
    Float64Array,
  ]) {
    const path = join(dir, `${make.name}.ome.zarr`);
    const volume = sample(make as never) as Volume;
    await writeOmeZarr(path, volume, { chunk: [8, 8, 8], attributes: { window: [-175, 250] } });
    const back = await readVolume(path);
    assert.is(back.data.constructor, make);
    assert.equal(back.data, volume.data);
    assert.equal(back.dims, volume.dims);
    assert.equal(back.affine, AFFINE);
    assert.equal((await openOmeZarr(fileStore(path), 'x')).attributes, { window: [-175, 250] });
  }
});

test('NaN and infinities are kept', async ({ dir }) => {
  const volume = sample(Float32Array);
  volume.data.set([Number.NaN, Number.POSITIVE_INFINITY, -0, 1e-42]);
  await writeOmeZarr(join(dir, 'odd.ome.zarr'), volume);
  const back = await readVolume(join(dir, 'odd.ome.zarr'));
  assert.equal(new Uint8Array(back.data.buffer), new Uint8Array(volume.data.buffer));
});

test('equal volumes give equal files; nothing else is left in the folder', async ({ dir }) => {
  const root = join(dir, 'same');
  await mkdir(root);
  for (const name of ['a', 'b', 'a']) await writeOmeZarr(join(root, name), sample(Int16Array), { chunk: [16, 16, 16] });
  assert.equal((await readdir(root)).sort(), ['a', 'b']);
  const list = async (name: string) =>
    Promise.all(
      (await readdir(join(root, name), { recursive: true, withFileTypes: true }))
        .filter((e) => e.isFile())
        .map((e) => join(e.parentPath, e.name))
        .sort()
        .map(async (f) => [f.slice(join(root, name).length), await readFile(f, 'base64')]),
    );
  assert.equal(await list('a'), await list('b'));
});

const BOXES: readonly Box[] = [
  { start: [0, 0, 0], size: [21, 17, 13] },
  { start: [0, 0, 0], size: [1, 1, 1] },
  { start: [20, 16, 12], size: [1, 1, 1] },
  { start: [7, 7, 7], size: [2, 2, 2] },
  { start: [8, 8, 0], size: [8, 8, 8] },
  { start: [3, 5, 2], size: [11, 9, 10] },
  { start: [-3, -2, -1], size: [9, 9, 9] },
  { start: [15, 10, 9], size: [12, 12, 12] },
  { start: [-5, -5, -5], size: [40, 40, 40] },
  { start: [30, 0, 0], size: [2, 2, 2] },
];

test('a crop is the slice of the whole, its affine too, with what is outside filled', async ({ dir }) => {
  const volume = sample(Int16Array);
  const path = join(dir, 'crops.ome.zarr');
  await writeOmeZarr(path, volume, { chunk: [8, 8, 8] });
  const z = await openOmeZarr(fileStore(path), path);
  for (const box of BOXES) {
    const crop = await z.crop(box, -1000);
    const expected = cut(volume, box, -1000);
    assert.equal(crop.data, expected.data, JSON.stringify(box));
    assert.ok(distance(crop.affine, expected.affine) < 1e-9);
  }
});

test('a crop reads the chunks that it touches and no other byte', async ({ dir }) => {
  const path = join(dir, 'counted.ome.zarr');
  await writeOmeZarr(path, sample(Int16Array, [40, 40, 40]), { chunk: [8, 8, 8] });
  const store = fileStore(path);
  const z = await openOmeZarr(store, path);
  assert.is(store.counts.requests, 2);
  const sizes = async (keys: readonly string[]) => {
    const all = await Promise.all(keys.map((k) => readFile(join(path, '0', 'c', k))));
    return all.reduce((n, b) => n + b.length, 0);
  };
  for (const [box, keys] of [
    [{ start: [8, 16, 24], size: [8, 8, 8] }, ['1/2/3']],
    [{ start: [15, 16, 24], size: [2, 8, 8] }, ['1/2/3', '2/2/3']],
    [{ start: [39, 39, 39], size: [9, 9, 9] }, ['4/4/4']],
    [{ start: [50, 0, 0], size: [4, 4, 4] }, []],
  ] as const) {
    const before = { ...store.counts };
    await z.crop(box as Box);
    assert.is(store.counts.requests - before.requests, keys.length);
    assert.is(store.counts.bytes - before.bytes, await sizes(keys));
  }
});

test('over HTTP as from files', async ({ dir }) => {
  const volume = sample(Int16Array);
  const path = join(dir, 'web.ome.zarr');
  await writeOmeZarr(path, volume, { chunk: [8, 8, 8] });
  const asked: string[] = [];
  const server = createServer(async (request, response) => {
    asked.push(request.url!);
    try {
      response.end(await readFile(join(dir, request.url!)));
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  try {
    const { port } = server.address() as { port: number };
    const store = fetchStore(`http://127.0.0.1:${port}/web.ome.zarr`);
    const z = await openOmeZarr(store, 'web');
    const box: Box = { start: [6, 2, 1], size: [4, 5, 6] };
    assert.equal((await z.crop(box)).data, cut(volume, box).data);
    assert.equal(asked.sort(), [
      '/web.ome.zarr/0/c/0/0/0',
      '/web.ome.zarr/0/c/1/0/0',
      '/web.ome.zarr/0/zarr.json',
      '/web.ome.zarr/zarr.json',
    ]);
    await refuses(openOmeZarr(fetchStore(`http://127.0.0.1:${port}/none.zarr`), 'none'), 'zarr-missing', /none/);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test('a damaged, cut or lost chunk is named, and only where it is read', async ({ dir }) => {
  const path = join(dir, 'damaged.ome.zarr');
  const volume = sample(Int16Array);
  const file = join(path, '0', 'c', '1', '0', '0');
  const safe: Box = { start: [0, 0, 0], size: [8, 8, 8] };
  const damages: ((bytes: Buffer) => Buffer | null)[] = [
    (b) => {
      b[b.length >> 1]! ^= 0xff;
      return b;
    },
    (b) => b.subarray(0, b.length - 9),
    () => Buffer.alloc(0),
    () => null,
  ];
  for (const damage of damages) {
    await writeOmeZarr(path, volume, { chunk: [8, 8, 8] });
    const changed = damage(await readFile(file));
    if (changed) await writeFile(file, changed);
    else await rm(file);
    const z = await openOmeZarr(fileStore(path), 'damaged');
    assert.equal((await z.crop(safe)).data, cut(volume, safe).data);
    await refuses(z.read(), 'zarr-chunk', /chunk 1\/0\/0 of damaged/);
  }
});

test('metadata that cannot be used is told', async ({ dir }) => {
  const path = join(dir, 'meta.ome.zarr');
  const write = () => writeOmeZarr(path, sample(Int16Array));
  const change = async (name: string, from: RegExp, to: string) => {
    await write();
    const text = await readFile(join(path, name), 'utf8');
    assert.match(text, from);
    await writeFile(join(path, name), text.replace(from, to));
    return openOmeZarr(fileStore(path), 'meta');
  };
  await refuses(change('zarr.json', /"ome"/, '"other"'), 'zarr-metadata', /no multiscales/);
  await refuses(change('zarr.json', /"affine"/, '"other"'), 'zarr-metadata', /without an affine/);
  await refuses(change('0/zarr.json', /\n {2}13\n/, '13, 3'), 'zarr-metadata', /shape 21 × 17 × 13 × 3/);
  await refuses(change('0/zarr.json', /int16/, 'bool'), 'zarr-type', /bool/);
  await write();
  await writeFile(join(path, 'zarr.json'), '{');
  await refuses(openOmeZarr(fileStore(path), 'meta'), 'zarr-metadata', /meta/);
  await refuses(writeOmeZarr(path, sample(Int16Array), { chunk: [8, 0, 8] }), 'zarr-options', /8 × 0 × 8/);
});

test("another writer's OME-Zarr 0.4: format 2, five axes z y x last, a lost chunk is the fill value", async ({
  dir,
}) => {
  const path = join(dir, 'other.zarr');
  await mkdir(join(path, '0'), { recursive: true });
  const json = (name: string, value: unknown) => writeFile(join(path, name), JSON.stringify(value));
  await json('.zgroup', { zarr_format: 2 });
  const axes = ['t', 'c', 'z', 'y', 'x'].map((name) => ({ name, ...('zyx'.includes(name) && { unit: 'micrometer' }) }));
  const coordinateTransformations = [{ type: 'scale', scale: [1, 1, 3000, 2000, 1000] }];
  await json('.zattrs', {
    multiscales: [{ version: '0.4', axes, datasets: [{ path: '0', coordinateTransformations }] }],
  });
  await json('0/.zarray', {
    ...{ zarr_format: 2, shape: [1, 1, 2, 2, 3], chunks: [1, 1, 1, 2, 3], dtype: '<i2', fill_value: -5 },
    ...{ compressor: null, filters: null, order: 'C', dimension_separator: '.' },
  });
  await writeFile(join(path, '0', '0.0.0.0.0'), new Uint8Array(Int16Array.from([1, 2, 3, 4, 5, 6]).buffer));
  const volume = await readVolume(path);
  assert.equal(volume.dims, [2, 2, 3]);
  assert.equal([...volume.data], [1, 2, 3, 4, 5, 6, -5, -5, -5, -5, -5, -5]);
  // z to the head, y to the back, x to the left.
  assert.ok(distance(volume.affine, [0, 0, -1, 0, 0, -2, 0, 0, 3, 0, 0, 0, 0, 0, 0, 1]) < 1e-9);
});

test('a diagonal affine stands as scale and translation for others', async ({ dir }) => {
  const path = join(dir, 'scale.ome.zarr');
  await writeOmeZarr(path, { ...sample(Uint8Array), affine: diagonalAffine([1.5, 1.5, 2], [-10, 20, 30]) });
  const { attributes } = JSON.parse(await readFile(join(path, 'zarr.json'), 'utf8'));
  const [{ axes, datasets }] = attributes.ome.multiscales;
  assert.is(attributes.ome.version, '0.5');
  assert.equal(
    axes.map((a: { name: string }) => a.name),
    ['x', 'y', 'z'],
  );
  assert.equal(datasets[0].coordinateTransformations, [
    { type: 'scale', scale: [1.5, 1.5, 2] },
    { type: 'translation', translation: [-10, 20, 30] },
  ]);
});

test.run();
