// The arms: settings of the model that each trains, and its batches. A batch depends on the seed and the step alone.

import { corruptTile } from '../../data/corrupt.ts';
import { type RandomStream, stream } from '../../data/index.ts';
import type { PretrainSettings } from '../../models/t3d/pretrain-settings.ts';
import type { Inputs } from '../../runtime/index.ts';
import type { Arm, Declaration } from './declaration.ts';
import { STATIONS, type Study, TILE, TILE_VOXELS } from './studies.ts';

/** Crops of a study that the arms without whole studies see in a step, so that all encode as many voxels. */
const CROPS = STATIONS;
/** Voxels by which the two views of a crop lie apart, at most. */
const APART = 4;

interface Shape {
  readonly method: PretrainSettings['method'];
  /** Rows of a batch: studies, or crops of them. */
  readonly rows: number;
  readonly tiles: number;
  readonly restored: number;
  readonly size: readonly [number, number, number];
}

export function shapeOf(arm: Exclude<Arm, 'scratch'>, d: Declaration): Shape {
  const size = [TILE, TILE, TILE] as const;
  const restored = d.restoration[arm] ? 1 : 0;
  switch (arm) {
    case 'restore':
      return { method: arm, rows: d.batch, tiles: 1, restored: CROPS / 2, size };
    case 'contrast':
    case 'swinssl':
      return { method: arm, rows: d.batch, tiles: 2, restored, size };
    case 'clip':
      return { method: arm, rows: d.batch, tiles: 1, restored: 0, size: [(STATIONS * TILE) / 2, TILE / 2, TILE / 2] };
    case 'clipcrop':
      return { method: arm, rows: d.batch * CROPS, tiles: 1, restored: 0, size };
    default:
      return { method: arm, rows: d.batch, tiles: STATIONS, restored, size };
  }
}

/** Arms that see reports. */
export const readsText = (arm: Arm): boolean => !['scratch', 'restore', 'contrast', 'swinssl'].includes(arm);

/** Settings over the preset pico. */
export function settingsOf(arm: Exclude<Arm, 'scratch'>, d: Declaration, vocabulary: number): Record<string, unknown> {
  const s = shapeOf(arm, d);
  return {
    batch: s.rows,
    size: s.size,
    textTokens: d.textTokens,
    text: { vocabSize: vocabulary, layers: d.textLayers },
    lr: d.lr,
    weightDecay: d.weightDecay,
    warmup: d.warmup,
    steps: d.steps,
    pretrain: {
      method: s.method,
      tiles: s.tiles,
      restored: Math.max(1, s.restored),
      sentences: d.sentences,
      lambdaTir: d.restoration[arm] ?? 0,
      restoreText: arm === 't3d' || arm === 't3d-shuffled',
      agreement: 1,
      placeKeys: d.placeKeys,
      normalizeQueries: d.normalizeQueries,
      normalize: d.normalize,
      kappa: d.kappa,
      temperature: d.temperature,
      lambdaSentence: d.lambdaSentence,
      // What was learned from text alone stays as it is.
      ...(readsText(arm) && d.text.steps > 0 ? { freeze: ['^text\\.'] } : {}),
    },
  };
}

/** The batch of a step. `report` of a study is its own, but for the control, where another's stands in its place. */
export function batchOf(
  arm: Exclude<Arm, 'scratch'>,
  studies: readonly Study[],
  seed: number,
  step: number,
  d: Declaration,
): Inputs {
  const s = shapeOf(arm, d);
  const random = stream(seed, 77, step);
  const chosen = choose(studies.length, d.batch, seed, step);
  const rows = Array.from({ length: s.rows }, (_, r) => chosen[r % d.batch]!);
  const inputs: Record<string, Float32Array | Int32Array> = {};
  const size = s.size.reduce((a, b) => a * b, 1);
  const p = settingsOf(arm, d, 1).pretrain as { restoreText: boolean };

  if (s.method !== 'restore') {
    const tiles = new Float32Array(s.rows * s.tiles * size);
    const rotation = new Int32Array(s.rows * s.tiles);
    rows.forEach((n, r) => {
      const own = random.fork(r, 1);
      const study = augmented(studies[n]!.volume, own, d);
      const at = own.int((STATIONS - 1) * TILE + 1);
      for (let k = 0; k < s.tiles; k++) {
        const to = tiles.subarray((r * s.tiles + k) * size, (r * s.tiles + k + 1) * size);
        if (s.method === 'clip') to.set(halved(study));
        else if (s.method === 'contrast' || s.method === 'swinssl') {
          // Each view of a study with changes of its own.
          const view = k === 0 ? study : augmented(studies[n]!.volume, own, d);
          to.set(crop(view, at + own.int(2 * APART + 1) - APART));
          if (s.method === 'swinssl') {
            rotation[r * s.tiles + k] = own.int(4);
            turn(to, rotation[r * s.tiles + k]!);
          }
        } else to.set(crop(study, s.method === 'clipcrop' ? at : k * TILE));
      }
    });
    inputs.tiles = tiles;
    if (s.method === 'swinssl') inputs.rotation = rotation;
  }
  if (s.restored > 0) Object.assign(inputs, restoration(rows, studies, s, random.fork(9, 9), d));

  const isText = readsText(arm);
  if (isText || (s.restored > 0 && p.restoreText)) {
    const partner = arm === 't3d-shuffled' ? derangement(studies.length, seed) : null;
    const reports = rows.map((n) => studies[partner ? partner[n]! : n]!);
    inputs.input_ids = joined(reports.map((x) => x.ids));
    inputs.attention_mask = joined(reports.map((x) => x.mask));
    if (s.method === 't3d' || s.method === 't3d-shuffled') inputs.sentence_ids = joined(reports.map((x) => x.sentence));
    if (isText)
      inputs.pair_mask = Int32Array.from({ length: s.rows ** 2 }, (_, i) =>
        rows[Math.floor(i / s.rows)] === rows[i % s.rows] ? 0 : 1,
      );
  }
  return inputs;
}

/** All studies with their own reports as they are, of an arm that compares whole studies with reports: what `diagnose` takes. */
export function wholeStudies(arm: Exclude<Arm, 'scratch'>, studies: readonly Study[], d: Declaration): Inputs {
  const s = shapeOf(arm, d);
  const each = s.tiles * s.size.reduce((a, b) => a * b, 1);
  const tiles = new Float32Array(studies.length * each);
  studies.forEach((x, n) => {
    tiles.set(s.method === 'clip' ? halved(x.volume) : x.volume, n * each);
  });
  return {
    tiles,
    input_ids: joined(studies.map((x) => x.ids)),
    attention_mask: joined(studies.map((x) => x.mask)),
    ...(s.method === 't3d' || s.method === 't3d-shuffled'
      ? { sentence_ids: joined(studies.map((x) => x.sentence)) }
      : {}),
    pair_mask: new Int32Array(studies.length ** 2).fill(1),
  };
}

function restoration(
  rows: readonly number[],
  studies: readonly Study[],
  s: Shape,
  random: RandomStream,
  d: Declaration,
) {
  const n = s.rows * s.restored;
  const clean = new Float32Array(n * TILE_VOXELS);
  const corrupt = new Float32Array(n * TILE_VOXELS);
  const mask = new Int32Array(n * TILE_VOXELS);
  rows.forEach((row, r) => {
    for (let k = 0; k < s.restored; k++) {
      const own = random.fork(r, k);
      const i = r * s.restored + k;
      const tile = crop(augmented(studies[row]!.volume, own, d), own.int((STATIONS - 1) * TILE + 1));
      const made = corruptTile(tile, [TILE, TILE, TILE], own, { kind: 'cutout' });
      clean.set(tile, i * TILE_VOXELS);
      corrupt.set(made.corrupt, i * TILE_VOXELS);
      mask.set(made.mask, i * TILE_VOXELS);
    }
  });
  return { tiles_clean: clean, tiles_corrupt: corrupt, corrupt_mask: mask };
}

/** Studies of a step: all of them once an epoch, in an order of the epoch's own. */
function choose(count: number, batch: number, seed: number, step: number): number[] {
  const perEpoch = Math.floor(count / batch);
  const order = shuffled(count, stream(seed, 33, Math.floor(step / perEpoch)));
  const at = (step % perEpoch) * batch;
  return order.slice(at, at + batch);
}

export function shuffled(count: number, random: RandomStream): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = random.int(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/** Every study gets the report of another: the next one in a shuffled ring. */
export function derangement(count: number, seed: number): number[] {
  const ring = shuffled(count, stream(seed, 55));
  const out = new Array<number>(count);
  ring.forEach((n, i) => {
    out[n] = ring[(i + 1) % count]!;
  });
  return out;
}

/** 28³ voxels from `at` along d. */
function crop(volume: Float32Array, at: number): Float32Array {
  const from = Math.min(Math.max(0, at), (STATIONS - 1) * TILE) * TILE * TILE;
  return volume.subarray(from, from + TILE_VOXELS);
}

/** Means of 2 × 2 × 2 voxels. */
function halved(volume: Float32Array): Float32Array {
  const [d, h, w] = [(STATIONS * TILE) / 2, TILE / 2, TILE / 2];
  const out = new Float32Array(d * h * w);
  for (let i = 0, to = 0; i < d; i++)
    for (let j = 0; j < h; j++)
      for (let k = 0; k < w; k++, to++) {
        let sum = 0;
        for (let c = 0; c < 8; c++)
          sum += volume[((2 * i + (c >> 2)) * TILE + 2 * j + ((c >> 1) & 1)) * TILE + 2 * k + (c & 1)]!;
        out[to] = sum / 8;
      }
  return out;
}

/** Quarter turns in the plane h w. */
function turn(tile: Float32Array, quarters: number): void {
  const n = TILE;
  for (let q = 0; q < quarters; q++) {
    const old = tile.slice();
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++)
        for (let k = 0; k < n; k++) tile[(i * n + j) * n + k] = old[(i * n + k) * n + (n - 1 - j)]!;
  }
}

/** A study as it might have been: turned over along w (which no report names), moved by a few voxels, and in its intensities. Sides
 *  stay, since reports name them. */
function augmented(volume: Float32Array, random: RandomStream, a: Declaration): Float32Array {
  const [d, h, w] = [STATIONS * TILE, TILE, TILE];
  const flip = random.chance(0.5);
  const [md, mh, mw] = [0, 1, 2].map(() => random.int(2 * a.move + 1) - a.move) as [number, number, number];
  const gain = 1 + random.uniform(-a.gain, a.gain);
  const shift = a.shift * random.normal();
  const noise = random.uniform(0, a.noise);
  const normals = NORMALS();
  let at = random.int(normals.length);
  const out = new Float32Array(volume.length);
  const inside = (i: number, n: number): number => ((i % n) + n) % n;
  for (let i = 0, to = 0; i < d; i++)
    for (let j = 0; j < h; j++) {
      const from = (inside(i - md, d) * h + inside(j - mh, h)) * w;
      for (let k = 0; k < w; k++, to++) {
        const v = volume[from + inside((flip ? w - 1 - k : k) - mw, w)]!;
        if (++at >= normals.length) at = 0;
        out[to] = (v - MIDDLE) * gain + MIDDLE + shift + noise * normals[at]!;
      }
    }
  return out;
}

/** About this a gain turns. */
const MIDDLE = 0.4;
/** Normal numbers, drawn once: a study's noise is a stretch of them. */
let pool: Float32Array | null = null;
const NORMALS = (): Float32Array => {
  if (!pool) {
    const random = stream(0, 99);
    pool = Float32Array.from({ length: 1 << 18 }, () => random.normal());
  }
  return pool;
};

export function joined(list: readonly Int32Array[]): Int32Array {
  const out = new Int32Array(list.reduce((n, x) => n + x.length, 0));
  let at = 0;
  for (const x of list) {
    out.set(x, at);
    at += x.length;
  }
  return out;
}
