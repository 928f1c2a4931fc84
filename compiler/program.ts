// A program: kernels in order over tensors. One per section of an entry (forward, grad, update).
import type { TensorType } from '../dsl/types.ts';
import type { Kernel } from '../kernels/ir.ts';

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
}

export interface Program {
  readonly name: string;
  readonly kernels: readonly Kernel[];
  readonly tensors: readonly ProgramTensor[];
}

/** Tensors that a kernel reads and writes. */
export const readsOf = (k: Kernel): number[] => k.bufs.filter((b) => b.access !== 'write').map((b) => b.tensor);
export const writesOf = (k: Kernel): number[] => k.bufs.filter((b) => b.access !== 'read').map((b) => b.tensor);

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
