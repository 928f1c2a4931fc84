// One arm with one seed: pre-trained, and every station of every study encoded.
import type { Session } from '../../runtime/index.ts';
import { pause } from '../../tasks/pause.ts';
import { batchOf, readsText, settingsOf } from './arms.ts';
import type { Arm, Declaration } from './declaration.ts';
import { opened, type RunOptions } from './opened.ts';
import type { Features } from './probe.ts';
import { STATIONS, type Studies, type Study, TILE_VOXELS } from './studies.ts';
import { textWeights } from './text.ts';

export interface StepLog {
  readonly step: number;
  readonly loss: number;
  readonly tcl: number;
  readonly tir: number;
  readonly accuracy: number;
}

interface PretrainOptions extends RunOptions {
  readonly onStep?: (log: StepLog) => void;
}

/** Tiles that the encoder takes at a time when features are read. */
const ENCODED = 16;

/** Weights after pre-training; null for `scratch`, whose weights are drawn. */
export async function pretrainArm(
  arm: Arm,
  seed: number,
  studies: Studies,
  d: Declaration,
  o: PretrainOptions,
): Promise<Uint8Array | null> {
  if (arm === 'scratch') return null;
  const text = readsText(arm) ? await textWeights(seed, studies, d, o) : null;
  const session = await opened(arm, ['pretrain'], settingsOf(arm, d, studies.vocabulary), seed, o);
  try {
    if (text) await session.loadWeights(text, { strict: false });
    const batches = (function* () {
      for (let step = 0; step < d.steps; step++) yield batchOf(arm, studies.train, seed, step, d);
    })();
    const outputs = ['tcl', 'tir', 'accuracy'];
    for await (const s of session.train('pretrain', batches, { steps: d.steps, seed, outputs, signal: o.signal })) {
      const value = (name: string): number => (s.outputs[name] as Float32Array)[0]!;
      // One thread runs inline: without this no signal would be heard before the end.
      await pause();
      o.onStep?.({ step: s.step, loss: s.loss, tcl: value('tcl'), tir: value('tir'), accuracy: value('accuracy') });
    }
    return await session.weights();
  } finally {
    await session.close();
  }
}

/** Of each station's tile: the mean of its tokens. */
export async function featuresOf(
  weights: Uint8Array | null,
  seed: number,
  studies: Studies,
  o: RunOptions,
): Promise<Features> {
  const session = await opened('encoder', ['encodeImage'], { batch: ENCODED }, seed, o);
  try {
    if (weights) await session.loadWeights(weights, { strict: false });
    const all = async (list: readonly Study[]) => encodeAll(session, list);
    const train = await all(studies.train);
    const judged = await all(studies.judged);
    return { width: train.width, train: train.data, judged: judged.data };
  } finally {
    await session.close();
  }
}

async function encodeAll(session: Session, list: readonly Study[]): Promise<{ width: number; data: Float32Array }> {
  const tiles = list.length * STATIONS;
  let data = new Float32Array(0);
  let width = 0;
  for (let from = 0; from < tiles; from += ENCODED) {
    const volume = new Float32Array(ENCODED * TILE_VOXELS);
    const count = Math.min(ENCODED, tiles - from);
    for (let i = 0; i < count; i++) {
      const [study, station] = [Math.floor((from + i) / STATIONS), (from + i) % STATIONS];
      const at = station * TILE_VOXELS;
      volume.set(list[study]!.volume.subarray(at, at + TILE_VOXELS), i * TILE_VOXELS);
    }
    const pooled = (await session.entries.encodeImage!({ volume })).pooled as Float32Array;
    if (width === 0) {
      width = pooled.length / ENCODED;
      data = new Float32Array(tiles * width);
    }
    data.set(pooled.subarray(0, count * width), from * width);
  }
  return { width, data };
}
