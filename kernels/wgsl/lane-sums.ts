// Sums that a lane holds in registers: rows × a few columns, the columns as vectors of at most four.
import type { Int } from '../int.ts';
import type { Value, Writer } from './writer.ts';

export class LaneSums {
  private readonly w: Writer;
  readonly rows: number;
  readonly columns: number;
  private readonly widths: readonly number[];

  constructor(w: Writer, rows: number, columns: number) {
    this.w = w;
    this.rows = rows;
    this.columns = columns;
    this.widths = vectors(columns);
    for (const [g, width] of this.widths.entries()) w.line(`var sum${g}: array<${type(width)}, ${rows}>;`);
  }

  /** Declares the accumulators of a chain, all zero. */
  begin(): void {
    this.each((name, g) => `var ${name} = ${zero(this.widths[g]!)};`);
  }

  /** Adds the chain to the sums. */
  end(): void {
    this.each((name, g, r) => `sum${g}[${r}] += ${name};`);
  }

  /** The factors of the columns, one code a column, as vectors. */
  pack(values: readonly string[]): string[] {
    let from = 0;
    return this.widths.map((n) => {
      const part = values.slice(from, from + n);
      from += n;
      return n === 1 ? part[0]! : this.w.let('b', `${type(n)}(${part.join(', ')})`);
    });
  }

  /** Row r += x * packed. */
  multiplyAdd(r: number, x: string, packed: readonly string[]): void {
    const shared = this.widths.length === 1 || /^\w+$/.test(x) ? x : this.w.let('x', x);
    const terms = this.widths.map((n, g) => {
      const factor = n === 1 ? shared : `${type(n)}(${shared})`;
      return `${this.name(r, g)} = fma(${factor}, ${packed[g]}, ${this.name(r, g)});`;
    });
    this.w.line(terms.join(' '));
  }

  /** The sum at a row, which may be a variable, and a column. */
  at(r: Int, column: number): Value {
    let g = 0;
    let lane = column;
    while (lane >= this.widths[g]!) lane -= this.widths[g++]!;
    const code = `sum${g}[${this.w.int(r)}]${this.widths[g] === 1 ? '' : `.${'xyzw'[lane]}`}`;
    return { code, wide: false, dtype: 'f32' };
  }

  private name(r: number, g: number): string {
    return this.widths.length === 1 ? `a${r}` : `a${r}_${g}`;
  }

  private each(statement: (name: string, g: number, r: number) => string): void {
    const list: string[] = [];
    for (let r = 0; r < this.rows; r++)
      for (let g = 0; g < this.widths.length; g++) list.push(statement(this.name(r, g), g, r));
    for (const line of inLines(list)) this.w.line(line);
  }
}

/** n columns of a lane as vectors of at most four, nearly equal. */
function vectors(n: number): number[] {
  const count = Math.ceil(n / 4);
  return Array.from({ length: count }, (_, g) => Math.floor(((g + 1) * n) / count) - Math.floor((g * n) / count));
}

const type = (width: number): string => (width === 1 ? 'f32' : `vec${width}<f32>`);
const zero = (width: number): string => (width === 1 ? '0.0f' : `${type(width)}()`);

/** Short statements, several to a line. */
function inLines(statements: readonly string[]): string[] {
  const lines: string[] = [];
  for (const s of statements) {
    const last = lines[lines.length - 1];
    if (last !== undefined && last.length + s.length < 100) lines[lines.length - 1] = `${last} ${s}`;
    else lines.push(s);
  }
  return lines;
}
