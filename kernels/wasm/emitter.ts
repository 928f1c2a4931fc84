// The text of one kernel's AssemblyScript functions, and the pool of its parameter words.
//
// Contract: every size-dependent number is a parameter word, loaded into a local at the head of each function that uses
// it, so kernels of one structure share one source. Words are pooled by place, never by value: two sizes that happen to
// be equal must not make a different source.
import type { Kernel } from '../ir.ts';

const bits = new DataView(new ArrayBuffer(4));
export const f32Bits = (v: number): number => {
  bits.setFloat32(0, v);
  return bits.getUint32(0);
};

export class EmitError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** One kernel being emitted: its functions and its parameter words. */
export class Emitter {
  readonly words: number[] = [];
  private readonly functions: Fn[] = [];
  constructor(readonly kernel: Kernel) {}

  /** A function `NAME{suffix}(p: usize, …)`. */
  fn(suffix: string, parameters: string, result = 'void'): Fn {
    const f = new Fn(this, `function NAME${suffix}(p: usize${parameters ? `, ${parameters}` : ''}): ${result}`);
    this.functions.push(f);
    return f;
  }
  /** Appends a word; returns its byte offset from p. */
  word(v: number): number {
    if (!Number.isInteger(v))
      throw new EmitError('WASM_PARAM', `${this.kernel.name}: parameter ${v} is not an integer`);
    this.words.push(v >>> 0);
    return (this.kernel.bufs.length + 2 + this.words.length - 1) * 4;
  }
  get stepOffset(): number {
    return this.kernel.bufs.length * 4;
  }
  get scratchOffset(): number {
    return this.kernel.bufs.length * 4 + 4;
  }
  source(): string {
    return this.functions.map((f) => f.source()).join('\n');
  }
}

/** One function: hoisted locals at its head, then its lines. */
export class Fn {
  private readonly head: string[] = [];
  private readonly body: string[] = [];
  private readonly once = new Map<string, string>();
  private depth = 1;
  private names = 0;
  constructor(
    readonly emitter: Emitter,
    private readonly signature: string,
  ) {}

  line(text: string): void {
    this.body.push('  '.repeat(this.depth) + text);
  }
  open(text: string): void {
    this.line(`${text} {`);
    this.depth++;
  }
  close(then = ''): void {
    this.depth--;
    this.line(`}${then}`);
    if (then.endsWith('{')) this.depth++;
  }
  name(prefix: string): string {
    return `${prefix}_${this.names++}`;
  }
  /** `let x: type = value;` in the body; returns x. */
  let(type: string, value: string, prefix = 'x'): string {
    const n = this.name(prefix);
    this.line(`let ${n}: ${type} = ${value};`);
    return n;
  }
  /** A local at the head, one per key. */
  hoist(key: string, type: string, value: () => string, prefix: string): string {
    const old = this.once.get(key);
    if (old) return old;
    const v = value();
    const n = this.name(prefix);
    this.head.push(`  const ${n}: ${type} = ${v};`);
    this.once.set(key, n);
    return n;
  }
  /** An integer constant: 0, 1 and -1 stay literal, the rest are parameter words, one for each place (or `id`). */
  int(v: number, id = this.name('key')): string {
    if (v === 0 || v === 1) return `${v}`;
    if (v === -1) return '(-1)';
    return this.hoist(id, 'i32', () => `load<i32>(p, ${this.emitter.word(v)})`, 'c');
  }
  /** An f32 constant. */
  f32(v: number): string {
    if (v === 0 || v === 1 || v === 0.5 || v === 2) return `<f32>${Object.is(v, -0) ? '-0.0' : v}`;
    if (v === -1) return '<f32>(-1)';
    return this.hoist(this.name('key'), 'f32', () => `load<f32>(p, ${this.emitter.word(f32Bits(v))})`, 'k');
  }
  buffer(i: number): string {
    return this.hoist(`buf${i}`, 'usize', () => `<usize>load<u32>(p, ${i * 4})`, 'b');
  }
  step(slot: number, type: 'u32' | 'f32'): string {
    const block = this.hoist('step', 'usize', () => `<usize>load<u32>(p, ${this.emitter.stepOffset})`, 's');
    return this.hoist(`step${slot}${type}`, type, () => `load<${type}>(${block}, ${slot * 4})`, 's');
  }
  source(): string {
    return [`${this.signature} {`, ...this.head, ...this.body, '}'].join('\n');
  }
}
