// The command line: parsing, help, errors, units.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { nearest, parseArguments } from '../../cli/arguments.ts';
import { describe, EXIT, exitCodeOf, showError, UsageError } from '../../cli/errors.ts';
import { helpOf, overview } from '../../cli/help.ts';
import { COMMANDS } from '../../cli/main.ts';
import {
  columns,
  parseBytes,
  parseNames,
  parseSize,
  parseSpacing,
  showBytes,
  showFlops,
  showTime,
} from '../../cli/units.ts';
import { DataError } from '../../data/index.ts';
import { ModelError } from '../../dsl/errors.ts';
import { T3dcError } from '../../runtime/index.ts';

const options = {
  out: { kind: 'text', short: 'o', value: 'DIR', help: '' },
  steps: { kind: 'integer', min: 1, help: '' },
  lr: { kind: 'number', min: 0, default: 0.1, help: '' },
  fast: { kind: 'flag', short: 'f', help: '' },
  device: { kind: 'choice', choices: ['auto', 'wasm'], default: 'auto', help: '' },
  set: { kind: 'pairs', help: '' },
} as const;
const parse = (...words: string[]) => parseArguments('try', [{ name: 'MODEL', help: '' }], options, words);

function usage(code: string, ...words: string[]): void {
  assert.throws(
    () => parse(...words),
    (err: unknown) => err instanceof UsageError && err.code === code,
    `${words.join(' ')} should be ${code}`,
  );
}

test('options in every form, in any order', () => {
  const { args, values } = parse(
    '-o',
    'dist',
    '--steps=5',
    'm.ts',
    '-f',
    '--lr',
    '1e-3',
    '--set',
    'a=1',
    'b=x=y',
    '--set=c=[2,3]',
  );
  assert.is(args.MODEL, 'm.ts');
  assert.equal(values, {
    out: 'dist',
    steps: 5,
    lr: 1e-3,
    fast: true,
    device: 'auto',
    set: { a: '1', b: 'x=y', c: '[2,3]' },
  });
});

test('defaults, absent options, and what follows --', () => {
  const { args, values } = parse('--', '--odd-name');
  assert.is(args.MODEL, '--odd-name');
  assert.equal(values, { lr: 0.1, fast: false, device: 'auto', set: {} });
});

test('negative numbers are values, not options', () => {
  usage('bad-value', 'm', '--lr', '-1');
});

test('what cannot be meant is refused', () => {
  usage('missing-argument');
  usage('extra-argument', 'a', 'b');
  usage('unknown-option', 'm', '--nope');
  usage('unknown-option', 'm', '-x');
  usage('unknown-option', 'm', '--toString');
  usage('bad-value', 'm', '--steps');
  usage('bad-value', 'm', '--steps', '--fast');
  usage('bad-value', 'm', '--steps', '1.5');
  usage('bad-value', 'm', '--steps', '0');
  usage('bad-value', 'm', '--steps', '');
  usage('bad-value', 'm', '--lr', 'fast');
  usage('bad-value', 'm', '--device', 'tpu');
  usage('bad-value', 'm', '--set', 'novalue');
  usage('bad-value', 'm', '--fast=yes');
  usage('bad-value', 'm', '--steps', '1', '--steps', '2');
});

test('required options are named with the missing positionals', () => {
  const needed = { in: { kind: 'text', value: 'FILE', required: true, help: '' } } as const;
  assert.throws(() => parseArguments('run', [{ name: 'ENTRY', help: '' }], needed, []), /ENTRY and --in FILE/);
});

test('a slip of the finger gets a suggestion', () => {
  assert.is(nearest('sise', ['size', 'seed', 'steps']), 'size');
  assert.is(nearest('bild', ['build', 'run']), 'build');
  assert.is(nearest('zzzzzz', ['build', 'run']), undefined);
});

test('units are read and written', () => {
  assert.equal(parseSize('size', '64'), [64, 64, 64]);
  assert.equal(parseSize('size', '64x96x32'), [64, 96, 32]);
  assert.equal(parseSpacing('spacing', '1.5x1.5x2'), [1.5, 1.5, 2]);
  assert.is(parseBytes('memory', '4GiB'), 4 * 2 ** 30);
  assert.is(parseBytes('memory', '1.5G'), 1.5 * 2 ** 30);
  assert.is(parseBytes('memory', '10MB'), 1e7);
  assert.equal(parseNames('entries', 'a, b'), ['a', 'b']);
  for (const bad of ['', '64x64', '0', '-3', '6.5', 'x']) assert.throws(() => parseSize('size', bad));
  for (const bad of ['4 apples', 'GiB', '0', '-1']) assert.throws(() => parseBytes('memory', bad));
  assert.is(showBytes(1536), '1.50 KiB');
  assert.is(showBytes(162 * 2 ** 20), '162 MiB');
  assert.is(showFlops(42.3e9), '42.3 GFLOP');
  assert.is(showTime(185_000), '3 min 05 s');
  assert.is(showTime(7_800_000), '2 h 10 min');
  assert.equal(
    columns(
      [
        ['a', '1'],
        ['bcd', '22'],
      ],
      '.r',
    ),
    ['a     1', 'bcd  22'],
  );
});

test('errors of every room are taken apart alike', () => {
  const runtime = describe(
    new T3dcError('bad-input', 'wrong shape', { found: '[1]', expected: '[2]', hint: 'Pad it.' }),
  );
  assert.equal(
    { ...runtime, more: [] },
    { code: 'bad-input', problem: 'wrong shape', found: '[1]', expected: '[2]', hint: 'Pad it.', more: [] },
  );
  const data = describe(
    new DataError('file-missing', 'There is no such file.', { found: 'x', expected: 'y', fix: 'look' }),
  );
  assert.equal(data, {
    code: 'file-missing',
    problem: 'There is no such file.',
    found: 'x',
    expected: 'y',
    hint: 'look',
    more: [],
  });
  const model = describe(new ModelError('model-shape', 'add: shapes differ\n  a: [b=1]\n  fix: reshape'));
  assert.equal(model, { code: 'model-shape', problem: 'add: shapes differ', hint: 'reshape', more: ['  a: [b=1]'] });
  assert.is(
    showError(data),
    'error[file-missing]: There is no such file.\n  found:    x\n  expected: y\n  hint:     look',
  );
  assert.is(describe(new TypeError('oops')).code, 'internal');
});

test('exit codes: 1 error, 2 usage, 130 cancelled', () => {
  const still = new AbortController().signal;
  assert.is(exitCodeOf(new DataError('x', 'x', { fix: 'x' }), still), EXIT.error);
  assert.is(exitCodeOf(new UsageError('x', 'x'), still), EXIT.usage);
  assert.is(exitCodeOf(new T3dcError('aborted', 'x'), still), EXIT.cancelled);
  const stopped = AbortSignal.abort(new Error('stop'));
  assert.is(exitCodeOf(stopped.reason, stopped), EXIT.cancelled);
  assert.is(exitCodeOf(new Error('other'), stopped), EXIT.error);
});

test('every command has a complete help with examples that parse', () => {
  assert.match(overview(COMMANDS, '1.2.3'), 't3dc 1.2.3');
  for (const c of COMMANDS) {
    const help = helpOf(c);
    for (const name of Object.keys(c.options)) assert.match(help, `--${name}`);
    assert.ok(c.examples.length > 0, c.name);
    assert.ok(
      help.split('\n').every((line) => line.length <= 124),
      `${c.name}: a line of the help is too long`,
    );
    for (const [line] of c.examples) {
      // As a shell cuts it.
      const all = Array.from(line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g), (m) => m[1] ?? m[2] ?? m[3]!);
      const words = all.slice(1 + c.name.split(' ').length);
      const { values } = parseArguments(
        c.name,
        c.positionals,
        { ...c.options, json: { kind: 'flag', help: '' } },
        words,
      );
      assert.ok(values, line);
    }
  }
});

test.run();
