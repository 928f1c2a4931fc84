// From a contract of the graph to a contract kernel: the variables' roles, and the pattern's name.
import { type Node, typeOf } from '../dsl/graph.ts';
import { type Int, variable } from '../dsl/int.ts';
import type { AffineIndex, ContractAttrs } from '../dsl/ops/contract.ts';
import { type Affine, axisVar, type ContractKernel, type Operand, type Store } from '../kernels/ir.ts';
import type { Inliner } from './inline.ts';

type Part = Omit<ContractKernel, 'name' | 'region' | 'ops' | 'lines' | 'bufs'>;

export function contractKernel(n: Node, inl: Inliner, epilogue: (coords: Int[]) => Store[]): Part {
  const at = n.attrs as ContractAttrs;
  const size = new Map(at.vars.map((v) => [v.name, v.size]));
  const used = (list: readonly AffineIndex[]): Set<string> => new Set(list.flatMap((ix) => ix.terms.map((t) => t.var)));
  // the operand that has the output's last variable alone is b: its elements lie along the output's
  const lastOut = [...at.out].reverse().find((v) => size.get(v)! > 1);
  const inA = used(at.a);
  const inB = used(at.b);
  const swap = lastOut !== undefined && inA.has(lastOut) && !inB.has(lastOut);
  const [first, second] = swap ? [1, 0] : [0, 1];
  const index = [at.a, at.b];
  const operand = (which: number): Operand => {
    const v = n.inputs[which]!;
    const axes: Affine[] = index[which]!.map((ix, i) => ({
      size: typeOf(v).axes[i]!.size,
      terms: ix.terms.filter((t) => size.get(t.var)! > 1),
      offset: ix.offset,
    }));
    const coords = axes.map((a, i) => variable(axisVar(i), a.size));
    return { axes, value: inl.at(v, coords) };
  };
  const a = operand(first);
  const b = operand(second);
  const [sa, sb] = swap ? [inB, inA] : [inA, inB];
  const vars = new Map([...size].filter(([, s]) => s > 1));
  const names = at.vars.map((v) => v.name).filter((v) => vars.has(v));
  const isOut = (v: string): boolean => at.out.includes(v);
  const outOrder = at.out.filter((v) => vars.has(v));
  const stores = epilogue(at.out.map((v) => variable(v, size.get(v)!)));
  const part = {
    kind: 'contract' as const,
    vars,
    out: outOrder,
    batch: outOrder.filter((v) => sa.has(v) && sb.has(v)),
    m: outOrder.filter((v) => sa.has(v) && !sb.has(v)),
    n: outOrder.filter((v) => sb.has(v) && !sa.has(v)),
    k: names.filter((v) => !isOut(v)),
    a,
    b,
    stores,
    flops: 2 * at.vars.reduce((p, v) => p * v.size, 1),
  };
  return { ...part, pattern: classify(part) };
}

/** One name per shape of access; `generic` ones run as plain loops and are reported. */
export function classify(k: Pick<ContractKernel, 'a' | 'b' | 'm' | 'n' | 'k' | 'batch'>): string {
  // a variable cut into parts (split.ts) is still one variable
  const several = (x: Affine): boolean => x.terms.filter((t) => !k.batch.includes(t.var)).length > 1;
  const windowed = k.a.axes.some(several);
  const last = k.a.axes.filter((x) => x.terms.length > 0).at(-1);
  // a windowed innermost axis is a volume of one channel
  const inner = last && !several(last) ? last.terms[0]?.var : undefined;
  const alongK = inner === undefined || k.k.includes(inner);
  const alongM = inner !== undefined && k.m.includes(inner);
  if (k.b.axes.some(several)) return 'generic';
  if (!windowed)
    return alongK ? (k.batch.length ? 'batchedMatmul' : 'matmul') : alongM ? 'matmulWeightGrad' : 'generic';
  const negative = k.a.axes.some((x) => x.terms.some((t) => t.coef < 0));
  if (alongK) return negative ? 'convDataGrad' : 'conv';
  return alongM && !negative ? 'convWeightGrad' : 'generic';
}
