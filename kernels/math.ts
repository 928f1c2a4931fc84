// exp, log, tanh, erf, pow in f32: one table of polynomials and one algorithm each, printed by every target, so that
// targets agree to rounding.
//
// Contract: an algorithm is written once over `MathOps`, whose values are whatever the target prints (names of f32, i32
// and bool values, scalar or vector). Errors are at most about 2 ulp (pow: |b log a| · 6e-8 relative). NaN in gives NaN
// out where the target's min and max let NaN pass.
//
// The coefficients are least-squares fits reweighted towards the minimax one, of
//   exp   (e^r - 1 - r) / r²            on |r| <= ln(2)/2        3e-9
//   tanh  (tanh(√z) / √z - 1) / z       on 0 <= z <= 0.65²       6e-9
//   erf   (erf(√z) / √z - 2/√π) / z     on 0 <= z <= 1           1e-9
//   erfc  -log(erfc(x))                 on 0.95 <= x <= 4        below 1e-9 of erf
// log uses the series of 2 atanh(s), whose first omitted term is below 2e-9.

export const COEFFICIENTS = {
  exp: [0.5, 0.16666516661643982, 0.04166620224714279, 0.008369073271751404, 0.001395080704241991],
  tanh: [-0.3333326280117035, 0.1333089917898178, -0.05369296297430992, 0.02048330567777157, -0.005528624635189772],
  erf: [
    -0.3761262893676758, 0.11283617466688156, -0.02685491554439068, 0.0051901619881391525, -0.0008024816052056849,
    7.898686453700066e-5,
  ],
  erfc: [
    -0.00018246057152282447, 1.1295520067214966, 0.6332724094390869, 0.10836155712604523, -0.025171812623739243,
    0.00419085705652833, -0.0004385302891023457, 2.1445597667479888e-5,
  ],
  log: [2 / 3, 2 / 5, 2 / 7, 2 / 9],
} as const;

/** What a target must be able to print. V stands for f32, i32 and bool values alike. */
export interface MathOps<V> {
  /** f32 constant. */
  f(v: number): V;
  /** i32 constant. */
  i(v: number): V;
  inf(): V;
  nan(): V;
  add(a: V, b: V): V;
  sub(a: V, b: V): V;
  mul(a: V, b: V): V;
  div(a: V, b: V): V;
  /** Of these two, b is never NaN. */
  min(a: V, b: V): V;
  max(a: V, b: V): V;
  abs(a: V): V;
  /** Nearest whole number, as f32. */
  nearest(a: V): V;
  /** i32 of a whole f32. */
  toInt(a: V): V;
  /** f32 of an i32. */
  toFloat(a: V): V;
  /** i32 with the bits of an f32, and back. */
  bits(a: V): V;
  fromBits(a: V): V;
  iadd(a: V, b: V): V;
  isub(a: V, b: V): V;
  iand(a: V, b: V): V;
  ior(a: V, b: V): V;
  shl(a: V, n: number): V;
  /** Arithmetic shift right. */
  shr(a: V, n: number): V;
  lt(a: V, b: V): V;
  eq(a: V, b: V): V;
  /** c ? a : b; both are evaluated. */
  select(c: V, a: V, b: V): V;
}

const LN2_HI = 0.693145751953125; // 16 bits: its product with a whole number below 2^8 is exact
const LN2_LO = 1.4286068203094173e-6;

function horner<V>(o: MathOps<V>, x: V, c: readonly number[]): V {
  let r = o.f(c[c.length - 1]!);
  for (let i = c.length - 2; i >= 0; i--) r = o.add(o.mul(r, x), o.f(c[i]!));
  return r;
}

/** x as n ln 2 + r with |r| <= ln(2)/2: the whole number n (an i32) and e^r. */
function reduce<V>(o: MathOps<V>, x: V): { n: V; e: V } {
  const n = o.nearest(o.mul(x, o.f(Math.LOG2E)));
  const r = o.sub(o.sub(x, o.mul(n, o.f(LN2_HI))), o.mul(n, o.f(LN2_LO)));
  const p = horner(o, r, COEFFICIENTS.exp);
  return { n: o.toInt(n), e: o.add(o.add(o.mul(o.mul(r, r), p), r), o.f(1)) };
}

/** 2^n for -126 <= n <= 127. */
const power = <V>(o: MathOps<V>, n: V): V => o.fromBits(o.shl(o.iadd(n, o.i(127)), 23));

/** e^x; 0 below -104, infinity above 88.73; denormal results are kept. */
export function exp<V>(o: MathOps<V>, x: V): V {
  const { n, e } = reduce(o, o.min(o.max(x, o.f(-104)), o.f(89)));
  // 2^n in two factors, since n spans -150 … 128.
  const half = o.shr(n, 1);
  return o.mul(o.mul(e, power(o, half)), power(o, o.isub(n, half)));
}

/** e^x for -87 <= x <= 88 only: fewer steps. */
export function expNear<V>(o: MathOps<V>, x: V): V {
  const { n, e } = reduce(o, x);
  return o.mul(e, power(o, n));
}

/** log x: -infinity at 0, NaN below. */
export function log<V>(o: MathOps<V>, x: V): V {
  const denormal = o.lt(x, o.f(2 ** -126));
  const big = o.bits(o.select(denormal, o.mul(x, o.f(2 ** 23)), x));
  // x = m 2^e with m in [√½, √2)
  const shifted = o.iadd(big, o.i(0x3f800000 - 0x3f3504f3));
  const e = o.sub(o.toFloat(o.isub(o.shr(shifted, 23), o.i(127))), o.select(denormal, o.f(23), o.f(0)));
  const m = o.fromBits(o.iadd(o.iand(shifted, o.i(0x7fffff)), o.i(0x3f3504f3)));
  const f = o.sub(m, o.f(1));
  const s = o.div(f, o.add(f, o.f(2)));
  const z = o.mul(s, s);
  const series = o.mul(z, horner(o, z, COEFFICIENTS.log));
  const half = o.mul(o.mul(f, f), o.f(0.5));
  const small = o.add(o.mul(s, o.add(half, series)), o.mul(e, o.f(LN2_LO)));
  const y = o.add(o.mul(e, o.f(LN2_HI)), o.sub(f, o.sub(half, small)));
  const finite = o.select(o.lt(x, o.inf()), y, x); // infinity and NaN pass
  return o.select(o.lt(x, o.f(0)), o.nan(), o.select(o.eq(x, o.f(0)), o.sub(o.f(0), o.inf()), finite));
}

/** The sign bit of s on the magnitude of x >= 0. */
function withSign<V>(o: MathOps<V>, x: V, s: V): V {
  return o.fromBits(o.ior(o.bits(x), o.iand(o.bits(s), o.i(-0x80000000))));
}

export function tanh<V>(o: MathOps<V>, x: V): V {
  const a = o.abs(x);
  const z = o.mul(x, x);
  const near = o.add(x, o.mul(o.mul(x, z), horner(o, z, COEFFICIENTS.tanh)));
  const bounded = o.min(a, o.f(16)); // 1 to rounding from 9 on
  const e = expNear(o, o.add(bounded, bounded));
  const far = o.sub(o.f(1), o.div(o.f(2), o.add(e, o.f(1))));
  return o.select(o.lt(a, o.f(0.625)), near, withSign(o, far, x));
}

export function erf<V>(o: MathOps<V>, x: V): V {
  const a = o.min(o.abs(x), o.f(4));
  const z = o.mul(a, a);
  const near = o.add(o.mul(x, o.f(2 / Math.sqrt(Math.PI))), o.mul(o.mul(x, z), horner(o, z, COEFFICIENTS.erf)));
  const far = o.sub(o.f(1), expNear(o, o.sub(o.f(0), horner(o, a, COEFFICIENTS.erfc))));
  return o.select(o.lt(a, o.f(0.97)), near, withSign(o, far, x));
}

/** a^b = e^(b log a), NaN for negative a; a^0 = 1. */
export function pow<V>(o: MathOps<V>, a: V, b: V): V {
  return o.select(o.eq(b, o.f(0)), o.f(1), exp(o, o.mul(b, log(o, a))));
}
