// Studies, findings and prompts as commands read them from disk.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readFindings } from '../../cli/finding-labels.ts';
import { studiesIn } from '../../cli/studies.ts';
import { readPrompts } from '../../cli/zeroshot-run.ts';

const test = suite('studies on disk');
let dir = '';
test.before.each(async () => {
  dir = await mkdtemp(join(tmpdir(), 't3dc-lists-'));
});
test.after.each(() => rm(dir, { recursive: true }));

const file = async (name: string, text = ''): Promise<string> => {
  const path = join(dir, name);
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, text);
  return path;
};
const told = async (path: string, columns = {}) =>
  (await studiesIn(path, columns)).map(({ name, patient, study, image }) => ({
    name,
    patient,
    study,
    image: image.slice(dir.length + 1),
  }));
const refuses = async (work: Promise<unknown>, code: string, pattern = /./): Promise<void> => {
  const e = await work.then(
    () => null,
    (err) => err,
  );
  assert.is(e?.code, code, `${e}`);
  assert.match(`${e.message} ${e.found}`, pattern);
};

test('a scan, folders of scans, lists', async () => {
  await file('set/images/b.nii.gz');
  await file('set/images/a.nii');
  await file('set/notes.txt');
  const both = [
    { name: 'a', patient: 'a', study: undefined, image: 'set/images/a.nii' },
    { name: 'b', patient: 'b', study: undefined, image: 'set/images/b.nii.gz' },
  ];
  assert.equal(await told(join(dir, 'set')), both);
  assert.equal(await told(join(dir, 'set', 'images')), both);
  assert.equal(await told(join(dir, 'set', 'images', 'b.nii.gz')), [both[1]]);
  await file('series/1.dcm');
  assert.equal(await told(join(dir, 'series')), [
    { name: 'series', patient: 'series', study: undefined, image: 'series' },
  ]);
  const list = await file(
    'set/list.csv',
    'VolumeName,PatientID,StudyID\nimages/a.nii,p,1\n,q,2\nimages/b.nii.gz,p,3\n',
  );
  assert.equal(await told(list), [
    { ...both[0], patient: 'p', study: '1' },
    { ...both[1], patient: 'p', study: '3' },
  ]);
  await file('set/pairs.jsonl', '{"image":"images/b.nii.gz","patient":7,"report":"b.txt"}\n\n');
  assert.equal(await told(join(dir, 'set')), [{ ...both[1], patient: '7' }]);
  const other = await file('set/other.csv', 'scan\nimages/a.nii\n');
  await refuses(studiesIn(other), 'no-studies', /columns scan/);
  assert.equal(await told(other, { image: 'scan' }), [both[0]]);
});

test('what is no study is refused without showing a report', async () => {
  await refuses(studiesIn(join(dir, 'lost')), 'no-studies');
  await mkdir(join(dir, 'empty'));
  await refuses(studiesIn(join(dir, 'empty')), 'no-studies');
  const broken = await file('pairs.jsonl', '{"image":"a.nii","text":"secret"\n');
  const e = await studiesIn(broken).catch((err) => err);
  assert.is(e.code, 'no-studies');
  assert.not.ok(`${e.message} ${e.found} ${e.hint}`.includes('secret'));
  const twice = await file('twice.csv', 'image\na/x.nii\nb/x.nii\n');
  await refuses(studiesIn(twice), 'cases-table', /x in line 2 and in line 3/);
});

test('findings: by image, study, name or patient; unknown where nothing stands', async () => {
  const list = await file('list.csv', 'image,patient,study\na.nii,p,s1\nb.nii,p,s2\nc.nii,q,s3\n');
  const studies = await studiesIn(list);
  const read = async (text: string, wanted: string[] | null = null) => {
    const { names, labelled, unlabelled, unused } = await readFindings(await file('labels.csv', text), studies, wanted);
    return { names, rows: labelled.map((l) => [l.study.name, ...l.target]), unlabelled, unused };
  };
  assert.equal(await read('patient,cyst,mass\np,1,\nother,0,0\n'), {
    names: ['cyst', 'mass'],
    rows: [
      ['a', 1, Number.NaN],
      ['b', 1, Number.NaN],
    ],
    unlabelled: ['c'],
    unused: 1,
  });
  assert.equal((await read('study,patient,cyst\ns3,q,0\ns1,p,1\n')).rows, [
    ['a', 1],
    ['c', 0],
  ]);
  assert.equal((await read('image,cyst\nb.nii,1\n')).rows, [['b', 1]]);
  assert.equal((await read('image,cyst\nelsewhere/b.nii.gz,1\n')).rows, [['b', 1]]);
  assert.equal((await read('name,mass,cyst\na,0,1\n', ['cyst'])).rows, [['a', 1]]);
  const labels = join(dir, 'labels.csv');
  await writeFile(labels, 'name,cyst\na,2\n');
  await refuses(readFindings(labels, studies, null), 'cases-table', /'2' for cyst in line 2/);
  await refuses(readFindings(labels, studies, ['mass']), 'no-finding', /mass/);
  await writeFile(labels, 'name,cyst\na,1\na,0\n');
  await refuses(readFindings(labels, studies, null), 'cases-table', /twice/);
  await writeFile(labels, 'name,cyst\nz,1\n');
  await refuses(readFindings(labels, studies, null), 'missing-truth');
});

test('prompts: one or more of either side, and nothing else', () => {
  const read = (json: unknown) => [...readPrompts(json, 'p.json')];
  assert.equal(read({ cyst: { positive: ' A cyst. ', negative: ['No cyst.', 'Normal.'] } }), [
    ['cyst', { positive: ['A cyst.'], negative: ['No cyst.', 'Normal.'] }],
  ]);
  for (const wrong of [
    null,
    [],
    {},
    { a: 1 },
    { a: { positive: ['x'] } },
    { a: { positive: [], negative: ['y'] } },
    { a: { positive: ['x'], negative: [''] } },
    { a: { positive: ['x'], negative: ['y'], neutral: ['z'] } },
  ])
    assert.throws(
      () => read(wrong),
      (e: { code?: string }) => e.code === 'bad-prompts',
      JSON.stringify(wrong),
    );
});

test.run();
