// Slab loops: large tensors that never lie in memory whole. Kernels that read them run slab by slab along their outermost axis,
// and just before each slab the kernels that write them run on what it reaches, halo included.
//
// A kernel already runs on a range of its outermost axis, binding windows of its tensors (slabs.ts). A slab's tensor is a
// window that is all there is. So neither kernels nor arithmetic change: every element of every sum is computed by the same code
// in the same order, and the bits are those of the program without loops. What is paid is work: a halo is computed by both
// neighbours, and what several loops need by each.
import { elementBytes } from '../dsl/types.ts';
import type { Buf, Kernel } from '../kernels/ir.ts';
import { align, lifetimes, profile } from './lifetimes.ts';
import {
  type Loop,
  type Part,
  type Program,
  type ProgramKernel,
  type ProgramTensor,
  readsOf,
  writesOf,
} from './program.ts';
import { reach } from './slabs.ts';

/** How a kernel's dispatches may be cut; its emitter says so. */
export interface Cut {
  readonly outermost: number;
  readonly multiple: number;
}

export interface SlabLoops {
  /** Temporaries that are computed slab by slab. */
  readonly tensors: ReadonlySet<number>;
  /** Slabs of a loop. */
  readonly parts: number;
}

/** The temporaries of at least `bytes` that a loop of `parts` slabs would make much smaller: all their readers reach a window. */
export function slabbable(program: Program, bytes: number, parts: number, cut: (k: Kernel) => Cut): Set<number> {
  const writers = writersOf(program);
  const tensors = new Map(program.tensors.map((t) => [t.id, t]));
  const out = new Set<number>();
  for (const [id, k] of writers) {
    const t = tensors.get(id)!;
    if (t.home.kind !== 'temp' || !k || sizeOf(t) < bytes || !isWholly(k, tensors)) continue;
    if (cut(k).outermost < parts) continue;
    const readers = program.kernels.filter((r) => r !== k && readsOf(r).includes(id));
    if (readers.length > 0 && readers.every((r) => narrows(r, id, parts, cut(r)))) out.add(id);
  }
  // All that a kernel writes is computed by slabs, or nothing.
  for (const [id, k] of writers) if (out.has(id) && writesOf(k!).some((t) => !out.has(t))) out.delete(id);
  return out;
}

/** A reader's slab reaches at most this part of a tensor, and of itself. */
const NARROW = 0.6;

function narrows(k: Kernel, tensor: number, parts: number, { outermost, multiple }: Cut): boolean {
  if (outermost < parts) return false;
  const size = k.bufs.find((b) => b.tensor === tensor)!.size;
  return slabsOf(outermost, multiple, parts).every((p) =>
    reach(k, p, outermost).every((w, i) => k.bufs[i]!.tensor !== tensor || w === null || w[1] - w[0] <= NARROW * size),
  );
}

/** A kernel that writes temporaries alone, and reads nothing that it writes. */
const isWholly = (k: Kernel, tensors: ReadonlyMap<number, ProgramTensor>): boolean =>
  k.bufs.every((b) => b.access === 'read' || (b.access === 'write' && tensors.get(b.tensor)!.home.kind === 'temp'));

/** The kernel that writes each tensor; null where several do. */
function writersOf(program: Program): Map<number, Kernel | null> {
  const out = new Map<number, Kernel | null>();
  for (const k of program.kernels) for (const t of writesOf(k)) out.set(t, out.has(t) ? null : k);
  return out;
}

const sizeOf = (t: ProgramTensor): number => t.type.axes.reduce((n, a) => n * a.size, elementBytes(t.type.dtype));

function slabsOf(outermost: number, multiple: number, parts: number): Part[] {
  const units = Math.ceil(outermost / multiple);
  const edge = (i: number): number => Math.min(outermost, Math.floor((units * i) / parts) * multiple);
  return Array.from({ length: parts }, (_, i) => ({ first: edge(i), count: edge(i + 1) - edge(i) }));
}

/** The program with loops, each one step; `unroll` makes kernels of them. */
export function bySlabs(program: Program, loops: SlabLoops, cut: (k: Kernel) => Cut): Program<ProgramKernel | Loop> {
  return loops.tensors.size === 0 ? program : new Loops(program, loops, cut).run();
}

/** Loops as the kernels that they run. Tensors that a loop reads may have been given others in the meantime. */
export function unroll(program: Program<ProgramKernel | Loop>): Program {
  const kernels = program.kernels.flatMap((k): readonly ProgramKernel[] => {
    if (k.kind !== 'loop') return [k];
    const now = new Map(k.tensors.map((t, n) => [t, k.bufs[n]!.tensor]));
    return k.inner.map((x) => ({ ...x, bufs: x.bufs.map((b) => ({ ...b, tensor: now.get(b.tensor) ?? b.tensor })) }));
  });
  return { ...program, kernels };
}

/** A kernel that reads tensors of the loops and writes none of them. */
interface Sink {
  readonly kernel: Kernel;
  readonly at: number;
  /** Those that compute what it reads, by position in the program. */
  readonly producers: ReadonlySet<number>;
  readonly parts: readonly Part[];
}

class Loops {
  private readonly kernels: (ProgramKernel | Loop)[] = [];
  private readonly tensors: ProgramTensor[];
  private readonly sinks: (Sink | null)[];
  /** Of a loop's tensor: its writer. */
  private readonly producer = new Map<number, number>();
  private readonly firstTouch = new Map<number, number>();
  private readonly program: Program;
  private readonly loops: SlabLoops;
  private readonly cut: (k: Kernel) => Cut;

  constructor(program: Program, loops: SlabLoops, cut: (k: Kernel) => Cut) {
    this.program = program;
    this.loops = loops;
    this.cut = cut;
    this.tensors = [...program.tensors];
    program.kernels.forEach((k, i) => {
      for (const b of k.bufs) if (!this.firstTouch.has(b.tensor)) this.firstTouch.set(b.tensor, i);
      for (const t of writesOf(k)) if (loops.tensors.has(t)) this.producer.set(t, i);
    });
    this.sinks = program.kernels.map((k, i) => (this.isProducer(k) ? null : this.sink(k, i)));
  }

  run(): Program<ProgramKernel | Loop> {
    const { kernels } = this.program;
    const done = new Set<number>();
    /** Kernels that have yet to write a tensor. */
    const unwritten = new Map<number, number>();
    kernels.forEach((k, i) => {
      if (this.isProducer(k)) done.add(i);
      else for (const t of writesOf(k)) unwritten.set(t, (unwritten.get(t) ?? 0) + 1);
    });
    const finish = (i: number): void => {
      done.add(i);
      for (const t of writesOf(kernels[i]!)) unwritten.set(t, unwritten.get(t)! - 1);
    };
    kernels.forEach((k, i) => {
      if (done.has(i)) return;
      const sink = this.sinks[i];
      if (!sink) {
        this.kernels.push(k);
        finish(i);
        return;
      }
      const group = [sink];
      for (const other of this.sinks.slice(i + 1))
        if (other && !done.has(other.at) && this.joins(other, group, unwritten)) group.push(other);
      this.kernels.push(this.loop(group));
      for (const s of group) finish(s.at);
    });
    return { ...this.program, kernels: this.kernels, tensors: this.tensors };
  }

  private isProducer = (k: Kernel): boolean => writesOf(k).some((t) => this.loops.tensors.has(t));

  private sink(kernel: Kernel, at: number): Sink | null {
    const producers = new Set<number>();
    const visit = (k: Kernel): void => {
      for (const t of readsOf(k)) {
        const p = this.producer.get(t);
        if (p === undefined || producers.has(p)) continue;
        producers.add(p);
        visit(this.program.kernels[p]!);
      }
    };
    visit(kernel);
    if (producers.size === 0) return null;
    const { outermost, multiple } = this.cut(kernel);
    return { kernel, at, producers, parts: slabsOf(outermost, multiple, this.loops.parts) };
  }

  /** Whether a sink can run in the loop of others: they share work, and what it reads is written when the loop begins, or by a
   *  sink of the loop up to the same slab. */
  private joins(s: Sink, group: readonly Sink[], unwritten: ReadonlyMap<number, number>): boolean {
    if (!group.some((g) => [...s.producers].some((p) => g.producers.has(p)))) return false;
    const missing = (k: Kernel): number[] =>
      readsOf(k).filter((t) => !this.loops.tensors.has(t) && (unwritten.get(t) ?? 0) > 0);
    if ([...s.producers].some((p) => missing(this.program.kernels[p]!).length > 0)) return false;
    if (!missing(s.kernel).every((t) => writesOf(s.kernel).includes(t) || this.follows(s, t, group))) return false;
    // What is written in place, or to a port, only by the first that touches it.
    return writesOf(s.kernel).every((t) => this.isTemp(t) || this.firstTouch.get(t) === s.at);
  }

  /** Whether s reads of t, slab by slab, no more than a sink of the group has written by then. */
  private follows(s: Sink, t: number, group: readonly Sink[]): boolean {
    const writers = group.filter((g) => writesOf(g.kernel).includes(t));
    const w = writers[0];
    if (!w || writers.length > 1 || !this.isTemp(t)) return false;
    const inner = w.kernel.bufs.find((b) => b.tensor === t)!.size / this.cut(w.kernel).outermost;
    const { outermost } = this.cut(s.kernel);
    return s.parts.every((part, n) => {
      const written = (w.parts[n]!.first + w.parts[n]!.count) * inner;
      return reach(s.kernel, part, outermost).every((r, i) => s.kernel.bufs[i]!.tensor !== t || !r || r[1] <= written);
    });
  }

  private isTemp = (t: number): boolean => this.program.tensors[t]!.home.kind === 'temp';

  /** For each slab the producers on what it reaches, then the sinks. */
  private loop(group: readonly Sink[]): Loop {
    const { kernels } = this.program;
    const producers = [...new Set(group.flatMap((s) => [...s.producers]))].sort((a, b) => b - a);
    const inner: ProgramKernel[] = [];
    const from = this.tensors.length;
    for (let n = 0; n < this.loops.parts; n++) {
      const reached = new Map<number, [number, number]>();
      const parts = new Map<number, Part>();
      for (const s of group) {
        parts.set(s.at, s.parts[n]!);
        this.grow(reached, s.kernel, s.parts[n]!);
      }
      for (const p of producers) {
        const part = this.needed(kernels[p]!, reached);
        if (!part) continue;
        parts.set(p, part);
        this.grow(reached, kernels[p]!, part);
      }
      const windows = new Map<number, number>();
      for (const [at, part] of [...parts].sort(([a], [b]) => a - b))
        inner.push(this.part(kernels[at]!, part, windows, n));
    }
    return this.step(group, inner, from);
  }

  /** The loop as one step: what it touches outside, and a temporary as large as its windows together are at most. */
  private step(group: readonly Sink[], inner: readonly ProgramKernel[], from: number): Loop {
    const bufs = new Map<number, Buf>();
    for (const k of inner)
      for (const b of k.bufs) {
        if (b.tensor >= from) continue;
        const known = bufs.get(b.tensor);
        if (!known || known.access === b.access || known.access === 'write') bufs.set(b.tensor, known ?? b);
        else bufs.set(b.tensor, { ...b, access: 'readwrite' });
      }
    const live = lifetimes({ ...this.program, kernels: inner, tensors: this.tensors.slice(from) });
    const bytes = Math.max(0, ...profile(live, inner.length));
    const { name, region } = group[0]!.kernel;
    const label = `windows of ${name}`;
    const id = this.tensors.length;
    this.tensors.push({
      id,
      type: { dtype: 'u32', axes: [{ name: 'windows', size: bytes / 4 }] },
      label,
      home: { kind: 'temp' },
    });
    const scratch: Buf = { tensor: id, dtype: 'u32', size: bytes / 4, access: 'write', label };
    const all = [...bufs.values(), scratch];
    return {
      kind: 'loop',
      name: `${name}.loop`,
      region,
      ops: [],
      lines: [],
      bufs: all,
      flops: inner.reduce((s, k) => s + k.flops, 0),
      inner,
      tensors: all.map((b) => b.tensor),
    };
  }

  /** Adds what a part of k reads of the loops' tensors. */
  private grow(reached: Map<number, [number, number]>, k: Kernel, part: Part): void {
    const { outermost } = this.cut(k);
    reach(k, part, outermost).forEach((w, i) => {
      const { tensor, access } = k.bufs[i]!;
      if (w === null || access !== 'read' || !this.loops.tensors.has(tensor)) return;
      const r = reached.get(tensor);
      reached.set(tensor, r ? [Math.min(r[0], w[0]), Math.max(r[1], w[1])] : [w[0], w[1]]);
    });
  }

  /** The part of a producer that covers what is reached of what it writes. */
  private needed(k: Kernel, reached: ReadonlyMap<number, readonly [number, number]>): Part | null {
    const { outermost, multiple } = this.cut(k);
    let first = outermost;
    let end = 0;
    for (const b of k.bufs) {
      const r = b.access === 'write' ? reached.get(b.tensor) : undefined;
      if (!r) continue;
      const unit = (b.size / outermost) * multiple;
      first = Math.min(first, Math.floor(r[0] / unit) * multiple);
      end = Math.max(end, Math.min(outermost, Math.ceil(r[1] / unit) * multiple));
    }
    return end > first ? { first, count: end - first } : null;
  }

  private part(k: ProgramKernel, part: Part, windows: Map<number, number>, n: number): ProgramKernel {
    const { outermost } = this.cut(k);
    const bufs = k.bufs.map((b) => {
      if (!this.loops.tensors.has(b.tensor)) return b;
      let id = windows.get(b.tensor);
      if (id === undefined) {
        // Written here; or not reached in this slab, and bound all the same.
        const inner = b.size / outermost;
        const [lo, hi] = b.access === 'write' ? [part.first * inner, (part.first + part.count) * inner] : [0, 1];
        windows.set(b.tensor, (id = this.window(b.tensor, lo, hi, n)));
      }
      return { ...b, tensor: id };
    });
    return { ...k, flops: (k.flops * part.count) / outermost, bufs, range: part, of: k.of ?? k };
  }

  private window(of: number, lo: number, hi: number, n: number): number {
    const t = this.program.tensors[of]!;
    const each = elementBytes(t.type.dtype);
    const origin = Math.floor((lo * each) / UNIT) * (UNIT / each);
    const id = this.tensors.length; // a tensor's id is its place in the table
    this.tensors.push({
      id,
      type: { dtype: t.type.dtype, axes: [{ name: 'slab', size: align((hi - origin) * each) / each }] },
      label: `${t.label} #${n + 1}`,
      home: { kind: 'temp' },
      origin,
    });
    return id;
  }
}

const UNIT = 256;
