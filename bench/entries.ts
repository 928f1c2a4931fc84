// Whole entries of an artifact: calls and training steps by the clock, and their kernels by kind.
import type { OpTime, Session } from '../runtime/index.ts';
import type { Manifest } from '../runtime/manifest.ts';
import { HostTime } from './host-time.ts';
import { type CaseResult, type Ceiling, type Percentiles, percentiles, rate } from './schema.ts';

export interface EntryOptions {
  readonly ceilings: readonly Ceiling[];
  /** Calls and steps of each kind. */
  readonly runs: number;
  /** The GPU that the session runs on, where it is one: the host's time is measured too. */
  readonly device?: GPUDevice;
  readonly signal?: AbortSignal;
  readonly onRun?: (what: string, done: number, total: number) => void;
}

interface Times {
  readonly ms: Percentiles;
  readonly runs: number;
  /** Median of the host's milliseconds. */
  readonly host: number | null;
}

type Port = Manifest['entries'][string]['inputs'][number];

/** Forward calls; with a loss and an optimiser, training steps; then kernels by kind, from a profile of each. */
export async function measureEntry(session: Session, name: string, o: EntryOptions): Promise<CaseResult[]> {
  const entry = session.entry(name);
  const inputs = Object.fromEntries(entry.inputs.map((p, i) => [p.name, drawn(p, i + 1)]));
  const trains = entry.training !== null;
  const total = (trains ? 2 : 1) * (o.runs + 1);
  let done = 0;
  const host = o.device ? new HostTime(o.device) : null;
  const run = async (what: string, work: () => Promise<unknown>): Promise<Times> => {
    const times: number[] = [];
    const ofHost: number[] = [];
    // The first compiles and warms up.
    for (let i = 0; i <= o.runs; i++) {
      o.signal?.throwIfAborted();
      host?.take();
      const since = performance.now();
      await work();
      if (i > 0) times.push(performance.now() - since);
      if (i > 0 && host) ofHost.push(host.take());
      o.onRun?.(what, ++done, total);
    }
    return { ms: percentiles(times), runs: times.length, host: host ? percentiles(ofHost).p50 : null };
  };
  try {
    return await measure();
  } finally {
    host?.stop();
  }

  async function measure(): Promise<CaseResult[]> {
    const out: CaseResult[] = [];
    const forward = await run('forward', () => session.entries[name]!(inputs));
    const profile = await session.profile(name);
    out.push(row(name, 'forward', 'whole call', forward, profile, o), ...byKind(session, name, 'forward', profile, o));
    if (!trains) return out;
    const train = await run('train', async () => {
      for await (const step of session.train(name, [inputs], { onNonFinite: 'continue' })) void step;
    });
    const back = await session.profile(name, { mode: 'grad' });
    out.push(row(name, 'train', 'whole step', train, back, o), ...byKind(session, name, 'train', back, o));
    return out;
  }

  function row(
    entryName: string,
    pass: 'forward' | 'train',
    shape: string,
    { ms, runs, host: hostMs }: Times,
    ops: readonly OpTime[],
    { ceilings }: EntryOptions,
  ): CaseResult {
    const flops = pass === 'forward' ? entry.flops.forward : entry.flops.grad;
    const { bytes } = work(session.manifest, ops);
    const ofHost = hostMs === null ? '' : `, host ${hostMs.toPrecision(2)} ms`;
    return {
      id: `${entryName}.${pass} ${shape}`,
      op: entryName,
      pass,
      shape,
      dtype: dtypeOf(session),
      schedule: `${ops.length} kernels${ofHost}`,
      ms,
      ...(hostMs === null ? {} : { hostMs }),
      runs,
      flops,
      bytes,
      ...rate(ceilings, { flops, bytes }, ms.p50),
      maxError: null,
    };
  }
}

/** The wasm programs compute in f32 whatever the artifact's precision. */
const dtypeOf = (s: Session): CaseResult['dtype'] => (s.device.kind === 'webgpu' ? s.manifest.precision : 'f32');

/** What the manifest knows of the kernels behind these ops, by label. */
function work(m: Manifest, ops: readonly OpTime[]): { flops: number; bytes: number } {
  const known = new Map<string, { flops: number; bytes: number }>();
  for (const d of m.dispatches) known.set(d.label, m.kernels[d.kernel]!);
  return ops.reduce(
    (s, op) => {
      const k = known.get(op.label);
      return { flops: s.flops + (k?.flops ?? 0), bytes: s.bytes + (k?.bytes ?? 0) };
    },
    { flops: 0, bytes: 0 },
  );
}

function byKind(
  session: Session,
  entry: string,
  pass: string,
  ops: readonly OpTime[],
  { ceilings }: EntryOptions,
): CaseResult[] {
  const m = session.manifest;
  const kindOf = new Map(m.dispatches.map((d) => [d.label, m.kernels[d.kernel]!.kind]));
  const groups = new Map<string, OpTime[]>();
  for (const op of ops) {
    const kind = kindOf.get(op.label) ?? op.kind.split(' ')[0]!;
    groups.set(kind, [...(groups.get(kind) ?? []), op]);
  }
  return [...groups]
    .map(([kind, list]) => {
      const ms = list.reduce((s, op) => s + op.ms, 0);
      const w = work(m, list);
      const variants = [...new Set(list.flatMap((op) => (op.variant ? [op.variant] : [])))];
      const schedule = `${list.length} kernels${variants.length ? ` (${variants.join(', ')})` : ''}`;
      return {
        id: `${entry}.${pass} ${kind}`,
        op: kind,
        pass,
        shape: `${list.length} kernels`,
        dtype: dtypeOf(session),
        schedule,
        ms: { p20: ms, p50: ms, p80: ms },
        runs: 1,
        ...w,
        ...rate(ceilings, w, ms, schedule),
        maxError: null,
      };
    })
    .sort((a, b) => b.ms.p50 - a.ms.p50);
}

/** Noise for floats, 0 and 1 for integers: labels that every model has. */
function drawn(p: Port, seed: number) {
  const n = p.shape.reduce((a, b) => a * b, 1);
  const float = p.dtype === 'f32' || p.dtype === 'f16';
  const out = float
    ? new Float32Array(n)
    : p.dtype === 'i32'
      ? new Int32Array(n)
      : p.dtype === 'u32'
        ? new Uint32Array(n)
        : new Uint8Array(n);
  let state = Math.imul(seed, 2654435761) >>> 0;
  for (let i = 0; i < n; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    out[i] = float ? (state >>> 8) / 2 ** 24 : state >>> 31;
  }
  return out;
}
