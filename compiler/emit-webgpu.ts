// WebGPU: kernels deduplicated by code, and one dispatch per kernel and slab.

import { elementBytes } from '../dsl/types.ts';
import type { Kernel } from '../kernels/ir.ts';
import type { WgslKernel, WgslVariant } from '../kernels/targets.ts';
import { emitWgsl, header, mergeCode } from '../kernels/wgsl/index.ts';
import type { Dispatch, KernelInfo, Place } from '../runtime/manifest.ts';
import type { Range } from './emit-wasm.ts';
import { kernelHash } from './kernel-hash.ts';
import type { Program, ProgramKernel, ProgramTensor } from './program.ts';
import { slabs } from './slabs.ts';
import { preferences, type TuningTable } from './tuning.ts';

const MAX_FOLD = 65535;
/** Special variants are kept for the kernels that do this share of the work; the rest run anywhere with little loss. */
const SPECIAL_SHARE = 0.975;
/** Those by tiles of halves gain less than twice, and are long. */
const TILES_SHARE = 0.95;
/** Short, and for kernels that move much and compute little: always kept. */
const KEPT = ['default', 'default-f16'];

type Variant = WgslVariant & { readonly adapters?: readonly string[] };

interface Emitted {
  readonly kernel: WgslKernel;
  readonly variants: readonly Variant[];
  /** Among the artifact's kernels. */
  readonly index: number;
}

export interface Limits {
  readonly maxStorageBufferBindingSize: number;
  /** Every variant of every kernel, whatever it weighs. */
  readonly allVariants?: boolean;
}

export class WebGpuEmitter {
  readonly kernels: KernelInfo[] = [];
  readonly dispatches: Dispatch[] = [];
  largestBinding = 0;
  /** Of each kernel, run once wherever it stands: so that plans which compute in parts, or again, choose the same variants. */
  private readonly work: number[] = [];
  private readonly byCode = new Map<string, number>();
  private texts: { kernel: number; variant: string; head: string; labels: readonly string[]; code: string }[] = [];
  private readonly limits: Limits;
  private readonly tuning: readonly TuningTable[];
  /** What the tables did: kernels with a measured schedule, and schedules that no emitter knows any more. */
  readonly tuned = { kernels: 0, unknown: new Set<string>() };

  constructor(limits: Limits, tuning: readonly TuningTable[] = []) {
    this.limits = limits;
    this.tuning = tuning;
  }

  /** Appends the program's dispatches; returns their ranges, in order. Places must not move afterwards. */
  program(program: Program, readOnly: ReadonlySet<number>, place: (t: ProgramTensor) => Place): Range[] {
    const ranges: Range[] = [];
    const tensors = new Map(program.tensors.map((t) => [t.id, t]));
    const emitted = new Map<Kernel, Emitted>();
    const { repeats = [] } = program;
    const ends = new Set([...repeats.flatMap((r) => [r.first, r.first + r.count]), program.kernels.length]);
    let first = this.dispatches.length;
    program.kernels.forEach((k, i) => {
      const times = repeats.find((r) => i >= r.first && i < r.first + r.count)?.times ?? 1;
      // What is a part of a kernel, or runs it again, has its code.
      const whole = k.of ?? k;
      let known = emitted.get(whole);
      if (!known) {
        emitted.set(whole, (known = this.emit(whole, readOnly)));
        this.work[known.index] = (this.work[known.index] ?? 0) + times * whole.flops;
      }
      this.dispatch(k, known, (id) => tensors.get(id)!, place);
      if (!ends.has(i + 1)) return;
      ranges.push({ first, count: this.dispatches.length - first, times });
      first = this.dispatches.length;
    });
    return ranges;
  }

  private emit(k: Kernel, readOnly: ReadonlySet<number>): Emitted {
    const preferred = this.tuning.length ? preferences(this.tuning, kernelHash(k)) : [];
    const kernel = emitWgsl(k, { readOnly, maxFold: MAX_FOLD, schedules: preferred.map((p) => p.schedule) });
    // Measured schedules stand first, for the adapters where they were; then the heuristics', for all.
    const variants: Variant[] = [
      ...preferred.flatMap(({ schedule, adapters }) => {
        const found = [...(kernel.scheduled ?? []), ...kernel.variants].find((v) => v.id === schedule);
        if (!found) this.tuned.unknown.add(schedule);
        return found ? [{ ...found, adapters }] : [];
      }),
      ...kernel.variants,
    ];
    const access = k.bufs.map((b) =>
      readOnly.has(b.tensor) && b.access === 'read' ? ('read' as const) : ('read_write' as const),
    );
    return { kernel, variants, index: this.register(k, kernel, variants, access) };
  }

  private dispatch(
    k: ProgramKernel,
    { kernel, variants, index }: Emitted,
    tensor: (id: number) => ProgramTensor,
    place: (t: ProgramTensor) => Place,
  ): void {
    const origins = k.bufs.map((b) => tensor(b.tensor).origin);
    const cut = slabs(k, {
      outermost: kernel.outermost,
      multiple: kernel.slabMultiple,
      maxBytes: this.limits.maxStorageBufferBindingSize,
      part: k.range,
      origins,
    });
    for (const s of cut) {
      const bindings = k.bufs.map((b, i) => {
        const p = place(tensor(b.tensor));
        const [lo, hi] = s.windows[i]!;
        // a tensor's memory is whole units, so that rounding up stays inside
        const each = elementBytes(b.dtype);
        const bytes = Math.ceil(((hi - lo) * each) / 16) * 16;
        this.largestBinding = Math.max(this.largestBinding, bytes);
        return [p.arena, p.offset + ((lo - (origins[i] ?? 0)) * each) / 256, bytes] as const;
      });
      disjoint(k, bindings);
      this.dispatches.push({
        kernel: index,
        label: k.name,
        bindings,
        params: trimmed([s.first, s.count, ...s.windows.map(([lo]) => lo)]),
        grids: variants.map((v) => v.grid(s.count)),
      });
    }
  }

  private register(
    k: Kernel,
    w: WgslKernel,
    variants: readonly Variant[],
    access: readonly ('read' | 'read_write')[],
  ): number {
    const code = variants.map((v) => `${v.adapters?.join() ?? ''}\n${v.code}`).join('\n//////\n');
    const known = this.byCode.get(code);
    if (known !== undefined) return known;
    const index = this.kernels.length;
    this.byCode.set(code, index);
    if (variants.some((v) => v.adapters)) this.tuned.kernels++;
    this.kernels.push({
      name: k.name,
      region: k.region,
      kind: k.kind === 'contract' ? k.pattern : k.kind,
      flops: k.flops,
      bytes: k.bufs.reduce((s, b) => s + elementBytes(b.dtype) * b.size, 0),
      usesStep: w.usesStep,
      bindings: access,
      variants: variants.map((v, i) => {
        const labels = k.bufs.map((b) => b.label);
        // A variant that stands twice is one text.
        if (variants.findIndex((x) => x.id === v.id) === i)
          this.texts.push({ kernel: index, variant: v.id, head: header(k), labels, code: v.code });
        return {
          id: v.id,
          ...(v.adapters ? { adapters: v.adapters } : {}),
          file: '', // finish
          constants: [],
          features: v.requires.features,
          ...(v.requires.subgroupSize !== undefined ? { subgroupSize: v.requires.subgroupSize } : {}),
          ...(v.requires.subgroupMatrix !== undefined ? { subgroupMatrix: v.requires.subgroupMatrix } : {}),
          ...(v.requires.workgroupStorage !== undefined ? { workgroupStorage: v.requires.workgroupStorage } : {}),
          ...(v.requires.invocations !== undefined ? { invocations: v.requires.invocations } : {}),
        };
      }),
    });
    return index;
  }

  /** The kernels' files; kernels that differ in numbers only share one, named by the first of them. */
  finish(): Map<string, string> {
    this.thin();
    const files = new Map<string, string>();
    for (const { code, members } of mergeCode(this.texts.map((t) => t.code))) {
      const first = this.texts[members[0]!.index]!;
      const { kind } = this.kernels[first.kernel]!;
      const file = `kernels/${String(first.kernel).padStart(4, '0')}-${kind}.${first.variant}.wgsl`;
      const others = members.length - 1;
      const text = labelled(code, first.labels);
      files.set(file, `${first.head}${others ? `// and ${others} more that differ in N0, N1, …\n` : ''}${text}`);
      for (const { index, constants } of members) {
        const { kernel, variant } = this.texts[index]!;
        const info = this.kernels[kernel]!;
        this.kernels[kernel] = {
          ...info,
          variants: info.variants.map((v) => (v.id === variant ? { ...v, file, constants } : v)),
        };
      }
    }
    return files;
  }

  /** Leaves the default variant alone to kernels that do little of the work: a variant is a text to ship. */
  private thin(): void {
    if (this.limits.allVariants) return;
    const { work } = this;
    const special = this.kernels.map((_, i) => i).filter((i) => this.kernels[i]!.variants.length > 1);
    special.sort((a, b) => work[b]! - work[a]! || a - b);
    const all = special.reduce((s, i) => s + work[i]!, 0);
    let done = 0;
    /** The share of the work that is done by those before. */
    const before = new Map<number, number>();
    for (const i of special) {
      before.set(i, done / all);
      done += work[i]!;
    }
    // What was measured to be the fastest somewhere stays.
    const isKept = (kernel: number, n: number): boolean => {
      const { id, adapters } = this.kernels[kernel]!.variants[n]!;
      if (adapters !== undefined || KEPT.includes(id)) return true;
      return (before.get(kernel) ?? 0) <= (id === 'tiles-f16' ? TILES_SHARE : SPECIAL_SHARE);
    };
    this.texts = this.texts.filter((t) =>
      this.kernels[t.kernel]!.variants.some((v, n) => v.id === t.variant && isKept(t.kernel, n)),
    );
    for (const [n, d] of this.dispatches.entries())
      this.dispatches[n] = { ...d, grids: d.grids.filter((_, i) => isKept(d.kernel, i)) };
    for (const [i, info] of this.kernels.entries())
      this.kernels[i] = { ...info, variants: info.variants.filter((_, n) => isKept(i, n)) };
  }
}

/** What each binding holds, beside it. */
const labelled = (code: string, labels: readonly string[]): string =>
  code.replace(/^@group\(0\) @binding\((\d+)\) var<storage.*;$/gm, (line, n) => {
    const label = labels[Number(n) - 1];
    return label === undefined ? line : `${line} // ${label}`;
  });

/** WebGPU's rule, proved at build time: a writable window shares no byte with another window of its buffer. */
function disjoint(k: Kernel, bindings: readonly (readonly [number, number, number])[]): void {
  bindings.forEach(([arena, offset, bytes], i) => {
    bindings.forEach(([arena2, offset2, bytes2], j) => {
      if (j <= i || arena !== arena2) return;
      if (k.bufs[i]!.access === 'read' && k.bufs[j]!.access === 'read') return;
      const [a, b] = [offset * 256, offset2 * 256];
      if (a < b + bytes2 && b < a + bytes)
        throw new Error(`${k.name}: windows of ${k.bufs[i]!.label} and ${k.bufs[j]!.label} overlap`);
    });
  });
}

/** Without the zeros at the end: most windows start with their tensor. */
function trimmed(words: readonly number[]): readonly number[] {
  let n = words.length;
  while (n > 0 && words[n - 1] === 0) n--;
  return words.slice(0, n);
}
