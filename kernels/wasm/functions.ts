// exp, log, tanh, erf and pow as AssemblyScript functions, printed from the shared table: `exp1` of one f32, `exp4` of
// four.
import { erf, exp, expNear, log, type MathOps, pow, tanh } from '../math.ts';

type Type = 'f32' | 'i32' | 'bool';

class Lines implements MathOps<string> {
  readonly lines: string[] = [];
  private count = 0;
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
  add = (a: string, b: string): string => this.float('add', '+', a, b);
  sub = (a: string, b: string): string => this.float('sub', '-', a, b);
  mul = (a: string, b: string): string => this.float('mul', '*', a, b);
  div = (a: string, b: string): string => this.float('div', '/', a, b);
  // pmin and pmax are one instruction, min and max six; they let a NaN in the first operand pass as well.
  min = (a: string, b: string): string => this.let('f32', `min<f32>(${a}, ${b})`, `f32x4.pmin(${a}, ${b})`);
  max = (a: string, b: string): string => this.let('f32', `max<f32>(${a}, ${b})`, `f32x4.pmax(${a}, ${b})`);
  abs = (a: string): string => this.let('f32', `abs<f32>(${a})`, `f32x4.abs(${a})`);
  nearest = (a: string): string => this.let('f32', `nearest<f32>(${a})`, `f32x4.nearest(${a})`);
  toInt = (a: string): string => this.let('i32', `<i32>${a}`, `i32x4.trunc_sat_f32x4_s(${a})`);
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
  print('exp', exp, ['a']),
  print('expNear', expNear, ['a']),
  print('log', log, ['a']),
  print('tanh', tanh, ['a']),
  print('erf', erf, ['a']),
  print('pow', pow, ['a', 'b']),
].join('');
