// Batches of pre-training. What a batch holds depends on (seed, epoch, index) alone: a run that was stopped goes on exactly as it
// would have, and a study that cannot be read is replaced by the same one every time.
import { drawAugmentation } from '../data/augment.ts';
import type { CorruptOptions } from '../data/corrupt.ts';
import { type Dims, type RandomStream, stream, voxelCount } from '../data/index.ts';
import { epochOrder } from '../data/loader.ts';
import { pairMask, type ReportRow, reportRow, type TokenisedReport } from '../data/report-tokens.ts';
import { type Inputs, T3dcError } from '../runtime/index.ts';
import { pause } from './pause.ts';
import type { PretrainContract } from './pretrain-contract.ts';
import type { PreparedStudy, PretrainSet } from './pretrain-set.ts';
import { type CutTiles, cutStudy, studyAugmentation } from './pretrain-tiles.ts';

export interface BatchKey {
  readonly seed: number;
  readonly epoch: number;
  /** Of the batch within its epoch. */
  readonly index: number;
}

export interface BatchOptions {
  /** Default true. */
  readonly augment?: boolean;
  /** Default `cutout`. */
  readonly corrupt?: CorruptOptions;
  /** Intensities are multiplied by 1 ± gain and moved by ± shift, drawn for every tile. Defaults 0.1 and 0.05. */
  readonly gain?: number;
  readonly shift?: number;
  /** What the frozen layers make of rows of tokens; needed where the entry takes text_hidden. */
  readonly frozenText?: FrozenText;
}

/** input_ids and attention_mask [b t] -> text_hidden [b t c] */
export type FrozenText = (rows: readonly ReportRow[]) => Promise<Float32Array>;

/** What stands in one place of a batch. */
export interface BatchItem {
  /** Place of the study among the set's pairs. */
  readonly pair: number;
  /** Place of its report: another's in the control `t3d-shuffled`. */
  readonly report: number;
  readonly dims: Dims;
  readonly spacing: readonly [number, number, number];
  /** First voxels of its tiles, as far as they are places of the study. */
  readonly origins: readonly Dims[];
  /** Tiles that would cover the study. */
  readonly allTiles: number;
  /** Sentences of the row. */
  readonly texts: readonly string[];
  /** Sentences of the report. */
  readonly allSentences: number;
}

export interface PretrainBatch {
  readonly inputs: Readonly<Record<string, Float32Array | Int32Array>>;
  readonly items: readonly BatchItem[];
  readonly rows: readonly ReportRow[];
}

/** Streams of one seed that must not meet. */
const ITEM = 0x0101;
/** Epochs of `drawAugmentation`, which has no stream of its own. */
const AUGMENTATION = 0x10000;

export class PretrainBatches {
  readonly #set: PretrainSet;
  readonly #contract: PretrainContract;
  readonly #options: BatchOptions;
  readonly #partner: readonly number[] | null;
  readonly #orders = new Map<string, Uint32Array>();

  /** @param seed of the control's permutation @throws T3dcError `bad-option`; DataError `shuffle-impossible` */
  constructor(set: PretrainSet, contract: PretrainContract, seed: number, options: BatchOptions = {}) {
    this.#set = set;
    this.#contract = contract;
    this.#options = options;
    checkEnough(set.pairs.length, contract.batch);
    if (contract.text?.hidden && !options.frozenText)
      throw new T3dcError('bad-option', 'the entry takes what the frozen layers of the text tower made', {
        expected: 'frozenText',
      });
    this.#partner = contract.method === 't3d-shuffled' ? set.derangement(seed) : null;
  }

  /** Whole batches of an epoch; what is left over is dropped. */
  get perEpoch(): number {
    return Math.floor(this.#set.pairs.length / this.#contract.batch);
  }

  /** @throws T3dcError `bad-option` where too few studies can be read; what is no fault of the data */
  batch(key: BatchKey): Promise<PretrainBatch> {
    const { batch } = this.#contract;
    return this.#made(this.#order(key), key.index * batch, key, this.#options.augment ?? true);
  }

  /** The n-th batch of the set in its own order, not augmented: for measuring. */
  fixed(n: number, seed: number): Promise<PretrainBatch> {
    const order = Uint32Array.from({ length: this.#set.pairs.length }, (_, i) => i);
    return this.#made(order, n * this.#contract.batch, { seed, epoch: FIXED, index: n }, false);
  }

  /** Batches from an optimiser step on, without end. */
  async *from(step: number, accumulation: number, seed: number): AsyncGenerator<Inputs, void, void> {
    for (let n = step * accumulation; ; n++) {
      await pause();
      const key = { seed, epoch: Math.floor(n / this.perEpoch), index: n % this.perEpoch };
      yield (await this.batch(key)).inputs;
    }
  }

  #order({ seed, epoch }: BatchKey): Uint32Array {
    const name = `${seed}:${epoch}`;
    let order = this.#orders.get(name);
    if (!order) {
      order = epochOrder(this.#set.pairs.length, seed, epoch);
      this.#orders.clear();
      this.#orders.set(name, order);
    }
    return order;
  }

  /** Places from `start` on, each that cannot be read replaced by the next in the order that can. */
  async #made(order: Uint32Array, start: number, key: BatchKey, augment: boolean): Promise<PretrainBatch> {
    const contract = this.#contract;
    const { batch } = contract;
    const made = emptyInputs(contract);
    const items: BatchItem[] = [];
    const rows: ReportRow[] = [];
    const taken = new Set<number>();
    for (let slot = 0; slot < batch; slot++) {
      let study: PreparedStudy | null = null;
      let pair = -1;
      for (let t = 0; t < order.length && !study; t++) {
        pair = order[(start + slot + t) % order.length]!;
        if (!taken.has(pair)) study = await this.#set.study(pair);
      }
      checkEnough(this.#set.readable, batch);
      taken.add(pair);
      const random = stream(key.seed, ITEM, key.epoch, key.index, slot);
      const report = this.#partner?.[pair] ?? pair;
      const text = contract.text ? this.#set.reports[report]! : null;
      const may = studyAugmentation(contract, text?.allows ?? null, augment);
      const place = { seed: key.seed, epoch: AUGMENTATION + key.epoch, index: key.index * batch + slot };
      const applied = drawAugmentation({ dims: contract.size, spacing: study!.spacing }, may, place);
      const said = text && applied.sidesSwapped && text.swapped ? text.swapped : (text?.own ?? null);
      if (said) rows.push(this.#row(said, random.fork(1)));
      const options = { gain: 0.1, shift: 0.05, corrupt: { kind: 'cutout' } as const, ...this.#options, augment };
      const cut = cutStudy(study!, contract, applied, options, random);
      put(made, slot, cut);
      items.push({
        pair,
        report,
        dims: study!.dims,
        spacing: study!.spacing,
        origins: cut.origins,
        allTiles: cut.allTiles,
        texts: said ? rows.at(-1)!.used.map((n) => said.texts[n]!) : [],
        allSentences: said?.texts.length ?? 0,
      });
    }
    return { inputs: { ...made, ...(await this.#text(rows, items)) }, items, rows };
  }

  #row(report: TokenisedReport, random: RandomStream): ReportRow {
    const { length, sentences } = this.#contract.text!;
    return reportRow(report, this.#set.tokenizer!, { length, most: sentences }, random);
  }

  async #text(
    rows: readonly ReportRow[],
    items: readonly BatchItem[],
  ): Promise<Record<string, Float32Array | Int32Array>> {
    if (!this.#contract.text) return {};
    const { pairs, reports } = this.#set;
    const who = items.map(({ pair, report }) => {
      const { patient, study, group } = pairs[pair]!;
      return { patient, study, group, key: reports[report]!.own.key };
    });
    return {
      ...(await textInputs(rows, this.#contract, this.#options.frozenText)),
      ...(this.#contract.pairs ? { pair_mask: pairMask(who) } : {}),
    };
  }
}

/** The entry's text inputs from rows. */
export async function textInputs(
  rows: readonly ReportRow[],
  contract: PretrainContract,
  frozenText?: FrozenText,
): Promise<Record<string, Float32Array | Int32Array>> {
  return {
    ...(contract.text!.hidden
      ? { text_hidden: await frozenText!(rows) }
      : { input_ids: joined(rows.map((r) => r.ids)) }),
    attention_mask: joined(rows.map((r) => r.mask)),
    ...(contract.sentenceIds ? { sentence_ids: joined(rows.map((r) => r.sentence)) } : {}),
  };
}

export const joined = (list: readonly Int32Array[]): Int32Array => {
  const out = new Int32Array(list.reduce((n, x) => n + x.length, 0));
  let at = 0;
  for (const x of list) {
    out.set(x, at);
    at += x.length;
  }
  return out;
};

/** An epoch that no training reaches. */
const FIXED = 0x7fff0000;

function emptyInputs(c: PretrainContract): Record<string, Float32Array | Int32Array> {
  const voxels = voxelCount(c.size);
  return {
    ...(c.tiles > 0 ? { tiles: new Float32Array(c.batch * c.tiles * voxels) } : {}),
    ...(c.rotation ? { rotation: new Int32Array(c.batch * c.tiles) } : {}),
    ...(c.restored > 0
      ? {
          tiles_corrupt: new Float32Array(c.batch * c.restored * voxels),
          tiles_clean: new Float32Array(c.batch * c.restored * voxels),
          corrupt_mask: new Int32Array(c.batch * c.restored * voxels),
        }
      : {}),
  };
}

function put(into: Readonly<Record<string, Float32Array | Int32Array>>, slot: number, cut: CutTiles): void {
  cut.tiles.forEach((tile, k) => {
    into.tiles!.set(tile, (slot * cut.tiles.length + k) * tile.length);
  });
  if (into.rotation) into.rotation.set(cut.rotation, slot * cut.rotation.length);
  cut.restored.forEach(({ clean, corrupt, mask }, r) => {
    const at = (slot * cut.restored.length + r) * clean.length;
    into.tiles_clean!.set(clean, at);
    into.tiles_corrupt!.set(corrupt, at);
    into.corrupt_mask!.set(mask, at);
  });
}

function checkEnough(pairs: number, batch: number): void {
  if (pairs >= batch) return;
  throw new T3dcError('bad-option', 'there are too few pairs for a batch', {
    found: `${pairs} pairs that can be used`,
    expected: `at least ${batch}`,
    hint: 'Add pairs, or build the artifact for a smaller batch.',
  });
}
