// Studies with their findings as `t3dc finetune classify` takes them: some to train on, some held out by patient.
import { readSplits } from '../data/node.ts';
import type { Session } from '../runtime/index.ts';
import type { LabelledStudy } from '../tasks/train-classification.ts';
import type { Context } from './command.ts';
import { CliError, UsageError } from './errors.ts';
import { some } from './eval-cases.ts';
import { type Findings, readFindings } from './finding-labels.ts';
import type { FinetunePlan } from './finetune-plan.ts';
import { lastName } from './model-card.ts';
import type { ScanFile, StudyFile } from './studies.ts';
import { parseNames } from './units.ts';

export interface FindingSet {
  readonly train: readonly LabelledStudy[];
  /** The same, for other threads. */
  readonly trainFiles: readonly ScanFile[];
  readonly validation: readonly LabelledStudy[];
}

/**
 * Targets joined to studies, and those that are held out.
 * @throws CliError `no-finding`, `too-few-cases`, `bad-value`, `split-overlap`; UsageError `bad-value`
 */
export async function findingSet(
  plan: FinetunePlan,
  given: string | undefined,
  sources: readonly StudyFile[],
  manifest: Session['manifest'],
  out: Context['out'],
): Promise<{ plan: FinetunePlan; set: FindingSet }> {
  const { findingNames } = manifest.model.settings as { readonly findingNames?: readonly string[] };
  const count = manifest.entries[plan.entry]!.inputs.find((p) => p.name === 'target')?.shape[1] ?? 0;
  const own = findingNames && findingNames.length > 0 ? findingNames : null;
  const wanted = given !== undefined ? parseNames('findings', given) : plan.findings.length > 0 ? plan.findings : own;
  const found = await readFindings(plan.labels, sources, wanted);
  if (found.names.length !== count)
    throw new CliError('no-finding', 'the artifact classifies by another number of findings', {
      found: `${found.names.length}: ${some(found.names, 12)}`,
      expected: `${count}`,
      hint: `Choose them by --findings, or build the artifact for these: --set findings=${found.names.length}.`,
    });
  if (found.unlabelled.length > 0)
    out.note(`without a row in ${lastName(plan.labels)}, and left out: ${some(found.unlabelled)}`);
  if (found.unused > 0) out.note(`${found.unused} rows of ${lastName(plan.labels)} are of none of the studies`);
  const held = await heldOut(plan, found);
  const asCase = ({ study, target }: Findings['labelled'][number]): LabelledStudy => ({
    name: study.name,
    target,
    load: study.load,
  });
  const train = found.labelled.filter((l) => !held.has(l.study.name));
  const set = {
    train: train.map(asCase),
    trainFiles: train.map(({ study: { name, image } }) => ({ name, image })),
    validation: found.labelled.filter((l) => held.has(l.study.name)).map(asCase),
  };
  if (set.train.length === 0 || (plan.valEvery > 0 && set.validation.length === 0))
    throw new CliError('too-few-cases', `there is nothing to ${set.train.length === 0 ? 'train' : 'validate'} on`, {
      found: `${set.train.length} studies to train on, ${set.validation.length} held out`,
      expected: 'some of both',
      hint: 'Change --hold-out or --splits.',
    });
  tellPositives(found.names, set, out);
  const best = ['auroc', 'loss', ...found.names.map((n) => `auroc/${n}`)];
  if (plan.best !== null && !best.includes(plan.best))
    throw new UsageError('bad-value', '--best is no metric of this training', {
      found: plan.best,
      expected: best.join(', '),
    });
  return { plan: { ...plan, findings: found.names }, set };
}

/** Names of the studies of validation: by the split, else of every `holdOut`-th patient. @throws CliError `split-overlap` */
async function heldOut(plan: FinetunePlan, { labelled }: Findings): Promise<ReadonlySet<string>> {
  const patients = [...new Set(labelled.map((l) => l.study.patient))];
  if (plan.splits === null) {
    const { holdOut } = plan;
    const held = new Set(patients.filter((_, n) => holdOut > 0 && n % holdOut === holdOut - 1));
    return new Set(labelled.filter((l) => held.has(l.study.patient)).map((l) => l.study.name));
  }
  const splits = await readSplits(plan.splits);
  const split = splits[plan.fold];
  if (!split)
    throw new CliError('bad-value', 'there is no such fold', {
      found: `${plan.fold} of ${plan.splits}`,
      expected: `0 to ${splits.length - 1}`,
    });
  const side = (names: readonly string[]) => {
    const of = new Set(names);
    return new Set(labelled.filter((l) => of.has(l.study.name)).map((l) => l.study.patient));
  };
  const [train, val] = [side(split.train), side(split.val)];
  const both = [...train].find((p) => val.has(p));
  if (both !== undefined)
    throw new CliError('split-overlap', 'a patient is in both parts of the split', {
      found: both,
      expected: 'every patient in one',
      hint: 'Make the split by t3dc data split.',
    });
  const neither = labelled.filter((l) => !split.train.includes(l.study.name) && !split.val.includes(l.study.name));
  if (neither.length > 0 && neither.length === labelled.length)
    throw new CliError('too-few-cases', 'the split names none of the studies', {
      found: some(
        labelled.map((l) => l.study.name),
        3,
      ),
      expected: some(split.train, 3),
    });
  return new Set(split.val);
}

/** Findings that cannot be learned or judged are told before the work. */
function tellPositives(names: readonly string[], set: FindingSet, out: Context['out']): void {
  for (const [f, name] of names.entries())
    for (const what of ['train', 'validation'] as const) {
      const studies = set[what];
      if (studies.length === 0) continue;
      const known = studies.flatMap((s) => (Number.isNaN(s.target[f]!) ? [] : [s.target[f]!]));
      const positives = known.filter((t) => t === 1).length;
      if (positives === 0 || positives === known.length)
        out.note(
          `${name}: ${positives} of ${known.length} known are positive in ${what === 'train' ? 'training' : what}`,
        );
    }
}
