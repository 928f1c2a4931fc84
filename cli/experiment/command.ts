// `t3dc experiment`: the options as a declaration, and what is told at the end.
import { join } from 'node:path';
import type { Context } from '../command.ts';
import { CliError, UsageError } from '../errors.ts';
import { columns } from '../units.ts';
import { ARMS, type Arm, DEVELOPMENT, type Declaration, FULL, SMALL } from './declaration.ts';
import { begun, type ExperimentOptions, experiment } from './index.ts';
import { one } from './one.ts';
import type { Results } from './results.ts';
import { unitNamed } from './units.ts';

interface Values {
  readonly out: string;
  readonly small: boolean;
  readonly develop: boolean;
  readonly arms: string | undefined;
  readonly seeds: string | undefined;
  readonly steps: number | undefined;
  readonly set: string | undefined;
  readonly jobs: number;
  readonly device: 'wasm' | 'webgpu';
  readonly resume: boolean;
  readonly only: string | undefined;
}

export async function runExperiment(v: Values, context: Context): Promise<void> {
  const old = v.resume || v.only !== undefined ? begun(v.out) : null;
  if (v.only !== undefined && !old)
    throw new CliError('no-run', 'no experiment was begun in this folder', {
      found: v.out,
      hint: 'Run it without --only.',
    });
  const o: ExperimentOptions = {
    dir: v.out,
    declaration: old?.declaration ?? declared(v),
    device: old?.device ?? v.device,
    jobs: v.jobs,
    resume: v.resume,
  };
  if (v.only !== undefined) {
    await one(o, unitNamed(v.only, o.declaration), context);
    return;
  }
  const results = await experiment(o, context);
  context.out.lines(tell(results, o.declaration));
  context.out.line(`${join(o.dir, 'report.html')}, results.json`);
  context.out.json({ event: 'done', results });
}

function declared(v: Values): Declaration {
  const base = v.small ? SMALL : FULL;
  const list = (text: string | undefined): string[] | null => text?.split(',').map((s) => s.trim()) ?? null;
  const arms = list(v.arms)?.map((name): Arm => {
    const arm = ARMS.find((a) => a === name);
    if (!arm) throw new UsageError('bad-value', `--arms: there is no arm '${name}'; there are ${ARMS.join(', ')}`);
    return arm;
  });
  const seeds = list(v.seeds)?.map((s) => {
    if (!/^\d+$/.test(s)) throw new UsageError('bad-value', `--seeds: '${s}' is no whole number`);
    return Number(s);
  });
  return {
    ...base,
    ...(v.develop ? { phantom: DEVELOPMENT, judged: 'development' as const } : {}),
    ...(arms ? { arms } : {}),
    ...(seeds ? { seeds } : {}),
    ...(v.steps !== undefined ? { steps: v.steps } : {}),
    ...fields(v.set, base),
  };
}

function fields(text: string | undefined, base: Declaration): Partial<Declaration> {
  if (text === undefined) return {};
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch {
    throw new UsageError('bad-value', `--set: ${text} is no JSON`);
  }
  for (const key of Object.keys(given as object))
    if (!(key in base))
      throw new UsageError('bad-value', `--set: no field '${key}'; there are ${Object.keys(base).join(', ')}`);
  return given as Partial<Declaration>;
}

function tell(r: Results, d: Declaration): string[] {
  const rows = r.table.map(({ arm, cells }) => [
    `  ${arm}`,
    ...cells.map((c) => `${c.mean.toFixed(3)} at ${Math.round(100 * c.fraction)} %`),
    cells[0]!.seeds.map((s) => s.toFixed(3)).join(' '),
  ]);
  const p = r.primary;
  return [
    `macro AUROC of kind on ${d.judged} studies, mean over seeds; then each seed at ${Math.round(100 * d.fractions[0]!)} %`,
    ...columns(rows),
    ...(p
      ? [
          `t3d − t3d-shuffled at ${Math.round(100 * p.fraction)} %: ${p.mean.toFixed(3)} [${p.interval.low.toFixed(3)}, ${p.interval.high.toFixed(3)}], p ${p.p.toFixed(3)} (exact, ${p.differences.length} seeds)`,
        ]
      : []),
  ];
}
