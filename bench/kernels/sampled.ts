// Float64 values of a few elements of a program's outputs, through all of its kernels, computed as they are asked for.
import type { Program } from '../../compiler/program.ts';
import { evaluateAt } from '../../kernels/evaluate-at.ts';
import type { Kernel } from '../../kernels/ir.ts';

/** Terms that one case's reference may add up. */
const WORK = 1.5e6;
/** Elements of one output. */
const MOST_SAMPLES = 64;

export interface Sample {
  readonly output: string;
  readonly at: number;
  readonly value: number;
}

/** Elements of every output, spread over it, as many as `WORK` allows, at most `most`. */
export function sampleOutputs(
  program: Program,
  inputs: Readonly<Record<string, ArrayLike<number>>>,
  most = MOST_SAMPLES,
): Sample[] {
  const lazy = new Lazy(program, inputs);
  const samples: Sample[] = [];
  const outputs = program.tensors.filter((t) => t.home.kind === 'port' && t.home.name.startsWith('out:'));
  for (const t of outputs) {
    const n = t.type.axes.reduce((p, a) => p * a.size, 1);
    for (let k = 0; k < Math.min(most, n) && lazy.reads < WORK / outputs.length; k++) {
      // Multiples of the golden ratio are spread evenly, corners and edges among them.
      const at = k === 0 ? 0 : k === 1 ? n - 1 : Math.floor(((k * 0.6180339887498949) % 1) * n);
      samples.push({ output: (t.home as { name: string }).name.slice(4), at, value: lazy.element(t.id, at) });
    }
    lazy.reads = 0;
  }
  return samples;
}

/** What one element of the kernel's output sums. */
function terms(k: Kernel): number {
  switch (k.kind) {
    case 'map':
      return 1;
    case 'reduce':
      return k.red.reduce((n, v) => n * v.size, 1);
    case 'contract':
      return k.k.reduce((n, v) => n * k.vars.get(v)!, 1);
    case 'attention':
      return 2 * k.shape.m * k.shape.e;
    case 'attentionGrad': {
      const { g, n, m, e } = k.shape;
      return 2 * e * { dq: m, dkv: n, dbias: g }[k.part];
    }
  }
}

class Lazy {
  /** Elements read and terms added. */
  reads = 0;
  private readonly known = new Map<number, Map<number, number>>();
  private readonly given = new Map<number, ArrayLike<number>>();
  private readonly program: Program;

  constructor(program: Program, inputs: Readonly<Record<string, ArrayLike<number>>>) {
    this.program = program;
    for (const t of program.tensors)
      if (t.home.kind === 'port' && inputs[t.home.name]) this.given.set(t.id, inputs[t.home.name]!);
  }

  element(tensor: number, at: number): number {
    this.reads++;
    const given = this.given.get(tensor);
    if (given) return given[at]!;
    let known = this.known.get(tensor);
    if (!known) this.known.set(tensor, (known = new Map()));
    const old = known.get(at);
    if (old !== undefined) return old;
    const kernel = this.program.kernels.find((k) => k.bufs.some((b) => b.tensor === tensor && b.access !== 'read'));
    if (!kernel) throw new Error(`${this.program.name}: nothing writes tensor ${tensor}`);
    const bufs = kernel.bufs.map((b) => this.view(b.tensor, b.size));
    const value = evaluateAt(
      kernel,
      bufs,
      kernel.bufs.findIndex((b) => b.tensor === tensor),
      at,
    );
    this.reads += terms(kernel);
    known.set(at, value);
    return value;
  }

  /** A tensor as something that has elements. */
  private view(tensor: number, length: number): ArrayLike<number> {
    return (
      this.given.get(tensor) ??
      new Proxy([] as unknown as ArrayLike<number>, {
        get: (_, key) => (key === 'length' ? length : this.element(tensor, Number(key))),
      })
    );
  }
}
