// WGSL functions that kernels call: the shared polynomials (kernels/math.ts) for f32 and vec4<f32>, NaN-passing min and
// max, tests on exponent bits, and the counter-based generator.
import { erf, exp, log, type MathOps, pow, tanh } from '../math.ts';

/** An f32 constant. WGSL has no literal for infinities and NaN: those come from functions. */
export function f32Literal(v: number): string {
  if (Number.isNaN(v)) return 'nan_f32()';
  if (v === Infinity) return 'inf_f32()';
  if (v === -Infinity) return '-inf_f32()';
  const s = shortest(Math.fround(v)).replace('e+', 'e');
  const text = /[.e]/.test(s) ? `${s}f` : `${s}.0f`;
  return v < 0 || Object.is(v, -0) ? `(${text})` : text;
}

/** The fewest decimals that name this f32. */
function shortest(v: number): string {
  for (let digits = 1; digits < 9; digits++) {
    const s = String(Number(v.toPrecision(digits)));
    if (Math.fround(Number(s)) === v) return s;
  }
  return String(v);
}

export const i32Literal = (v: number): string => (v === -(2 ** 31) ? 'i32(-2147483648)' : v < 0 ? `(${v})` : `${v}i`);

interface Helper {
  readonly uses: readonly string[];
  readonly code: string;
}

/** The algorithms of math.ts as statements; values are names or short expressions. */
function body(wide: boolean, write: (o: MathOps<string>) => string): string {
  const lines: string[] = [];
  let n = 0;
  const f = wide ? 'vec4<f32>' : 'f32';
  const i = wide ? 'vec4<i32>' : 'i32';
  const def = (code: string): string => {
    const name = `t${n++}`;
    lines.push(`  let ${name} = ${code};`);
    return name;
  };
  const op = (a: string, s: string, b: string): string => def(`${a} ${s} ${b}`);
  const o: MathOps<string> = {
    f: (v) => (wide ? `vec4<f32>(${f32Literal(v)})` : f32Literal(v)),
    i: (v) => (wide ? `vec4<i32>(${i32Literal(v)})` : i32Literal(v)),
    inf: () => `${f}(inf_f32())`,
    nan: () => `${f}(nan_f32())`,
    add: (a, b) => op(a, '+', b),
    sub: (a, b) => op(a, '-', b),
    mul: (a, b) => op(a, '*', b),
    div: (a, b) => op(a, '/', b),
    min: (a, b) => def(`min(${a}, ${b})`),
    max: (a, b) => def(`max(${a}, ${b})`),
    abs: (a) => def(`abs(${a})`),
    nearest: (a) => def(`round(${a})`),
    toInt: (a) => def(`${i}(${a})`),
    toFloat: (a) => def(`${f}(${a})`),
    bits: (a) => def(`bitcast<${i}>(${a})`),
    fromBits: (a) => def(`bitcast<${f}>(${a})`),
    iadd: (a, b) => op(a, '+', b),
    isub: (a, b) => op(a, '-', b),
    iand: (a, b) => op(a, '&', b),
    ior: (a, b) => op(a, '|', b),
    shl: (a, k) => def(`${a} << ${wide ? `vec4<u32>(${k}u)` : `${k}u`}`),
    shr: (a, k) => def(`${a} >> ${wide ? `vec4<u32>(${k}u)` : `${k}u`}`),
    lt: (a, b) => op(a, '<', b),
    eq: (a, b) => op(a, '==', b),
    select: (c, a, b) => def(`select(${b}, ${a}, ${c})`),
  };
  const result = write(o);
  return `${lines.join('\n')}\n  return ${result};`;
}

const suffix = (wide: boolean): string => (wide ? 'vec4' : 'f32');
export const helperName = (op: string, wide: boolean): string => `${op}_${suffix(wide)}`;

function unaryHelper(wide: boolean, f: (o: MathOps<string>, x: string) => string, passNan: boolean) {
  return (name: string): Helper => {
    const t = wide ? 'vec4<f32>' : 'f32';
    const isnan = helperName('isnan', wide);
    // WGSL's min and max may drop a NaN, so it is put back.
    const text = body(wide, (o) => (passNan ? `select(${f(o, 'x')}, x, ${isnan}(x))` : f(o, 'x')));
    return { uses: [isnan, 'inf_f32', 'nan_f32'], code: `fn ${name}(x: ${t}) -> ${t} {\n${text}\n}` };
  };
}

function extremum(wide: boolean, builtin: 'min' | 'max') {
  return (name: string): Helper => {
    const t = wide ? 'vec4<f32>' : 'f32';
    const isnan = helperName('isnan', wide);
    return {
      uses: [isnan],
      code: `fn ${name}(a: ${t}, b: ${t}) -> ${t} {\n  return select(select(${builtin}(a, b), b, ${isnan}(b)), a, ${isnan}(a));\n}`,
    };
  };
}

// Threefry-2x32, 20 rounds (Salmon et al., SC 2011).
function threefry(name: string): Helper {
  const rotations = [13, 15, 26, 6, 17, 29, 16, 24];
  const lines = ['  var x0 = c0 + k0;', '  var x1 = c1 + k1;', '  let k2 = 0x1bd11bdau ^ k0 ^ k1;'];
  const ks = ['k0', 'k1', 'k2'];
  for (let r = 0; r < 20; r++) {
    const s = rotations[r % 8]!;
    lines.push(`  x0 += x1; x1 = ((x1 << ${s}u) | (x1 >> ${32 - s}u)) ^ x0;`);
    if (r % 4 === 3) {
      const i = (r + 1) / 4;
      lines.push(`  x0 += ${ks[i % 3]}; x1 += ${ks[(i + 1) % 3]} + ${i}u;`);
    }
  }
  return {
    uses: [],
    code: `fn ${name}(k0: u32, k1: u32, c0: u32, c1: u32) -> u32 {\n${lines.join('\n')}\n  return x0;\n}`,
  };
}

const BITS = (name: string, wide: boolean, test: string): Helper => {
  const [f, u, b] = wide ? ['vec4<f32>', 'vec4<u32>', 'vec4<bool>'] : ['f32', 'u32', 'bool'];
  return {
    uses: [],
    code: `fn ${name}(x: ${f}) -> ${b} {\n  return ${test.replaceAll('U', u!)};\n}`,
  };
};

const TABLE: Record<string, (name: string) => Helper> = {
  quo: () => ({ uses: [], code: 'fn quo(a: i32, b: i32) -> i32 { return i32(u32(a) / u32(b)); }' }),
  rem: () => ({ uses: [], code: 'fn rem(a: i32, b: i32) -> i32 { return i32(u32(a) % u32(b)); }' }),
  inf_f32: () => ({
    uses: [],
    code: 'fn inf_f32() -> f32 {\n  var bits = 0x7f800000u;\n  return bitcast<f32>(bits);\n}',
  }),
  nan_f32: () => ({
    uses: [],
    code: 'fn nan_f32() -> f32 {\n  var bits = 0x7fc00000u;\n  return bitcast<f32>(bits);\n}',
  }),
  // Probabilities below e^-80 are zero: as denormals they would slow a CPU's arithmetic a hundredfold.
  prob_f32: (name) => ({
    uses: ['exp_f32'],
    code: `fn ${name}(x: f32) -> f32 {\n  let small = x < -80.0f;\n  return select(exp_f32(select(x, -80.0f, small)), 0.0f, small);\n}`,
  }),
  // Element `at` of a pair of halves.
  half_f32: (name) => ({
    uses: [],
    code: `fn ${name}(pair: u32, at: i32) -> f32 {\n  return unpack2x16float(pair >> (u32(at & 1) << 4u)).x;\n}`,
  }),
  half_vec4: (name) => ({
    uses: [],
    code: `fn ${name}(v: vec2<u32>) -> vec4<f32> {\n  return vec4<f32>(unpack2x16float(v.x), unpack2x16float(v.y));\n}`,
  }),
  threefry: (name) => threefry(name),
  uniform_f32: (name) => ({
    uses: ['threefry'],
    code: `fn ${name}(k0: u32, k1: u32, c0: u32, c1: u32) -> f32 {\n  return f32(threefry(k0, k1, c0, c1) >> 8u) * 5.9604644775390625e-8f;\n}`,
  }),
};
for (const wide of [false, true]) {
  const s = (op: string): string => helperName(op, wide);
  TABLE[s('exp')] = unaryHelper(wide, exp, true);
  TABLE[s('log')] = unaryHelper(wide, log, false);
  TABLE[s('tanh')] = unaryHelper(wide, tanh, true);
  TABLE[s('erf')] = unaryHelper(wide, erf, true);
  TABLE[s('min')] = extremum(wide, 'min');
  TABLE[s('max')] = extremum(wide, 'max');
  TABLE[s('isnan')] = (name) => BITS(name, wide, '(bitcast<U>(x) & U(0x7fffffffu)) > U(0x7f800000u)');
  TABLE[s('isfinite')] = (name) => BITS(name, wide, '(bitcast<U>(x) & U(0x7f800000u)) != U(0x7f800000u)');
  // f32 to the bits of an f16, to nearest, ties to even; by integers, since the rounding of pack2x16float is a driver's choice.
  // Below 2^-14 adding 0.5 leaves the half's bits at the end of the sum's.
  TABLE[s('half_bits')] = (name) => {
    const [f, u] = wide ? ['vec4<f32>', 'vec4<u32>'] : ['f32', 'u32'];
    const c = (v: string): string => (wide ? `${u}(${v})` : v);
    const lines = [
      `let bits = bitcast<${u}>(x);`,
      `let a = min(bits & ${c('0x7fffffffu')}, ${c('0x47800000u')});`,
      `let tiny = bitcast<${u}>(bitcast<${f}>(a) + ${wide ? `${f}(0.5f)` : '0.5f'}) - ${c('0x3f000000u')};`,
      `let odd = (a >> ${c('13u')}) & ${c('1u')};`,
      `let usual = ((a + ${c('0xfffu')} + odd) >> ${c('13u')}) - ${c('0x1c000u')};`,
      `let number = select(usual, tiny, a < ${c('0x38800000u')});`,
      `let nan = (bits & ${c('0x7fffffffu')}) > ${c('0x7f800000u')};`,
      `return select(number, ${c('0x7e00u')}, nan) | ((bits >> ${c('16u')}) & ${c('0x8000u')});`,
    ];
    return { uses: [], code: `fn ${name}(x: ${f}) -> ${u} {\n  ${lines.join('\n  ')}\n}` };
  };
  TABLE[s('clamp_half')] = (name) => {
    const [f, u] = wide ? ['vec4<f32>', 'vec4<u32>'] : ['f32', 'u32'];
    const c = (v: string): string => (wide ? `${u}(${v})` : v);
    // All beyond the largest half but NaN, by the bits: WGSL's clamp may drop a NaN.
    const lines = [
      `let bits = bitcast<${u}>(x);`,
      `let a = bits & ${c('0x7fffffffu')};`,
      `let over = (a > ${c('0x477fe000u')}) & (a <= ${c('0x7f800000u')});`,
      `return ${s('round_half')}(bitcast<${f}>(select(bits, (bits & ${c('0x80000000u')}) | ${c('0x477fe000u')}, over)));`,
    ];
    return { uses: [s('round_half')], code: `fn ${name}(x: ${f}) -> ${f} {\n  ${lines.join('\n  ')}\n}` };
  };
  TABLE[s('round_half')] = (name) => {
    const t = wide ? 'vec4<f32>' : 'f32';
    const value = wide
      ? 'vec4<f32>(unpack2x16float(h.x | (h.y << 16u)), unpack2x16float(h.z | (h.w << 16u)))'
      : 'unpack2x16float(h).x';
    return {
      uses: [s('half_bits')],
      code: `fn ${name}(x: ${t}) -> ${t} {\n  let h = ${s('half_bits')}(x);\n  return ${value};\n}`,
    };
  };
  TABLE[s('pow')] = (name) => {
    const t = wide ? 'vec4<f32>' : 'f32';
    const isnan = s('isnan');
    const text = body(wide, (o) => `select(${pow(o, 'a', 'b')}, a + b, ${isnan}(a) | ${isnan}(b))`);
    return { uses: [isnan, 'inf_f32', 'nan_f32'], code: `fn ${name}(a: ${t}, b: ${t}) -> ${t} {\n${text}\n}` };
  };
}

/** Source of the named helpers and all that they use, each once, callees first. */
export function helperSource(names: Iterable<string>): string {
  const out = new Map<string, string>();
  const visit = (name: string): void => {
    if (out.has(name)) return;
    const h = TABLE[name]!(name);
    for (const u of h.uses) visit(u);
    out.set(name, h.code);
  };
  for (const n of [...names].sort()) visit(n);
  return [...out.values()].join('\n');
}
