// How a contract becomes a blocked matrix multiplication: which variables are rows, columns, runs and blocks, where its
// operands are read, and how threads share it. Pure arithmetic over the kernel's shape; the library's gemm does the rest.
import { substitute } from '../expr.ts';
import { add, coefficient, type Int, int, mul, variable } from '../int.ts';
import { type Affine, axisVar, type ContractKernel, type LoopVar, type Operand } from '../ir.ts';

/** Ceilings of a block: a slab of one operand, the packed panels of the other and the sums stay in the second-level cache
 *  together. The bench measures that cache (`t3dc bench --device wasm`); docs/performance.md, WebAssembly, has the figures and
 *  those of the neighbours of these sizes. */
const SLAB_BYTES = 512 << 10;
const TILE_BYTES = 1 << 20;
/** Rows of a block, or summed positions of a weight's gradient. */
const ROWS = 384;
/** Up to this many rows a whole problem is one block, and threads share the columns. */
const FEW_ROWS = 512;
const WHOLE_SLAB_BYTES = 8 << 20;

/** Of kernels/assembly/gemm.ts: the most terms in a chain, bytes of a tap's entry. */
export const CHAIN = 48;
export const TAP_BYTES = 12;

/** Variables of one role cut into blocks: `fixed` ones and the block of `cut` come from the block's number, the rest are
 *  local: `step` values of `cut` (outermost), then `inner`. */
export interface Cut {
  readonly fixed: readonly LoopVar[];
  readonly cut: LoopVar | null;
  readonly step: number;
  readonly inner: readonly LoopVar[];
}
export const cutBlocks = (c: Cut): number => (c.cut ? Math.ceil(c.cut.size / c.step) : 1);
export const blockCount = (c: Cut): number => product(c.fixed) * cutBlocks(c);
/** Local variables, with their sizes inside a block. */
export const locals = (c: Cut): LoopVar[] => [...(c.cut ? [{ name: c.cut.name, size: c.step }] : []), ...c.inner];
export const product = (vars: readonly LoopVar[]): number => vars.reduce((n, v) => n * v.size, 1);

/** One operand's place: in the tensor itself, or a block (slab) of its logical region in scratch. */
export interface Source {
  readonly operand: Operand;
  /** In place: the buffer. */
  readonly buffer: number | null;
  /** Slab: first coordinate and extent along each axis. */
  readonly lo: readonly Int[];
  readonly extent: readonly number[];
  /** Elements between neighbouring values of a local variable. */
  readonly stride: (name: string) => number;
  /** Elements from the pointer that the source returns … to the block's first element, all local variables 0. */
  readonly origin: Int;
  readonly elements: number;
}

export interface Plan {
  readonly batch: readonly LoopVar[];
  readonly m: Cut;
  readonly k: Cut;
  readonly nOuter: readonly LoopVar[];
  readonly column: LoopVar;
  readonly a: Source;
  readonly b: Source;
  /** Local k variables, outermost first, and whether each runs backwards. */
  readonly order: readonly LoopVar[];
  readonly flipped: ReadonlySet<string>;
  /** Variables of `order`, from the innermost, that form A's run. */
  readonly runVars: number;
  readonly mode: 0 | 1 | 2;
  readonly bInPlace: boolean;
}

/** Names of the variables that hold a block's number. */
export const CUT_M = '#m';
export const CUT_K = '#k';
/** A k or m variable inside a block: its value is block * step + local. */
export const localName = (name: string): string => `@${name}`;

/** The value of a variable as its block's start plus (unless `start`) its local value. */
export function blockValue(c: Cut, block: string, name: string, size: number, start: boolean): Int {
  if (c.cut?.name === name) {
    const from = mul(variable(block, cutBlocks(c)), c.step);
    return start ? from : add(from, variable(localName(name), c.step));
  }
  if (c.inner.some((v) => v.name === name)) return start ? int(0) : variable(localName(name), size);
  return variable(name, size);
}

/** What the variables are in C[m][n] = sum over k of A[m][k] · B[k][n]. */
export interface Roles {
  readonly a: Operand;
  readonly b: Operand;
  readonly batch: readonly LoopVar[];
  readonly m: readonly LoopVar[];
  readonly n: readonly LoopVar[];
  readonly k: readonly LoopVar[];
  readonly nOuter: readonly LoopVar[];
  readonly column: LoopVar;
}

/** Null: no product of matrices. */
export function rolesOf(kernel: ContractKernel): Roles | null {
  const size = (name: string): number => kernel.vars.get(name)!;
  const uses = (o: Operand, name: string): boolean =>
    o.axes.some((a) => a.terms.some((t) => t.var === name && t.coef !== 0));
  const live = (names: readonly string[]): LoopVar[] =>
    names.map((name) => ({ name, size: size(name) })).filter((v) => v.size > 1);
  const out = live(kernel.out);
  const summed = live([...kernel.vars.keys()]).filter((v) => !kernel.out.includes(v.name));
  const last = out[out.length - 1];
  let [a, b] = [kernel.a, kernel.b];
  // The innermost output variable must be a column: exchange the operands where it is a row.
  if (last && uses(a, last.name)) {
    if (uses(b, last.name)) return null;
    [a, b] = [b, a];
  }
  const k = live(kernel.k).filter((v) => summed.some((w) => w.name === v.name));
  if (k.length !== summed.length) return null;
  const n = out.filter((v) => !uses(a, v.name));
  return {
    a,
    b,
    batch: out.filter((v) => uses(a, v.name) && uses(b, v.name)),
    m: out.filter((v) => uses(a, v.name) && !uses(b, v.name)),
    n,
    k,
    nOuter: n.slice(0, -1),
    column: n[n.length - 1] ?? { name: '@column', size: 1 },
  };
}

export function planContract(kernel: ContractKernel): Plan | null {
  const roles = rolesOf(kernel);
  if (!roles) return null;
  const { a, b, batch, m, n, k: kOrdered, nOuter, column } = roles;

  const direct = (o: Operand): boolean => inPlace(o, kernel.vars) !== null;
  const columns = product(nOuter) * Math.ceil(column.size / 8) * 8;
  const slab = (o: Operand, local: readonly LoopVar[]): number =>
    direct(o) ? 0 : o.axes.reduce((e, x) => e * extent(x, local), 1) * 4;
  const runsAlongM = innermostIsIn(a, m);

  let mCut: Cut;
  let kCut: Cut;
  let mode: 0 | 1 | 2;
  const whole = (vars: readonly LoopVar[]): Cut => ({ fixed: [], cut: null, step: 1, inner: vars });
  if (!runsAlongM) {
    kCut = whole(kOrdered);
    if (product(m) <= FEW_ROWS && slab(a, [...m, ...kOrdered]) <= WHOLE_SLAB_BYTES) {
      mCut = whole(m);
      mode = 1;
    } else {
      const rows = Math.max(64, Math.min(ROWS, Math.ceil(product(m) / 8)));
      mCut = cutInto(
        m,
        (l) =>
          product(l) <= rows &&
          slab(a, [...l, ...kOrdered]) <= SLAB_BYTES &&
          product(l) * columns * 4 <= 2 * TILE_BYTES,
      );
      mode = 0;
    }
  } else {
    mCut = cutInto(m, (l) => product(l) * columns * 4 <= TILE_BYTES);
    const ml = locals(mCut);
    kCut = cutInto(
      kOrdered,
      (l) => product(l) <= ROWS && slab(a, [...ml, ...l]) <= SLAB_BYTES && product(l) * columns * 4 <= 2 * TILE_BYTES,
    );
    mode = blockCount(mCut) * product(batch) >= 8 ? 0 : 2;
  }
  const kLocal = locals(kCut);
  const sourceA = place(a, kernel.vars, [...locals(mCut), ...kLocal], mCut, kCut);
  const sourceB = place(b, kernel.vars, [...kLocal, ...n], mCut, kCut);

  // Forward: the runs of A are the innermost steps. Variables that run backwards are turned round.
  const flipped = new Set<string>();
  let order = kLocal;
  let runVars = Math.min(1, kLocal.length);
  if (!runsAlongM) {
    for (const v of kLocal) if (sourceA.stride(v.name) < 0) flipped.add(v.name);
    order = [...kLocal].sort((x, y) => Math.abs(sourceA.stride(y.name)) - Math.abs(sourceA.stride(x.name)));
    let i = order.length - 1;
    const sa = i >= 0 ? Math.abs(sourceA.stride(order[i]!.name)) : 0;
    let length = i >= 0 ? order[i]!.size : 1;
    while (i > 0 && Math.abs(sourceA.stride(order[i - 1]!.name)) === length * sa) {
      i--;
      length *= order[i]!.size;
    }
    runVars = order.length - i;
  }
  const signed = (s: Source, name: string): number => (flipped.has(name) ? -s.stride(name) : s.stride(name));
  // Few rows and columns that lie together: B is multiplied where it is.
  let chained = true;
  for (let i = order.length - runVars; i < order.length - 1; i++) {
    if (signed(sourceB, order[i]!.name) !== signed(sourceB, order[i + 1]!.name) * order[i + 1]!.size) chained = false;
  }
  const bInPlace =
    mode === 1 &&
    product(m) <= 16 &&
    sourceB.stride(column.name) === 1 &&
    column.size % 8 === 0 &&
    chained &&
    order.length > 0 &&
    signed(sourceB, order[order.length - 1]!.name) !== 0;
  return { batch, m: mCut, k: kCut, nOuter, column, a: sourceA, b: sourceB, order, flipped, runVars, mode, bInPlace };
}

/** Innermost variables whole, the next one cut, as far as `fits` holds of the local variables. */
function cutInto(vars: readonly LoopVar[], fits: (local: readonly LoopVar[]) => boolean): Cut {
  let i = vars.length;
  while (i > 0 && fits(vars.slice(i - 1))) i--;
  const inner = vars.slice(i);
  if (i === 0) return { fixed: [], cut: null, step: 1, inner };
  const v = vars[i - 1]!;
  let lo = 1;
  let hi = v.size;
  while (lo < hi) {
    const mid = Math.ceil((lo + hi) / 2);
    if (fits([{ name: v.name, size: mid }, ...inner])) lo = mid;
    else hi = mid - 1;
  }
  if (lo === 1 && inner.length > 0) return { fixed: vars.slice(0, i), cut: null, step: 1, inner };
  // Blocks of nearly equal size.
  const step = Math.ceil(v.size / Math.ceil(v.size / lo));
  return { fixed: vars.slice(0, i - 1), cut: v, step, inner };
}

/** Values that an axis takes while the local variables run. */
export function extent(a: Affine, local: readonly LoopVar[]): number {
  return 1 + a.terms.reduce((e, t) => e + Math.abs(t.coef) * ((local.find((v) => v.name === t.var)?.size ?? 1) - 1), 0);
}

function innermostIsIn(o: Operand, vars: readonly LoopVar[]): boolean {
  for (let i = o.axes.length - 1; i >= 0; i--) {
    const a = o.axes[i]!;
    const moving = a.terms.filter((t) => t.coef !== 0);
    if (moving.length > 0) return moving.some((t) => vars.some((v) => v.name === t.var));
  }
  return false;
}

/** The buffer and element strides of the axes, when the value is a plain load that never leaves the axes' bounds. */
function inPlace(
  o: Operand,
  vars: ReadonlyMap<string, number>,
): { buffer: number; axes: number[]; base: number } | null {
  const e = o.value;
  if (e.k !== 'load' || e.at || e.dtype !== 'f32') return null;
  for (const a of o.axes) {
    let [lo, hi] = [a.offset, a.offset];
    for (const t of a.terms) {
      const reach = t.coef * (vars.get(t.var)! - 1);
      if (reach < 0) lo += reach;
      else hi += reach;
    }
    if (lo < 0 || hi >= a.size) return null;
  }
  const axes = o.axes.map((a, i) => (a.size === 1 ? 0 : coefficient(e.index, axisVar(i))));
  if (axes.some((c) => c === null)) return null;
  const zero = substitute(e, () => int(0));
  if (zero.k !== 'load' || zero.index.k !== 'const') return null;
  return { buffer: e.buf, axes: axes as number[], base: zero.index.v };
}

/** An axis's coordinate with every local variable 0: an expression over the block's numbers and the fixed variables. */
function startOf(a: Affine, vars: ReadonlyMap<string, number>, local: ReadonlySet<string>, m: Cut, k: Cut): Int {
  let e: Int = int(a.offset);
  for (const t of a.terms) {
    const size = vars.get(t.var)!;
    if (size === 1) continue;
    let v: Int;
    if (m.cut?.name === t.var) v = blockValue(m, CUT_M, t.var, size, true);
    else if (k.cut?.name === t.var) v = blockValue(k, CUT_K, t.var, size, true);
    else if (local.has(t.var)) continue;
    else v = variable(t.var, size);
    e = add(e, mul(v, t.coef));
  }
  return e;
}

/** `copy`: to a slab, even what could be read in place. */
export function place(
  o: Operand,
  vars: ReadonlyMap<string, number>,
  local: readonly LoopVar[],
  m: Cut,
  k: Cut,
  copy = false,
): Source {
  const names = new Set(local.map((v) => v.name));
  const starts = o.axes.map((a) => startOf(a, vars, names, m, k));
  const strideOver = (axes: readonly number[]) => (name: string) =>
    o.axes.reduce((s, a, i) => s + axes[i]! * a.terms.filter((t) => t.var === name).reduce((c, t) => c + t.coef, 0), 0);
  const here = copy ? null : inPlace(o, vars);
  if (here) {
    const origin = starts.reduce((e, s, i) => add(e, mul(s, here.axes[i]!)), int(here.base));
    return { operand: o, buffer: here.buffer, lo: [], extent: [], stride: strideOver(here.axes), origin, elements: 0 };
  }
  const extents = o.axes.map((a) => extent(a, local));
  const axes = extents.map((_, i) => extents.slice(i + 1).reduce((x, y) => x * y, 1));
  let origin = 0;
  const lo = o.axes.map((a, i) => {
    const below = a.terms.reduce(
      (s, t) => s + Math.min(0, t.coef) * ((local.find((v) => v.name === t.var)?.size ?? 1) - 1),
      0,
    );
    origin -= below * axes[i]!;
    return add(starts[i]!, int(below));
  });
  return {
    operand: o,
    buffer: null,
    lo,
    extent: extents,
    stride: strideOver(axes),
    origin: int(origin),
    elements: extents.reduce((x, y) => x * y, 1),
  };
}
