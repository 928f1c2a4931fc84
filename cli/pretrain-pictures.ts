// Example slices of a pre-training: a tile, what was left of it and what the restoration made of it; and where a sentence looks.
import { Canvas } from '../data/canvas.ts';
import { type Dims, diagonalAffine, drawPicture, pictureOf, type Volume } from '../data/index.ts';
import { encodePng } from '../data/png.ts';
import type { Session } from '../runtime/index.ts';
import type { BatchItem, PretrainBatch } from '../tasks/pretrain-batches.ts';
import type { PretrainContract } from '../tasks/pretrain-contract.ts';
import type { ReportImage } from './run-report.ts';

export interface Example extends ReportImage {
  /** `restored-0`, for files and logs. */
  readonly name: string;
}

/** Studies of a batch that are drawn. */
const DRAWN = 2;
/** Attention is drawn where it is at least so many times what it would be if spread evenly. */
const LEVELS = [2, 5, 20];

/** Of a batch's first studies: their first restored tiles by the entry `restore`. */
export async function restoredPictures(
  session: Session,
  contract: PretrainContract,
  batch: PretrainBatch,
  names: readonly string[],
): Promise<Example[]> {
  const entry = session.manifest.entries.restore;
  if (!entry || contract.restored === 0) return [];
  const voxels = contract.size.reduce((a, b) => a * b, 1);
  const every = contract.restored * voxels;
  const firsts = (data: Float32Array): Float32Array => {
    const out = new Float32Array(contract.batch * voxels);
    for (let b = 0; b < contract.batch; b++) out.set(data.subarray(b * every, b * every + voxels), b * voxels);
    return out;
  };
  const clean = firsts(batch.inputs.tiles_clean as Float32Array);
  const corrupt = firsts(batch.inputs.tiles_corrupt as Float32Array);
  const { restored } = await session.entries.restore!({ volume: corrupt, ...portsOf(entry.inputs, batch) });
  return batch.items.slice(0, DRAWN).map((item, b) => {
    const of = (data: Float32Array): Volume => ({
      data: data.slice(b * voxels, (b + 1) * voxels),
      dims: contract.size,
      affine: diagonalAffine(item.spacing),
    });
    const rows = (
      [
        ['tile', clean],
        ['corrupted', corrupt],
        ['restored', restored as Float32Array],
      ] as const
    ).map(([title, data]) => drawPicture(of(data), [{ title }], { window: [0, 1], classes: [], panel: 220 }));
    const canvas = stacked(rows);
    return {
      name: `restored-${b}`,
      png: encodePng(canvas.rgb, canvas.width, canvas.height),
      caption: `A tile of ${names[b]}, corrupted and restored, at step ${session.step}`,
    };
  });
}

/** Of a batch's first studies: where the sentence whose attention has the highest peak looks, by the entry `ground`. */
export async function groundPictures(
  session: Session,
  contract: PretrainContract,
  batch: PretrainBatch,
  studies: readonly { readonly image: Float32Array; readonly dims: Dims }[],
  names: readonly string[],
): Promise<Example[]> {
  const entry = session.manifest.entries.ground;
  if (!entry || contract.takes !== 'whole' || !contract.sentenceIds) return [];
  const { attention } = await session.entries.ground!(portsOf(entry.inputs, batch));
  const [, sentences, tiles, tokens] = entry.outputs.find((p) => p.name === 'attention')!.shape as number[];
  const each = tiles! * tokens!;
  return batch.items.slice(0, Math.min(DRAWN, studies.length)).flatMap((item, b): Example[] => {
    const of = (s: number) =>
      (attention as Float32Array).subarray((b * sentences! + s) * each, (b * sentences! + s + 1) * each);
    const peaks = item.texts.map((_, s) => Math.max(...of(s)) * each);
    const s = peaks.indexOf(Math.max(...peaks));
    if (s < 0) return [];
    const { labels, peak } = attended(of(s), item, contract.size, tokens!, studies[b]!.dims);
    const affine = diagonalAffine(item.spacing);
    const { image, dims } = studies[b]!;
    const png = pictureOf(
      { data: image, dims, affine },
      [{ title: shorten(item.texts[s]!), labels: { data: labels, dims, affine } }],
      {
        window: [0, 1],
        classes: ['', ...LEVELS.map((l) => `${l} times even`)],
        slices: peak,
      },
    );
    const most = peaks[s]! < 10 ? peaks[s]!.toFixed(1) : peaks[s]!.toFixed(0);
    return [
      {
        name: `ground-${b}`,
        png,
        caption: `Where a sentence of ${names[b]}'s report looks, at step ${session.step}: at most ${most} times as much as if it looked everywhere alike`,
      },
    ];
  });
}

/** Attention [k n] as levels on the study's grid, and the voxel of its peak. */
function attended(
  weights: Float32Array,
  item: BatchItem,
  size: Dims,
  tokens: number,
  dims: Dims,
): { labels: Uint8Array; peak: Dims } {
  const labels = new Uint8Array(dims[0] * dims[1] * dims[2]);
  const cell = cellOf(size, tokens);
  const grid = size.map((n) => Math.ceil(n / cell)) as [number, number, number];
  let peak: Dims = [dims[0] >> 1, dims[1] >> 1, dims[2] >> 1];
  let most = 0;
  item.origins.forEach((origin, k) => {
    for (let n = 0; n < tokens; n++) {
      const weight = weights[k * tokens + n]! * weights.length;
      const level = LEVELS.filter((l) => weight >= l).length;
      const token = [Math.floor(n / (grid[1] * grid[2])), Math.floor(n / grid[2]) % grid[1], n % grid[2]];
      const [from, to] = [0, 1].map((end) =>
        token.map((t, axis) => {
          const at = origin[axis]! + Math.min(size[axis]!, (t + end) * cell);
          return Math.min(dims[axis]!, Math.max(0, at));
        }),
      ) as [number[], number[]];
      if (weight > most && from.every((f, axis) => f < to[axis]!)) {
        most = weight;
        peak = from.map((f, axis) => (f + to[axis]!) >> 1) as unknown as Dims;
      }
      if (level === 0) continue;
      for (let i = from[0]!; i < to[0]!; i++)
        for (let j = from[1]!; j < to[1]!; j++) {
          const row = (i * dims[1] + j) * dims[2];
          labels.fill(level, row + from[2]!, row + to[2]!);
        }
    }
  });
  return { labels, peak };
}

/** Voxels a side of a token: the map is the tile, halved some times and rounded up. */
function cellOf(size: Dims, tokens: number): number {
  let cell = 1;
  while (cell < Math.max(...size) && size.reduce((n, s) => n * Math.ceil(s / cell), 1) > tokens) cell *= 2;
  return cell;
}

/** Those inputs of an entry that a batch has. */
function portsOf(
  ports: readonly { readonly name: string }[],
  { inputs }: PretrainBatch,
): Record<string, Float32Array | Int32Array> {
  return Object.fromEntries(ports.flatMap(({ name }) => (inputs[name] ? [[name, inputs[name]]] : [])));
}

function stacked(parts: readonly Canvas[]): Canvas {
  const width = Math.max(...parts.map((p) => p.width));
  const canvas = new Canvas(
    width,
    parts.reduce((n, p) => n + p.height, 0),
  );
  let y = 0;
  for (const p of parts) {
    for (let row = 0; row < p.height; row++)
      canvas.rgb.set(p.rgb.subarray(row * p.width * 3, (row + 1) * p.width * 3), (y + row) * width * 3);
    y += p.height;
  }
  return canvas;
}

const shorten = (text: string): string => (text.length > 64 ? `${text.slice(0, 61)}...` : text);
