// Evaluation of label maps: figures of every case, and what they come to.
import {
  type BootstrapOptions,
  bootstrapByPatient,
  dice,
  type Froc,
  type FrocScan,
  froc,
  frocScan,
  type Interval,
  type LesionMatches,
  type LesionScore,
  lesionScores,
  matchLesions,
  meanOf,
  surfaceDistances,
  toCanonical,
  type Volume,
  volumeSpacing,
} from '../data/index.ts';
import { checkSameGrid } from '../data/volume.ts';
import { CliError } from './errors.ts';
import type { CaseInfo, ClassMap } from './eval-cases.ts';
import { SPACINGS, sizeBin, sizeBins, spacingStratum, stratification } from './eval-strata.ts';

export interface ScoreOptions {
  /** mm, of NSD. */
  readonly tolerance: number;
  /** Classes that are lesions. */
  readonly lesions: readonly string[];
}

export interface ClassScore {
  /** NaN where the truth has none of the class. */
  readonly dice: number;
  /** NaN where neither has, 0 where one has. */
  readonly nsd: number;
  /** mm; NaN where neither has, Infinity where one has. */
  readonly hd95: number;
  readonly truthMl: number;
  readonly predictedMl: number;
}

export interface CaseScore extends CaseInfo {
  readonly name: string;
  /** mm along R, A, S. */
  readonly spacing: readonly [number, number, number];
  /** By class name. */
  readonly classes: ReadonlyMap<string, ClassScore>;
  readonly lesions: ReadonlyMap<string, LesionMatches>;
  readonly froc?: FrocScan;
}

/** How label ids become classes. Without maps an id is the class of its number; without names every id is one. */
export interface CaseClasses {
  readonly truth: ClassMap | null;
  readonly prediction: ClassMap | null;
  readonly names: readonly string[] | null;
}

/** A case's volumes; prediction and truth are turned to one orientation. */
export interface CaseVolumes {
  readonly prediction: Volume;
  readonly truth: Volume;
  /** Of the one lesion class. */
  readonly probability?: Volume;
}

/**
 * Scores one case.
 * @param unknown counts voxels of ids that the map of `classes` leaves out
 * @throws CliError `unknown-label`; DataError `volume-grids`
 */
export function scoreCase(
  name: string,
  info: CaseInfo,
  volumes: CaseVolumes,
  classes: CaseClasses,
  { tolerance, lesions }: ScoreOptions,
  unknown: Map<number, number>,
): CaseScore {
  const truth = toCanonical(volumes.truth).volume;
  const prediction = toCanonical(volumes.prediction).volume;
  checkSameGrid(truth, prediction, `${name}: truth and prediction`);
  const { dims } = truth;
  const spacing = volumeSpacing(truth);
  const t = classIds(truth, classes.truth, classes.names, `${name}: truth`, unknown);
  const p = classIds(prediction, classes.prediction, classes.names, `${name}: prediction`, unknown);
  const count = classes.names?.length ?? Math.max(largest(t), largest(p)) + 1;
  const overlap = dice(p, t, count);
  const millilitres = (spacing[0] * spacing[1] * spacing[2]) / 1000;
  const scores = new Map<string, ClassScore>();
  const found = new Map<string, LesionMatches>();
  let scan: FrocScan | undefined;
  for (let c = 1; c < count; c++) {
    const className = classes.names?.[c] ?? `class ${c}`;
    const isLesion = lesions.includes(className);
    // Without names an id that this case lacks is told apart from a class that it has none of when all cases are known.
    if (!classes.names && overlap.truthVoxels[c] === 0 && overlap.predictedVoxels[c] === 0) continue;
    const { nsd, hd95 } = surfaceDistances(p, t, dims, spacing, { label: c, tolerance });
    scores.set(className, {
      dice: overlap.dice[c]!,
      nsd,
      hd95,
      truthMl: overlap.truthVoxels[c]! * millilitres,
      predictedMl: overlap.predictedVoxels[c]! * millilitres,
    });
    if (!isLesion) continue;
    found.set(className, matchLesions(p, t, dims, spacing, { label: c }));
    if (!volumes.probability) continue;
    const probability = toCanonical(volumes.probability).volume;
    checkSameGrid(truth, probability, `${name}: truth and probability`);
    scan = frocScan(probability.data, t, dims, { label: c });
  }
  return { name, ...info, spacing, classes: scores, lesions: found, froc: scan };
}

/** A mean over cases with its interval, and the cases that are not in it. */
export interface MeanScore extends Interval {
  /** Cases in the mean. */
  readonly cases: number;
  /** Cases without a figure: the class is in neither map, or (Dice) not in the truth. */
  readonly undefinedCases: number;
  /** HD95 alone: cases where one map has the class and the other has not. */
  readonly infiniteCases: number;
}

export interface GroupScore {
  readonly cases: number;
  readonly dice: MeanScore;
  readonly nsd: MeanScore;
  readonly hd95: MeanScore;
}

export interface LesionSummary {
  readonly all: LesionScore;
  readonly bins: readonly LesionScore[];
  readonly sensitivity: Interval;
  readonly precision: Interval;
  readonly f1: Interval;
  readonly froc?: Froc;
}

export interface SegmentSummary {
  /** By class. `falseAlarms`: cases whose truth has none of it and whose prediction has. */
  readonly classes: ReadonlyMap<string, GroupScore & { readonly falseAlarms: number }>;
  /** Mean over the classes of a case, then over cases. */
  readonly all: GroupScore;
  readonly lesions: ReadonlyMap<string, LesionSummary>;
  /** By what, then by stratum: the mean over classes of its cases; by lesion size, of the lesion's class alone. */
  readonly strata: ReadonlyMap<string, ReadonlyMap<string, GroupScore>>;
}

export function summarise(
  cases: readonly CaseScore[],
  options: BootstrapOptions & { readonly bins: readonly number[]; readonly strata: readonly string[] },
): SegmentSummary {
  const names = [...new Set(cases.flatMap((c) => [...c.classes.keys()]))];
  const ofClass = (name: string) => groupScore(cases, (c) => c.classes.get(name) ?? NOTHING, options);
  const classes = new Map(
    names.map((name) => {
      const alarm = (c: CaseScore) => c.classes.get(name)?.truthMl === 0 && c.classes.get(name)!.predictedMl > 0;
      return [name, { ...ofClass(name), falseAlarms: cases.filter(alarm).length }] as const;
    }),
  );
  const lesionNames = [...new Set(cases.flatMap((c) => [...c.lesions.keys()]))];
  const lesions = new Map(lesionNames.map((n) => [n, lesionSummary(cases, n, options)] as const));
  const strata = new Map<string, Map<string, GroupScore>>();
  const split = (
    what: string,
    stratumOf: (c: CaseScore) => string | undefined,
    order: readonly string[] = [],
    score: (c: CaseScore) => ClassScore = averageOf,
  ) => {
    const present = [...new Set(cases.flatMap((c) => stratumOf(c) ?? []))];
    present.sort((a, b) => order.indexOf(a) - order.indexOf(b) || (a < b ? -1 : 1));
    if (present.length === 0) return;
    const within = (s: string) => cases.filter((c) => stratumOf(c) === s);
    strata.set(what, new Map(present.map((s) => [s, groupScore(within(s), score, options)])));
  };
  split('largest voxel edge', (c) => spacingStratum(Math.max(...c.spacing)), SPACINGS);
  for (const name of lesionNames) {
    const largestOf = (c: CaseScore) => {
      const d = (c.lesions.get(name)?.truth ?? []).map((l) => l.diameterMm);
      return d.length === 0 ? undefined : sizeBin(Math.max(...d), options.bins);
    };
    split(
      `${name} alone, by the largest in a scan`,
      largestOf,
      sizeBins(options.bins),
      (c) => c.classes.get(name) ?? NOTHING,
    );
  }
  for (const column of options.strata) {
    const values = cases.map((c) => c.columns[column]);
    const { strata: order, stratumOf } = stratification(column, values, options.bins);
    split(column, (c) => stratumOf(c.columns[column]), order);
  }
  return { classes, all: groupScore(cases, averageOf, options), lesions, strata };
}

/** Cases from the worst on: by mean Dice over the classes that the truth has; those without any come last. */
export function worstFirst(cases: readonly CaseScore[]): CaseScore[] {
  const key = (c: CaseScore) => averageOf(c).dice;
  return [...cases].sort((a, b) => (Number.isNaN(key(a)) ? 1 : Number.isNaN(key(b)) ? -1 : key(a) - key(b)));
}

/** Mean over the classes of a case. An infinite distance makes the mean infinite. */
export function averageOf(c: CaseScore): ClassScore {
  const scores = [...c.classes.values()];
  const mean = (of: (s: ClassScore) => number) => meanOf(scores.map(of)).mean;
  return {
    dice: mean((s) => s.dice),
    nsd: mean((s) => s.nsd),
    hd95: mean((s) => s.hd95),
    truthMl: scores.reduce((n, s) => n + s.truthMl, 0),
    predictedMl: scores.reduce((n, s) => n + s.predictedMl, 0),
  };
}

const NOTHING: ClassScore = { dice: Number.NaN, nsd: Number.NaN, hd95: Number.NaN, truthMl: 0, predictedMl: 0 };

function groupScore(
  cases: readonly CaseScore[],
  of: (c: CaseScore) => ClassScore,
  options: BootstrapOptions,
): GroupScore {
  const mean = (pick: (s: ClassScore) => number): MeanScore => {
    const values = cases.map((c) => pick(of(c)));
    const kept = cases.flatMap((c, i) =>
      Number.isFinite(values[i]!) ? [{ patient: c.patient, value: values[i]! }] : [],
    );
    const infiniteCases = values.filter((v) => v === Number.POSITIVE_INFINITY).length;
    return {
      ...(kept.length === 0
        ? noInterval(options)
        : bootstrapByPatient(
            kept.map((k) => k.patient),
            (rows) => rows.reduce((total, r) => total + kept[r]!.value, 0) / rows.length,
            options,
          )),
      cases: kept.length,
      undefinedCases: values.length - kept.length - infiniteCases,
      infiniteCases,
    };
  };
  return { cases: cases.length, dice: mean((s) => s.dice), nsd: mean((s) => s.nsd), hd95: mean((s) => s.hd95) };
}

function lesionSummary(
  cases: readonly CaseScore[],
  name: string,
  options: BootstrapOptions & { readonly bins: readonly number[] },
): LesionSummary {
  const scans = cases.map((c) => c.lesions.get(name) ?? { truth: [], predicted: [] });
  // Counts are all that a resample needs.
  const counts = scans.map((s) => lesionScores([s]).all);
  const patients = cases.map((c) => c.patient);
  const ratio = (hits: (s: LesionScore) => number, all: (s: LesionScore) => number) => (rows: Int32Array) => {
    let h = 0;
    let n = 0;
    for (const r of rows) {
      h += hits(counts[r]!);
      n += all(counts[r]!);
    }
    return h / n;
  };
  const sensitivity = ratio(
    (s) => s.found,
    (s) => s.truth,
  );
  const precision = ratio(
    (s) => s.right,
    (s) => s.predicted,
  );
  const f1 = (rows: Int32Array) => {
    const [a, b] = [sensitivity(rows), precision(rows)];
    return Number.isNaN(a) ? Number.NaN : a > 0 && b > 0 ? (2 * a * b) / (a + b) : 0;
  };
  const of = (statistic: (rows: Int32Array) => number) => bootstrapByPatient(patients, statistic, options);
  const candidates = cases.flatMap((c) => c.froc ?? []);
  return {
    ...lesionScores(scans, options.bins),
    sensitivity: of(sensitivity),
    precision: of(precision),
    f1: of(f1),
    froc: candidates.length > 0 ? froc(candidates) : undefined,
  };
}

const noInterval = ({ level = 0.95 }: BootstrapOptions): Interval => ({
  estimate: Number.NaN,
  low: Number.NaN,
  high: Number.NaN,
  level,
  resamples: 0,
  undefinedResamples: 0,
});

/** Class of every voxel. */
function classIds(
  volume: Volume,
  map: ClassMap | null,
  names: readonly string[] | null,
  what: string,
  unknown: Map<number, number>,
): Uint16Array {
  const out = new Uint16Array(volume.data.length);
  const known = names?.length ?? 65536;
  for (let i = 0; i < out.length; i++) {
    const id = volume.data[i]!;
    if (map) {
      const c = map.ids.get(id);
      if (c !== undefined) out[i] = c;
      else if (id !== 0) unknown.set(id, (unknown.get(id) ?? 0) + 1);
      continue;
    }
    if (!(Number.isInteger(id) && id >= 0 && id < known))
      throw new CliError('unknown-label', `${what} has a label that is no class`, {
        found: `${id} at voxel ${i}`,
        expected: names ? `0 to ${known - 1}: ${names.join(', ')}` : 'whole numbers from 0 to 65535',
        hint: 'Say by --labels which ids are which class, as in liver=5,kidneys=2+3; other ids are background then.',
      });
    out[i] = id;
  }
  return out;
}

const largest = (ids: Uint16Array): number => ids.reduce((m, v) => (v > m ? v : m), 0);
