// The command line as data: a command declares its positionals and options, and this parses against the declaration. `sade`
// has no typed or required options, no repeated pairs and exits by itself, so the parsing is our own.
import { UsageError } from './errors.ts';

export interface OptionSpec {
  /** `pairs`: KEY=VALUE, given again or one after another; the values come as an object. */
  readonly kind: 'flag' | 'text' | 'integer' | 'number' | 'choice' | 'pairs';
  /** One letter. */
  readonly short?: string;
  /** What stands for the value in the help. */
  readonly value?: string;
  readonly help: string;
  readonly choices?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  readonly required?: boolean;
  /** Taken where the option is not given; shown in the help. */
  readonly default?: string | number;
}

export interface PositionalSpec {
  readonly name: string;
  readonly help: string;
  /** May be left out, with all that come after it. */
  readonly optional?: boolean;
}

type Options = Readonly<Record<string, OptionSpec>>;
type Positionals = readonly PositionalSpec[];

type ValueOf<O extends OptionSpec> = O['kind'] extends 'flag'
  ? boolean
  : O['kind'] extends 'integer' | 'number'
    ? number
    : O['kind'] extends 'pairs'
      ? Readonly<Record<string, string>>
      : O extends { readonly choices: readonly (infer C)[] }
        ? C
        : string;
type IsAlwaysThere<O extends OptionSpec> = O extends
  | { readonly required: true }
  | { readonly default: string | number }
  | { readonly kind: 'flag' | 'pairs' }
  ? true
  : false;

/** Values by option name; those that may be absent are undefined. */
export type Values<O extends Options> = {
  readonly [K in keyof O]: IsAlwaysThere<O[K]> extends true ? ValueOf<O[K]> : ValueOf<O[K]> | undefined;
};
export type Arguments<P extends Positionals> = {
  readonly [K in P[number] as K['name']]: K extends { readonly optional: true } ? string | undefined : string;
};

/**
 * Parses `words` (without the command's own name).
 * @throws UsageError `unknown-option`, `missing-argument`, `extra-argument`, `bad-value`
 */
export function parseArguments<const P extends Positionals, const O extends Options>(
  command: string,
  positionals: P,
  options: O,
  words: readonly string[],
): { args: Arguments<P>; values: Values<O> } {
  const found: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries(options))
    if (spec.kind === 'flag') values[name] = false;
    else if (spec.kind === 'pairs') values[name] = {};
    else if (spec.default !== undefined) values[name] = spec.default;
  const given = new Set<string>();

  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word === '--') {
      found.push(...words.slice(i + 1));
      break;
    }
    if (!isOption(word)) {
      found.push(word);
      continue;
    }
    const { name, spec, inline } = lookUp(command, options, word);
    if (spec.kind === 'flag') {
      if (inline !== undefined)
        throw new UsageError('bad-value', `--${name} takes no value`, { found: word, expected: `--${name}` });
      values[name] = true;
      continue;
    }
    if (spec.kind !== 'pairs' && given.has(name))
      throw new UsageError('bad-value', `--${name} is given twice`, { hint: 'Give it once.' });
    given.add(name);
    const text = inline ?? words[++i];
    if (text === undefined || (inline === undefined && isOption(text)))
      throw new UsageError('bad-value', `--${name} needs a value`, {
        found: text ?? 'the end of the line',
        expected: show(name, spec),
      });
    if (spec.kind === 'pairs') {
      addPair(name, text, values[name] as Record<string, string>);
      while (inline === undefined && i + 1 < words.length && PAIR.test(words[i + 1]!))
        addPair(name, words[++i]!, values[name] as Record<string, string>);
    } else values[name] = parseValue(name, spec, text);
  }

  if (found.length > positionals.length)
    throw new UsageError('extra-argument', `${command} takes ${count(positionals.length)}`, {
      found: found.slice(positionals.length).join(' '),
      expected: positionals.map((p) => p.name).join(' ') || 'options alone',
    });
  const lacking = [
    ...positionals.slice(found.length).flatMap((p) => (p.optional ? [] : [p.name])),
    ...Object.entries(options).flatMap(([name, spec]) =>
      spec.required && !(name in values) ? [show(name, spec)] : [],
    ),
  ];
  if (lacking.length > 0)
    throw new UsageError('missing-argument', `${command} needs ${lacking.join(' and ')}`, {
      hint: `See t3dc ${command} --help.`,
    });
  const args = Object.fromEntries(positionals.map((p, i) => [p.name, found[i]]));
  return { args: args as Arguments<P>, values: values as Values<O> };
}

/** `-o, --out DIR` */
export function show(name: string, spec: OptionSpec): string {
  const value = spec.kind === 'flag' ? '' : ` ${spec.value ?? spec.choices?.join('|') ?? 'VALUE'}`;
  return `${spec.short ? `-${spec.short}, ` : ''}--${name}${value}`;
}

const PAIR = /^[A-Za-z_][\w.]*=/;
// A negative number is a value, and a lone dash is a name.
const isOption = (word: string): boolean => /^-[^\d.]/.test(word);

function lookUp(
  command: string,
  options: Options,
  word: string,
): { name: string; spec: OptionSpec; inline: string | undefined } {
  const at = word.indexOf('=');
  const head = at < 0 ? word : word.slice(0, at);
  const inline = at < 0 ? undefined : word.slice(at + 1);
  const name = head.startsWith('--')
    ? head.slice(2)
    : Object.keys(options).find((n) => options[n]!.short === head.slice(1));
  const spec = name === undefined ? undefined : Object.hasOwn(options, name) ? options[name] : undefined;
  if (name === undefined || !spec) {
    const near = nearest(head.replace(/^-+/, ''), Object.keys(options));
    throw new UsageError('unknown-option', `${command} has no option ${head}`, {
      expected: Object.keys(options)
        .map((n) => `--${n}`)
        .join(', '),
      hint: near ? `Did you mean --${near}?` : `See t3dc ${command} --help.`,
    });
  }
  return { name, spec, inline };
}

function addPair(name: string, text: string, into: Record<string, string>): void {
  const at = text.indexOf('=');
  if (!PAIR.test(text))
    throw new UsageError('bad-value', `--${name} takes KEY=VALUE`, { found: text, expected: `--${name} KEY=VALUE` });
  into[text.slice(0, at)] = text.slice(at + 1);
}

function parseValue(name: string, spec: OptionSpec, text: string): string | number {
  if (spec.kind === 'text') {
    if (text === '') throw new UsageError('bad-value', `--${name} is empty`, { expected: show(name, spec) });
    return text;
  }
  if (spec.kind === 'choice') {
    if (spec.choices!.includes(text)) return text;
    throw new UsageError('bad-value', `--${name} does not take this value`, {
      found: text,
      expected: spec.choices!.join(', '),
    });
  }
  const n = Number(text);
  const least = spec.min ?? Number.NEGATIVE_INFINITY;
  const most = spec.max ?? Number.POSITIVE_INFINITY;
  const fits = text.trim() !== '' && n >= least && n <= most && (spec.kind === 'number' || Number.isInteger(n));
  if (fits) return n;
  const range = [
    ...(Number.isFinite(least) ? [`at least ${least}`] : []),
    ...(Number.isFinite(most) ? [`at most ${most}`] : []),
  ];
  throw new UsageError('bad-value', `--${name} does not take this value`, {
    found: text,
    expected: [spec.kind === 'integer' ? 'a whole number' : 'a number', ...range].join(', '),
  });
}

const count = (n: number): string => (n === 0 ? 'no argument' : n === 1 ? 'one argument' : `${n} arguments`);

/** The name within two edits of what was typed. */
export function nearest(typed: string, names: readonly string[]): string | undefined {
  const ranked = names.map((name) => ({ name, d: edits(typed, name) })).sort((a, b) => a.d - b.d);
  const best = ranked[0];
  return best && best.d <= Math.min(2, typed.length - 1) ? best.name : undefined;
}

/** Levenshtein distance. */
function edits(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length]!;
}
