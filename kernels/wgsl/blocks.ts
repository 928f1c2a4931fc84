// Statements in nested blocks, and names: what a function's body is made of before it is text.
import type { DType } from '../../dsl/types.ts';
import { type Int, int, variable } from '../int.ts';
import { WgslError } from './errors.ts';

export interface Value {
  readonly code: string;
  readonly wide: boolean;
  readonly dtype: DType;
}

class Block {
  readonly lines: (string | Block)[] = [];
  readonly names = new Map<unknown, Value | string>();
  readonly parent: Block | null;
  readonly guard: boolean;
  constructor(parent: Block | null, guard: boolean) {
    this.parent = parent;
    this.guard = guard;
  }
}

/** Writes statements; a value named in a block is known there and in the blocks inside it. */
export class BlockWriter {
  usesOnce = false;
  protected readonly depths = new Map<string, number>();
  private readonly root = new Block(null, false);
  private stack: Block[] = [this.root];
  private counter = 0;

  line(text: string): void {
    this.top.lines.push(text);
  }

  /** `head { body }`; guard: the body runs only under a condition that its loads rely on. */
  block(head: string, body: () => void, guard = false): void {
    const b = this.inner(body, guard);
    // After the body: what the body moves out of itself comes before.
    this.top.lines.push(`${head} {`, b, '}');
  }

  /** An else branch for the block just closed. */
  otherwise(body: () => void): void {
    const lines = this.top.lines;
    if (lines.pop() !== '}') throw new WgslError('wgsl-internal', 'else without if');
    const taken = lines.splice(lines.length - 2);
    const b = this.inner(body, true);
    lines.push(...taken, '} else {', b, '}');
  }

  private inner(body: () => void, guard: boolean): Block {
    const b = new Block(this.top, guard);
    this.stack.push(b);
    try {
      body();
    } finally {
      this.stack.pop();
    }
    return b;
  }

  fresh(prefix: string): string {
    return `${prefix}${this.counter++}`;
  }

  /** A variable visible in the current block, as an index. */
  declare(name: string, size: number): Int {
    this.depths.set(name, this.depth);
    return variable(name, size);
  }

  /**
   * `for` over 0 … count-1; the body gets the variable. A single iteration is written without a loop. The bound hides
   * its value behind `once` (module.ts), which is 1: drivers unroll short loops, and lavapipe compiles in time that
   * grows with the square of the loads in the text (minutes for some of these bodies). `always`: also a single iteration.
   */
  loop(prefix: string, count: number, body: (i: Int) => void, always = false): void {
    if (count <= 1 && !always) {
      if (count > 0) body(int(0));
      return;
    }
    this.usesOnce = true;
    const name = this.fresh(prefix);
    this.block(`for (var ${name} = 0; ${name} < ${count} * once; ${name} += 1)`, () => body(this.declare(name, count)));
  }

  get depth(): number {
    return this.stack.length - 1;
  }

  /** Runs `emit` with the block at `depth` as the current one. */
  at<T>(depth: number, emit: () => T): T {
    if (depth >= this.depth) return emit();
    const saved = this.stack;
    this.stack = saved.slice(0, depth + 1);
    try {
      return emit();
    } finally {
      this.stack = saved;
    }
  }

  /** The innermost guarded block: no load may be moved out of it. */
  get guardDepth(): number {
    for (let d = this.depth; d > 0; d--) if (this.stack[d]!.guard) return d;
    return 0;
  }

  text(): string {
    const out: string[] = [];
    const print = (b: Block, indent: string): void => {
      for (const l of b.lines) {
        if (typeof l === 'string') out.push(indent + l);
        else print(l, `${indent}  `);
      }
    };
    print(this.root, '  ');
    return out.join('\n');
  }

  // Names --------------------------------------------------------------------------------------------------------------

  cached(id: unknown): Value | string | undefined {
    for (let b: Block | null = this.top; b; b = b.parent) {
      const v = b.names.get(id);
      if (v !== undefined) return v;
    }
    return undefined;
  }

  remember(id: unknown, v: Value | string): void {
    this.top.names.set(id, v);
  }

  /** `let name = code;` */
  let(prefix: string, code: string): string {
    const name = this.fresh(prefix);
    this.line(`let ${name} = ${code};`);
    return name;
  }

  private get top(): Block {
    return this.stack[this.stack.length - 1]!;
  }
}
