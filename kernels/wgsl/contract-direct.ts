// Direct convolution for a few input channels: a register tile along the innermost window axis.
//
// An invocation computes R neighbouring outputs along w for a few columns. For each step of the other sum variables (taps
// along d and h, channels) the inputs that those outputs see, stride * (R - 1) + taps of them, are loaded once and meet every
// tap along w: where an implicit matrix product loads an input, and decodes its coordinates, once per tap.
//
// Two variants. `direct8`, one subgroup of 8: lanes hold columns, and load the inputs across the lanes to broadcast them.
// `default`: WebGPU's defaults alone; an invocation holds a vec4 of columns, neighbours hold neighbouring columns. It pays where
// neighbouring outputs share inputs (contract.ts).
import { type Expr, exprKey, walk } from '../expr.ts';
import { add, type Int, int, mul, unlinear } from '../int.ts';
import type { WgslVariant } from '../targets.ts';
import { CHAIN, type ContractPlan, coordinates, type Env, element, elementLoads, outputs } from './contract-plan.ts';
import { LEFT_COST, MAX_STATIC_LOADS, maxAccumulators, RIGHT_COST, STEP_COST } from './contract-subgroup.ts';
import { canWiden, ExpressionPrinter } from './expression.ts';
import { LaneSums } from './lane-sums.ts';
import { lanes, laneVar } from './lanes.ts';
import { buildVariant, type EmitOptions } from './module.ts';
import type { Writer } from './writer.ts';

/** Channels up to which the taps along w, not the channels, are what a tile shares. */
const MAX_CHANNELS = 4;
const THREADS = 64;

export interface DirectPlan {
  readonly plan: ContractPlan;
  /** The row variable of the window, innermost of the rows, and its size. */
  readonly w: string;
  readonly width: number;
  /** The taps' variable, and how they and the outputs move along the input. */
  readonly tap: string;
  readonly taps: number;
  readonly stride: number;
  readonly direction: 1 | -1;
  /** Whether neighbouring outputs see common inputs. */
  readonly shared: boolean;
  /** The other sum loops, outermost first. */
  readonly loops: readonly { readonly name: string; readonly size: number }[];
  /** Rows over w in a slab's index of the outermost axis. */
  readonly lines: number;
}

/** What the schedule needs to know; null where it does not apply. */
export function planDirect(plan: ContractPlan): DirectPlan | null {
  const { kernel, left, right } = plan;
  const last = plan.vars.rows.filter((v) => v.size > 1).at(-1);
  if (!last || plan.size.batch !== 1 || plan.cut?.role !== 'rows' || plan.cut.inner % last.size !== 0) return null;
  // Slabs cut an axis outside w, and w is the innermost row.
  if (plan.vars.rows.at(-1)!.name !== last.name || plan.cut.inner < last.size) return null;
  const over = left.axes.filter((a) => a.terms.some((t) => t.var === last.name));
  const axis = over[0];
  if (over.length !== 1 || axis!.terms.length !== 2) return null;
  const row = axis!.terms.find((t) => t.var === last.name)!;
  const tap = axis!.terms.find((t) => t.var !== last.name)!;
  if (row.coef < 1 || Math.abs(tap.coef) !== 1 || !plan.k.some((v) => v.name === tap.var)) return null;
  if (left.axes.some((a) => a !== axis && a.terms.some((t) => t.var === tap.var))) return null;
  // Channels: sum variables that move no window.
  const windows = left.axes.filter((a) => a.terms.length > 1).flatMap((a) => a.terms.map((t) => t.var));
  const channels = plan.k.filter((v) => !windows.includes(v.name)).reduce((n, v) => n * v.size, 1);
  if (channels > MAX_CHANNELS) return null;
  if (loadsOf(right.value) !== 1 || right.axes.some((a) => a.terms.length > 1)) return null;
  const taps = kernel.vars.get(tap.var)!;
  const d: DirectPlan = {
    plan,
    w: last.name,
    width: last.size,
    tap: tap.var,
    taps,
    stride: row.coef,
    direction: tap.coef as 1 | -1,
    shared: row.coef < taps,
    loops: plan.k.filter((v) => v.name !== tap.var),
    lines: plan.cut.inner / last.size,
  };
  if (taps > CHAIN || 8 * loadsOf(left.value) + taps > MAX_STATIC_LOADS) return null;
  return d;
}

/** Loads in e that differ: equal ones are written once. */
function loadsOf(e: Expr): number {
  const found = new Set<string>();
  walk(e, (x) => {
    if (x.k === 'load') found.add(exprKey(x));
  });
  return found.size;
}

/** Inputs that R neighbouring outputs see. */
const span = (d: DirectPlan, r: number): number => d.stride * (r - 1) + d.taps;

/** Place of tap k for output r among them. */
const place = (d: DirectPlan, r: number, k: number): number => d.stride * r + (d.direction === 1 ? k : d.taps - 1 - k);

/** The sum variable's value at which output 0 sees input `at` of the span. */
const tapAt = (d: DirectPlan, at: Int): Int => (d.direction === 1 ? at : add(mul(at, -1), int(d.taps - 1)));

/** The sum's loops, with chains of at most CHAIN terms: the outer loops stand outside. */
function sums(w: Writer, d: DirectPlan, chain: { begin(): void; step(env: Env): void; end(): void }): void {
  let inner = d.loops.length;
  let terms = d.taps;
  while (inner > 0 && terms * d.loops[inner - 1]!.size <= CHAIN) terms *= d.loops[--inner]!.size;
  const nest = (n: number, env: Env): void => {
    const body = (e: Env): void => {
      if (n + 1 === inner || (n === -1 && inner === 0)) chain.begin();
      if (n + 1 === d.loops.length) chain.step(e);
      else nest(n + 1, e);
      if (n + 1 === inner || (n === -1 && inner === 0)) chain.end();
    };
    if (n < 0) w.block('', () => body(env));
    else w.loop('k', d.loops[n]!.size, (i) => body(new Map([...env, [d.loops[n]!.name, i]])));
  };
  nest(-1, new Map());
}

/** Row coordinates of line `line`, at `w`. */
function rowAt(d: DirectPlan, line: Int, w: Int): [string, Int][] {
  const outer = d.plan.vars.rows.slice(0, -1);
  const coords = unlinear(
    line,
    outer.map((v) => v.size),
  );
  return [...outer.map((v, i): [string, Int] => [v.name, coords[i]!]), [d.w, w]];
}

const totalLines = (d: DirectPlan): number => d.plan.size.rows / d.width;

// One subgroup -------------------------------------------------------------------------------------------------------

/** Outputs along w and columns of a lane. Costs as in contract-subgroup.ts. */
export interface DirectBlocking {
  readonly r: number;
  readonly cn: number;
}

function chooseBlocking(d: DirectPlan, s: number): DirectBlocking {
  const left = loadsOf(d.plan.left.value);
  const epilogue = elementLoads(d.plan);
  const most = maxAccumulators(d.plan.kernel.flops);
  let best: DirectBlocking = { r: 1, cn: 1 };
  let least = Infinity;
  for (let r = 1; r <= 16; r++) {
    for (const cn of [1, 2, 3, 4, 6]) {
      const inputs = left * Math.ceil(span(d, r) / s);
      const weights = d.taps * cn;
      const sums = r * cn;
      if (r + cn > 2 && (sums > most || inputs + weights + epilogue * sums > MAX_STATIC_LOADS)) continue;
      const tiles = Math.ceil(d.width / r) * Math.ceil(d.plan.size.columns / (s * cn));
      const cost = tiles * (d.taps * sums + span(d, r) + LEFT_COST * inputs + RIGHT_COST * weights + STEP_COST);
      if (cost < least) {
        least = cost;
        best = { r, cn };
      }
    }
  }
  return best;
}

export function directSubgroup(
  d: DirectPlan,
  options: EmitOptions,
  s: number,
  { r, cn } = chooseBlocking(d, s),
): { variant: WgslVariant; usesStep: boolean } {
  const { plan } = d;
  const tiles = Math.ceil(d.width / r);
  const columns = plan.size.columns;
  const blocks = Math.ceil(columns / (s * cn));
  return buildVariant(plan.kernel, options, {
    id: `direct${s}`,
    workgroup: s,
    features: ['subgroups'],
    subgroupSize: s,
    groups: (count) => count * d.lines * tiles * blocks,
    body: (w) => {
      const printer = new ExpressionPrinter(w);
      w.line(`if (group >= count * ${d.lines * tiles * blocks}) { return; }`);
      w.line('let l = i32(lane);');
      const l = w.declare('l', s);
      w.line(`let line = first * ${d.lines} + group / ${tiles * blocks};`);
      w.line(`let tile = (group / ${blocks}) % ${tiles};`);
      w.line(`let block = group % ${blocks};`);
      const line = w.declare('line', totalLines(d));
      const w0 = mul(tiles > 1 ? w.declare('tile', tiles) : int(0), r);
      const block = blocks > 1 ? w.declare('block', blocks) : int(0);
      const own = Array.from({ length: cn }, (_, i) => {
        const at = add(mul(block, s * cn), add(l, int(i * s)));
        if (columns % (s * cn) === 0) return { at, inside: null };
        const name = w.fresh('n');
        w.line(`let ${name} = min(${w.int(at)}, ${columns - 1});`);
        return { at: w.declare(name, columns), inside: `${w.int(at)} < ${columns}` };
      });
      const acc = new LaneSums(w, r, cn);
      const groups = Math.ceil(span(d, r) / s);
      sums(w, d, {
        begin: () => acc.begin(),
        end: () => acc.end(),
        step: (at) => {
          const env = new Map([...at, ...rowAt(d, line, w0)]);
          const loaded = Array.from({ length: groups }, (_, g) => {
            const value = element(plan.left, new Map([...env, [d.tap, tapAt(d, add(l, int(g * s)))]]));
            return printer.printNamed(value).code;
          });
          const packed = Array.from({ length: d.taps }, (_, k) =>
            acc.pack(
              own.map((c) => {
                const e = new Map([...at, [d.tap, int(k)] as const, ...coordinates(plan, 'columns', c.at)]);
                return printer.printNamed(element(plan.right, e)).code;
              }),
            ),
          );
          // Input by input, so that few broadcast values live at once.
          for (let p = 0; p < span(d, r); p++) {
            let x: string | null = null;
            for (let n = 0; n < r; n++)
              for (let k = 0; k < d.taps; k++) {
                if (place(d, n, k) !== p) continue;
                x ??= w.let('x', `subgroupBroadcast(${loaded[Math.floor(p / s)]}, ${p % s}u)`);
                acc.multiplyAdd(n, x, packed[k]!);
              }
          }
        },
      });
      w.loop('r', r, (n) => {
        const at = tiles * r === d.width ? add(w0, n) : held(w, add(w0, n), d.width);
        const stores = own.map((c, j) => {
          printer.acc = acc.at(n, j);
          const o = outputs(plan, new Map([...rowAt(d, line, at), ...coordinates(plan, 'columns', c.at)]));
          return { ...o, values: o.values.map((v) => printer.print(v)), inside: c.inside };
        });
        const write = (): void => {
          for (const o of stores) {
            const put = (): void => {
              for (const [i, st] of plan.kernel.stores.entries()) w.store(st.buf, o.at, o.values[i]!);
            };
            if (o.inside) w.block(`if (${o.inside})`, put, true);
            else put();
          }
        };
        if (tiles * r === d.width) write();
        else w.block(`if (${w.int(add(w0, n))} < ${d.width})`, write, true);
      });
    },
  });
}

/** An index held below `size`, so that loads at it are valid. */
function held(w: Writer, at: Int, size: number): Int {
  const name = w.fresh('m');
  w.line(`let ${name} = min(${w.int(at)}, ${size - 1});`);
  return w.declare(name, size);
}

// WebGPU's defaults ----------------------------------------------------------------------------------------------------

export function directDefault(d: DirectPlan, options: EmitOptions): { variant: WgslVariant; usesStep: boolean } {
  const { plan } = d;
  const columns = plan.size.columns;
  const wide = columns % 4 === 0 && canBeWide(d);
  const units = wide ? columns / 4 : columns;
  const r = chooseRows(d, wide ? 4 : 1);
  const tiles = Math.ceil(d.width / r);
  return buildVariant(plan.kernel, options, {
    id: 'default',
    workgroup: THREADS,
    groups: (count) => Math.ceil((count * d.lines * tiles * units) / THREADS),
    body: (w) => {
      const printer = new ExpressionPrinter(w);
      w.line(`let unit = group * ${THREADS} + i32(local);`);
      w.line(`if (unit >= count * ${d.lines * tiles * units}) { return; }`);
      w.line(`let line = first * ${d.lines} + unit / ${tiles * units};`);
      w.line(`let tile = (unit / ${units}) % ${tiles};`);
      w.line(`let column = unit % ${units};`);
      const line = w.declare('line', totalLines(d));
      const w0 = mul(tiles > 1 ? w.declare('tile', tiles) : int(0), r);
      const column = units > 1 ? w.declare('column', units) : int(0);
      const own = wide ? add(mul(column, 4), laneVar) : column;
      const type = wide ? 'vec4<f32>' : 'f32';
      const each = Array.from({ length: r }, (_, n) => n);
      w.line(`var sum: array<${type}, ${r}>;`);
      sums(w, d, {
        begin: () => w.line(each.map((n) => `var a${n} = ${type}();`).join(' ')),
        end: () => w.line(each.map((n) => `sum[${n}] += a${n};`).join(' ')),
        step: (at) => {
          const env = new Map([...at, ...rowAt(d, line, w0)]);
          const right = Array.from({ length: d.taps }, (_, k) => {
            const e = new Map([...at, [d.tap, int(k)] as const, ...coordinates(plan, 'columns', own)]);
            return printer.printNamed(element(plan.right, e), wide).code;
          });
          for (let p = 0; p < span(d, r); p++) {
            let x: string | null = null;
            for (const n of each)
              for (let k = 0; k < d.taps; k++) {
                if (place(d, n, k) !== p) continue;
                x ??= printer.printNamed(element(plan.left, new Map([...env, [d.tap, tapAt(d, int(p))]]))).code;
                w.line(`a${n} = fma(${wide ? `vec4<f32>(${x})` : x}, ${right[k]}, a${n});`);
              }
          }
        },
      });
      // A fixed count: GPU drivers unroll it, and the sums stay in registers.
      w.block(`for (var r = 0; r < ${r}; r += 1)`, () => {
        const n = r > 1 ? w.declare('r', r) : int(0);
        const whole = tiles * r === d.width;
        const at = whole ? add(w0, n) : held(w, add(w0, n), d.width);
        const o = outputs(plan, new Map([...rowAt(d, line, at), ...coordinates(plan, 'columns', own)]));
        printer.acc = { code: `sum[${w.int(n)}]`, wide, dtype: 'f32' };
        const values = o.values.map((v) => printer.printNamed(v, wide));
        const put = (): void => {
          for (const [i, st] of plan.kernel.stores.entries()) w.store(st.buf, o.at, values[i]!);
        };
        if (whole) put();
        else w.block(`if (${w.int(add(w0, n))} < ${d.width})`, put, true);
      });
    },
  });
}

/** Whether weights and outputs of four neighbouring columns are vectors. */
function canBeWide(d: DirectPlan): boolean {
  const { plan } = d;
  const probe = (name: string, size: number): Int => ({ k: 'var', name, size: Math.max(2, size) });
  const own = add(mul(probe('column', plan.size.columns / 4), 4), laneVar);
  const columns = coordinates(plan, 'columns', own);
  const env = new Map<string, Int>([...plan.k.map((v): [string, Int] => [v.name, probe(v.name, v.size)]), ...columns]);
  const o = outputs(plan, new Map([...rowAt(d, probe('line', totalLines(d)), probe('w', d.width)), ...columns]));
  return canWiden(element(plan.right, env)) && lanes(o.at)?.coef === 1 && o.values.every(canWiden);
}

/** Outputs of an invocation: of 4, 6 and 8 what wastes least, the most of those; fewer where loads would be many. */
function chooseRows(d: DirectPlan, width: number): number {
  const left = loadsOf(d.plan.left.value);
  const fits = [8, 6, 4, 3, 2, 1].filter((r) => left * span(d, r) + width * d.taps <= MAX_STATIC_LOADS);
  const waste = (r: number): number => Math.ceil(d.width / r) * r;
  return fits.filter((r) => r >= Math.min(4, fits[0] ?? 1)).sort((a, b) => waste(a) - waste(b) || b - a)[0] ?? 1;
}
