// exp, log, tanh, erf and pow as AssemblyScript functions, printed from the shared table: `exp1` of one f32, `exp4` of
// four.
import { erf, exp, expNear, log, type MathOps, pow, tanh } from '../math.ts';

type Type = 'f32' | 'i32' | 'bool';

class Lines implements MathOps<string> {
  readonly lines: string[] = [];
  private count = 0;
  /** Factors of the products so far, by name. */
  private readonly products = new Map<string, readonly [string, string]>();
  constructor(private readonly four: boolean) {}

  private let(type: Type, one: string, four: string): string {
    const n = `x${this.count++}`;
    this.lines.push(`  const ${n}: ${this.four ? 'v128' : type} = ${this.four ? four : one};`);
    return n;
  }
  private float(op: string, sign: string, a: string, b: string): string {
    return this.let('f32', `${a} ${sign} ${b}`, `f32x4.${op}(${a}, ${b})`);
  }
  f(v: number): string {
    return this.let('f32', `<f32>${v}`, `f32x4.splat(<f32>${v})`);
  }
  i(v: number): string {
    return this.let('i32', `${v}`, `i32x4.splat(${v})`);
  }
  inf = (): string => this.let('f32', '<f32>Infinity', 'f32x4.splat(<f32>Infinity)');
  nan = (): string => this.let('f32', '<f32>NaN', 'f32x4.splat(<f32>NaN)');
  // Products that are added are fused where the engine can (the products alone then go unused).
  add = (a: string, b: string): string => {
    const [product, other] = this.products.has(a) ? [a, b] : [b, a];
    const factors = this.four ? this.products.get(product) : undefined;
    if (!factors) return this.float('add', '+', a, b);
    return this.let('f32', '', `madd4(${factors.join(', ')}, ${other})`);
  };
  sub = (a: string, b: string): string => {
    const factors = this.four ? this.products.get(b) : undefined;
    if (!factors) return this.float('sub', '-', a, b);
    return this.let('f32', '', `nmadd4(${factors.join(', ')}, ${a})`);
  };
  mul = (a: string, b: string): string => {
    const product = this.float('mul', '*', a, b);
    this.products.set(product, [a, b]);
    return product;
  };
  div = (a: string, b: string): string => this.float('div', '/', a, b);
  // pmin and pmax are one instruction, min and max six; they let a NaN in the first operand pass as well.
  min = (a: string, b: string): string => this.let('f32', `min<f32>(${a}, ${b})`, `f32x4.pmin(${a}, ${b})`);
  max = (a: string, b: string): string => this.let('f32', `max<f32>(${a}, ${b})`, `f32x4.pmax(${a}, ${b})`);
  abs = (a: string): string => this.let('f32', `abs<f32>(${a})`, `f32x4.abs(${a})`);
  nearest = (a: string): string => this.let('f32', `nearest<f32>(${a})`, `f32x4.nearest(${a})`);
  // Adding 1.5 · 2^23 leaves the whole number in the last bits; a saturating conversion is six instructions and more.
  toInt = (a: string): string =>
    this.let('i32', `<i32>${a}`, `i32x4.sub(f32x4.add(${a}, f32x4.splat(12582912)), i32x4.splat(0x4b400000))`);
  toFloat = (a: string): string => this.let('f32', `<f32>${a}`, `f32x4.convert_i32x4_s(${a})`);
  bits = (a: string): string => this.let('i32', `reinterpret<i32>(${a})`, a);
  fromBits = (a: string): string => this.let('f32', `reinterpret<f32>(${a})`, a);
  iadd = (a: string, b: string): string => this.let('i32', `${a} + ${b}`, `i32x4.add(${a}, ${b})`);
  isub = (a: string, b: string): string => this.let('i32', `${a} - ${b}`, `i32x4.sub(${a}, ${b})`);
  iand = (a: string, b: string): string => this.let('i32', `${a} & ${b}`, `v128.and(${a}, ${b})`);
  ior = (a: string, b: string): string => this.let('i32', `${a} | ${b}`, `v128.or(${a}, ${b})`);
  shl = (a: string, n: number): string => this.let('i32', `${a} << ${n}`, `i32x4.shl(${a}, ${n})`);
  shr = (a: string, n: number): string => this.let('i32', `${a} >> ${n}`, `i32x4.shr_s(${a}, ${n})`);
  lt = (a: string, b: string): string => this.let('bool', `${a} < ${b}`, `f32x4.lt(${a}, ${b})`);
  eq = (a: string, b: string): string => this.let('bool', `${a} == ${b}`, `f32x4.eq(${a}, ${b})`);
  select = (c: string, a: string, b: string): string =>
    this.let('f32', `select<f32>(${a}, ${b}, ${c})`, `v128.bitselect(${a}, ${b}, ${c})`);
}

function print(name: string, f: (o: MathOps<string>, ...args: string[]) => string, args: string[]): string {
  return [1, 4]
    .map((width) => {
      const type = width === 4 ? 'v128' : 'f32';
      const o = new Lines(width === 4);
      const r = f(o, ...args);
      const parameters = args.map((a) => `${a}: ${type}`).join(', ');
      return `export function ${name}${width}(${parameters}): ${type} {\n${o.lines.join('\n')}\n  return ${r};\n}\n`;
    })
    .join('');
}

/** The library's `functions.ts`. */
export const functionsSource: string = [
  `// @ts-ignore: decorator
@inline function madd4(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}
// @ts-ignore: decorator
@inline function nmadd4(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_nmadd(a, b, c);
  return f32x4.sub(c, f32x4.mul(a, b));
}
`,
  print('exp', exp, ['a']),
  print('expNear', expNear, ['a']),
  print('log', log, ['a']),
  print('tanh', tanh, ['a']),
  print('erf', erf, ['a']),
  print('pow', pow, ['a', 'b']),
].join('');
