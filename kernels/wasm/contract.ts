// Contractions: the plan's words for the library's gemm. A 3³ convolution with stride 1 takes fewer multiplications
// (winograd.ts); what is no matrix multiplication (depthwise convolution, say) becomes a plain loop nest.
import type { ContractKernel, LoopVar } from '../ir.ts';
import type { WasmKernel } from '../targets.ts';
import { emitBlocks } from './contractBlocks.ts';
import { emitGenericContract } from './contractGeneric.ts';
import {
  blockCount,
  CHAIN,
  type Cut,
  cutBlocks,
  locals,
  type Plan,
  planContract,
  product,
  type Source,
  TAP_BYTES,
} from './contractPlan.ts';
import { emitWinograd } from './winograd.ts';
import { planWinograd } from './winogradPlan.ts';

export function emitContract(kernel: ContractKernel): WasmKernel {
  const fewer = planWinograd(kernel);
  if (fewer) return emitWinograd(kernel, fewer);
  const plan = planContract(kernel);
  if (!plan) return emitGenericContract(kernel);
  return emitBlocks('gemm', kernel, plan, describe(plan));
}

/** The words that kernels/assembly/gemm.ts reads, in its order, and the scratch they ask for. */
function describe(plan: Plan): { words: number[]; scratch: number } {
  const { a, b, m, k, order, flipped, runVars, column, nOuter } = plan;
  const bytes = (s: Source, name: string): number => 4 * (flipped.has(name) ? -s.stride(name) : s.stride(name));
  const outer = order.slice(0, order.length - runVars);
  const run = product(order.slice(order.length - runVars));
  const inner = order[order.length - 1];
  const ko = product(outer);
  const rows = product(locals(m));
  const runB = inner?.size ?? 1;
  const kbCount = product(order) / runB;
  const perOuter = Math.ceil(column.size / 8);
  const panels = perOuter * product(nOuter);
  const kRun = k.cut !== null && order.length === 1 && order[0]!.name === k.cut.name;

  const round = (n: number): number => Math.ceil(n / 64) * 64;
  let top = 0;
  const alloc = (n: number): number => {
    const at = top;
    top += round(n);
    return at;
  };
  alloc(a.elements * 4);
  const atB = alloc(b.elements * 4);
  const atRows = alloc(rows * 4);
  const atTaps = alloc(ko * Math.ceil(run / CHAIN) * TAP_BYTES);
  const atBTable = alloc(kbCount * 4);
  const atNTable = alloc(product(nOuter) * 4);
  const atPack = alloc(plan.bInPlace ? 0 : product(order) * 32 * (plan.mode === 1 ? 1 : panels));
  const atC = alloc((rows + 3) * 32 * (plan.mode === 1 ? 1 : panels));
  const scratch = Math.ceil(top / 256) * 256;

  const list = (vars: readonly LoopVar[], stride: (name: string) => number): number[] => [
    vars.length,
    ...vars.flatMap((v) => [v.size, stride(v.name)]),
  ];
  const cutWords = (c: Cut, innerCount: number): number[] => [cutBlocks(c), c.step, c.cut?.size ?? 1, innerCount];
  const words = [
    plan.mode,
    product(plan.batch),
    blockCount(m),
    ...cutWords(m, product(m.inner)),
    blockCount(k),
    ...cutWords(k, 0).slice(0, 3),
    kRun ? 1 : 0,
    ko,
    run,
    inner ? bytes(a, inner.name) : 4,
    kbCount,
    runB,
    inner ? bytes(b, inner.name) : 4,
    column.size,
    perOuter,
    product(nOuter),
    4 * b.stride(column.name),
    plan.bInPlace ? 1 : 0,
    rows,
    scratch,
    atB,
    atRows,
    atTaps,
    atBTable,
    atNTable,
    atPack,
    atC,
    ...list(locals(m), (n) => 4 * a.stride(n)),
    ...list(outer, (n) => bytes(a, n)),
    ...list(order.slice(0, -1), (n) => bytes(b, n)),
    ...list(nOuter, (n) => 4 * b.stride(n)),
  ];
  return { words, scratch };
}
