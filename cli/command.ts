// What a command is, and what it is given.
import type { Arguments, OptionSpec, PositionalSpec, Values } from './arguments.ts';
import type { Output } from './output.ts';

export interface Context {
  readonly out: Output;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

export interface Command<
  P extends readonly PositionalSpec[] = readonly PositionalSpec[],
  O extends Readonly<Record<string, OptionSpec>> = Readonly<Record<string, OptionSpec>>,
> {
  /** Words after `t3dc`. */
  readonly name: string;
  /** One line. */
  readonly summary: string;
  /** Further paragraphs of the help. */
  readonly description?: readonly string[];
  readonly positionals: P;
  readonly options: O;
  /** Whole command lines, each with a word on what it does. */
  readonly examples: readonly (readonly [line: string, what: string])[];
  run(args: Arguments<P>, values: Values<O>, context: Context): Promise<void>;
}

/** Declares a command, its argument types inferred. */
export const command = <
  const P extends readonly PositionalSpec[],
  const O extends Readonly<Record<string, OptionSpec>>,
>(
  spec: Command<P, O>,
): Command => spec as unknown as Command;

/** What several commands offer in the same words. */
export const DEVICE = {
  device: {
    kind: 'choice',
    choices: ['auto', 'webgpu', 'wasm'],
    default: 'auto',
    help: 'where to run; auto takes a hardware WebGPU adapter, else wasm',
  },
  threads: {
    kind: 'integer',
    min: 1,
    max: 64,
    value: 'N',
    help: 'wasm threads (default: logical processors, at most 8)',
  },
} as const;

/** Help of `--labels`; its reader is label-ids.ts. */
export const LABELS_HELP =
  'classes from other label ids, as in liver=5,spleen=1,kidneys=2+3 (names as in the artifact, or in its order); other ids are background';
