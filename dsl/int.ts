// Index arithmetic: integer expressions over loop variables, with the simplification that turns
// chains of views into short addresses. Division and remainder are by positive constants and floor.
// Contract: expressions are immutable; every constructor simplifies using the variables' ranges.

export type Int =
  | { readonly k: 'const'; readonly v: number }
  | { readonly k: 'var'; readonly name: string; readonly size: number }
  | { readonly k: 'add'; readonly a: Int; readonly b: Int }
  | { readonly k: 'mul'; readonly a: Int; readonly c: number }
  | { readonly k: 'div'; readonly a: Int; readonly c: number }
  | { readonly k: 'mod'; readonly a: Int; readonly c: number };

/** lo <= e < hi */
export interface Cond {
  readonly e: Int;
  readonly lo: number;
  readonly hi: number;
}

export const int = (v: number): Int => ({ k: 'const', v });
/** A loop variable with values 0 … size-1. A size of 1 is the constant 0. */
export const variable = (name: string, size: number): Int => (size === 1 ? int(0) : { k: 'var', name, size });

/** [min, max], both inclusive; `ranges` narrows variables (to a slab, say). */
export function range(e: Int, ranges?: ReadonlyMap<string, readonly [number, number]>): [number, number] {
  switch (e.k) {
    case 'const':
      return [e.v, e.v];
    case 'var': {
      const r = ranges?.get(e.name);
      return r ? [r[0], r[1]] : [0, e.size - 1];
    }
    case 'add': {
      const [a0, a1] = range(e.a, ranges);
      const [b0, b1] = range(e.b, ranges);
      return [a0 + b0, a1 + b1];
    }
    case 'mul': {
      const [a0, a1] = range(e.a, ranges);
      return e.c >= 0 ? [a0 * e.c, a1 * e.c] : [a1 * e.c, a0 * e.c];
    }
    case 'div': {
      const [a0, a1] = range(e.a, ranges);
      return [Math.floor(a0 / e.c), Math.floor(a1 / e.c)];
    }
    case 'mod': {
      const [a0, a1] = range(e.a, ranges);
      if (Math.floor(a0 / e.c) === Math.floor(a1 / e.c)) return [mod(a0, e.c), mod(a1, e.c)];
      return [0, e.c - 1];
    }
  }
}

const mod = (a: number, c: number): number => ((a % c) + c) % c;

export function add(a: Int, b: Int): Int {
  const terms = new Map<string, { e: Int; c: number }>();
  let k = 0;
  const visit = (e: Int, c: number): void => {
    if (e.k === 'const') k += e.v * c;
    else if (e.k === 'add') {
      visit(e.a, c);
      visit(e.b, c);
    } else if (e.k === 'mul') visit(e.a, c * e.c);
    else {
      const id = key(e);
      const t = terms.get(id);
      if (t) t.c += c;
      else terms.set(id, { e, c });
    }
  };
  visit(a, 1);
  visit(b, 1);
  // (x / c) * c + (x % c) is x
  for (const [id, t] of terms) {
    if (t.e.k !== 'mod' || t.c === 0) continue;
    const { a: x, c } = t.e;
    const d = div(x, c);
    const td = terms.get(key(d));
    if (td && td !== t && d.k === 'div' && td.c === t.c * c) {
      terms.delete(id);
      terms.delete(key(d));
      return add(
        sum(
          [...terms.values()].map((u) => mul(u.e, u.c)),
          k,
        ),
        mul(x, t.c),
      );
    }
  }
  const list = [...terms.values()].filter((t) => t.c !== 0).map((t) => mulRaw(t.e, t.c));
  return sum(list, k);
}

function sum(list: Int[], k: number): Int {
  let r: Int | null = null;
  for (const t of list) r = r ? { k: 'add', a: r, b: t } : t;
  if (!r) return int(k);
  return k === 0 ? r : { k: 'add', a: r, b: int(k) };
}

const mulRaw = (a: Int, c: number): Int => (c === 1 ? a : { k: 'mul', a, c });

export function mul(a: Int, c: number): Int {
  if (c === 0) return int(0);
  if (c === 1) return a;
  if (a.k === 'const') return int(a.v * c);
  if (a.k === 'mul') return mul(a.a, a.c * c);
  if (a.k === 'add') return add(mul(a.a, c), mul(a.b, c));
  return { k: 'mul', a, c };
}

export const sub = (a: Int, b: Int): Int => add(a, mul(b, -1));

/** Splits e into the part divisible by c and the rest, when the terms allow it. */
function splitBy(e: Int, c: number): { whole: Int; rest: Int } {
  const whole: Int[] = [];
  const rest: Int[] = [];
  let k = 0;
  const visit = (t: Int): void => {
    if (t.k === 'add') {
      visit(t.a);
      visit(t.b);
    } else if (t.k === 'const') k += t.v;
    else if (t.k === 'mul' && t.c % c === 0) whole.push(mulRaw(t.a, t.c / c));
    else rest.push(t);
  };
  visit(e);
  const kr = mod(k, c);
  return { whole: sum(whole, (k - kr) / c), rest: sum(rest, kr) };
}

/** floor(a / c) */
export function div(a: Int, c: number): Int {
  if (c === 1) return a;
  const [lo, hi] = range(a);
  if (Math.floor(lo / c) === Math.floor(hi / c)) return int(Math.floor(lo / c));
  const { whole, rest } = splitBy(a, c);
  const [r0, r1] = range(rest);
  if (Math.floor(r0 / c) === Math.floor(r1 / c)) return add(whole, int(Math.floor(r0 / c)));
  if (!(whole.k === 'const' && whole.v === 0)) return add(whole, div(rest, c));
  if (rest.k === 'div') return div(rest.a, rest.c * c);
  return { k: 'div', a: rest, c };
}

/** a - c * floor(a / c), always 0 … c-1 */
export function rem(a: Int, c: number): Int {
  if (c === 1) return int(0);
  const { rest } = splitBy(a, c);
  const [r0, r1] = range(rest);
  if (Math.floor(r0 / c) === Math.floor(r1 / c)) return add(rest, int(-c * Math.floor(r0 / c)));
  if (rest.k === 'mod' && rest.c % c === 0) return rem(rest.a, c);
  return { k: 'mod', a: rest, c };
}

export function substitute(e: Int, env: (name: string, size: number) => Int | undefined): Int {
  switch (e.k) {
    case 'const':
      return e;
    case 'var':
      return env(e.name, e.size) ?? e;
    case 'add':
      return add(substitute(e.a, env), substitute(e.b, env));
    case 'mul':
      return mul(substitute(e.a, env), e.c);
    case 'div':
      return div(substitute(e.a, env), e.c);
    case 'mod':
      return rem(substitute(e.a, env), e.c);
  }
}

/** Structural identity. */
export function key(e: Int): string {
  switch (e.k) {
    case 'const':
      return `${e.v}`;
    case 'var':
      return e.name;
    case 'add':
      return `(${key(e.a)}+${key(e.b)})`;
    case 'mul':
      return `${key(e.a)}*${e.c}`;
    case 'div':
      return `${key(e.a)}/${e.c}`;
    case 'mod':
      return `${key(e.a)}%${e.c}`;
  }
}

export function usesVar(e: Int, name: string): boolean {
  switch (e.k) {
    case 'const':
      return false;
    case 'var':
      return e.name === name;
    case 'add':
      return usesVar(e.a, name) || usesVar(e.b, name);
    default:
      return usesVar(e.a, name);
  }
}

/** The constant c with e = c * name + (something without name), or null when e is not affine in name. */
export function coefficient(e: Int, name: string): number | null {
  switch (e.k) {
    case 'const':
      return 0;
    case 'var':
      return e.name === name ? 1 : 0;
    case 'add': {
      const a = coefficient(e.a, name);
      const b = coefficient(e.b, name);
      return a === null || b === null ? null : a + b;
    }
    case 'mul': {
      const a = coefficient(e.a, name);
      return a === null ? null : a * e.c;
    }
    default:
      return usesVar(e.a, name) ? null : 0;
  }
}

/** The condition's truth where the ranges decide it, else null. */
export function decide(c: Cond): boolean | null {
  const [lo, hi] = range(c.e);
  if (lo >= c.lo && hi < c.hi) return true;
  if (hi < c.lo || lo >= c.hi) return false;
  return null;
}

/** Row-major linear offset. */
export function linear(coords: readonly Int[], shape: readonly number[]): Int {
  let e: Int = int(0);
  coords.forEach((c, i) => {
    e = add(mul(e, shape[i]!), c);
  });
  return e;
}

/** Coordinates of a row-major linear offset. */
export function unlinear(e: Int, shape: readonly number[]): Int[] {
  const out: Int[] = [];
  let stride = shape.reduce((n, s) => n * s, 1);
  for (let i = 0; i < shape.length; i++) {
    stride /= shape[i]!;
    out.push(i === 0 ? div(e, stride) : rem(div(e, stride), shape[i]!));
  }
  return out;
}
