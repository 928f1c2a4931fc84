// Corruption of tiles: how much, where, with what, and the same from the same stream.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { corruptTile } from '../../data/corrupt.ts';
import { type Dims, isDataError, stream, voxelCount } from '../../data/index.ts';

const tileOf = (size: Dims, channels = 1): Float32Array =>
  Float32Array.from({ length: channels * voxelCount(size) }, (_, n) => ((n * 37) % 101) / 100);

const share = (mask: Int32Array): number => mask.reduce((a, b) => a + b, 0) / mask.length;

/** Sides of the largest box of ones that begins at each first corner are below the limit only if no cuboid was larger: checked where
 *  a single cuboid lies alone. */
function extentOf(mask: Int32Array, size: Dims): number[] {
  const low = [...size];
  const high = [-1, -1, -1];
  mask.forEach((m, n) => {
    if (!m) return;
    const at = [Math.floor(n / (size[1] * size[2])), Math.floor(n / size[2]) % size[1], n % size[2]];
    at.forEach((v, axis) => {
      low[axis] = Math.min(low[axis]!, v);
      high[axis] = Math.max(high[axis]!, v);
    });
  });
  return high.map((h, axis) => h - low[axis]! + 1);
}

test('cut-outs cover up to 30 % of a tile, and what they spare stays', () => {
  for (const size of [
    [28, 28, 28],
    [16, 24, 33],
  ] as Dims[]) {
    const tile = tileOf(size);
    const kept = tile.slice();
    for (let seed = 0; seed < 4; seed++) {
      const { corrupt, mask } = corruptTile(tile, size, stream(seed, 7), { kind: 'cutout' });
      assert.ok(share(mask) <= 0.3 && share(mask) > 0.25, `${share(mask)} of ${size}`);
      for (let n = 0; n < mask.length; n++) {
        if (mask[n] === 0) assert.is(corrupt[n], tile[n]);
        else assert.ok(corrupt[n]! >= 0 && corrupt[n]! < 1);
      }
    }
    assert.equal(tile, kept);
  }
});

test('a cut-out is below a quarter of each side', () => {
  // Room for one cuboid: the second would take more than is left nearly always.
  const size: Dims = [32, 40, 21];
  const limit = size.map((n) => n / 4);
  const seen = [0, 0, 0];
  for (let seed = 0; seed < 300; seed++) {
    const { mask } = corruptTile(tileOf(size), size, stream(seed), {
      kind: 'cutout',
      volume: (7 * 9 * 5) / voxelCount(size),
    });
    const sum = mask.reduce((a, b) => a + b, 0);
    const extent = extentOf(mask, size);
    if (sum === 0 || sum !== extent.reduce((a, b) => a * b)) continue; // more than one
    extent.forEach((n, axis) => {
      assert.ok(n < limit[axis]!, `${extent} of ${size}`);
      seen[axis] = Math.max(seen[axis]!, n);
    });
  }
  assert.equal(seen, [7, 9, 5]);
});

test('blocks: half of a grid, whole blocks, the last ones smaller', () => {
  const size: Dims = [12, 10, 9];
  const { mask } = corruptTile(tileOf(size), size, stream(3), { kind: 'blocks', block: 4 });
  const blocks = new Map<string, Set<number>>();
  mask.forEach((m, n) => {
    const at = [Math.floor(n / 90), Math.floor(n / 9) % 10, n % 9].map((v) => Math.floor(v / 4)).join();
    blocks.set(at, (blocks.get(at) ?? new Set()).add(m));
  });
  assert.is(blocks.size, 27);
  assert.ok([...blocks.values()].every((b) => b.size === 1));
  assert.is([...blocks.values()].filter((b) => b.has(1)).length, 14);
  const quarter = corruptTile(tileOf([16, 16, 16]), [16, 16, 16], stream(4), { kind: 'blocks', ratio: 0.25 });
  assert.is(share(quarter.mask), 0.25);
});

test('fill mean: of the voxels that stay, channel by channel, at the same voxels', () => {
  const size: Dims = [8, 8, 8];
  const tile = tileOf(size, 2);
  const { corrupt, mask } = corruptTile(tile, size, stream(5), { kind: 'blocks', block: 4, fill: 'mean' });
  for (const c of [0, 1]) {
    const own = tile.subarray(c * 512, (c + 1) * 512);
    let sum = 0;
    mask.forEach((m, n) => {
      if (m === 0) sum += own[n]!;
    });
    const mean = Math.fround(sum / 256);
    for (let n = 0; n < 512; n++) assert.is(corrupt[c * 512 + n], mask[n] ? mean : own[n]);
  }
});

test('the same stream, the same corruption; another stream, another', () => {
  const size: Dims = [20, 20, 20];
  const of = (seed: number, kind: 'cutout' | 'blocks') => corruptTile(tileOf(size), size, stream(seed), { kind });
  for (const kind of ['cutout', 'blocks'] as const) {
    assert.equal(of(1, kind), of(1, kind));
    assert.not.equal(of(1, kind).mask, of(2, kind).mask);
  }
});

test('what cannot be is refused', () => {
  const refused = (code: string, run: () => void) => {
    try {
      run();
    } catch (e) {
      return assert.ok(isDataError(e, code), String(e));
    }
    assert.unreachable(code);
  };
  refused('corrupt-tile', () => corruptTile(new Float32Array(9), [2, 2, 2], stream(0), { kind: 'blocks' }));
  refused('corrupt-tile', () => corruptTile(new Float32Array(0), [2, 2, 2], stream(0), { kind: 'blocks' }));
  refused('corrupt-option', () => corruptTile(new Float32Array(64), [4, 4, 4], stream(0), { kind: 'cutout' }));
  refused('corrupt-option', () =>
    corruptTile(new Float32Array(64), [4, 4, 4], stream(0), { kind: 'blocks', ratio: 0 }),
  );
  refused('corrupt-option', () =>
    corruptTile(new Float32Array(64), [4, 4, 4], stream(0), { kind: 'blocks', block: 1.5 }),
  );
});

test.run();
