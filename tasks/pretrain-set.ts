// Pairs of study and report as pre-training takes them: reports as tokens at once, volumes when they are needed, and what cannot be
// used left out by name and reason.
import { ByteCache } from '../data/byte-cache.ts';
import { DataError, type Preprocess, stream, type Volume } from '../data/index.ts';
import { augmentationOf, swapSides } from '../data/lateral-words.ts';
import type { PreparedScan } from '../data/prepared-scan.ts';
import { type ReportOptions, type TokenisedReport, tokeniseReport } from '../data/report-tokens.ts';
import { linkedSets, sharing } from '../data/split-units.ts';
import type { TextTokenizer } from '../data/tokens.ts';
import type { PretrainContract } from './pretrain-contract.ts';
import { FULL, faultOf, openStudy, type PreparedStudy, studyBytes } from './study-input.ts';

export interface PretrainPair {
  readonly name: string;
  readonly patient: string;
  readonly study?: string;
  readonly group?: string;
  readonly text: string;
  /** Where it lies on disk, if it does. */
  readonly image?: string;
  /** CT in HU. */
  load(): Promise<Volume>;
  /** Its label map, where it has one: for records alone. */
  loadLabel?(): Promise<Volume>;
  /** Where the study lies in chunks on the contract's grid: those; else null. */
  open?(contract: Preprocess): Promise<PreparedScan | null>;
}

export interface LeftOut {
  readonly name: string;
  /** The error's code: `volume-thick-slices`, `file-missing`, `report-no-sentence`. */
  readonly reason: string;
  readonly detail: string;
}

/** A report, and the same with left and right exchanged. */
export interface ReportText {
  readonly own: TokenisedReport;
  /** Null where nothing names a side. */
  readonly swapped: TokenisedReport | null;
  /** What its words allow as augmentation, words swapped with the sides. */
  readonly allows: ReturnType<typeof augmentationOf>;
}

export interface PretrainSetOptions extends Omit<ReportOptions, 'length'> {
  /** Prepared volumes kept in memory. Default 2 GiB. */
  readonly cacheBytes?: number;
  /** @param pair place of a study that cannot be read */
  readonly onSkip?: (left: LeftOut, pair: number) => void;
  /** Things worth knowing about a study, once each. */
  readonly onNote?: (note: string) => void;
}

const CACHE = 2 * 2 ** 30;

export class PretrainSet {
  /** Those whose reports can be used. */
  readonly pairs: readonly PretrainPair[];
  /** By place in `pairs`; empty where the method reads no reports. */
  readonly reports: readonly ReportText[];
  readonly tokenizer: TextTokenizer | null;
  readonly #contract: PretrainContract;
  readonly #options: PretrainSetOptions;
  readonly #left: LeftOut[] = [];
  readonly #kept: ByteCache<number, PreparedStudy>;
  readonly #unreadable = new Set<number>();
  readonly #told = new Set<string>();

  /** @param tokenizer null where the method reads no reports */
  constructor(
    pairs: readonly PretrainPair[],
    contract: PretrainContract,
    tokenizer: TextTokenizer | null,
    options: PretrainSetOptions = {},
  ) {
    this.#contract = contract;
    this.#options = options;
    this.#kept = new ByteCache(options.cacheBytes ?? CACHE, studyBytes);
    this.tokenizer = tokenizer;
    const { text } = contract;
    if (!text || !tokenizer) {
      this.pairs = pairs;
      this.reports = [];
      return;
    }
    const used: PretrainPair[] = [];
    const reports: ReportText[] = [];
    for (const pair of pairs) {
      const report = this.#tokenised(pair, tokenizer, { ...options, length: text.length });
      if (!report) continue;
      used.push(pair);
      reports.push(report);
    }
    this.pairs = used;
    this.reports = reports;
  }

  /** Whose reports or volumes could not be used, so far. */
  get leftOut(): readonly LeftOut[] {
    return this.#left;
  }

  /** Pairs that were not found unreadable so far. */
  get readable(): number {
    return this.pairs.length - this.#unreadable.size;
  }

  /** A study that was found unreadable elsewhere: as if it had been here. */
  leaveOut(n: number, left: LeftOut): void {
    if (this.#unreadable.has(n)) return;
    this.#unreadable.add(n);
    this.#left.push(left);
    this.#options.onSkip?.(left, n);
  }

  /** The prepared study of a place, or null where it cannot be read: counted once. */
  async study(n: number): Promise<PreparedStudy | null> {
    const known = this.#kept.get(n);
    if (known) return known;
    if (this.#unreadable.has(n)) return null;
    const pair = this.pairs[n]!;
    let made: PreparedStudy;
    try {
      made = await openStudy(pair, this.#contract.preprocess);
    } catch (err) {
      const reason = faultOf(err);
      if (reason === null) throw err;
      this.#unreadable.add(n);
      this.#leave(pair, reason, err as Error, n);
      return null;
    }
    for (const note of made.notes) this.tell(`${pair.name}: ${note}`);
    if (this.#kept.set(n, made) && 'image' in made) this.tell(FULL);
    return made;
  }

  /** Another patient's report for every study: a permutation that follows from the seed. @throws DataError `shuffle-impossible` */
  derangement(seed: number): readonly number[] {
    return patientDerangement(this.pairs, seed);
  }

  #tokenised(pair: PretrainPair, tokenizer: TextTokenizer, options: ReportOptions): ReportText | null {
    try {
      const own = tokeniseReport(pair.text, tokenizer, options);
      if (own.texts.length === 0)
        throw new DataError('report-no-sentence', 'The sections that are read say nothing.', {
          found: `a report of ${pair.text.length} characters`,
          expected: 'a sentence of findings',
          fix: 'read other sections (--sections), or leave the pair out',
        });
      const exchanged = swapSides(pair.text);
      return {
        own,
        swapped: exchanged.swaps > 0 ? tokeniseReport(exchanged.text, tokenizer, options) : null,
        allows: augmentationOf(own.texts, true),
      };
    } catch (err) {
      if (!(err instanceof DataError) || !['report-no-sentence', 'text-too-long'].includes(err.code)) throw err;
      this.#leave(pair, err.code, err, -1);
      return null;
    }
  }

  #leave(pair: PretrainPair, reason: string, err: Error, place: number): void {
    const left = {
      name: pair.name,
      reason,
      detail: err.message.split('\n').slice(0, 2).join(';').replace(/\s+/g, ' '),
    };
    this.#left.push(left);
    this.#options.onSkip?.(left, place);
  }

  /** Told once, by whomever it is noticed. */
  tell(note: string): void {
    if (this.#told.has(note)) return;
    this.#told.add(note);
    this.#options.onNote?.(note);
  }
}

/** Streams of one seed that must not meet. */
const SHUFFLE = 0x0103;

/**
 * Patients in an order of the seed's own, pairs of one patient side by side, and each takes the report that stands as many places on as
 * the largest patient has pairs: never one of its own. Patients of one group count as one.
 */
export function patientDerangement(
  pairs: readonly Pick<PretrainPair, 'patient' | 'group'>[],
  seed: number,
): readonly number[] {
  const random = stream(seed, SHUFFLE);
  const links = [...sharing(pairs.map((p) => p.patient)), ...sharing(pairs.map((p) => p.group))];
  const units = linkedSets(pairs.length, links);
  const largest = Math.max(...units.map((u) => u.length));
  if (2 * largest > pairs.length)
    throw new DataError('shuffle-impossible', 'The reports cannot be permuted over patients.', {
      found: `${largest} of ${pairs.length} pairs are of one patient or group`,
      expected: 'at most half of them',
      fix: 'add patients, or use another method than t3d-shuffled',
    });
  for (const list of [units, ...units] as unknown[][])
    for (let i = list.length - 1; i > 0; i--) {
      const j = random.int(i + 1);
      [list[i], list[j]] = [list[j]!, list[i]!];
    }
  const ring = units.flat();
  const out = new Array<number>(pairs.length);
  ring.forEach((n, at) => {
    out[n] = ring[(at + largest) % ring.length]!;
  });
  return out;
}
