// Which kernels are worth tuning: those of a model that have schedules to choose from, those with the most work first.
import { kernelHash } from '../../compiler/kernel-hash.ts';
import { compileEntry, type Options } from '../../compiler/pipeline.ts';
import type { Program } from '../../compiler/program.ts';
import { flatten } from '../../compiler/repeats.ts';
import { resolveSettings, type SettingsOptions } from '../../compiler/settings.ts';
import { trace } from '../../compiler/trace.ts';
import type { ModelSpec } from '../../dsl/model.ts';
import { elementBytes } from '../../dsl/types.ts';
import type { Kernel } from '../../kernels/ir.ts';

export interface TuningJob {
  readonly hash: string;
  readonly kernel: Kernel;
  readonly what: string;
  /** Kernels of the programs that are this one. */
  readonly uses: number;
  /** Of the programs' estimated work. */
  readonly share: number;
}

/** Operations that take as long as moving a byte: about what GPUs and software adapters have in common. */
const OPS_PER_BYTE = 16;

/** WebGPU programs of a model's entries: forward, and forward with backward. The update is one kernel without schedules. */
export function programsOf(
  spec: ModelSpec<object>,
  o: SettingsOptions & { readonly entries?: readonly string[]; readonly precision?: 'f32' | 'f16' },
): Program[] {
  const model = trace(spec, resolveSettings(spec, o), o.entries);
  const options: Options = { precision: o.precision ?? 'f32' };
  return model.entries.flatMap((e) => {
    const { forward, grad } = compileEntry(model, e, options);
    return (grad ? [forward, grad] : [forward]).map(flatten);
  });
}

/** Distinct kernels that have a choice, by estimated work, until `share` of the work of all such kernels is covered. */
export function tuningJobs(programs: readonly Program[], share = 1): TuningJob[] {
  const byHash = new Map<string, { kernel: Kernel; uses: number; cost: number }>();
  for (const kernel of programs.flatMap((p) => p.kernels)) {
    if (kernel.kind === 'map') continue;
    const hash = kernelHash(kernel);
    const job = byHash.get(hash) ?? { kernel, uses: 0, cost: 0 };
    job.uses++;
    job.cost += cost(kernel);
    byHash.set(hash, job);
  }
  const all = [...byHash].sort(([x, a], [y, b]) => b.cost - a.cost || (x < y ? -1 : 1));
  const total = all.reduce((s, [, j]) => s + j.cost, 0);
  const jobs: TuningJob[] = [];
  let done = 0;
  for (const [hash, { kernel, uses, cost: c }] of all) {
    if (done >= share * total) break;
    done += c;
    jobs.push({ hash, kernel, what: what(kernel), uses, share: c / total });
  }
  return jobs;
}

const cost = (k: Kernel): number =>
  k.flops + OPS_PER_BYTE * k.bufs.reduce((s, b) => s + elementBytes(b.dtype) * b.size, 0);

/** `conv 884736×48×1296 decoder1.conv2`, rows, columns and terms of the sum; or the shape that the kind has. */
function what(k: Kernel): string {
  const product = (names: readonly string[], vars: ReadonlyMap<string, number>): number =>
    names.reduce((n, v) => n * vars.get(v)!, 1);
  switch (k.kind) {
    case 'contract': {
      const batch = product(k.batch, k.vars);
      const sizes = [k.m, k.n, k.k].map((names) => product(names, k.vars));
      return `${k.pattern} ${batch > 1 ? `${batch}×` : ''}${sizes.join('×')} ${k.name}`;
    }
    case 'reduce':
      return `reduce ${[k.keep, k.red].map((l) => l.reduce((n, v) => n * v.size, 1)).join('×')} ${k.name}`;
    case 'attention':
    case 'attentionGrad': {
      const { g, h, n, e } = k.shape;
      return `attention${k.kind === 'attention' ? '' : `.${k.part}`} ${g} of ${n}, ${h}×${e} ${k.name}`;
    }
    case 'map':
      return `map ${k.name}`;
  }
}
