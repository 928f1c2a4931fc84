// Lesions of a label map: which hang together, how much of each a tile shows, and their voxels within a box.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Dims } from '../../data/index.ts';
import { lesionMask, lesionsOf, shownParts } from '../../data/lesions.ts';

const dims: Dims = [3, 4, 5];
const at = (d: number, h: number, w: number): number => (d * 4 + h) * 5 + w;
const labels = new Uint8Array(60).fill(1);
// Two classes that touch at a corner are one lesion; the third voxel of class 2 is another.
labels[at(0, 0, 0)] = 2;
labels[at(1, 1, 1)] = 3;
labels[at(2, 3, 4)] = 2;
labels[at(0, 3, 4)] = 4;
const lesions = lesionsOf(labels, dims, new Set([2, 3]));

test('parts that hang together, in memory order', () => {
  assert.equal([...lesions.sizes], [2, 1]);
  assert.equal([...lesions.places], [at(0, 0, 0), at(1, 1, 1), at(2, 3, 4)]);
  assert.equal([...lesions.of], [0, 0, 1]);
  assert.equal(lesionsOf(labels, dims, new Set([9])).sizes.length, 0);
});

test('a voxel in several tiles counts once; tiles may reach beyond the study', () => {
  const size: Dims = [2, 2, 2];
  assert.equal(shownParts(lesions, [[0, 0, 0]], size), [1, 0]);
  assert.equal(
    shownParts(
      lesions,
      [
        [1, 1, 1],
        [1, 0, 1],
        [2, 3, 4],
      ],
      size,
    ),
    [0.5, 1],
  );
  assert.equal(shownParts(lesions, [[-1, -1, -1]], size), [0.5, 0]);
  assert.equal(shownParts(lesions, [], size), [0, 0]);
});

test('voxels of lesions in a box, on the grid of the box', () => {
  assert.equal([...lesionMask(lesions, [1, 1, 0], [2, 3, 2])], [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  assert.equal([...lesionMask(lesions, [-1, -1, -1], [2, 2, 2])], [0, 0, 0, 0, 0, 0, 0, 1]);
});

test.run();
