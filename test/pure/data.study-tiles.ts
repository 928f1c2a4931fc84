// Studies cut into tiles: what covers them, what is drawn, what is padded; the downsampled study, crops and turns.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Dims, isDataError, stream, voxelCount } from '../../data/index.ts';
import {
  changeIntensity,
  downsampledTile,
  mirrored,
  nativeCrop,
  type Study,
  studyTiles,
  tileOrigins,
  turnedAxially,
} from '../../data/study-tiles.ts';

/** Voxel (i, j, k) holds a number of its own. */
function studyOf(dims: Dims): Study {
  const n = voxelCount(dims);
  return { dims, image: Float32Array.from({ length: n }, (_, i) => (i + 1) / n) };
}

test('tiles cover every voxel; the last is shifted inward, a short axis padded evenly', async () => {
  for (const dims of [
    [10, 4, 9],
    [4, 4, 4],
    [3, 5, 8],
    [1, 11, 2],
  ] as Dims[]) {
    const size: Dims = [4, 4, 4];
    const study = studyOf(dims);
    const { tiles, origins, all } = await studyTiles(study, size, 30, stream(0));
    assert.equal(origins, tileOrigins(dims, size));
    assert.is(
      origins.length,
      dims.reduce((n, d) => n * Math.ceil(d / 4), 1),
    );
    assert.is(all, origins.length);
    const seen = new Set<number>(tiles);
    for (const v of study.image) assert.ok(seen.has(v), `${v} of ${dims}`);
    // Every voxel of a tile is the study's at that place, or padding.
    origins.forEach((o, t) => {
      for (let n = 0; n < 64; n++) {
        const at = [o[0] + (n >> 4), o[1] + ((n >> 2) & 3), o[2] + (n & 3)];
        const inside = at.every((v, axis) => v >= 0 && v < dims[axis]!);
        const expected = inside ? study.image[(at[0]! * dims[1] + at[1]!) * dims[2] + at[2]!] : 0;
        assert.is(tiles[t * 64 + n], expected);
      }
    });
    assert.ok(tiles.subarray(origins.length * 64).every((v) => v === 0));
  }
});

test('a sample of k tiles: by foreground, in order, without repetition, the same from the same stream', async () => {
  const dims: Dims = [32, 8, 8];
  const size: Dims = [4, 8, 8];
  // Body in the first half, a little in the seventh tile, air elsewhere.
  const image = new Float32Array(voxelCount(dims));
  image.fill(0.5, 0, 16 * 64);
  image.fill(0.5, 24 * 64, 24 * 64 + 10);
  const study = { dims, image };
  const draws = await Promise.all(Array.from({ length: 60 }, (_, seed) => studyTiles(study, size, 3, stream(seed))));
  const count = new Map<number, number>();
  for (const { origins, tiles, all } of draws) {
    assert.is(all, 8);
    assert.is(tiles.length, 3 * 256);
    const places = origins.map((o) => o[0] / 4);
    assert.equal(
      places,
      [...new Set(places)].sort((a, b) => a - b),
    );
    for (const p of places) count.set(p, (count.get(p) ?? 0) + 1);
  }
  assert.equal(
    [...count.keys()].filter((p) => [4, 5, 7].includes(p)),
    [],
    'air',
  );
  for (const p of [0, 1, 2, 3]) assert.ok(count.get(p)! > 30, `tile ${p}: ${count.get(p)} of 60`);
  assert.ok((count.get(6) ?? 0) < 15);
  assert.equal(await studyTiles(study, size, 3, stream(5)), draws[5]);
  // Where body is short, air fills up.
  assert.is((await studyTiles({ dims, image: new Float32Array(image.length) }, size, 7, stream(1))).origins.length, 7);
});

test('the downsampled study: means by area, padded where it is shorter than the tile', async () => {
  const study = { dims: [6, 2, 1] as Dims, image: Float32Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]) };
  const half = await downsampledTile(study, [3, 2, 1]);
  assert.equal([...half], [2, 3, 6, 7, 10, 11]);
  const odd = await downsampledTile(study, [4, 1, 3]);
  // Along h: 1.5 3.5 5.5 …; along d, [0, 1.5): (1.5 + 3.5 / 2) / 1.5; w padded with one empty voxel on each side.
  const column = [1.5, 3.5, 5.5, 7.5, 9.5, 11.5];
  const mean = (low: number, high: number): number => {
    let sum = 0;
    for (let i = 0; i < 6; i++) sum += column[i]! * Math.max(0, Math.min(high, i + 1) - Math.max(low, i));
    return sum / (high - low);
  };
  [0, 1, 2, 3].forEach((o) => {
    assert.is(odd[o * 3], 0);
    assert.ok(Math.abs(odd[o * 3 + 1]! - mean(1.5 * o, 1.5 * o + 1.5)) < 1e-6);
    assert.is(odd[o * 3 + 2], 0);
  });
  const big = studyOf([28, 28, 28]);
  const tile = await downsampledTile(big, [7, 7, 7]);
  const average = (a: Float32Array): number => a.reduce((s, v) => s + v, 0) / a.length;
  assert.ok(Math.abs(average(tile) - average(big.image)) < 1e-6);
});

test('a native crop is a place of the study, mostly body; a smaller study is padded', async () => {
  const dims: Dims = [40, 6, 6];
  const image = new Float32Array(voxelCount(dims));
  image.fill(0.5, 30 * 36);
  let body = 0;
  for (let seed = 0; seed < 40; seed++) {
    const { tile, origin } = await nativeCrop({ dims, image }, [6, 6, 6], stream(seed));
    if (tile.some((v) => v > 0)) body++;
    assert.ok(origin[0] >= 0 && origin[0] <= 34 && origin[1] === 0 && origin[2] === 0);
    assert.is(tile[0], image[origin[0] * 36]);
  }
  assert.ok(body > 30, `${body} of 40`);
  const small = await nativeCrop(studyOf([2, 6, 6]), [6, 6, 6], stream(0));
  assert.equal(small.origin, [-2, 0, 0]);
});

test('turns and mirrors: four quarter turns are none; numpy rot90; a plane of two sizes is refused', async () => {
  const size: Dims = [3, 3, 2];
  const { image } = studyOf(size);
  assert.equal(turnedAxially(image, size, 4), image);
  const one = turnedAxially(image, size, 1);
  // rot90: out[i, j] = in[j, n - 1 - i]
  for (let i = 0; i < 3; i++)
    for (let j = 0; j < 3; j++)
      for (let k = 0; k < 2; k++) assert.is(one[(i * 3 + j) * 2 + k], image[(j * 3 + 2 - i) * 2 + k]);
  assert.equal(turnedAxially(turnedAxially(image, size, 1), size, 2), turnedAxially(image, size, 3));
  assert.equal(mirrored(mirrored(image, size, [true, false, true]), size, [true, false, true]), image);
  assert.not.equal(mirrored(image, size, [true, false, false]), image);
  try {
    turnedAxially(studyOf([2, 3, 3]).image, [2, 3, 3], 1);
    assert.unreachable();
  } catch (e) {
    assert.ok(isDataError(e, 'rot90-plane'), String(e));
  }
});

test('intensities stay in 0..1, change little, and follow from the stream', async () => {
  const of = (seed: number): Float32Array => {
    const { image } = studyOf([4, 4, 4]);
    changeIntensity(image, 0.1, 0.05, stream(seed));
    return image;
  };
  const { image } = studyOf([4, 4, 4]);
  assert.equal(of(1), of(1));
  assert.not.equal(of(1), of(2));
  of(3).forEach((v, n) => {
    assert.ok(v >= 0 && v <= 1 && Math.abs(v - image[n]!) <= 0.1501, `${v} of ${image[n]}`);
  });
});

test('a study whose voxels do not fill its grid is refused', async () => {
  for (const run of [studyTiles, nativeCrop] as const)
    try {
      await (run as (...a: unknown[]) => unknown)(
        { dims: [2, 2, 2], image: new Float32Array(7) },
        [2, 2, 2],
        1,
        stream(0),
      );
      assert.unreachable();
    } catch (e) {
      assert.ok(isDataError(e, 'volume-shape'), String(e));
    }
});

test.run();
