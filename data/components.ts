// Connected components of a label map: keeping the largest of each label.

import { type Dims, type VoxelArray, voxelCount } from './volume.ts';

export interface ComponentOptions {
  /** Neighbours of a voxel: 6 share a face, 26 a face, edge or corner. Default 26. */
  connectivity?: 6 | 26;
  /** Labels to clean; the others stay as they are. Default: all but 0. */
  labels?: readonly number[];
}

/**
 * A label map [d, h, w] in which every cleaned label keeps its largest component (the first in memory order among equals);
 * the voxels of the smaller ones become 0. Returns how many voxels were removed.
 */
export function keepLargest<T extends VoxelArray>(
  labels: T,
  dims: Dims,
  options: ComponentOptions = {},
): { labels: T; removed: number } {
  const { id, components } = connectedComponents(labels, dims, options.connectivity ?? 26);
  const wanted = options.labels && new Set(options.labels);
  const largest = new Map<number, number>();
  components.forEach(({ label, voxels }, n) => {
    const best = largest.get(label);
    if (best === undefined || voxels > components[best]!.voxels) largest.set(label, n);
  });
  const out = labels.slice() as T;
  let removed = 0;
  for (let i = 0; i < out.length; i++) {
    const label = out[i]!;
    if (label === 0 || (wanted && !wanted.has(label)) || largest.get(label) === id[i]! - 1) continue;
    out[i] = 0;
    removed++;
  }
  return { labels: out, removed };
}

/** Components of equal non-zero label: `id` [d, h, w] is 0 for background, else 1 + the index into `components`. */
export function connectedComponents(labels: VoxelArray, dims: Dims, connectivity: 6 | 26 = 26) {
  const [d, h, w] = dims;
  const id = new Int32Array(voxelCount(dims));
  const components: { label: number; voxels: number }[] = [];
  const steps = neighbours(connectivity);
  let stack = new Int32Array(1024);
  for (let seed = 0; seed < id.length; seed++) {
    if (labels[seed] === 0 || id[seed] !== 0) continue;
    const label = labels[seed]!;
    const name = components.length + 1;
    let voxels = 0;
    let top = 0;
    stack[top++] = seed;
    id[seed] = name;
    while (top > 0) {
      const at = stack[--top]!;
      voxels++;
      const k = at % w;
      const j = ((at - k) / w) % h;
      const i = Math.floor(at / (h * w));
      for (const [di, dj, dk] of steps) {
        const ni = i + di;
        const nj = j + dj;
        const nk = k + dk;
        if (ni < 0 || nj < 0 || nk < 0 || ni >= d || nj >= h || nk >= w) continue;
        const next = (ni * h + nj) * w + nk;
        if (id[next] !== 0 || labels[next] !== label) continue;
        id[next] = name;
        if (top === stack.length) {
          const larger = new Int32Array(stack.length * 2);
          larger.set(stack);
          stack = larger;
        }
        stack[top++] = next;
      }
    }
    components.push({ label, voxels });
  }
  return { id, components };
}

function neighbours(connectivity: 6 | 26): [number, number, number][] {
  const steps: [number, number, number][] = [];
  for (const i of [-1, 0, 1])
    for (const j of [-1, 0, 1])
      for (const k of [-1, 0, 1]) {
        const distance = Math.abs(i) + Math.abs(j) + Math.abs(k);
        if (distance === 1 || (connectivity === 26 && distance > 1)) steps.push([i, j, k]);
      }
  return steps;
}
