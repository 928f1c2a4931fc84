// `t3dc`: finds the command, parses its arguments, runs it, and ends with an exit code that says how it went.
import { nearest, parseArguments } from './arguments.ts';
import type { Command } from './command.ts';
import { bench } from './commands/bench.ts';
import { build } from './commands/build.ts';
import { classify } from './commands/classify.ts';
import { dataPhantom } from './commands/data-phantom.ts';
import { dataPrepare } from './commands/data-prepare.ts';
import { dataReports } from './commands/data-reports.ts';
import { dataSplit } from './commands/data-split.ts';
import { dataTokenize } from './commands/data-tokenize.ts';
import { dataVocabulary } from './commands/data-vocabulary.ts';
import { doctor } from './commands/doctor.ts';
import { embed } from './commands/embed.ts';
import { evaluate } from './commands/eval.ts';
import { experiment } from './commands/experiment.ts';
import { finetuneClassify, finetuneSegment } from './commands/finetune.ts';
import { inspect } from './commands/inspect.ts';
import { pretrain } from './commands/pretrain.ts';
import { retrieve } from './commands/retrieve.ts';
import { run } from './commands/run.ts';
import { segment } from './commands/segment.ts';
import { serve } from './commands/serve.ts';
import { train } from './commands/train.ts';
import { tune } from './commands/tune.ts';
import { zeroshot } from './commands/zeroshot.ts';
import { describe, EXIT, exitCodeOf, showError, UsageError } from './errors.ts';
import { COMMON, helpOf, overview } from './help.ts';
import { Output } from './output.ts';
import { version } from './version.ts';

export const COMMANDS: readonly Command[] = [
  build,
  run,
  pretrain,
  train,
  finetuneSegment,
  finetuneClassify,
  segment,
  classify,
  embed,
  retrieve,
  zeroshot,
  evaluate,
  inspect,
  bench,
  tune,
  doctor,
  serve,
  experiment,
  dataPhantom,
  dataPrepare,
  dataReports,
  dataSplit,
  dataVocabulary,
  dataTokenize,
];

/** Runs one command line (without `node t3dc`) and returns the exit code. Never throws. */
export async function main(words: readonly string[], output?: Output): Promise<number> {
  const options = words.includes('--') ? words.slice(0, words.indexOf('--')) : words;
  const out = output ?? new Output(options.includes('--json'));
  const cancel = new AbortController();
  // The first Ctrl-C asks; the second does not.
  const interrupt = () => {
    if (cancel.signal.aborted) process.exit(EXIT.cancelled);
    out.note('stopping … (Ctrl-C again: at once)');
    cancel.abort(new DOMException('cancelled', 'AbortError'));
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  try {
    await dispatch(words, out, cancel.signal);
    return EXIT.ok;
  } catch (err) {
    const code = exitCodeOf(err, cancel.signal);
    if (code === EXIT.cancelled) {
      out.json({ error: { code: 'cancelled', message: 'cancelled' } });
      if (!out.isJson) out.error('cancelled');
      return code;
    }
    const described = describe(err);
    const { problem, more, stack, ...fields } = described;
    out.json({ error: { ...fields, message: [problem, ...more].join('\n') } });
    if (!out.isJson || stack) out.error(showError(described));
    return code;
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}

async function dispatch(words: readonly string[], out: Output, signal: AbortSignal): Promise<void> {
  const [first] = words;
  if (first === undefined) {
    process.stderr.write(`${overview(COMMANDS, version())}\n`);
    throw new UsageError('no-command', 'no command was given', { hint: 'Try t3dc doctor, or t3dc build --help.' });
  }
  if (first === '--help' || first === '-h' || first === 'help') {
    const topic = words.slice(1).join(' ');
    process.stdout.write(`${topic ? helpOf(find(words.slice(1)).command) : overview(COMMANDS, version())}\n`);
    return;
  }
  if (first === '--version' || first === '-v') {
    process.stdout.write(`${version()}\n`);
    return;
  }
  const { command, rest } = find(words);
  if (rest.includes('--help') || rest.includes('-h')) {
    process.stdout.write(`${helpOf(command)}\n`);
    return;
  }
  const { args, values } = parseArguments(command.name, command.positionals, { ...command.options, ...COMMON }, rest);
  await command.run(args, values, { out, signal });
}

/** The command whose words the line begins with. @throws UsageError `unknown-command` */
function find(words: readonly string[]): { command: Command; rest: readonly string[] } {
  for (const command of COMMANDS) {
    const own = command.name.split(' ');
    if (own.every((word, i) => words[i] === word)) return { command, rest: words.slice(own.length) };
  }
  const names = COMMANDS.map((c) => c.name);
  const near = nearest(words[0]!, names) ?? names.find((n) => n.startsWith(`${words[0]} `));
  throw new UsageError('unknown-command', 'there is no such command', {
    found: words[0],
    expected: names.join(', '),
    hint: near ? `Did you mean t3dc ${near}?` : 'See t3dc --help.',
  });
}
