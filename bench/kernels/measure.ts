// Cases as entries of one artifact, timed kernel by kernel on a device.

import { build } from '../../compiler/index.ts';
import { compileEntry } from '../../compiler/pipeline.ts';
import { flatten } from '../../compiler/repeats.ts';
import { trace } from '../../compiler/trace.ts';
import * as t from '../../dsl/index.ts';
import type { Kernel } from '../../kernels/ir.ts';
import { planWinograd } from '../../kernels/wasm/winogradPlan.ts';
import { type OpenOptions, open, type Session } from '../../runtime/index.ts';
import { noise } from '../noise.ts';
import { type CaseResult, type Ceiling, percentiles, rate } from '../schema.ts';
import type { BenchCase } from './cases.ts';
import { sampleOutputs } from './sampled.ts';

export interface MeasureOptions {
  readonly open: OpenOptions;
  readonly ceilings: readonly Ceiling[];
  /** Measure a case for about this long, in ms. */
  readonly time: number;
  /** Compare a few elements with float64. */
  readonly check: boolean;
  /** f16: contractions may multiply halves (WebGPU). */
  readonly precision?: 'f32' | 'f16';
  readonly signal?: AbortSignal;
  /** The device's description, as soon as it is known. */
  readonly onOpen?: (description: string) => void;
  readonly onCase?: (result: CaseResult, done: number, total: number) => void;
}

const LEAST_RUNS = 5;
const MOST_RUNS = 200;
/** Cases of one artifact: its memory is that of the largest. */
const TOGETHER = 8;

export async function measureCases(cases: readonly BenchCase[], o: MeasureOptions): Promise<CaseResult[]> {
  const results: CaseResult[] = [];
  for (let from = 0; from < cases.length; from += TOGETHER) {
    const part = cases.slice(from, from + TOGETHER);
    o.signal?.throwIfAborted();
    const spec = modelOf(part);
    const built = await build(spec, { targets: [targetOf(o.open)], precision: o.precision, allVariants: true });
    const session = await open(built.files, { seed: 0, ...o.open });
    o.onOpen?.(session.device.description);
    try {
      for (const [i, c] of part.entries()) {
        o.signal?.throwIfAborted();
        const r = await measureCase(session, spec, c, `case${i}`, o);
        results.push(r);
        o.onCase?.(r, results.length, cases.length);
      }
    } finally {
      await session.close();
    }
  }
  return results;
}

const targetOf = (o: OpenOptions): 'webgpu' | 'wasm' => (o.device === 'wasm' ? 'wasm' : 'webgpu');

/** Cases as the entries case0, case1, … of one model. */
export const modelOf = (cases: readonly BenchCase[]) =>
  t.model({
    name: 'bench',
    settings: {},
    build: () => ({
      entries: Object.fromEntries(cases.map((c, i) => [`case${i}`, { inputs: c.inputs, run: c.run }])),
    }),
  });

async function measureCase(
  session: Session,
  spec: ReturnType<typeof modelOf>,
  c: BenchCase,
  entry: string,
  o: MeasureOptions,
): Promise<CaseResult> {
  const inputs = inputsOf(c);
  // The first call compiles; profiles repeat it on the same inputs.
  const outputs = await session.entries[entry]!(inputs);
  const program = compiled(spec, entry);
  const maxError = o.check ? largestError(sampleOutputs(program, inputs), outputs) : null;
  await session.profile(entry);
  const times: number[] = [];
  const started = performance.now();
  let schedule = '';
  while (times.length < LEAST_RUNS || (performance.now() - started < o.time && times.length < MOST_RUNS)) {
    o.signal?.throwIfAborted();
    const ops = await session.profile(entry);
    times.push(ops.reduce((s, op) => s + op.ms, 0));
    schedule ||= scheduleOf(
      program.kernels.map((k) => kindOf(k, session.device.kind)),
      ops,
    );
  }
  const ms = percentiles(times);
  return {
    id: c.id,
    op: c.op,
    pass: c.pass,
    shape: c.shape,
    dtype: session.device.kind === 'webgpu' ? session.manifest.precision : 'f32',
    schedule,
    ms,
    runs: times.length,
    flops: c.flops,
    bytes: c.bytes,
    ...rate(o.ceilings, c, ms.p50, schedule),
    maxError,
  };
}

const kindOf = (k: Kernel, device: string): string => {
  if (k.kind !== 'contract') return k.kind;
  return device === 'wasm' && planWinograd(k) ? `${k.pattern} by winograd` : k.pattern;
};

/** `conv (subgroup8)`, `convWeightGrad by winograd + reduce` */
function scheduleOf(kinds: readonly string[], ops: readonly { variant?: string }[]): string {
  const variants = [...new Set(ops.flatMap((x) => (x.variant ? [x.variant] : [])))];
  return `${kinds.join(' + ')}${variants.length ? ` (${variants.join(', ')})` : ''}`;
}

/** An entry's kernels, as they were before the build decided what to compute again. */
export function compiled(spec: ReturnType<typeof modelOf>, entry: string) {
  const model = trace(spec, {}, [entry]);
  return flatten(compileEntry(model, model.entries[0]!).forward);
}

/** What each case is given: noise, always the same. */
export const inputsOf = (c: BenchCase): Record<string, Float32Array> =>
  Object.fromEntries(
    Object.entries(c.inputs).map(([name, s], n) => [
      name,
      noise(
        Object.values(s.axes).reduce((p, a) => p * a, 1),
        n + 1,
      ),
    ]),
  );

/** So many samples show how large an output's elements are. */
const ENOUGH = 16;

/** Largest |found - expected| over the samples, in units of the largest |expected| of that output; where the samples are so few that all
 *  may be small by chance, of the root mean square of what was found if that is larger. */
export function largestError(
  samples: ReturnType<typeof sampleOutputs>,
  outputs: Readonly<Record<string, ArrayLike<number>>>,
): number {
  let error = 0;
  for (const output of new Set(samples.map((s) => s.output))) {
    const found = outputs[output]!;
    const own = samples.filter((s) => s.output === output);
    const largest = own.reduce((m, s) => Math.max(m, Math.abs(s.value)), 0);
    const unit = own.length < ENOUGH ? Math.max(largest, rms(found)) : largest;
    for (const s of own) {
      const e = Math.abs(found[s.at]! - s.value) / (unit || 1);
      if (!(e <= error) && !Number.isNaN(error)) error = e;
    }
  }
  return error;
}

function rms(x: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]! * x[i]!;
  return Math.sqrt(sum / x.length);
}
