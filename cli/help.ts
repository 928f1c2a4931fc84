// The help texts, made from the commands' declarations.
import { type OptionSpec, show } from './arguments.ts';
import type { Command } from './command.ts';

/** Options that every command has. */
export const COMMON = {
  json: { kind: 'flag', help: 'print JSON on stdout, errors included' },
  help: { kind: 'flag', short: 'h', help: 'this text' },
} as const satisfies Record<string, OptionSpec>;

export function overview(commands: readonly Command[], version: string): string {
  const rows = commands.map((c) => [usage(c, false), c.summary] as const);
  return [
    `t3dc ${version}: compiles a 3D model with its gradients and optimiser into one artifact, trains it and runs it`,
    '',
    'usage: t3dc COMMAND …',
    '',
    ...table(rows),
    '',
    "t3dc COMMAND --help tells a command's options with examples.",
    'Exit codes: 0 done, 1 error (told as error[code]), 2 wrong usage, 130 cancelled.',
  ].join('\n');
}

export function helpOf(c: Command): string {
  const optionRows = Object.entries({ ...c.options, ...COMMON }).map(
    ([name, spec]) => [show(name, spec), explain(spec)] as const,
  );
  return [
    `t3dc ${c.name}: ${c.summary}`,
    '',
    `usage: t3dc ${usage(c, true)}`,
    ...(c.description ?? []).flatMap((p) => ['', ...wrap(p, 100)]),
    '',
    ...table([...c.positionals.map((p) => [p.name, p.help] as const), ...optionRows]),
    '',
    'examples:',
    ...c.examples.flatMap(([line, what]) => [`  ${line}`, `      ${what}`]),
  ].join('\n');
}

function usage(c: Command, withOptions: boolean): string {
  const needed = Object.entries(c.options).flatMap(([name, spec]) =>
    spec.required ? [show(name, spec).replace(/^-\w, (--\S+)/, '$1')] : [],
  );
  const positionals = c.positionals.map((p) => (p.optional ? `[${p.name}]` : p.name));
  return [c.name, ...positionals, ...(withOptions ? [...needed, '[options]'] : [])].join(' ');
}

const explain = (spec: OptionSpec): string =>
  `${spec.help}${spec.default === undefined ? '' : ` (default ${spec.default})`}${spec.required ? ' (required)' : ''}`;

function table(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.min(34, Math.max(...rows.map(([a]) => a.length)));
  return rows.flatMap(([name, help]) => {
    const lines = wrap(help, 116 - width - 4);
    const first = name.length <= width ? [`  ${name.padEnd(width)}  ${lines.shift() ?? ''}`] : [`  ${name}`];
    return [...first, ...lines.map((l) => `  ${' '.repeat(width)}  ${l}`)];
  });
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line ? `${line} ${word}` : word;
  }
  return [...lines, line];
}
