// Which index expressions are regular over four consecutive values of a variable, so that a vec4 may stand for them.
//
// Contract: the vectorised variable v has been substituted by 4 * u + LANE. An index is regular when it equals
// base + coef * LANE for a constant coef, for every value of the other variables.
import { add, type Cond, div, type Int, int, mul, range, rem, variable } from '../int.ts';

export const LANE = '@lane';
export const laneVar: Int = variable(LANE, 4);

export interface Lanes {
  /** The index at lane 0. */
  readonly base: Int;
  readonly coef: number;
}

const gcd = (a: number, b: number): number => (b === 0 ? Math.abs(a) : gcd(b, a % b));

/** The greatest number known to divide every value of e (0 for the constant 0, which everything divides). */
export function divisor(e: Int): number {
  switch (e.k) {
    case 'const':
      return Math.abs(e.v);
    case 'var':
      return 1;
    case 'add':
      return gcd(divisor(e.a), divisor(e.b));
    case 'mul':
      return divisor(e.a) * Math.abs(e.c);
    case 'div': {
      const d = divisor(e.a);
      return d % e.c === 0 ? d / e.c : 1;
    }
    case 'mod':
      return gcd(divisor(e.a), e.c);
  }
}

export const aligned = (e: Int, n: number): boolean => divisor(e) % n === 0;

/** e as base + coef * LANE, or null where it is not regular. */
export function lanes(e: Int): Lanes | null {
  switch (e.k) {
    case 'const':
      return { base: e, coef: 0 };
    case 'var':
      return e.name === LANE ? { base: int(0), coef: 1 } : { base: e, coef: 0 };
    case 'add': {
      const a = lanes(e.a);
      const b = lanes(e.b);
      return a && b && { base: add(a.base, b.base), coef: a.coef + b.coef };
    }
    case 'mul': {
      const a = lanes(e.a);
      return a && { base: mul(a.base, e.c), coef: a.coef * e.c };
    }
    case 'div':
    case 'mod': {
      const a = lanes(e.a);
      if (!a) return null;
      if (a.coef === 0) return { base: e.k === 'div' ? div(a.base, e.c) : rem(a.base, e.c), coef: 0 };
      // The four values lie in one block of g numbers that starts at a multiple of g, and c is made of whole blocks.
      const g = gcd(divisor(a.base), e.c);
      if (a.coef < 0 || 3 * a.coef >= g) return null;
      return e.k === 'div' ? { base: div(a.base, e.c), coef: 0 } : { base: rem(a.base, e.c), coef: a.coef };
    }
  }
}

/** A condition with one answer for all four lanes, as a condition on lane 0; null where lanes may differ. */
export function uniformCond(c: Cond): Cond | null {
  const l = lanes(c.e);
  if (!l) return null;
  if (l.coef === 0) return { e: l.base, lo: c.lo, hi: c.hi };
  const g = divisor(l.base);
  const span = 3 * l.coef;
  const whole = (edge: number): boolean => g > span && edge % g === 0;
  const [min, max] = range(c.e);
  if (l.coef > 0 && (c.lo <= min || whole(c.lo)) && (max < c.hi || whole(c.hi)))
    return { e: l.base, lo: c.lo, hi: c.hi };
  return null;
}
