// Writes the body of a WGSL function: statements in nested blocks, with values named once and moved out of loops.
//
// Contract:
// - Every WGSL variable that an index uses is declared (`declare`) in the block where it is visible; indices and values
//   are then emitted in the outermost block where all their variables are known (loop-invariant code motion), loads
//   never out of a guarded block (`if`), whose condition makes their address valid.
// - A wide value stands for four consecutive values of the vectorised variable (lanes.ts).
import type { DType } from '../../dsl/types.ts';
import { add, type Cond, div, type Int, int, key, range, sub, variable } from '../int.ts';
import { BlockWriter, type Value } from './blocks.ts';
import { WgslError } from './errors.ts';
import { aligned, LANE, type Lanes, lanes } from './lanes.ts';

export type { Value } from './blocks.ts';

export interface BufferInfo {
  readonly dtype: DType;
  /** Bound as array<vec4<T>> (f16: array<vec2<u32>>): every access is four whole aligned elements. */
  vec4: boolean;
  /** f16 alone: bound as array<atomic<u32>>, since single halves are written, and a word may have two writers. */
  atomic: boolean;
  /** f16 alone: bound as array<f16> or array<vec4<f16>>, which needs the feature shader-f16. */
  readonly native: boolean;
}

export const scalarType = (d: DType): string =>
  d === 'f32' || d === 'i32' || d === 'u32' ? d : d === 'bool' ? 'bool' : 'f32';
/** The type of a value in an expression (bool is WGSL's bool there). */
export const valueType = (d: DType, wide: boolean): string => (wide ? `vec4<${scalarType(d)}>` : scalarType(d));
/** The type of an element in a buffer (bool is stored as u32, two f16 in a u32). */
export const storageType = (d: DType): string => (d === 'bool' || d === 'f16' ? 'u32' : scalarType(d));
/** The type of a binding's array elements. */
export const bindingType = ({ dtype, vec4, atomic, native }: BufferInfo): string => {
  if (native) return vec4 ? 'vec4<f16>' : 'f16';
  if (dtype === 'f16' && vec4) return 'vec2<u32>';
  const t = storageType(dtype);
  return vec4 ? `vec4<${t}>` : atomic ? `atomic<${t}>` : t;
};

export class Writer extends BlockWriter {
  readonly bufs: readonly BufferInfo[];
  /** Names of helper functions that the body calls. */
  readonly helpers: Set<string>;
  usesStep = false;
  private readonly usedOffsets: Set<string>;
  /** Functions that the body calls, whole. */
  readonly functions: string[] = [];
  private readonly outer: Writer | null;
  /** A function's writer: variables of the caller that it uses. */
  private readonly captured = new Set<string>();

  constructor(bufs: readonly BufferInfo[], outer: Writer | null = null) {
    super();
    this.bufs = bufs;
    this.outer = outer;
    this.helpers = outer?.helpers ?? new Set<string>();
    this.usedOffsets = outer?.usedOffsets ?? new Set<string>();
  }

  /**
   * A function of index parameters with an f32 result, for values that the text would otherwise repeat; `body` gives the
   * result's code. Variables of the caller that it uses become parameters too. Returns what writes a call.
   */
  routine(
    name: string,
    params: readonly (readonly [name: string, size: number])[],
    body: (w: Writer, params: readonly Int[]) => string,
  ): (args: readonly string[]) => string {
    const w = new Writer(this.bufs, this);
    const result = body(
      w,
      params.map(([p, size]) => w.declare(p, size)),
    );
    this.usesStep ||= w.usesStep;
    const captured = [...w.captured].sort();
    const head = [...params.map(([p]) => p), ...captured].map((p) => `${p}: i32`).join(', ');
    const lines = w.text();
    this.functions.push(`fn ${name}(${head}) -> f32 {\n${lines}${lines ? '\n' : ''}  return ${result};\n}`);
    return (args) => `${name}(${[...args, ...captured].join(', ')})`;
  }

  // Indices ------------------------------------------------------------------------------------------------------------

  depthOf(e: Int): number {
    switch (e.k) {
      case 'const':
        return 0;
      case 'var': {
        const d = this.depths.get(e.name);
        if (d === undefined && this.outer?.depths.has(e.name)) return 0;
        if (d === undefined) throw new WgslError('wgsl-internal', `index variable ${e.name} is not declared`);
        return d;
      }
      case 'add':
        return Math.max(this.depthOf(e.a), this.depthOf(e.b));
      default:
        return this.depthOf(e.a);
    }
  }

  /** An i32 expression for e; parts that do not change in the current loops are named outside them. */
  int(e: Int): string {
    switch (e.k) {
      case 'const':
        return e.v < 0 ? `(${e.v})` : `${e.v}`;
      case 'var':
        if (!this.depths.has(e.name) && this.outer?.depths.has(e.name)) this.captured.add(e.name);
        return e.name;
      case 'mul':
        return `${this.named(e.a)} * ${e.c < 0 ? `(${e.c})` : e.c}`;
      case 'add':
        return this.sum(e);
      default:
        return this.named(e);
    }
  }

  /** The same as a name or a literal. */
  named(e: Int): string {
    if (e.k === 'const' || e.k === 'var') return this.int(e);
    const id = `i:${key(e)}`;
    const known = this.cached(id);
    if (known) return known as string;
    return this.at(Math.min(this.depthOf(e), this.depth), () => {
      const code = e.k === 'div' || e.k === 'mod' ? this.quotient(e) : this.int(e);
      if (/^\w+$/.test(code)) return code;
      const name = this.let('j', code);
      this.remember(id, name);
      return name;
    });
  }

  private quotient(e: Extract<Int, { k: 'div' | 'mod' }>): string {
    const [lo] = range(e.a);
    const a = this.named(e.a);
    const c = e.c;
    // Of a number moved into the non-negative range: WGSL's division truncates towards zero. Powers of two are written alike,
    // so that kernels share their text (merge.ts); a driver makes shifts of them.
    const up = lo < 0 ? Math.ceil(-lo / c) : 0;
    const from = up ? `${a} + ${up * c}` : a;
    const helper = e.k === 'mod' ? 'rem' : 'quo';
    this.helpers.add(helper);
    const code = `${helper}(${from}, ${c})`;
    return up && e.k === 'div' ? `${code} - ${up}` : code;
  }

  private sum(e: Int): string {
    const terms: Int[] = [];
    const visit = (t: Int): void => {
      if (t.k === 'add') {
        visit(t.a);
        visit(t.b);
      } else terms.push(t);
    };
    visit(e);
    const byDepth = new Map<number, Int[]>();
    let constant = 0;
    for (const t of terms) {
      if (t.k === 'const') constant += t.v;
      else {
        const d = this.depthOf(t);
        byDepth.set(d, [...(byDepth.get(d) ?? []), t]);
      }
    }
    const depths = [...byDepth.keys()].sort((a, b) => a - b);
    let partial = '';
    for (const [n, d] of depths.entries()) {
      const last = n === depths.length - 1;
      const group = byDepth.get(d)!.reduce((a, b) => add(a, b), int(0));
      const whole = this.at(Math.min(d, this.depth), () => {
        const negated = group.k === 'mul' && group.c === -1 ? group.a : null;
        const parts = this.flat(group);
        const code = !partial ? parts : negated ? `${partial} - ${this.named(negated)}` : `${partial} + ${parts}`;
        if (last || /^\w+$/.test(code)) return code;
        const id = `s:${code}`;
        const known = this.cached(id);
        if (known) return known as string;
        const name = this.let('j', code);
        this.remember(id, name);
        return name;
      });
      partial = whole;
    }
    if (constant > 0) return `${partial} + ${constant}`;
    return constant < 0 ? `${partial} - ${-constant}` : partial;
  }

  private flat(e: Int): string {
    if (e.k !== 'add') return this.int(e);
    const b = e.b;
    if (b.k === 'mul' && b.c === -1) return `${this.flat(e.a)} - ${this.named(b.a)}`;
    return `${this.flat(e.a)} + ${this.int(b)}`;
  }

  /** A bool expression for all of the conditions, each named where it is invariant. */
  conds(list: readonly Cond[]): { code: string; depth: number } {
    let depth = 0;
    const parts = list.map((c) => {
      const d = Math.min(this.depthOf(c.e), this.depth);
      depth = Math.max(depth, d);
      return this.at(d, () => {
        const [lo, hi] = range(c.e);
        const id = `c:${c.lo}<=${key(c.e)}<${c.hi}`;
        const known = this.cached(id);
        if (known) return known as string;
        const e = this.named(c.e);
        const tests = [...(lo < c.lo ? [`${e} >= ${c.lo}`] : []), ...(hi >= c.hi ? [`${e} < ${c.hi}`] : [])];
        if (tests.length === 0) return 'true';
        const name = this.let('in', tests.join(' && '));
        this.remember(id, name);
        return name;
      });
    });
    const open = [...new Set(parts.filter((p) => p !== 'true'))];
    if (open.length < 2) return { code: open[0] ?? 'true', depth };
    const all = open.join(' && ');
    const code = this.at(depth, () => {
      const known = this.cached(`a:${all}`);
      if (known) return known as string;
      const name = this.let('in', all);
      this.remember(`a:${all}`, name);
      return name;
    });
    return { code, depth };
  }

  // Buffers ------------------------------------------------------------------------------------------------------------

  /** The window offset of binding `buf`, in the units of its element type. */
  private offset(buf: number): Int {
    const name = `o${buf}`;
    this.usedOffsets.add(name);
    (this.outer ?? this).depths.set(name, 0);
    return variable(name, 2 ** 31);
  }

  /** Declarations of the window offsets in use, for the head of the function. */
  offsets(): string[] {
    return this.bufs.flatMap((b, i) => {
      if (!this.usedOffsets.has(`o${i}`)) return [];
      const word = 2 + i;
      const at = `params[${word >> 2}].${'xyzw'[word & 3]}`;
      return [`let o${i} = i32(${at})${b.vec4 ? ' >> 2u' : ''};`];
    });
  }

  /** b[index + at.code * at.stride] (`at`: a gather, alike in all lanes). */
  load(buf: number, index: Int, at: { readonly code: string; readonly stride: number } | null = null): Value {
    const info = this.bufs[buf]!;
    const l = lanes(index);
    if (!l) throw new WgslError('wgsl-internal', `irregular access of buffer ${buf}: ${key(index)}`);
    const wide = l.coef !== 0;
    const half = info.dtype === 'f16';
    if (half && info.atomic) throw new WgslError('wgsl-internal', `f16 buffer ${buf} is written by halves and read`);
    const place = (e: Int, stride: number): string => {
      const code = this.int(sub(e, this.offset(buf)));
      return at ? `${code} + ${at.code}${stride === 1 ? '' : ` * ${stride}`}` : code;
    };
    const element = (e: Int, stride: number): string => {
      const code = place(e, stride);
      if (!half || info.vec4) return `b${buf}[${code}]`;
      if (info.native) return `f32(b${buf}[${code}])`;
      const i = /^\w+$/.test(code) ? code : this.let('h', code);
      this.helpers.add('half_f32');
      return `half_f32(b${buf}[${i} >> 1u], ${i})`;
    };
    if (l.coef === 1 && aligned(l.base, 4) && info.vec4 && (at?.stride ?? 0) % 4 === 0) {
      return this.fetched(buf, element(div(l.base, 4), (at?.stride ?? 0) / 4), true);
    }
    info.vec4 = false;
    const one = (lane: number): string => element(add(l.base, int(l.coef * lane)), at?.stride ?? 0);
    if (!wide) return this.fetched(buf, one(0), false);
    const type = half ? 'f32' : storageType(info.dtype);
    return this.fetched(buf, `vec4<${type}>(${[0, 1, 2, 3].map(one).join(', ')})`, true);
  }

  private fetched(buf: number, code: string, wide: boolean): Value {
    const { dtype } = this.bufs[buf]!;
    if (dtype === 'bool') return { code: `${code} != ${wide ? 'vec4<u32>(0u)' : '0u'}`, wide, dtype };
    if (dtype === 'f16' && wide && this.bufs[buf]!.vec4) {
      if (this.bufs[buf]!.native) return { code: `vec4<f32>(${code})`, wide, dtype };
      this.helpers.add('half_vec4');
      return { code: `half_vec4(${code})`, wide, dtype };
    }
    return { code, wide, dtype };
  }

  /** b[index] = value. A wide store takes an index over LANE with coefficient 1. */
  store(buf: number, index: Int, v: Value): void {
    const info = this.bufs[buf]!;
    const l = lanes(index);
    if (!l) throw new WgslError('wgsl-internal', `irregular store to buffer ${buf}: ${key(index)}`);
    let code = v.code;
    if (info.dtype === 'bool') {
      code = v.wide ? `select(vec4<u32>(0u), vec4<u32>(1u), ${code})` : `select(0u, 1u, ${code})`;
    }
    if (info.dtype === 'f16') {
      this.storeHalves(buf, l, v);
      return;
    }
    if (l.coef === 0) {
      info.vec4 = false;
      this.line(`b${buf}[${this.int(sub(l.base, this.offset(buf)))}] = ${code};`);
      return;
    }
    if (!v.wide) code = `vec4<${storageType(info.dtype)}>(${code})`;
    if (l.coef === 1 && aligned(l.base, 4) && info.vec4) {
      this.line(`b${buf}[${this.int(sub(div(l.base, 4), this.offset(buf)))}] = ${code};`);
      return;
    }
    info.vec4 = false;
    const name = this.let('v', code);
    for (let lane = 0; lane < 4; lane++) {
      const at = this.int(sub(add(l.base, int(l.coef * lane)), this.offset(buf)));
      this.line(`b${buf}[${at}] = ${name}.${'xyzw'[lane]};`);
    }
  }

  /** f16: four halves are two words. A single half that is not bound as f16 shares its word with another thread's: its bits
   *  are cleared and set by atomics, which touch no other bits, so that the order does not matter. Halves are made by integers
   *  either way, so that the bits are the same: how f16() rounds is a driver's choice. */
  private storeHalves(buf: number, l: Lanes, v: Value): void {
    const info = this.bufs[buf]!;
    const t = v.wide ? 'vec4' : 'f32';
    this.helpers.add(`half_bits_${t}`);
    const bits = this.let('h', `half_bits_${t}(${v.code})`);
    const lane = (n: number): string => (v.wide ? `${bits}.${'xyzw'[n]}` : bits);
    if (l.coef === 1 && aligned(l.base, 4) && info.vec4) {
      const words = [0, 2].map((n) => `${lane(n)} | (${lane(n + 1)} << 16u)`).join(', ');
      const four = info.native ? `bitcast<vec4<f16>>(vec2<u32>(${words}))` : `vec2<u32>(${words})`;
      this.line(`b${buf}[${this.int(sub(div(l.base, 4), this.offset(buf)))}] = ${four};`);
      return;
    }
    info.vec4 = false;
    info.atomic = !info.native;
    for (let n = 0; n < (l.coef === 0 ? 1 : 4); n++) {
      const place = this.int(sub(add(l.base, int(l.coef * n)), this.offset(buf)));
      if (info.native) {
        this.line(`b${buf}[${place}] = bitcast<vec2<f16>>(${lane(n)}).x;`);
        continue;
      }
      const at = this.let('h', place);
      const shift = this.let('h', `u32(${at} & 1) << 4u`);
      this.line(`atomicAnd(&b${buf}[${at} >> 1u], ~(0xffffu << ${shift}));`);
      this.line(`atomicOr(&b${buf}[${at} >> 1u], ${lane(n)} << ${shift});`);
    }
  }

  /** A wide use of the variable LANE itself: its values. */
  laneValues(e: Int): Value {
    const l = lanes(e);
    if (!l) throw new WgslError('wgsl-internal', `irregular index value ${key(e)}`);
    if (l.coef === 0) return { code: this.named(l.base), wide: false, dtype: 'i32' };
    const steps =
      l.coef === 1 ? 'vec4<i32>(0, 1, 2, 3)' : `vec4<i32>(${[0, 1, 2, 3].map((x) => x * l.coef).join(', ')})`;
    return { code: `(${this.named(l.base)} + ${steps})`, wide: true, dtype: 'i32' };
  }
}

export const usesLane = (e: Int): boolean =>
  e.k === 'var'
    ? e.name === LANE
    : e.k === 'const'
      ? false
      : e.k === 'add'
        ? usesLane(e.a) || usesLane(e.b)
        : usesLane(e.a);
