// One case on all programs: opened together, warmed up, then called in turns, each round in the other direction, so that what
// disturbs the machine disturbs all.
import { percentiles } from '../schema.ts';
import { inputsOf, type PeerCase } from './cases.ts';
import type { Peer, Runner } from './peer.ts';
import type { PeerAbsent, PeerCaseResult, PeerName, PeerResult } from './schema.ts';

/** Each program is called for so long before it is timed, and at least twice where a call is shorter: engines compile what has
 *  run a while. */
const WARM_MS = 1000;
const MOST_WARM_CALLS = 20;
/** Between calls, so that a program's spinning threads are asleep when the next one starts. */
const PAUSE_MS = 300;
/** Whose output the others are compared with: the first of these that ran. */
const REFERENCES: readonly PeerName[] = [
  'pytorch cpu',
  'pytorch cuda',
  'onnxruntime-node cpu',
  't3dc wasm',
  't3dc webgpu',
];

interface Entrant {
  readonly peer: Peer;
  readonly runner: Runner;
  readonly times: number[];
  cold: boolean;
  spent: number;
  output: Float32Array | null;
}

export interface Watch {
  onOpen?(peer: PeerName): void;
  onCall?(peer: PeerName, ms: number, what: 'first' | 'warm-up' | 'timed'): void;
}

export async function measureCase(
  c: PeerCase,
  peers: readonly Peer[],
  flops: number,
  watch: Watch = {},
): Promise<PeerCaseResult> {
  const inputs = inputsOf(c);
  const absent: PeerAbsent[] = [];
  const entrants: Entrant[] = [];
  const leave = async (peer: PeerName, e: unknown): Promise<void> => {
    if (!(e instanceof Error)) throw e;
    absent.push({ peer, reason: e.message.split('\n')[0]! });
    const at = entrants.findIndex((x) => x.peer.name === peer);
    for (const x of at < 0 ? [] : entrants.splice(at, 1)) await x.runner.close().catch(() => {});
  };
  for (const peer of peers.filter((p) => p.kinds.includes(c.kind))) {
    watch.onOpen?.(peer.name);
    try {
      const runner = await peer.open(c, inputs);
      entrants.push({ peer, runner, times: [], cold: false, spent: 0, output: null });
    } catch (e) {
      await leave(peer.name, e);
    }
  }
  const call = async (x: Entrant, what: 'first' | 'warm-up' | 'timed'): Promise<number> => {
    await pause(PAUSE_MS);
    const ms = await x.runner.run();
    watch.onCall?.(x.peer.name, ms, what);
    x.spent += ms;
    if (what === 'timed') x.times.push(ms);
    return ms;
  };
  const tryCall = (x: Entrant, what: 'first' | 'warm-up' | 'timed') =>
    call(x, what).catch((e) => leave(x.peer.name, e));
  for (const x of [...entrants]) {
    const first = await tryCall(x, 'first');
    if (first === undefined) continue;
    if (first > c.limit) {
      x.cold = true;
      x.times.push(first);
    }
    for (let n = 1; x.spent < WARM_MS && n < MOST_WARM_CALLS; n++)
      if ((await tryCall(x, 'warm-up')) === undefined) break;
    x.spent = 0;
  }
  for (let round = 0; round < c.rounds; round++) {
    const order = round % 2 === 0 ? [...entrants] : [...entrants].reverse();
    for (const x of order) {
      if (x.cold) continue;
      const last = x.times.at(-1) ?? 0;
      if (x.times.length === 0 || x.spent + last < c.limit) await tryCall(x, 'timed');
    }
  }
  for (const x of [...entrants]) {
    try {
      x.output = Float32Array.from(await x.runner.output());
    } catch (e) {
      await leave(x.peer.name, e);
    }
  }
  const reference = REFERENCES.map((n) => entrants.find((x) => x.peer.name === n)).find((x) => x) ?? null;
  const results = entrants.map((x) => resultOf(c, x, reference, flops));
  for (const x of entrants) await x.runner.close().catch(() => {});
  return {
    id: c.id,
    kind: c.kind,
    flops,
    reference: reference?.peer.name ?? null,
    rounds: c.rounds,
    results,
    absent,
  };
}

function resultOf(c: PeerCase, x: Entrant, reference: Entrant | null, flops: number): PeerResult {
  const ms = percentiles(x.times);
  const step = c.pass === 'step';
  const compare = step ? losses : tensors;
  return {
    peer: x.peer.name,
    ms,
    times: x.times.map((v) => Number(v.toFixed(2))),
    cold: x.cold,
    gflops: flops / ms.p50 / 1e6,
    difference: reference && x !== reference ? compare(x.output!, reference.output!) : null,
    tolerance: x.peer.half ? c.halfTolerance : c.tolerance,
    ...(step ? { losses: [...x.output!] } : {}),
    ...(x.runner.note ? { note: x.runner.note } : {}),
  };
}

/** NaN where lengths differ or a value is none: no bound holds then. */
export function tensors(a: Float32Array, b: Float32Array): { relativeL2: number; max: number } {
  if (a.length !== b.length) return { relativeL2: Number.NaN, max: Number.NaN };
  let [d, n, worst, largest] = [0, 0, 0, 0];
  for (let i = 0; i < b.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!);
    d += difference ** 2;
    n += b[i]! ** 2;
    if (!(difference <= worst)) worst = difference;
    largest = Math.max(largest, Math.abs(b[i]!));
  }
  return { relativeL2: Math.sqrt(d / n), max: worst / largest };
}

/** Of the steps that both did. */
export function losses(a: Float32Array, b: Float32Array): { relativeL2: number; max: number } {
  const n = Math.min(a.length, b.length);
  const each = Array.from({ length: n }, (_, i) => Math.abs(a[i]! - b[i]!) / Math.abs(b[i]!));
  const worst = each.some(Number.isNaN) || n === 0 ? Number.NaN : Math.max(...each);
  return { relativeL2: worst, max: worst };
}

/** Results that differ from the reference by more than they may. */
export const disagreements = (c: PeerCaseResult): PeerResult[] =>
  c.results.filter((r) => r.difference !== null && !(r.difference.relativeL2 <= r.tolerance));

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
