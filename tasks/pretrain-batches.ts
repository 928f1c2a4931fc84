// Batches of pre-training. What a batch holds depends on (seed, epoch, index) alone: a run that was stopped goes on exactly as it
// would have, and a study that cannot be read is replaced by the same one every time.
import type { CounterfactualWords } from '../data/counterfactual-words.ts';
import { isFinding } from '../data/counterfactual-words.ts';
import type { Dims, RandomStream } from '../data/index.ts';
import { pairMask, type ReportRow, reportRow, type TokenisedReport } from '../data/report-tokens.ts';
import { type Inputs, T3dcError } from '../runtime/index.ts';
import { falseRows } from './counter-rows.ts';
import { pause } from './pause.ts';
import { measuredContract, type PretrainContract } from './pretrain-contract.ts';
import {
  type Allows,
  type BatchImages,
  type BatchKey,
  fixedKey,
  type ImageOptions,
  itemStream,
  PretrainImages,
} from './pretrain-images.ts';
import type { PretrainSet } from './pretrain-set.ts';
import type { RestoredPlace } from './pretrain-tiles.ts';

export type { BatchKey } from './pretrain-images.ts';

export interface BatchOptions extends ImageOptions {
  /** What the frozen layers make of rows of tokens; needed where the entry takes text_hidden. */
  readonly frozenText?: FrozenText;
  /** What false reports are made with. Default: COUNTERFACTUAL_WORDS. */
  readonly counterWords?: CounterfactualWords;
  /** Told of every batch of `from` before it is handed over, `n` counted from the first of all. */
  readonly onBatch?: (n: number, items: readonly BatchItem[]) => void | Promise<void>;
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
  /** Of the tiles that are restored. */
  readonly restored: readonly RestoredPlace[];
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

export class PretrainBatches {
  readonly #set: PretrainSet;
  readonly #contract: PretrainContract;
  readonly #options: BatchOptions;
  readonly #partner: readonly number[] | null;
  readonly #images: PretrainImages;

  /** @param seed of the control's permutation @throws T3dcError `bad-option`; DataError `shuffle-impossible` */
  constructor(set: PretrainSet, contract: PretrainContract, seed: number, options: BatchOptions = {}) {
    this.#set = set;
    this.#contract = contract;
    this.#options = options;
    this.#images = new PretrainImages(set, contract, (pair) => this.allows(pair), options);
    if (contract.text?.hidden && !options.frozenText)
      throw new T3dcError('bad-option', 'the entry takes what the frozen layers of the text tower made', {
        expected: 'frozenText',
      });
    this.#partner = contract.method === 't3d-shuffled' ? set.derangement(seed) : null;
  }

  /** Whole batches of an epoch; what is left over is dropped. */
  get perEpoch(): number {
    return this.#images.perEpoch;
  }

  /** What the report that goes with a study allows as augmentation. */
  allows(pair: number): Allows {
    return this.#contract.text ? this.#set.reports[this.#reportOf(pair)]!.allows : null;
  }

  /** @throws T3dcError `bad-option` where too few studies can be read; what is no fault of the data */
  async batch(key: BatchKey): Promise<PretrainBatch> {
    return this.#withText(this.#contract, key, await this.#images.batch(key));
  }

  /** The n-th batch of the set in its own order, not augmented and without options: for measuring. */
  async fixed(n: number, seed: number): Promise<PretrainBatch> {
    return this.#withText(measuredContract(this.#contract), fixedKey(seed, n), await this.#images.fixed(n, seed));
  }

  /**
   * Batches from an optimiser step on, without end.
   * @param images the same batches' images, one after the other, where others make them
   */
  async *from(
    step: number,
    accumulation: number,
    seed: number,
    images?: () => Promise<BatchImages>,
  ): AsyncGenerator<Inputs, void, void> {
    for (let n = step * accumulation; ; n++) {
      await pause();
      const key = { seed, epoch: Math.floor(n / this.perEpoch), index: n % this.perEpoch };
      const made = images ? await images() : await this.#images.batch(key);
      const { inputs, items } = await this.#withText(this.#contract, key, made);
      await this.#options.onBatch?.(n, items);
      yield inputs;
    }
  }

  #reportOf(pair: number): number {
    return this.#partner?.[pair] ?? pair;
  }

  async #withText(contract: PretrainContract, key: BatchKey, images: BatchImages): Promise<PretrainBatch> {
    const rows: ReportRow[] = [];
    const counter: ReportRow[] = [];
    const asked: number[] = [];
    const items = images.items.map(({ sidesSwapped, ...item }, slot): BatchItem => {
      const report = this.#reportOf(item.pair);
      const text = this.#contract.text ? this.#set.reports[report]! : null;
      const said = text && sidesSwapped && text.swapped ? text.swapped : (text?.own ?? null);
      const random = itemStream(key, slot);
      const row = said && this.#row(said, random.fork(1));
      if (row) rows.push(row);
      if (row && contract.counterfactuals > 0) {
        const { tokenizer } = this.#set;
        const { counterWords } = this.#options;
        counter.push(...falseRows(said, row, contract.counterfactuals, tokenizer!, random.fork(8), counterWords));
      }
      if (row && contract.attended) asked.push(...askedSentences(said, row, contract.restored, random.fork(9)));
      return {
        ...item,
        report,
        texts: row ? row.used.map((n) => said!.texts[n]!) : [],
        allSentences: said?.texts.length ?? 0,
      };
    });
    const options = {
      ...(contract.counterfactuals > 0 ? await counterInputs(counter, contract, this.#options.frozenText) : {}),
      ...(contract.attended ? { asked_sentence: Int32Array.from(asked) } : {}),
    };
    return { inputs: { ...images.inputs, ...(await this.#text(rows, items)), ...options }, items, rows };
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

/** For each restored tile the place of a sentence of the row: one of a finding, where there is one. */
function askedSentences(said: TokenisedReport, row: ReportRow, count: number, random: RandomStream): number[] {
  const all = row.used.map((_, n) => n);
  const findings = all.filter((n) => isFinding(said.texts[row.used[n]!]!));
  const from = findings.length > 0 ? findings : all;
  return Array.from({ length: count }, () => from[random.int(from.length)]!);
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

/** False reports as inputs, [b f t] from b · f rows. */
async function counterInputs(
  rows: readonly ReportRow[],
  contract: PretrainContract,
  frozenText?: FrozenText,
): Promise<Record<string, Float32Array | Int32Array>> {
  return {
    ...(contract.text!.hidden
      ? { counter_hidden: await frozenText!(rows) }
      : { counter_ids: joined(rows.map((r) => r.ids)) }),
    counter_mask: joined(rows.map((r) => r.mask)),
    counter_sentence_ids: joined(rows.map((r) => r.sentence)),
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
