// The experiment's work in units, each with a file that says that it is done: so an interruption loses what was under way alone.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CliError } from '../errors.ts';
import { ARMS, type Arm, type Declaration, RETRIEVES, seedsOf } from './declaration.ts';

export interface Unit {
  readonly arm: Arm;
  readonly seed: number;
  /** `pretrain` comes first: the others start from its weights. */
  readonly task: 'pretrain' | 'masks' | 'pointing' | 'retrieval';
  /** Of the masks. */
  readonly fraction?: number;
}

const isPrimary = (arm: Arm): boolean => arm === 't3d' || arm === 't3d-shuffled';

export const folderOf = (dir: string, u: Pick<Unit, 'arm' | 'seed'>): string => join(dir, 'runs', `${u.arm}-${u.seed}`);

/** What a unit leaves behind when it is done. */
export const fileOf = (dir: string, u: Unit): string =>
  join(folderOf(dir, u), u.task === 'masks' ? `masks-${percent(u.fraction!)}.json` : `${u.task}.json`);

export const isDone = (dir: string, u: Unit): boolean => existsSync(fileOf(dir, u));

export const percent = (fraction: number): number => Math.round(100 * fraction);

export const nameOf = (u: Unit): string =>
  [
    u.arm,
    u.seed,
    ...(u.task === 'pretrain' ? [] : [u.task]),
    ...(u.fraction === undefined ? [] : [percent(u.fraction)]),
  ].join(':');

/** All of a declaration, in the order in which they are done: the primary comparison and where its sentences look; then the other
 *  arms seed by seed, what finds whose report, and lesions, those with most masks first. */
export function unitsOf(d: Declaration): Unit[] {
  const of = (arms: readonly Arm[], task: Unit['task']): Unit[] =>
    d.seeds.flatMap((seed) =>
      arms.filter((arm) => seedsOf(arm, d).includes(seed)).map((arm): Unit => ({ arm, seed, task })),
    );
  const primary = d.arms.filter(isPrimary);
  const others = d.arms.filter((arm) => !isPrimary(arm));
  const masks = d.fractions
    .map((fraction, i) => ({ fraction, seeds: d.segmentation.seeds[i] ?? 0 }))
    .reverse()
    .flatMap(({ fraction, seeds }) =>
      of(
        d.segmentation.arms.filter((arm) => d.arms.includes(arm)),
        'masks',
      )
        .filter((u) => d.seeds.indexOf(u.seed) < seeds)
        .map((u) => ({ ...u, fraction })),
    );
  const scored = d.arms.filter((arm) => RETRIEVES.includes(arm));
  return [
    ...of(primary, 'pretrain'),
    ...of(d.beside ? primary : [], 'pointing'),
    ...of(others, 'pretrain'),
    ...of(d.beside ? scored : [], 'retrieval'),
    ...masks,
  ];
}

/** `t3d:0`, `t3d:0:pointing`, `t3d:0:masks:5`. */
export function unitNamed(text: string, d: Declaration): Unit {
  const found = unitsOf(d).find((u) => nameOf(u) === text);
  if (found) return found;
  throw new CliError('no-run', 'there is no such part of the experiment', {
    found: text,
    expected: `ARM:SEED, ARM:SEED:pointing, ARM:SEED:retrieval or ARM:SEED:masks:PERCENT with ${ARMS.join(', ')} and seeds ${d.seeds.join(', ')}`,
    hint: 'Leave --only out to do all.',
  });
}
