// Connected components against a flood fill, on random maps of every shape.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { connectedComponents, type Dims, keepLargest, stream, voxelCount } from '../../data/index.ts';

/** One voxel after the other. */
function floodFill(labels: Uint8Array, dims: Dims, connectivity: 6 | 26): Int32Array {
  const id = new Int32Array(labels.length);
  let found = 0;
  const spread = (at: number): void => {
    id[at] = found;
    const [i, j, k] = [Math.floor(at / (dims[1] * dims[2])), Math.floor(at / dims[2]) % dims[1], at % dims[2]];
    for (let a = Math.max(0, i - 1); a <= Math.min(dims[0] - 1, i + 1); a++)
      for (let b = Math.max(0, j - 1); b <= Math.min(dims[1] - 1, j + 1); b++)
        for (let c = Math.max(0, k - 1); c <= Math.min(dims[2] - 1, k + 1); c++) {
          const next = (a * dims[1] + b) * dims[2] + c;
          const steps = Math.abs(a - i) + Math.abs(b - j) + Math.abs(c - k);
          if (id[next] === 0 && labels[next] === labels[at] && (connectivity === 26 || steps === 1)) spread(next);
        }
  };
  labels.forEach((label, at) => {
    if (label === 0 || id[at] !== 0) return;
    found++;
    spread(at);
  });
  return id;
}

test('components are those of a flood fill, numbered by their first voxels', () => {
  for (let n = 0; n < 150; n++) {
    const s = stream(9, n);
    const dims: Dims = [1 + s.int(8), 1 + s.int(8), 1 + s.int(8)];
    const empty = s.uniform();
    const labels = Uint8Array.from({ length: voxelCount(dims) }, () => (s.uniform() < empty ? 0 : 1 + s.int(3)));
    for (const connectivity of [6, 26] as const) {
      const expected = floodFill(labels, dims, connectivity);
      const { id, components } = connectedComponents(labels, dims, connectivity);
      assert.equal([...id], [...expected]);
      components.forEach(({ label, voxels }, c) => {
        assert.is(voxels, expected.filter((e) => e === c + 1).length);
        assert.is(label, labels[expected.indexOf(c + 1)]);
      });
      // Kept: per label the first of its largest components.
      const { labels: kept, removed } = keepLargest(labels, dims, { connectivity });
      let gone = 0;
      for (const label of [1, 2, 3]) {
        const mine = components.filter((c) => c.label === label);
        const best = components.indexOf(mine.find((c) => c.voxels === Math.max(...mine.map((m) => m.voxels)))!);
        labels.forEach((l, at) => {
          if (l !== label) return;
          assert.is(kept[at], id[at] === best + 1 ? label : 0);
          if (id[at] !== best + 1) gone++;
        });
      }
      assert.is(removed, gone);
    }
  }
});

test.run();
