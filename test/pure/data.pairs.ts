// Lists of CT and report: CSV, JSONL and folders; what is left out is counted by reason, and nothing else is.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { csvLine, readCsv } from '../../data/csv.ts';
import { isDataError } from '../../data/errors.ts';
import { readPairs, readReports, writePhantomSet } from '../../data/node.ts';
import { fieldsOf } from '../../data/pair-fields.ts';

async function inFolder(files: Readonly<Record<string, string | Uint8Array>>, run: (dir: string) => Promise<void>) {
  const dir = await mkdtemp(join(tmpdir(), 't3dc-'));
  try {
    for (const [name, content] of Object.entries(files)) {
      await mkdir(dirname(join(dir, name)), { recursive: true });
      await writeFile(join(dir, name), content);
    }
    await run(dir);
  } finally {
    await rm(dir, { recursive: true });
  }
}

async function fails(code: string, promise: Promise<unknown>, pattern = /./): Promise<void> {
  const err = await promise.then(
    () => null,
    (e) => e,
  );
  assert.ok(isDataError(err, code), `${code}: ${err}`);
  assert.match((err as Error).message, pattern);
}

test('CSV: quotes, line ends, blank lines, a byte order mark, semicolons; what is damaged is refused with its line', () => {
  const text = '\ufeffname,text\r\na,"x, ""y""\nz"\r\n\r\nb,3\r\n';
  const table = readCsv(text);
  assert.equal(table.columns, ['name', 'text']);
  assert.equal(table.rows, [
    { line: 2, values: { name: 'a', text: 'x, "y"\nz' } },
    { line: 5, values: { name: 'b', text: '3' } },
  ]);
  assert.is(readCsv('a;b\n1,5;2').delimiter, ';');
  assert.equal(readCsv('a\tb\n1,5\t2').rows[0]!.values, { a: '1,5', b: '2' });
  for (const [bad, found] of [
    ['a,b\n1\n', /line 2/],
    ['a,b\n"1,2\n', /line 2/],
    ['', /nothing/],
    ['a,a\n1,2', /two columns named "a"/],
  ] as const)
    assert.throws(
      () => readCsv(bad, 'list.csv'),
      (e: Error) => isDataError(e, 'csv') && found.test(e.message),
    );
  const row = ['plain', 'a,b', 'say "x"', 'two\nlines', 3];
  assert.equal(Object.values(readCsv(`a,b,c,d,e\n${csvLine(row)}`).rows[0]!.values), row.map(String));
});

test('columns by many names; ambiguous ones are refused', () => {
  const { fields, others } = fieldsOf([
    'VolumeName',
    'Findings_EN',
    'Impressions_EN',
    'Patient ID',
    'emphysema',
    'label',
    'mask',
  ]);
  assert.equal(fields, {
    image: 'VolumeName',
    findings: 'Findings_EN',
    impression: 'Impressions_EN',
    patient: 'Patient ID',
    label: 'mask',
  });
  assert.equal(others, ['emphysema', 'label']);
  assert.throws(
    () => fieldsOf(['image', 'path']),
    (e: Error) => isDataError(e, 'pairs-columns') && /"image" and "path"/.test(e.message),
  );
  assert.is(fieldsOf(['image', 'path'], { image: 'path' }).fields.image, 'path');
  assert.throws(
    () => fieldsOf(['image'], { patient: 'who' }),
    (e: Error) => isDataError(e, 'pairs-columns'),
  );
});

test('a CSV: each reason to leave a pair out is counted and placed', async () => {
  const list = [
    'image,report,patient,study,site,emphysema,mask',
    'a.nii.gz,a.txt,p1,s1,north,1,a_seg.nii.gz',
    'b.nii.gz,"Liver is normal,\nspleen too.",p1,s2,,0,gone.nii.gz',
    'gone.nii.gz,a.txt,p2,s3,,,',
    ',a.txt,p2,s4,,,',
    'c.nii.gz,gone.txt,p3,s5,,,',
    'd.nii.gz,,p3,s6,,,',
    'e.nii.gz,blank.txt,p3,s7,,,',
    'hollow.nii.gz,a.txt,p3,s8,,,',
    'a.nii.gz,a.txt,p4,s9,,,',
    `f.nii.gz,${'long '.repeat(100)},p5,s10,,,`,
    'series,umlaut.txt,p6,s11,,,',
    'nothing,a.txt,p6,s12,,,',
  ];
  const volumes = Object.fromEntries(['a', 'b', 'c', 'd', 'e', 'f', 'a_seg'].map((n) => [`${n}.nii.gz`, 'x']));
  await inFolder(
    {
      ...volumes,
      'hollow.nii.gz': '',
      'series/1.dcm': 'x',
      'a.txt': 'Normal.',
      'blank.txt': ' \n',
      'umlaut.txt': Uint8Array.from([0x4c, 0xe4, 0x73, 0x69, 0x6f, 0x6e]),
      'list.csv': `${list.join('\n')}\n`,
    },
    async (dir) => {
      await mkdir(join(dir, 'nothing'));
      const found = await readPairs(join(dir, 'list.csv'), { maxCharacters: 200 });
      assert.equal(
        found.pairs.map((p) => [p.name, p.patient, p.study, p.site, p.text]),
        [
          ['a', 'p1', 's1', 'north', 'Normal.'],
          ['b', 'p1', 's2', undefined, 'Liver is normal,\nspleen too.'],
          ['series', 'p6', 's11', undefined, 'Läsion'],
        ],
      );
      assert.equal(found.pairs[0]!.columns, { emphysema: '1' });
      assert.is(found.pairs[0]!.label, join(dir, 'a_seg.nii.gz'));
      assert.is(found.pairs[1]!.label, undefined);
      assert.equal(
        found.skipped.map((s) => [s.where, s.reason]),
        [
          ['line 5', 'volume-missing'],
          ['line 6', 'no-volume'],
          ['line 7', 'report-missing'],
          ['line 8', 'no-report'],
          ['line 9', 'report-empty'],
          ['line 10', 'volume-missing'],
          ['line 11', 'repeated'],
          ['line 12', 'report-too-long'],
          ['line 14', 'volume-missing'],
        ],
      );
      assert.equal(found.counts['volume-missing'], 3);
      assert.is(found.pairs.length + found.skipped.length, list.length - 1);
      assert.is(found.patients, true);
      assert.match(found.notes.join('\n'), /1 label maps are not there[\s\S]*1 reports are no UTF-8/);
      // Reports alone need no volumes.
      assert.is((await readReports(join(dir, 'list.csv'))).reports.length, 9);
    },
  );
});

test('findings and impression in columns of their own; classes in a column named label; equal file names', async () => {
  await inFolder(
    {
      'x/ct.nii.gz': 'x',
      'y/ct.nii.gz': 'x',
      'list.csv':
        'volume,findings,impression,history,label\nx/ct.nii.gz,A cyst.,Cyst.,Pain.,tumour\ny/ct.nii.gz,,Normal.,,none\n',
    },
    async (dir) => {
      const { pairs, patients, notes } = await readPairs(join(dir, 'list.csv'));
      assert.equal(
        pairs.map((p) => [p.name, p.patient, p.text, p.columns.label]),
        [
          ['x/ct', 'x/ct', 'HISTORY:\nPain.\n\nFINDINGS:\nA cyst.\n\nIMPRESSION:\nCyst.\n', 'tumour'],
          ['y/ct', 'y/ct', 'IMPRESSION:\nNormal.\n', 'none'],
        ],
      );
      assert.is(patients, false);
      assert.match(notes[0]!, /no patient for every pair/);
    },
  );
});

test('JSONL: paths beside the list or below a root, texts, other values; damage is told without quoting a report', async () => {
  const lines = [
    { image: 'a.nii.gz', report: 'r.txt', patient: 7, age: 50, truth: { x: 1 } },
    { image: 'b.nii.gz', text: 'Cyst.', patient: 'q', group: 'g', empty: null },
  ];
  await inFolder(
    {
      'data/a.nii.gz': 'x',
      'data/b.nii.gz': 'x',
      'data/r.txt': 'Normal.',
      'p.jsonl': lines.map((l) => JSON.stringify(l)).join('\n\n'),
    },
    async (dir) => {
      const found = await readPairs(join(dir, 'p.jsonl'), { root: join(dir, 'data') });
      assert.equal(
        found.pairs.map((p) => [p.patient, p.group, p.text, p.columns, p.where]),
        [
          ['7', undefined, 'Normal.', { age: '50' }, 'line 1'],
          ['q', 'g', 'Cyst.', {}, 'line 3'],
        ],
      );
      assert.match(found.notes.join(), /not read: truth/);
      await fails('pairs-empty', readPairs(join(dir, 'p.jsonl')), /2 volume-missing/);
      await writeFile(join(dir, 'p.jsonl'), '{"text": "Secret Name", }\n');
      const err = await readPairs(join(dir, 'p.jsonl')).catch((e) => e as Error);
      assert.ok(isDataError(err, 'pairs-json') && /line 1/.test(err.message), String(err));
      assert.not.match((err as Error).message, /Secret/);
      await fails('pairs-missing', readPairs(join(dir, 'none.csv')));
    },
  );
});

test('folders: side by side, images and reports, and what the phantom writes', async () => {
  await inFolder(
    {
      'a.nii.gz': 'x',
      'a.txt': 'Normal.',
      'a_seg.nii.gz': 'x',
      'b.nii.gz': 'x',
      'c.txt': 'Cyst.',
      's/1.dcm': 'x',
      's.txt': 'Scan.',
    },
    async (dir) => {
      const found = await readPairs(dir);
      assert.equal(
        found.pairs.map((p) => [p.name, p.label !== undefined]),
        [
          ['a', true],
          ['s', false],
        ],
      );
      assert.equal(found.counts, { 'no-report': 1, 'no-volume': 1 });
    },
  );
  await inFolder(
    {
      'images/a_0000.nii.gz': 'x',
      'images/b/1.dcm': 'x',
      'reports/a.txt': 'A.',
      'reports/b.txt': 'B.',
      'labels/a.nii.gz': 'x',
    },
    async (dir) => {
      const { pairs } = await readPairs(dir);
      assert.equal(
        pairs.map((p) => [p.name, p.text, p.label !== undefined]),
        [
          ['a', 'A.', true],
          ['b', 'B.', false],
        ],
      );
    },
  );
  await inFolder({}, async (dir) => {
    await writePhantomSet(dir, { seed: 1, count: 2, size: [16, 16, 16], maxLesions: 0 });
    const found = await readPairs(dir);
    assert.equal(
      found.pairs.map((p) => p.patient),
      ['phantom_0000', 'phantom_0001'],
    );
    assert.equal([found.source, found.patients, found.skipped.length, found.notes.length], ['jsonl', true, 0, 0]);
    assert.ok(found.pairs.every((p) => p.label && p.image));
  });
});

test.run();
