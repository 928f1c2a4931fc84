// The pairs of a pre-training on disk: training and validation, kept apart by patient.
import { createHash } from 'node:crypto';
import { readPairs, readSplits, readVolume } from '../data/node.ts';
import { type Pair, type Pairs, type SkippedPair, showCounts } from '../data/pairs.ts';
import { checkSplit } from '../data/splits.ts';
import type { LeftOut, PretrainPair } from '../tasks/pretrain-set.ts';
import { CliError } from './errors.ts';
import type { Output } from './output.ts';
import type { PretrainPlan } from './pretrain-plan.ts';

export interface PretrainPairs {
  readonly train: readonly PretrainPair[];
  readonly val: readonly PretrainPair[];
  /** Left out when the lists were read. */
  readonly leftOut: readonly LeftOut[];
  readonly hash: string;
}

type Columns = Parameters<typeof readPairs>[1];

/** @throws DataError of `readPairs`, `readSplits` and `checkSplit` (a patient on two sides); CliError `run-data`, `bad-value` */
export async function pretrainPairs(plan: PretrainPlan, options: Columns, out: Output): Promise<PretrainPairs> {
  const list = await readPairs(plan.pairs, options);
  tell(list, out);
  let train = list.pairs;
  let val: readonly Pair[] = [];
  let skipped = list.skipped;
  if (plan.splits !== null) {
    const splits = await readSplits(plan.splits);
    const split = splits[plan.fold];
    if (!split)
      throw new CliError('bad-value', 'there is no such fold', {
        found: `${plan.fold} of ${plan.splits}`,
        expected: `0 to ${splits.length - 1}`,
      });
    const here = new Set(list.pairs.map((p) => p.name));
    const known = { train: split.train.filter((n) => here.has(n)), val: split.val.filter((n) => here.has(n)) };
    const lacking = split.train.length + split.val.length - known.train.length - known.val.length;
    if (lacking > 0) out.note(`${lacking} names of the split are not in the list of pairs, or were left out of it`);
    await checkSplit(list.pairs, known, { duplicates: NO_DUPLICATES });
    const by = (names: ReadonlySet<string>) => list.pairs.filter((p) => names.has(p.name));
    [train, val] = [by(new Set(known.train)), by(new Set(known.val))];
  } else if (plan.val !== null) {
    const other = await readPairs(plan.val, options);
    tell(other, out);
    val = other.pairs;
    skipped = [...skipped, ...other.skipped];
    // Names are unique in a list, not over two; and where a list tells no patients, each pair is one of its own.
    const named = ({ pairs, patients }: Pairs, of: string) =>
      pairs.map((p) => {
        const name = `${of}: ${p.name}`;
        return { ...p, name, patient: patients ? p.patient : name };
      });
    const [a, b] = [named(list, 'training'), named(other, 'validation')];
    const names = { train: a.map((p) => p.name), val: b.map((p) => p.name) };
    await checkSplit([...a, ...b], names, { duplicates: NO_DUPLICATES });
  }
  const hash = hashOf(train, val);
  if (plan.pairsHash !== null && plan.pairsHash !== hash)
    throw new CliError('run-data', 'the run was started with other pairs', {
      found: `${train.length} training and ${val.length} validation pairs of hash ${hash.slice(0, 12)}`,
      expected: `those of hash ${plan.pairsHash.slice(0, 12)}`,
      hint: 'Give the same list, or start a new run with --weights.',
    });
  return {
    train: train.map(asPair),
    val: val.map(asPair),
    leftOut: skipped.map(({ name, reason, detail }: SkippedPair) => ({ name, reason, detail })),
    hash,
  };
}

/** Near-duplicates are for t3dc data split to find. */
const NO_DUPLICATES = { reports: Number.POSITIVE_INFINITY } as const;

function tell({ notes, skipped, counts }: Pairs, out: Output): void {
  for (const note of notes) out.note(note);
  if (skipped.length > 0) out.note(`left out: ${showCounts(counts)}`);
}

const asPair = (p: Pair): PretrainPair => ({
  name: p.name,
  patient: p.patient,
  study: p.study,
  group: p.group,
  text: p.text,
  image: p.image!,
  load: () => readVolume(p.image!),
  ...(p.label !== undefined && { loadLabel: () => readVolume(p.label!) }),
});

/** Volumes are told by their names alone. */
function hashOf(...parts: readonly (readonly Pair[])[]): string {
  const hash = createHash('sha256');
  for (const part of parts)
    hash.update(JSON.stringify(part.map((p) => [p.name, p.patient, p.study ?? null, p.group ?? null, p.text])));
  return hash.digest('hex');
}
