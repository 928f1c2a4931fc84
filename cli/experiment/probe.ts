// Kind by linear probe: does a station carry a lesion of this kind? A logistic regression a kind on the pooled features of the
// station's tile, centred by station (so that where it is says nothing), on the labels of a few studies.
import { auroc, fitLogistic, meanOf, PART_KINDS, predictLogistic, stream } from '../../data/index.ts';
import { shuffled } from './arms.ts';
import type { Declaration } from './declaration.ts';
import { STATIONS, type Study } from './studies.ts';

/** Features of a set of studies: [study station feature]. */
export interface Features {
  readonly width: number;
  readonly train: Float32Array;
  readonly judged: Float32Array;
}

export interface ProbeResult {
  readonly fraction: number;
  /** Mean over the draws of the macro AUROC over kinds. */
  readonly auroc: number;
  /** Per draw, per kind: the scores of the judged stations, from which intervals are drawn. */
  readonly scores: readonly (readonly Float32Array[])[];
}

export function probe(
  f: Features,
  studies: { train: readonly Study[]; judged: readonly Study[] },
  seed: number,
  d: Declaration,
): ProbeResult[] {
  const [x, y] = centred(f);
  return d.fractions.map((fraction) => {
    const count = Math.round(fraction * studies.train.length);
    const draws = fraction < 1 ? d.draws : 1;
    const scores = Array.from({ length: draws }, (_, draw) => {
      // The same studies are labelled for every arm.
      const labelled = shuffled(studies.train.length, stream(seed, 11, draw)).slice(0, count);
      const rows = labelled.flatMap((n) => stations(x, n, f.width));
      const judged = studies.judged.flatMap((_, n) => stations(y, n, f.width));
      return PART_KINDS.map((_, kind) => {
        const target = labelled.flatMap((n) => kindsOf(studies.train[n]!, kind));
        if (!target.includes(1) || !target.includes(0)) return new Float32Array(judged.length);
        const model = fitLogistic(rows, target, { classes: 2, c: d.c });
        return Float32Array.from(predictLogistic(model, judged), (p) => p[1]!);
      });
    });
    const truth = PART_KINDS.map((_, kind) => studies.judged.flatMap((s) => kindsOf(s, kind)));
    const each = scores.map((kinds) => meanOf(kinds.map((k, i) => auroc(k, truth[i]!))).mean);
    return { fraction, auroc: meanOf(each).mean, scores };
  });
}

/** Macro AUROC of one draw's scores on some of the judged studies (one may stand several times). */
export function macroOn(scores: readonly Float32Array[], judged: readonly Study[], chosen: ArrayLike<number>): number {
  const list = Array.from(chosen);
  return meanOf(
    scores.map((all, kind) => {
      const at = list.flatMap((n) => Array.from({ length: STATIONS }, (_, s) => n * STATIONS + s));
      return auroc(
        at.map((i) => all[i]!),
        list.flatMap((n) => kindsOf(judged[n]!, kind)),
      );
    }),
  ).mean;
}

const kindsOf = (s: Study, kind: number): number[] =>
  Array.from({ length: STATIONS }, (_, station) => s.kinds[station * PART_KINDS.length + kind]!);

const stations = (x: Float32Array, study: number, width: number): Float32Array[] =>
  Array.from({ length: STATIONS }, (_, s) =>
    x.subarray((study * STATIONS + s) * width, (study * STATIONS + s + 1) * width),
  );

/** Less the mean of each station over the training studies (no label is used). */
function centred({ width, train, judged }: Features): [Float32Array, Float32Array] {
  const step = STATIONS * width;
  const mean = new Float64Array(step);
  for (let i = 0; i < train.length; i++) mean[i % step]! += train[i]! / (train.length / step);
  const less = (x: Float32Array): Float32Array => x.map((v, i) => v - mean[i % step]!);
  return [less(train), less(judged)];
}
