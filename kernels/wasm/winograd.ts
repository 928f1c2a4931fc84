// The words and functions with which kernels/assembly/winograd.ts computes a planned convolution.
import type { ContractKernel, LoopVar } from '../ir.ts';
import type { WasmKernel } from '../targets.ts';
import { emitBlocks } from './contractBlocks.ts';
import { blockCount, CHAIN, locals, product, TAP_BYTES } from './contractPlan.ts';
import { PRODUCTS, type WinogradPlan } from './winogradPlan.ts';

export const emitWinograd = (kernel: ContractKernel, plan: WinogradPlan): WasmKernel =>
  emitBlocks('winograd', kernel, plan, describe(plan));

/** The words that the library reads, in its order, and the scratch they ask for. */
function describe(plan: WinogradPlan): { words: number[]; scratch: number } {
  const { a, b, m, k, pairs, tapsSummed, steps, runVars, rows, column, nOuter, flipped, stride } = plan;
  const bytesOfB = (name: string): number => 4 * (flipped.has(name) ? -b.stride(name) : b.stride(name));
  // Between neighbouring steps of the sums, which are two positions apart where they are tiles.
  const stepOfB = (name: string): number => bytesOfB(name) * (pairs.some((p) => p.tile === name) ? 2 : 1);
  const [outer, inner] = pairs;
  const sized = (from: number, to: number): number => a.extent.slice(from, to).reduce((x, y) => x * y, 1);
  const natural = locals(m);
  const rowStep = (name: string): number => product(natural.slice(natural.findIndex((v) => v.name === name) + 1));
  // What a tile puts out: two neighbouring rows, or three taps, along each axis.
  const out = (p: (typeof pairs)[number]): string => (tapsSummed ? p.tile : p.tap);
  const taken = (p: (typeof pairs)[number]): string => (tapsSummed ? p.tap : p.tile);
  const outerRuns = steps.slice(0, steps.length - runVars);
  const run = product(steps.slice(steps.length - runVars));
  const last = steps[steps.length - 1]!;
  const perOuter = Math.ceil(column.size / 8);
  const panels = perOuter * product(nOuter);
  const panelBytes = product(steps) * 32;
  const taps = tapsSummed ? 3 : 2;

  let top = 0;
  const alloc = (n: number): number => {
    const at = top;
    top += Math.ceil(n / 64) * 64;
    return at;
  };
  const lh = a.extent[outer.axis]!;
  const lw = a.extent[inner.axis]!;
  alloc(a.elements * 4);
  const atB = alloc(b.elements * 4);
  const atRows = alloc(product(rows) * 4);
  const atNatural = alloc(product(rows) * 4);
  const atTaps = alloc(product(outerRuns) * Math.ceil(run / CHAIN) * TAP_BYTES);
  const atBTable = alloc((product(steps) / last.size) * 4);
  const atNTable = alloc(product(nOuter) * 4);
  // The panels of a tile's values, and room for 12 vectors.
  const atRaw = alloc(taps * taps * panelBytes + 192);
  const atPack = alloc(PRODUCTS * panels * panelBytes);
  const atHalf = alloc((a.elements / lh) * ((lh - 2) / 2) * 4);
  const atSlab = alloc((a.elements / lh / lw) * ((lh - 2) / 2) * ((lw - 2) / 2) * 4);
  const atSums = alloc(PRODUCTS * (product(rows) + 3) * 32 * panels);
  const atC = alloc(product(natural) * 32 * panels);
  const scratch = Math.ceil(top / 256) * 256;

  const list = (vars: readonly LoopVar[], of: (name: string) => number): number[] => [
    vars.length,
    ...vars.flatMap((v) => [v.size, of(v.name)]),
  ];
  const words = [
    plan.sharedBy === 'panels' ? 1 : 0,
    product(plan.batch),
    blockCount(m),
    blockCount(k),
    sized(0, outer.axis),
    lh,
    sized(outer.axis + 1, inner.axis),
    lw,
    sized(inner.axis + 1, a.extent.length) * 4,
    taps,
    bytesOfB(taken(outer)),
    bytesOfB(taken(inner)),
    product(outerRuns),
    run,
    4 * stride(last.name),
    product(steps) / last.size,
    last.size,
    stepOfB(last.name),
    column.size,
    perOuter,
    product(nOuter),
    4 * b.stride(column.name),
    product(rows),
    product(natural),
    rowStep(out(outer)),
    rowStep(out(inner)),
    scratch,
    atB,
    atRows,
    atNatural,
    atTaps,
    atBTable,
    atNTable,
    atRaw,
    atPack,
    atHalf,
    atSlab,
    atSums,
    atC,
    ...list(rows, (n) => 4 * stride(n)),
    ...list(rows, (n) => rowStep(n) * (pairs.some((p) => p.tile === n) ? 2 : 1)),
    ...list(outerRuns, (n) => 4 * stride(n)),
    ...list(steps.slice(0, -1), stepOfB),
    ...list(nOuter, (n) => 4 * b.stride(n)),
  ];
  return { words, scratch };
}
