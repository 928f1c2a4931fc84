// The commands over reports, in this process: what is written, what is told, and that nothing of a person is in either.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { main } from '../../cli/main.ts';
import { Output } from '../../cli/output.ts';
import { csvLine } from '../../data/csv.ts';
import { readPairs, readSplits, writePhantomSet } from '../../data/node.ts';

async function inFolder(run: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 't3dc-'));
  try {
    await run(dir);
  } finally {
    await rm(dir, { recursive: true });
  }
}

async function t3dc(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const told = { out: '', err: '' };
  const to = (key: 'out' | 'err') =>
    new Writable({
      write(chunk, _, done) {
        told[key] += chunk;
        done();
      },
    });
  const code = await main(words, new Output(words.includes('--json'), to('out'), to('err')));
  return { code, ...told };
}

async function textOf(dir: string): Promise<string> {
  const files = await readdir(dir, { recursive: true, withFileTypes: true });
  const texts = files.filter((f) => f.isFile()).map((f) => readFile(join(f.parentPath, f.name), 'utf8'));
  return [...files.map((f) => f.name), ...(await Promise.all(texts))].join('\n');
}

const ROWS = [
  ['id', 'report', 'patient', 'group', 'site', 'person', 'emphysema', 'birth'],
  [
    'Smith-1',
    'HISTORY: Mr Smith, 92-year-old.\nFINDINGS: A cyst. Unchanged since 3 May 2023. john is thin.',
    'MRN4711',
    'fam',
    'Boston',
    'Smith, John',
    '1',
    '1931',
  ],
  ['Smith-2', 'FINDINGS: The cyst is new.', 'MRN4711', 'fam', 'Boston', 'Smith, John', '0', '1931'],
  ['Doe-1', 'FINDINGS: Normal. Call 617-555-1234.', 'MRN4712', '', 'Berlin', 'Jane Doe', '0', '1960'],
  ['Doe-2', '', 'MRN4712', '', 'Berlin', 'Jane Doe', '0', '1960'],
];

test('data reports: cleaned, tagged, renamed; counts on stdout; nothing of a person anywhere', async () => {
  await inFolder(async (dir) => {
    const list = join(dir, 'list.csv');
    await writeFile(list, `${ROWS.map(csvLine).join('\n')}\n`);
    const command = [
      'data',
      'reports',
      list,
      '-o',
      join(dir, 'out'),
      '--without-volumes',
      '--deidentify',
      '--drop',
      'history,comparison',
    ];
    const found = await t3dc(...command, '--names', 'person', '--keep', 'emphysema', '--json');
    assert.is(found.code, 0, found.err + found.out);
    const told = JSON.parse(found.out) as Record<string, unknown>;
    assert.equal(told.removed, { history: 1, technique: 0, comparison: 2 });
    assert.equal(told.skipped, { 'no-report': 1 });
    assert.equal([told.written, told.emptied], [2, 1]);
    assert.equal(told.without, ['birth', 'person', 'site']);
    const counts = told.identifiers as Record<string, number>;
    assert.equal([counts.NAME, counts.AGE, counts.DATE, counts.PHONE], [2, 1, 1, 1]);
    const all = `${await textOf(join(dir, 'out'))}\n${found.out}\n${found.err}`;
    assert.not.match(all, /Smith|John|Doe|Jane|MRN47|Boston|Berlin|2023|1931|1960|555/i);
    const { pairs } = await readPairs(join(dir, 'out'), { volumes: 'optional' });
    assert.equal(
      pairs.map((p) => [p.text, p.columns]),
      [
        ['FINDINGS:\nA cyst. [NAME] is thin.\n', { emphysema: '1' }],
        ['FINDINGS: Normal. Call [PHONE].', { emphysema: '0' }],
      ],
    );
    assert.is.not(pairs[0]!.patient, pairs[1]!.patient);
    assert.match(await readFile(join(dir, 'out', 'removed.csv'), 'utf8'), /Unchanged since \[DATE\]\./);
    const other = await t3dc(
      ...command.with(4, join(dir, 'again')),
      '--names',
      'person',
      '--keep',
      'emphysema',
      '--json',
    );
    assert.is(other.code, 0);
    assert.is(await textOf(join(dir, 'again')), await textOf(join(dir, 'out')), 'the same again');
  });
});

test('data reports: nothing is changed unasked, and that is said; in place and unknown words are refused', async () => {
  await inFolder(async (dir) => {
    const list = join(dir, 'list.csv');
    await writeFile(list, `${ROWS.map(csvLine).join('\n')}\n`);
    const found = await t3dc('data', 'reports', list, '-o', join(dir, 'out'), '--without-volumes');
    assert.is(found.code, 0, found.err);
    assert.match(found.err, /no report was changed/);
    const { pairs } = await readPairs(join(dir, 'out'), { volumes: 'optional' });
    assert.equal(
      pairs.map((p) => [p.name, p.patient, p.text, p.columns.birth]),
      ROWS.slice(1, 4).map((r) => [r[0], r[2], r[1], r[7]]),
    );
    const inPlace = await t3dc('data', 'reports', join(dir, 'out'), '-o', join(dir, 'out'), '--without-volumes');
    assert.match(inPlace.err, /error\[reports-in-place\]/);
    assert.is((await t3dc('data', 'reports', list, '-o', dir, '--drop', 'findings')).code, 2);
    assert.is((await t3dc('data', 'reports', list, '-o', dir, '--keep', 'site')).code, 2);
    const column = await t3dc(
      'data',
      'reports',
      list,
      '-o',
      join(dir, 'x'),
      '--without-volumes',
      '--deidentify',
      '--keep',
      'nothing',
    );
    assert.match(column.err, /error\[pairs-columns\]/);
  });
});

test('data split: parts of a phantom, folds by a column, near-duplicate scans, and a check', async () => {
  await inFolder(async (dir) => {
    const set = join(dir, 'set');
    const [out, list] = [join(dir, 'splits.json'), join(dir, 'list.csv')];
    await writePhantomSet(set, { seed: 1, count: 12, size: [32, 32, 32] });
    const made = await t3dc('data', 'split', set, '-o', out, '--val', '0.25', '--test', '0.25', '--volumes', '--json');
    assert.is(made.code, 0, made.err + made.out);
    const [split] = await readSplits(out);
    assert.equal([split!.train.length, split!.val.length, split!.test!.length], [6, 3, 3]);
    assert.is((await t3dc('data', 'split', set, '--check', out, '--volumes')).code, 0);
    // The first scan once more under another name and patient.
    const rows = split!.train
      .concat(split!.val, split!.test!)
      .map((n, i) => [`set/images/${n}.nii.gz`, `set/reports/${n}.txt`, n, ['a', 'b'][i % 2]!]);
    const { pairs } = await readPairs(set);
    await writeFile(join(dir, 'twin.nii.gz'), await readFile(pairs[0]!.image!));
    rows.push(['twin.nii.gz', 'A mass of 3 cm.', 'twin', 'a']);
    await writeFile(list, `${[['image', 'report', 'patient', 'kind'], ...rows].map(csvLine).join('\n')}\n`);
    const folds = ['data', 'split', list, '-o', out, '--folds', '3', '--stratify', 'kind', '--volumes'];
    const refused = await Promise.all([0, 1, 2, 3].map((seed) => t3dc(...folds, '--seed', String(seed))));
    assert.ok(
      refused.some(
        (r) =>
          r.code === 1 &&
          /error\[split-duplicates\][\s\S]*phantom_0000 and twin \(volumes, similarity 1\.000\)/.test(r.err),
      ),
      refused[0]!.err,
    );
    const together = await t3dc(...folds, '--together', '--json');
    assert.is(together.code, 0, together.err + together.out);
    for (const s of await readSplits(out)) assert.is(s.val.includes('twin'), s.val.includes('phantom_0000'));
    assert.equal(Object.keys((JSON.parse(together.out) as { strata: object }).strata), ['a', 'b']);
    assert.match((await t3dc('data', 'split', list, '-o', out, '--stratify', 'nothing')).err, /error\[pairs-columns\]/);
    assert.is((await t3dc('data', 'split', list)).code, 2);
  });
});

test.run();
