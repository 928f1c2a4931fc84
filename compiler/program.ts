// A program: kernels in order over tensors. One per section of an entry (forward, grad, update).
import type { TensorType } from '../dsl/types.ts';
import type { Kernel, KernelBase } from '../kernels/ir.ts';

/** Where a tensor lives. Temporaries are placed by the memory plan. */
export type Home =
  | { readonly kind: 'temp' }
  /** An input or output of the entry. */
  | { readonly kind: 'port'; readonly name: string }
  /** A parameter, or its gradient, at the parameter's offset. */
  | { readonly kind: 'parameter' | 'gradient'; readonly name: string }
  /** A whole arena: parameters, gradients, or a state's name. */
  | { readonly kind: 'arena'; readonly name: string };

export interface ProgramTensor {
  readonly id: number;
  readonly type: TensorType;
  readonly label: string;
  readonly home: Home;
  /** A window of a larger tensor that is nowhere whole (slab-loops.ts): the element of that tensor at which it starts. */
  readonly origin?: number;
}

/** A range of a kernel's outermost output axis. */
export interface Part {
  readonly first: number;
  readonly count: number;
}

export type ProgramKernel = Kernel & {
  /** Where it is a part of a kernel: which. */
  readonly range?: Part;
  /** The kernel as it was lowered: what is a part of it, or runs it again, has its code over other tensors. */
  readonly of?: Kernel;
};

/** A loop over slabs (slab-loops.ts), as one step to plan: it reads and writes what its kernels do, and its windows' bytes are one
 *  temporary of its own. */
export interface Loop extends KernelBase {
  readonly kind: 'loop';
  readonly inner: readonly ProgramKernel[];
  /** The tensors of `bufs` as `inner` calls them. */
  readonly tensors: readonly number[];
}

/** A loop over tiles (dsl/ops/tiles.ts), as one step to plan: its kernels run for every tile, and what they hold is one temporary. */
export interface Tiles extends KernelBase {
  readonly kind: 'tiles';
  readonly count: number;
  readonly inner: readonly ProgramKernel[];
  /** The tensors of `bufs` as `inner` calls them. */
  readonly tensors: readonly number[];
}

/** What lowering gives: kernels, and loops of them. */
export type Step = ProgramKernel | Tiles;

/** Kernels that run `times` times, with the step block's `tile` counting. */
export interface Repeat {
  readonly first: number;
  readonly count: number;
  readonly times: number;
}

export interface Program<K extends KernelBase = ProgramKernel> {
  readonly name: string;
  readonly kernels: readonly K[];
  readonly tensors: readonly ProgramTensor[];
  /** In order, none inside another. */
  readonly repeats?: readonly Repeat[];
}

/** Operations of all kernels, those that run for every tile counted as often. */
export function flopsOf({ kernels, repeats = [] }: Program<KernelBase>): number {
  const again = repeats.reduce(
    (s, r) => s + (r.times - 1) * kernels.slice(r.first, r.first + r.count).reduce((n, k) => n + k.flops, 0),
    0,
  );
  return kernels.reduce((s, k) => s + k.flops, again);
}

/** Tensors that a kernel reads and writes. */
export const readsOf = (k: KernelBase): number[] => k.bufs.filter((b) => b.access !== 'write').map((b) => b.tensor);
export const writesOf = (k: KernelBase): number[] => k.bufs.filter((b) => b.access !== 'read').map((b) => b.tensor);

/** Ids are handed out across the programs of an entry, so that ports and parameters keep theirs. */
export class TensorTable {
  readonly list: ProgramTensor[] = [];
  private readonly named = new Map<string, ProgramTensor>();

  temp(type: TensorType, label: string): ProgramTensor {
    return this.add({ id: this.list.length, type, label, home: { kind: 'temp' } });
  }
  at(home: Exclude<Home, { kind: 'temp' }>, type: TensorType): ProgramTensor {
    const key = `${home.kind}:${home.name}`;
    const known = this.named.get(key);
    if (known) return known;
    const t = this.add({
      id: this.list.length,
      type,
      label: home.kind === 'gradient' ? `grad.${home.name}` : home.name,
      home,
    });
    this.named.set(key, t);
    return t;
  }
  private add(t: ProgramTensor): ProgramTensor {
    this.list.push(t);
    return t;
  }
}
