// One artifact folder trained on several devices: the model, the batches, and the reference figures. The model is a small
// U-Net, so that software adapters are done in seconds; with T3DC_CURVES=t3d (`npm run test:curves`) it is T3D nano.
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build, writeArtifact } from '../compiler/index.ts';
import t3d from '../models/t3d/index.ts';
import { type OpenOptions, open } from '../runtime/index.ts';
import model from './device/cli-model.ts';

export const STEPS = 10;
const T3D = process.env.T3DC_CURVES === 't3d';
/** Voxels along each axis of a batch. */
export const SIDE = T3D ? 64 : 32;

/** A fresh folder with the artifact, as `t3dc build` writes it. */
export async function curveArtifact(): Promise<string> {
  const entries = ['logits', 'segment'];
  const built = await (T3D ? build(t3d, { entries, preset: 'nano' }) : build(model, { entries }));
  const to = join(await mkdtemp(join(tmpdir(), 't3dc-curves-')), 'artifact');
  writeArtifact(built, to);
  return to;
}

/** Batches from integers alone: the same bits in Node and in a page. Plain source, so that it travels. Labels are blocks of
 *  8 voxels a side. */
export const batch = (step: number, side: number = SIDE): { volume: Float32Array; label: Int32Array } => {
  const volume = new Float32Array(side ** 3);
  const label = new Int32Array(side ** 3);
  for (let i = 0; i < side ** 3; i++) {
    const [d, h, w] = [Math.floor(i / side ** 2), Math.floor(i / side) % side, i % side];
    const block = ((d >> 3) & 3) * 16 + ((h >> 3) & 3) * 4 + ((w >> 3) & 3);
    label[i] = (block * 7 + step) % 6;
    volume[i] = ((Math.imul(i + 977 * step, 2654435761) >>> 9) % 4096) / 8192 + label[i]! / 12;
  }
  return { volume, label };
};

export interface Curve {
  readonly device: string;
  readonly losses: readonly number[];
  /** Of `weights()` after the last step: bytes for bit-by-bit comparison. */
  readonly weights: Uint8Array;
  /** logits of the first batch after the last step. */
  readonly logits: Float32Array;
}

/** STEPS training steps; `resumeAt`: saved after that many steps, closed, and gone on with in a new session. */
export async function curve(artifact: string, options: OpenOptions, resumeAt?: number): Promise<Curve> {
  const losses: number[] = [];
  const quiet = { onNotice: () => {}, ...options };
  let session = await open(artifact, { seed: 7, ...quiet });
  const steps = async (from: number, to: number): Promise<void> => {
    const batches = Array.from({ length: to - from }, (_, i) => batch(from + i));
    for await (const s of session.train('segment', batches)) losses.push(s.loss);
  };
  try {
    if (resumeAt === undefined) await steps(0, STEPS);
    else {
      await steps(0, resumeAt);
      const checkpoint = await session.saveCheckpoint();
      await session.close();
      session = await open(artifact, quiet);
      await session.loadCheckpoint(checkpoint);
      await steps(resumeAt, STEPS);
    }
    const weights = await session.weights();
    const { logits } = await session.entries.logits!({ volume: batch(0).volume });
    return { device: session.device.description, losses, weights, logits: logits as Float32Array };
  } finally {
    await session.close();
  }
}

/** Largest relative difference between two curves. */
export const apart = (a: readonly number[], b: readonly number[]): number =>
  Math.max(...a.map((v, i) => Math.abs(v - b[i]!) / Math.abs(b[i]!)));

/** |a - b| / |b| */
export function relativeL2(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let d = 0;
  let n = 0;
  for (let i = 0; i < b.length; i++) {
    d += (a[i]! - b[i]!) ** 2;
    n += b[i]! ** 2;
  }
  return Math.sqrt(d / n);
}
