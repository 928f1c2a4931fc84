// Connected components of a label map: keeping the largest of each label.
//
// A component is made of runs, the stretches of one label along w, joined where runs of neighbouring rows touch. So the work
// and the memory follow the number of runs, a small part of the number of voxels.

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
  const runs = joinedRuns(labels, dims, options.connectivity ?? 26);
  const { component, components } = number(runs, labels);
  const wanted = options.labels && new Set(options.labels);
  const largest = new Map<number, number>();
  components.forEach(({ label, voxels }, n) => {
    const best = largest.get(label);
    if (best === undefined || voxels > components[best]!.voxels) largest.set(label, n);
  });
  const out = labels.slice() as T;
  let removed = 0;
  for (let r = 0; r < runs.count; r++) {
    const c = component[r]!;
    const { label } = components[c]!;
    if ((wanted && !wanted.has(label)) || largest.get(label) === c) continue;
    out.fill(0, runs.start[r]!, runs.end[r]!);
    removed += runs.end[r]! - runs.start[r]!;
  }
  return { labels: out, removed };
}

/** Components of equal non-zero label, in memory order of their first voxels: `id` [d, h, w] is 0 for background, else 1 + the
 *  index into `components`. */
export function connectedComponents(labels: VoxelArray, dims: Dims, connectivity: 6 | 26 = 26) {
  const runs = joinedRuns(labels, dims, connectivity);
  const { component, components } = number(runs, labels);
  const id = new Int32Array(voxelCount(dims));
  for (let r = 0; r < runs.count; r++) id.fill(component[r]! + 1, runs.start[r]!, runs.end[r]!);
  return { id, components };
}

type Offsets = Uint32Array | Float64Array;

interface Runs {
  readonly count: number;
  /** First voxel of each run, and the one after its last. */
  readonly start: Offsets;
  readonly end: Offsets;
  /** A run of the same component that comes earlier, or the run itself. */
  readonly parent: Int32Array;
}

function joinedRuns(labels: VoxelArray, dims: Dims, connectivity: 6 | 26): Runs {
  const [d, h, w] = dims;
  const offsets = (n: number): Offsets => (d * h * w < 2 ** 32 ? new Uint32Array(n) : new Float64Array(n));
  let start = offsets(1024);
  let end = offsets(1024);
  let parent = new Int32Array(1024);
  let count = 0;
  const first = new Int32Array(d * h + 1); // of each row
  const root = (r: number): number => {
    let at = r;
    while (parent[at] !== at) {
      parent[at] = parent[parent[at]!]!; // path halving
      at = parent[at]!;
    }
    return at;
  };
  // The earlier root stays one, so that it is the component's first run.
  const join = (a: number, b: number): void => {
    const p = root(a);
    const q = root(b);
    if (p !== q) parent[Math.max(p, q)] = Math.min(p, q);
  };
  const reach = connectivity === 26 ? 1 : 0;
  /** Joins the runs of row `row` with those of the earlier row `other` that touch them. */
  const touch = (row: number, other: number): void => {
    const shift = (row - other) * w;
    let b = first[other]!;
    const last = first[other + 1]!;
    for (let a = first[row]!; a < count; a++) {
      const from = start[a]! - shift - reach;
      const to = end[a]! - shift + reach;
      while (b < last && end[b]! <= from) b++;
      for (let n = b; n < last && start[n]! < to; n++) if (labels[start[n]!] === labels[start[a]!]) join(a, n);
    }
  };
  for (let i = 0; i < d; i++)
    for (let j = 0; j < h; j++) {
      const row = i * h + j;
      first[row] = count;
      const stop = (row + 1) * w;
      for (let at = row * w; at < stop; ) {
        const label = labels[at]!;
        const from = at++;
        while (at < stop && labels[at] === label) at++;
        if (label === 0) continue;
        if (count === parent.length) {
          start = enlarged(start, offsets(2 * count));
          end = enlarged(end, offsets(2 * count));
          parent = enlarged(parent, new Int32Array(2 * count));
        }
        start[count] = from;
        end[count] = at;
        parent[count] = count;
        count++;
      }
      first[row + 1] = count;
      if (j > 0) touch(row, row - 1);
      if (i === 0) continue;
      for (let dj = -reach; dj <= reach; dj++) if (j + dj >= 0 && j + dj < h) touch(row, row - h + dj);
    }
  for (let r = 0; r < count; r++) parent[r] = root(r);
  return { count, start, end, parent };
}

/** Numbers the components by their first runs and counts their voxels. */
function number({ count, start, end, parent }: Runs, labels: VoxelArray) {
  const component = new Int32Array(count);
  const components: { label: number; voxels: number }[] = [];
  for (let r = 0; r < count; r++) {
    if (parent[r] === r) {
      component[r] = components.length;
      components.push({ label: labels[start[r]!]!, voxels: 0 });
    } else component[r] = component[parent[r]!]!;
    components[component[r]!]!.voxels += end[r]! - start[r]!;
  }
  return { component, components };
}

function enlarged<T extends Offsets | Int32Array>(old: T, larger: T): T {
  larger.set(old);
  return larger;
}
