// `t3dc eval` from files to files: figures, tables, the page, what is refused and what is counted.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readCsv } from '../../data/csv.ts';
import {
  type Affine,
  brier,
  calibration,
  type Dims,
  diagonalAffine,
  dice,
  stream,
  surfaceDistances,
} from '../../data/index.ts';
import { writeVolume } from '../../data/node.ts';
import { balls } from '../metrics.ts';
import { t3dc } from '../t3dc.ts';

const test = suite<{ dir: string }>('eval', { dir: '' });
test.before(async (at) => {
  at.dir = await mkdtemp(join(tmpdir(), 't3dc-eval-'));
});
test.after((at) => rm(at.dir, { recursive: true }));

const DIMS: Dims = [12, 14, 10];
const SPACING: [number, number, number] = [1.5, 1, 2.5];
const ORIGIN: [number, number, number] = [-5, 4, 30];
/** Liver 1 and lesions 2; the prediction is moved by a voxel. */
const organ = (shift: number) =>
  balls(DIMS, [
    [
      [6, 6 + shift, 5],
      [4, 4, 3],
    ],
  ]);
const lesion = (shift: number, missed: boolean) =>
  balls(DIMS, [
    [
      [6, 6 + shift, 5],
      [1.2, 1.2, 1],
    ],
    ...(missed
      ? []
      : ([
          [
            [4, 4, 4],
            [0.6, 0.6, 0.6],
          ],
        ] as const)),
  ]);
const merged = (shift: number, missed: boolean): Uint8Array => {
  const spots = lesion(shift, missed);
  return organ(shift).map((v, i) => (spots[i] ? 2 : v));
};
const volume = (data: Uint8Array | Float32Array, affine: Affine = diagonalAffine(SPACING, ORIGIN)) => ({
  data,
  dims: DIMS,
  affine,
});

async function twoCases(dir: string): Promise<void> {
  for (const [name, shift] of [
    ['a', 0],
    ['b', 2],
  ] as const) {
    await writeVolume(join(dir, 'truth', `${name}.nii.gz`), volume(merged(0, false)));
    await writeVolume(join(dir, 'pred', `${name}.nii.gz`), volume(merged(shift, name === 'b')));
    await writeVolume(join(dir, 'ct', `${name}.nii.gz`), volume(Float32Array.from(organ(0), (v) => v * 60)));
    const p = Float32Array.from(merged(shift, name === 'b'), (v) => (v === 2 ? 0.75 : 0));
    await writeVolume(join(dir, 'prob', `${name}.nii.gz`), volume(p));
  }
}

test('segment: figures of the library, tables, pictures, strata', async ({ dir }) => {
  const set = join(dir, 'set');
  await twoCases(set);
  await writeFile(join(dir, 'cases.csv'), 'case,patient,site\na,p1,north\nb,p2,south\n');
  const words = ['eval', 'segment', '--pred', join(set, 'pred'), '--truth', join(set, 'truth'), '-o', join(dir, 'out')];
  const options = ['--labels', 'liver=1,lesion=2', '--tolerance', '1', '--lesions', 'lesion', '--bins', '3,8'];
  const files = ['--probability', join(set, 'prob'), '--images', join(set, 'ct'), '--cases', join(dir, 'cases.csv')];
  const found = await t3dc(...words, ...options, ...files, '--resamples', '200');
  assert.is(found.code, 0, JSON.stringify(found.json));

  const [p, t] = [merged(2, true), merged(0, false)];
  const expected = dice(p, t, 3);
  const near = surfaceDistances(p, t, DIMS, SPACING, { tolerance: 1 });
  const rows = readCsv(await readFile(join(dir, 'out', 'per-case.csv'), 'utf8')).rows.map((r) => r.values);
  const liver = rows.find((r) => r.case === 'b' && r.class === 'liver')!;
  assert.ok(Math.abs(Number(liver.dice) - expected.dice[1]!) < 1e-5);
  assert.ok(Math.abs(Number(liver.nsd) - near.nsd) < 1e-5 && Math.abs(Number(liver.hd95_mm) - near.hd95) < 1e-4);
  assert.is(liver.patient, 'p2');
  assert.ok(Math.abs(Number(liver.truth_ml) - (expected.truthVoxels[1]! * 3.75) / 1000) < 1e-5);

  const metrics = JSON.parse(await readFile(join(dir, 'out', 'metrics.json'), 'utf8'));
  assert.is(metrics.cases, 2);
  assert.ok(Math.abs(metrics.classes.liver.dice.estimate - (1 + expected.dice[1]!) / 2) < 1e-9);
  assert.equal([metrics.lesions.lesion.all.truth, metrics.lesions.lesion.all.found], [4, 3]);
  assert.is(metrics.lesions.lesion.bins.length, 3);
  assert.is(metrics.lesions.lesion.froc.average, 0.75);
  assert.equal(Object.keys(metrics.strata.site), ['north', 'south']);
  assert.equal(Object.keys(metrics.strata['largest voxel edge']), ['1.5–3 mm']);
  assert.equal(metrics.strata.site.north.dice.estimate, 1);
  const page = await readFile(join(dir, 'out', 'report.html'), 'utf8');
  assert.is(page.match(/data:image\/png;base64,/g)?.length, 2);
  assert.not.match(page, /https?:|<script/);
  // The worst first.
  assert.ok(page.indexOf('alt="b:') < page.indexOf('alt="a:'));
  // The same again, byte for byte.
  const again = await t3dc(...words.slice(0, -1), join(dir, 'again'), ...options, ...files, '--resamples', '200');
  assert.is(again.code, 0);
  assert.is(await readFile(join(dir, 'again', 'report.html'), 'utf8'), page);
});

test('segment: a prediction in another orientation is the same prediction', async ({ dir }) => {
  const at = join(dir, 'turned');
  await writeVolume(join(at, 'truth', 'a.nii.gz'), volume(merged(0, false)));
  const [d, h, w] = DIMS;
  const flipped = new Uint8Array(d * h * w);
  merged(0, false).forEach((v, i) => {
    const k = i % w;
    flipped[i - k + (w - 1 - k)] = v;
  });
  const affine = [...diagonalAffine(SPACING, ORIGIN)];
  affine[10] = -SPACING[2];
  affine[11] = ORIGIN[2] + SPACING[2] * (w - 1);
  await writeVolume(join(at, 'pred', 'a.nii.gz'), volume(flipped, affine as unknown as Affine));
  const found = await t3dc(
    'eval',
    'segment',
    '--pred',
    join(at, 'pred'),
    '--truth',
    join(at, 'truth'),
    '-o',
    join(at, 'o'),
  );
  assert.is(found.code, 0, JSON.stringify(found.json));
  assert.equal([found.json.mean.dice.estimate, found.json.mean.hd95.estimate], [1, 0]);
  // Without names every id is a class.
  assert.equal(Object.keys(found.json.classes), ['class 1', 'class 2']);
});

test('segment: missing predictions, other grids and unknown ids are errors, or are counted', async ({ dir }) => {
  const at = join(dir, 'broken');
  await twoCases(at);
  await writeVolume(join(at, 'truth', 'c.nii.gz'), volume(merged(0, false)));
  await writeVolume(join(at, 'pred', 'z.nii.gz'), volume(merged(0, false)));
  await writeVolume(join(at, 'pred', 'b.nii.gz'), volume(merged(0, false), diagonalAffine(SPACING, [0, 0, 0])));
  const words = ['eval', 'segment', '--pred', join(at, 'pred'), '--truth', join(at, 'truth'), '-o', join(at, 'out')];
  const missing = await t3dc(...words);
  assert.equal([missing.code, missing.json.error.code, missing.json.error.found], [1, 'missing-prediction', 'c']);
  await rm(join(at, 'truth', 'c.nii.gz'));
  const grid = await t3dc(...words);
  assert.is(grid.json.error.code, 'volume-grids');
  assert.match(grid.json.error.message, /b: truth and prediction/);
  await writeVolume(join(at, 'truth', 'c.nii.gz'), volume(merged(0, false)));
  const skipped = await t3dc(...words, '--skip', '--labels', 'liver=1');
  assert.is(skipped.code, 0, JSON.stringify(skipped.json));
  assert.is(skipped.json.cases, 1);
  assert.equal(
    skipped.json.skipped.map((s: { name: string; code: string }) => [s.name, s.code]),
    [
      ['c', 'missing-prediction'],
      ['b', 'volume-grids'],
    ],
  );
  assert.equal(skipped.json.withoutTruth, ['z']);
  const spots = merged(0, false).filter((v) => v === 2).length;
  assert.ok(skipped.json.unknownLabels['2'] >= 2 * spots);
  assert.match(skipped.stderr, /1 of 3 cases are left out \(volume-grids\): b/);
  assert.match(skipped.stderr, /id 2 \(\d+ voxels\)/);
  const page = await readFile(join(at, 'out', 'report.html'), 'utf8');
  assert.match(page, /left out \(missing-prediction\)/);
});

test('segment: names of a dataset, and an id that it does not have', async ({ dir }) => {
  const at = join(dir, 'named');
  await writeVolume(join(at, 'labels', 'a.nii.gz'), volume(merged(0, false)));
  await writeVolume(join(at, 'images', 'a.nii.gz'), volume(merged(0, false)));
  await writeVolume(join(at, 'pred', 'a.nii.gz'), volume(merged(1, false)));
  const json = (labels: object) => writeFile(join(at, 'dataset.json'), JSON.stringify({ labels }));
  await json({ background: 0, liver: 1, tumour: 2 });
  const words = ['eval', 'segment', '--pred', join(at, 'pred'), '-o', join(at, 'out')];
  for (const truth of [at, join(at, 'labels')]) {
    const found = await t3dc(...words, '--truth', truth);
    assert.equal(Object.keys(found.json.classes ?? found.json), ['liver', 'tumour']);
  }
  await json({ background: 0, liver: 1 });
  const unknown = await t3dc(...words, '--truth', at);
  assert.is(unknown.json.error.code, 'unknown-label');
  assert.match(unknown.json.error.hint, /--labels/);
  // The prediction numbers them the other way round.
  const other = await t3dc(...words, '--truth', at, '--labels', 'liver=1,spot=2', '--pred-labels', 'spot=1,liver=2');
  assert.ok(other.json.classes.liver.dice.estimate < 0.2);
});

test('segment: a mistake in the options is told before anything is read', async ({ dir }) => {
  const words = ['eval', 'segment', '--pred', dir, '--truth', dir, '-o', join(dir, 'none')];
  for (const [more, code] of [
    [['--bins', '5,3'], 'bad-value'],
    [['--bins', 'x'], 'bad-value'],
    [['--window', '1'], 'bad-value'],
    [['--probability', dir], 'bad-value'],
    [['--sensitivity', '0.9'], 'unknown-option'],
  ] as const) {
    const found = await t3dc(...words, ...more);
    assert.equal([found.code, found.json.error.code], [2, code], more.join(' '));
  }
  const nothing = await t3dc('eval', 'segment', '-o', dir);
  assert.is(nothing.json.error.code, 'missing-argument');
  assert.is((await t3dc('eval', 'guess', '-o', dir)).json.error.code, 'bad-value');
  const away = await t3dc('eval', 'segment', '--pred', join(dir, 'nowhere'), '--truth', dir, '-o', dir);
  assert.is(away.json.error.code, 'no-folder');
});

/** Scores that lean towards the true class of three. */
async function tables(dir: string): Promise<void> {
  const names = ['nodule', 'cyst', 'scar'];
  const truth = (i: number) => stream(2, i).int(3);
  const scores = (from: number, n: number) =>
    Array.from({ length: n }, (_, i) => {
      const random = stream(3, from + i);
      const z = names.map((_, c) => Math.exp((c === truth(from + i) ? 1 : 0) + random.normal()));
      const total = z.reduce((a, b) => a + b, 0);
      return [`c${from + i}`, ...z.map((v) => v / total)].join(',');
    });
  const write = (name: string, head: string, rows: string[]) =>
    writeFile(join(dir, name), `${[head, ...rows].join('\n')}\n`);
  const all = Array.from({ length: 100 }, (_, i) => i);
  await write('test.csv', `case,${names.join(',')}`, scores(0, 60));
  await write('val.csv', `case,${names.join(',')}`, scores(60, 40));
  await write(
    'labels.csv',
    'case,label',
    all.map((i) => `c${i},${names[truth(i)]}`),
  );
  await write(
    'hot.csv',
    `case,${names.join(',')}`,
    all.map((i) => [`c${i}`, ...names.map((_, c) => (i === 0 && c === 0 ? '' : c === truth(i) ? 1 : 0))].join(',')),
  );
  await write(
    'people.csv',
    'case,patient,site,size,spacing',
    all.map((i) => `c${i},p${i >> 1},${i % 2 ? 'x' : 'y'},${i % 3 ? i % 16 : ''},${i < 20 ? 0.8 : 4}`),
  );
}

test('classify: AUROC, calibration and an operating point that validation chose', async ({ dir }) => {
  await tables(dir);
  const file = (name: string) => join(dir, name);
  const words = ['eval', 'classify', '--pred', file('test.csv'), '--truth', file('labels.csv'), '-o', file('c')];
  const validation = ['--val-pred', file('val.csv'), '--val-truth', file('labels.csv')];
  const found = await t3dc(...words, ...validation, '--cases', file('people.csv'), '--resamples', '300');
  assert.is(found.code, 0, JSON.stringify(found.json));
  const { macroAuroc, classes } = found.json;
  assert.ok(
    macroAuroc.estimate > 0.65 && macroAuroc.low < macroAuroc.estimate && macroAuroc.estimate < macroAuroc.high,
  );
  const mean = Object.values<{ auroc: { estimate: number } }>(classes).reduce((s, c) => s + c.auroc.estimate / 3, 0);
  assert.ok(Math.abs(macroAuroc.estimate - mean) < 1e-12);
  const { operating: o } = classes.cyst;
  assert.is(o.truePositives + o.falseNegatives, classes.cyst.positives);
  assert.ok(Math.abs(o.intervals.ppv.estimate - o.ppv) < 1e-12 && o.intervals.ppv.low <= o.ppv);
  // The threshold is one of the validation scores.
  const val = readCsv(await readFile(file('val.csv'), 'utf8')).rows.map((r) => Number(r.values.cyst));
  assert.ok(val.includes(o.threshold));
  const { strata } = found.json;
  assert.equal(Object.keys(strata.site), ['x', 'y']);
  assert.equal(Object.keys(strata.spacing), ['≤ 1.5 mm', '3–5 mm']);
  assert.equal(Object.keys(strata.size), ['< 5 mm', '5–10 mm', '10–20 mm', '(not given)']);
  const perCase = readCsv(await readFile(join(dir, 'c', 'per-case.csv'), 'utf8')).rows.map((r) => r.values);
  const fine = perCase.filter((r) => Number(r.case!.slice(1)) < 20);
  const of = (f: typeof brier) =>
    ['nodule', 'cyst', 'scar'].map((c) =>
      f(
        fine.map((r) => Number(r[c])),
        fine.map((r) => Number(r[`${c}_truth`])),
      ),
    );
  const stratum = strata.spacing['≤ 1.5 mm'];
  assert.equal([stratum.cases, stratum.patients], [20, 10]);
  for (const [name, figures] of [
    ['ece', of((p, y) => calibration(p, y).ece)],
    ['brier', of(brier)],
  ] as const) {
    const { estimate, low, high } = stratum.calibration[name];
    assert.ok(Math.abs(estimate - figures.reduce((a, b) => a + b) / 3) < 1e-6, `${name} ${estimate}: ${figures}`);
    assert.ok(low < high && high > estimate, `${name} ${low} to ${high}`);
    assert.ok(Math.abs(stratum.classes.cyst[name] - figures[1]!) < 1e-6);
  }
  assert.match(found.stderr, /40 cases of .*labels\.csv have no scores/);
  const rows = readCsv(await readFile(join(dir, 'c', 'per-case.csv'), 'utf8'));
  assert.ok(rows.columns.includes('cyst_called') && rows.rows.length === 60);
  const page = await readFile(join(dir, 'c', 'report.html'), 'utf8');
  assert.match(page, /Youden/);
  assert.not.match(page, /https?:|<script/);

  // Cases of one patient are drawn together: alone in its stratum, it leaves nothing to draw.
  await writeFile(file('one.csv'), `case,patient,site\n${perCase.map((r) => `${r.case},p,x`).join('\n')}\n`);
  const one = await t3dc(...words, '--cases', file('one.csv'), '--resamples', '20');
  const { ece } = one.json.strata.site.x.calibration;
  assert.equal([ece.low, ece.high], [ece.estimate, ece.estimate]);
  const wide = await t3dc(
    ...words,
    '--cases',
    file('people.csv'),
    '--bins',
    '8',
    '--strata',
    'size',
    '--resamples',
    '20',
  );
  assert.equal(Object.keys(wide.json.strata), ['size']);
  assert.equal(Object.keys(wide.json.strata.size), ['< 8 mm', '≥ 8 mm', '(not given)']);

  const fixed = await t3dc(...words, ...validation, '--sensitivity', '0.95', '--resamples', '20');
  assert.ok(fixed.json.classes.cyst.operating.threshold < o.threshold);
  // Labels as a column per class, one of them not known.
  const hot = await t3dc(...words.slice(0, 5), file('hot.csv'), '-o', file('h'), '--resamples', '20');
  assert.equal([hot.json.classes.nodule.unknown, hot.json.classes.cyst.unknown], [1, 0]);
  assert.is(hot.json.classes.cyst.auroc.estimate, classes.cyst.auroc.estimate);
});

test('classify: what does not fit is refused', async ({ dir }) => {
  await tables(dir);
  const file = (name: string) => join(dir, name);
  const of = async (name: string, text: string, ...more: string[]): Promise<[string, string]> => {
    await writeFile(file(name), text);
    const [pred, truth] = name.startsWith('bad-pred') ? [name, 'labels.csv'] : ['test.csv', name];
    const found = await t3dc(
      'eval',
      'classify',
      '--pred',
      file(pred),
      '--truth',
      file(truth),
      '-o',
      file('x'),
      ...more,
    );
    return [found.json.error?.code, JSON.stringify(found.json.error)];
  };
  const [twice, told] = await of('bad-pred1.csv', 'case,nodule,cyst,scar\nc1,0.5,0,0\nc1,0.5,0,0\n');
  assert.is(twice, 'cases-table');
  assert.match(told, /c1 twice, in line 3/);
  const [wrong, why] = await of('bad-pred2.csv', 'case,nodule,cyst,scar\nc1,0.1,high,0.2\n');
  assert.is(wrong, 'cases-table');
  assert.match(why, /'high' for cyst in line 2/);
  assert.match((await of('bad-pred5.csv', 'case,cyst\nc1,1\nc2,1\nc3,1\nc4,1\n'))[1], /another label for case/);
  assert.is((await of('bad-pred3.csv', 'case,cyst\nunheard,0.5\n'))[0], 'missing-truth');
  assert.is((await of('bad-pred4.csv', 'name,cyst\nc1,0.5\n'))[0], 'cases-table');
  assert.is((await of('bad-truth.csv', 'case,nodule,cyst,scar\nc0,2,0,0\n'))[0], 'cases-table');
  const leak = await t3dc(
    ...['eval', 'classify', '--pred', file('test.csv'), '--truth', file('labels.csv'), '-o', file('x')],
    ...['--val-pred', file('test.csv'), '--val-truth', file('labels.csv')],
  );
  assert.is(leak.json.error.code, 'validation-leak');
  const half = await t3dc(
    ...['eval', 'classify', '--pred', file('test.csv'), '--truth', file('labels.csv'), '-o', file('x')],
    ...['--val-pred', file('val.csv')],
  );
  assert.is(half.json.error.code, 'bad-value');
});

test('retrieve: both directions, groups, intervals', async ({ dir }) => {
  const file = (name: string) => join(dir, name);
  await writeFile(file('sim.csv'), 'study,a,b,c\na,0.9,0.1,0.2\nb,0.8,0.5,0.6\nc,0.1,0.2,0.3\n');
  const found = await t3dc('eval', 'retrieve', '--scores', file('sim.csv'), '-o', file('r'), '--resamples', '100');
  assert.is(found.code, 0, JSON.stringify(found.json));
  const { rowsToColumns: rows, columnsToRows: columns } = found.json.directions;
  assert.ok(Math.abs(rows['R@1'].estimate - 2 / 3) < 1e-12 && rows['R@5'].estimate === 1);
  assert.equal([rows.medianRank.estimate, columns.medianRank.estimate], [1, 1]);
  assert.equal([rows.queries, rows.patients], [3, 3]);
  assert.ok(rows['R@1'].low < rows['R@1'].high);
  // All queries of a patient are drawn together.
  await writeFile(file('cases.csv'), 'case,patient\na,p\nb,p\nc,p\n');
  const words = ['eval', 'retrieve', '--scores', file('sim.csv'), '-o', file('r'), '--resamples', '100'];
  const own = await t3dc(...words, '--cases', file('cases.csv'));
  const { queries, patients, ...rest } = own.json.directions.rowsToColumns;
  assert.equal([queries, patients, rest['R@1'].low, rest['R@1'].high], [3, 1, 2 / 3, 2 / 3]);
  await writeFile(file('cases.csv'), 'case,patient\na,p\nb,p\n');
  const two = await t3dc(...words, '--cases', file('cases.csv'));
  assert.is(two.json.directions.rowsToColumns.patients, 2);
  // The patient of a and b has one hit of two, the other one of one: 1/2, 2/3 and 1 are all that can be drawn.
  assert.equal([two.json.directions.rowsToColumns['R@1'].low, two.json.directions.rowsToColumns['R@1'].high], [0.5, 1]);
  assert.match(two.stderr, /not in .*cases\.csv, and patients of their own: c/);
  assert.is((await readFile(join(dir, 'r', 'per-case.csv'), 'utf8')).split('\n')[2], 'rowsToColumns,b,3');
  await writeFile(file('groups.csv'), 'name,group\na,1\nb,1\nc,2\n');
  const grouped = await t3dc(
    ...['eval', 'retrieve', '--scores', file('sim.csv'), '--groups', file('groups.csv'), '-o', file('r')],
  );
  assert.is(grouped.json.directions.rowsToColumns['R@1'].estimate, 1);
  await writeFile(file('groups.csv'), 'name,group\na,1\nb,1\n');
  const lacking = await t3dc(
    ...['eval', 'retrieve', '--scores', file('sim.csv'), '--groups', file('groups.csv'), '-o', file('r')],
  );
  assert.match(lacking.json.error.found, /no group for c/);
  await writeFile(file('none.csv'), 'study,x,y\na,1,2\n');
  const none = await t3dc('eval', 'retrieve', '--scores', file('none.csv'), '-o', file('r'));
  assert.is(none.json.error.code, 'no-pairs');
});

test.run();
