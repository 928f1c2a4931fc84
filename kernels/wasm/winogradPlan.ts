// Which convolutions are computed by Winograd's minimal filtering F(2×2, 3×3), and in what blocks. Pure arithmetic over the
// kernel's shape; kernels/assembly/winograd.ts does the rest.
//
// Two neighbouring outputs of three taps need four products where the sum needs six, along two axes 16 for 36 (Lavin and Gray,
// "Fast Algorithms for Convolutional Neural Networks", 2016, arXiv 1509.09308). The third axis and the channels are summed as
// ever. Factors are 1 and ½ alone, so the error hardly grows (docs/performance.md). Forward and data gradient: tiles of two
// outputs, three taps summed. Weight gradient: the same products, tiles of two summed positions, three taps put out.
import type { Affine, ContractKernel, LoopVar } from '../ir.ts';
import type { Blocks } from './contractBlocks.ts';
import {
  blockCount,
  type Cut,
  extent,
  locals,
  place,
  product,
  type Roles,
  rolesOf,
  type Source,
} from './contractPlan.ts';

/** A block's slab of the input, its transformed sums, its rows or summed positions. docs/performance.md, WebAssembly. */
const SLAB_BYTES = 768 << 10;
const SUMS_BYTES = 3 << 19;
const GRADIENT_SUMS_BYTES = 5 << 19;
const ROWS = 768;
const LEAST_ROWS = 64;
/** Threads share blocks, or panels of 8 columns where a weight's gradient has too few blocks. */
const LEAST_SHARES = 8;
const TAPS = 3;
/** Products of a tile: 4 × 4. */
export const PRODUCTS = 16;

/** An axis of A that is tile + tap. */
export interface Pair {
  readonly axis: number;
  readonly tile: string;
  readonly tap: string;
}

export interface WinogradPlan extends Blocks {
  readonly pairs: readonly [Pair, Pair];
  /** Taps are summed (forward, data gradient) or put out (weight gradient). */
  readonly tapsSummed: boolean;
  readonly sharedBy: 'blocks' | 'panels';
  readonly a: Source;
  readonly b: Source;
  /** Steps of the products' sums, outermost first: local k without taps, tiles instead of positions. */
  readonly steps: readonly LoopVar[];
  /** Variables of `steps`, from the innermost, that form a run. */
  readonly runVars: number;
  /** Rows of the products' sums: local m without taps, tiles instead of positions. */
  readonly rows: readonly LoopVar[];
  /** Elements between neighbouring steps or rows in the transformed slab. */
  readonly stride: (name: string) => number;
}

/** Null: a direct sum is better, or this is no such convolution. */
export function planWinograd(kernel: ContractKernel): WinogradPlan | null {
  const roles = rolesOf(kernel);
  if (!roles) return null;
  const found = pairsOf(roles, kernel.vars);
  if (!found) return null;
  const { pairs, tapsSummed } = found;
  const { a, batch, m, n, k, nOuter, column } = roles;
  const columns = product(nOuter) * Math.ceil(column.size / 8) * 8;
  if (product(n) < 8) return null;

  const tiles = new Set(pairs.map((p) => p.tile));
  const taps = new Set(pairs.map((p) => p.tap));
  const slab = (local: readonly LoopVar[]): number => a.axes.reduce((e, x) => e * extent(x, local), 4);
  const whole = (vars: readonly LoopVar[]): Cut => ({ fixed: [], cut: null, step: 1, inner: vars });
  const sums = (local: readonly LoopVar[]): number => product(transformed(local, tiles, taps)) * PRODUCTS * columns * 4;
  let mCut: Cut | null;
  let kCut: Cut | null;
  if (tapsSummed) {
    const rows = Math.max(LEAST_ROWS, Math.min(ROWS, product(m) / LEAST_SHARES));
    kCut = whole(k);
    mCut = cut(m, tiles, (l) => product(l) <= rows && slab([...l, ...k]) <= SLAB_BYTES && sums(l) <= SUMS_BYTES);
  } else {
    mCut = cut(m, taps, (l) => sums(l) <= GRADIENT_SUMS_BYTES);
    if (!mCut) return null;
    const ml = locals(mCut);
    kCut = cut(k, tiles, (l) => product(l) <= ROWS && slab([...ml, ...l]) <= SLAB_BYTES);
  }
  if (!mCut || !kCut) return null;
  const byBlocks = blockCount(mCut) * product(batch) >= LEAST_SHARES;
  // In a forward pass with few rows, transforming the weights would cost more than is gained.
  if (!byBlocks && (tapsSummed || columns / 8 < LEAST_SHARES)) return null;
  const [ml, kl] = [locals(mCut), locals(kCut)];
  const source = place(a, kernel.vars, [...ml, ...kl], mCut, kCut, true);

  // The transformed slab: as the slab, but for tiles instead of positions along two axes.
  const extents = source.extent.map((e, i) => (pairs.some((p) => p.axis === i) ? (e - 2) / 2 : e));
  const axes = extents.map((_, i) => product(extents.slice(i + 1).map((size) => ({ name: '', size }))));
  const inner = product(source.extent.slice(pairs[1].axis + 1).map((size) => ({ name: '', size })));
  // Rows of the slab are transformed four elements at a time.
  if (inner % 4 !== 0) return null;
  const stride = (name: string): number =>
    a.axes.reduce(
      (s, x, i) => s + axes[i]! * x.terms.reduce((c, t) => c + (t.var === name ? Math.abs(t.coef) : 0), 0),
      0,
    );
  const negative = (name: string): boolean => a.axes.some((x) => x.terms.some((t) => t.var === name && t.coef < 0));
  if (ml.some((v) => negative(v.name))) return null;
  const flipped = new Set(kl.filter((v) => negative(v.name)).map((v) => v.name));

  const steps = transformed(kl, tiles, taps).sort((x, y) => stride(y.name) - stride(x.name));
  if (steps.length === 0) return null;
  let i = steps.length - 1;
  let length = steps[i]!.size;
  while (i > 0 && stride(steps[i - 1]!.name) === length * stride(steps[steps.length - 1]!.name)) {
    i--;
    length *= steps[i]!.size;
  }
  return {
    batch,
    m: mCut,
    k: kCut,
    nOuter,
    column,
    order: kl,
    flipped,
    pairs,
    tapsSummed,
    sharedBy: byBlocks ? 'blocks' : 'panels',
    a: source,
    b: place(roles.b, kernel.vars, [...kl, ...n], mCut, kCut),
    steps,
    runVars: steps.length - i,
    rows: transformed(ml, tiles, taps),
    stride,
  };
}

/** Without taps, and with half as many tiles as positions. */
const transformed = (vars: readonly LoopVar[], tiles: ReadonlySet<string>, taps: ReadonlySet<string>): LoopVar[] =>
  vars.filter((v) => !taps.has(v.name)).map((v) => (tiles.has(v.name) ? { name: v.name, size: v.size / 2 } : v));

/** The last two axes of A that are position + tap, where taps have one role and positions the other. */
function pairsOf(roles: Roles, vars: ReadonlyMap<string, number>): { pairs: [Pair, Pair]; tapsSummed: boolean } | null {
  const inM = new Set(roles.m.map((v) => v.name));
  const inK = new Set(roles.k.map((v) => v.name));
  const pair = (x: Affine, axis: number): (Pair & { summed: boolean }) | null => {
    const terms = x.terms.filter((t) => t.coef !== 0 && (inM.has(t.var) || inK.has(t.var)));
    if (terms.length !== 2) return null;
    const row = terms.find((t) => inM.has(t.var));
    const step = terms.find((t) => inK.has(t.var));
    if (!row || !step || row.coef !== 1 || Math.abs(step.coef) !== 1) return null;
    const alone = (name: string): boolean =>
      roles.a.axes.every((y, i) => i === axis || y.terms.every((t) => t.var !== name || t.coef === 0));
    if (!alone(row.var) || !alone(step.var)) return null;
    const even = (name: string): boolean => vars.get(name)! % 2 === 0 && vars.get(name)! >= 4;
    if (vars.get(step.var) === TAPS && even(row.var)) return { axis, tile: row.var, tap: step.var, summed: true };
    if (vars.get(row.var) === TAPS && even(step.var) && step.coef === 1)
      return { axis, tile: step.var, tap: row.var, summed: false };
    return null;
  };
  const found = roles.a.axes.map(pair).filter((p) => p !== null);
  const [x, y] = [found[found.length - 2], found[found.length - 1]];
  return x && y && x.summed === y.summed ? { pairs: [x, y], tapsSummed: x.summed } : null;
}

/** Innermost variables whole, the next one cut into equal blocks, as far as `fits` holds; all of `keep` are local, and cut into
 *  blocks of an even size. Null where that does not fit. */
function cut(
  vars: readonly LoopVar[],
  keep: ReadonlySet<string>,
  fits: (local: readonly LoopVar[]) => boolean,
): Cut | null {
  let i = vars.length;
  while (i > 0 && fits(vars.slice(i - 1))) i--;
  const inner = vars.slice(i);
  if (i === 0) return { fixed: [], cut: null, step: 1, inner };
  const v = vars[i - 1]!;
  const kept = keep.has(v.name);
  let step = kept && v.size === TAPS ? 0 : v.size - 1;
  while (
    step > 1 &&
    (v.size % step !== 0 || (kept && step % 2 !== 0) || !fits([{ name: v.name, size: step }, ...inner]))
  )
    step--;
  const fixed = vars.slice(0, step > 1 ? i - 1 : i);
  if (fixed.some((f) => keep.has(f.name))) return null;
  return step > 1 ? { fixed, cut: v, step, inner } : { fixed, cut: null, step: 1, inner };
}
