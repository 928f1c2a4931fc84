// What a training run leaves on disk, apart from training: the best step, the folder's log, charts, report and model card.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { BestStep } from '../../cli/best.ts';
import { chartPicture } from '../../cli/chart.ts';
import { modelCard } from '../../cli/model-card.ts';
import type { RunConfig } from '../../cli/run-config.ts';
import { RunFolder } from '../../cli/run-folder.ts';
import { reportPage } from '../../cli/run-report.ts';
import { encodePng } from '../../data/png.ts';
import { type Session, writeSafetensors } from '../../runtime/index.ts';

test('best step: the greatest Dice or the least loss; ties and what could not be computed are no gain; patience ends a run', () => {
  const dice = new BestStep('validation/dice/liver loss', 2);
  assert.equal(
    [0.1, 0.3, 0.3].map((v, i) => dice.take(i, v)),
    [true, true, false],
  );
  assert.not(dice.isOver);
  assert.not(dice.take(3, null));
  assert.ok(dice.isOver);
  assert.equal(dice.best, { step: 1, value: 0.3 });
  for (const metric of ['validation/loss', 'validation/hd95/liver', 'validation/contrast_loss']) {
    const least = new BestStep(metric, null);
    assert.equal(
      [2, 1, Number.NaN, 1.5, 0.5].map((v, i) => least.take(i, v)),
      [true, true, false, false, true],
      metric,
    );
    assert.not(least.isOver);
  }
});

const config: RunConfig<Record<string, unknown>> = {
  command: 'train',
  entry: 'segment',
  plan: {
    data: '/home/someone/studies/btcv',
    weights: 'C:\\weights\\ssl.safetensors',
    lr: 1e-3,
    valData: null,
    note: 'a|b',
  },
  training: null,
  data: {},
  model: { name: 'net', settings: { channels: [4, 8] }, parameters: 1234, precision: 'f16' },
  preprocess: null,
  versions: { t3dc: '0', artifact: 'format 2', graphHash: 'abc', node: '20' },
};

/** A session whose weights are these. */
const sessionOf = (step: number, value = step): Session => {
  const file = (metadata = {}) =>
    Promise.resolve(writeSafetensors([{ name: 'w', shape: [2], data: Float32Array.of(1, value) }], metadata));
  return {
    step,
    manifest: { arenas: [] },
    weights: (o?: { metadata?: Record<string, string> }) => file(o?.metadata),
    saveCheckpoint: () => file({ step: String(step) }),
  } as unknown as Session;
};
async function folder(work: (dir: string) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 't3dc-run-'));
  try {
    await work(dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
}
async function fails(code: string, work: () => unknown): Promise<Error> {
  try {
    await work();
  } catch (e) {
    assert.is((e as { code?: string }).code, code, (e as Error).message);
    return e as Error;
  }
  assert.unreachable(`nothing was thrown; expected ${code}`);
  throw new Error();
}

test('run folder: a resumed run keeps what was logged up to its checkpoint, and a line cut short by a crash is done again', () =>
  folder(async (dir) => {
    const run = await RunFolder.open(dir, config, null);
    for (let step = 1; step <= 4; step++) run.log(step, { 'train/loss': 1 / step });
    run.log(4, { 'validation/dice': null });
    const path = join(dir, 'metrics.jsonl');
    const lines = readFileSync(path, 'utf8');
    writeFileSync(path, `${lines}{"step":5,"train/lo`);
    const again = await RunFolder.open(dir, config, 4);
    assert.is(again.records.length, 5);
    assert.is(readFileSync(path, 'utf8'), lines);
    assert.equal(
      (await RunFolder.open(dir, config, 2)).records.map((r) => r.step),
      [1, 2],
    );
    assert.equal(RunFolder.planOf(dir, 'train'), config.plan);
    await fails('run-other', () => RunFolder.planOf(dir, 'pretrain'));
    writeFileSync(path, '{"step":1}\nnonsense\n{"step":2}\n');
    assert.match((await fails('run-broken', () => RunFolder.open(dir, config, 2))).message, 'line 2');
    writeFileSync(join(dir, 'config.json'), '{');
    await fails('run-broken', () => RunFolder.planOf(dir, 'train'));
  }));

test('run folder: weights that are not finite are not saved; a checkpoint that no step can start from gives way to the last', () =>
  folder(async (dir) => {
    const run = await RunFolder.open(dir, config, null);
    const weights = () => readFileSync(join(dir, 'weights.safetensors'));
    await run.save(sessionOf(1));
    const first = weights();
    assert.match((await fails('non-finite-weights', () => run.save(sessionOf(2, Number.NaN)))).message, 'step 2');
    assert.ok(weights().equals(first));
    await run.save(sessionOf(3));
    assert.not(weights().equals(first));
    run.fallBack();
    assert.is(run.saved, 1);
    assert.ok(weights().equals(first));
    await run.save(sessionOf(4));
    run.log(5, { 'train/loss': Number.NaN });
    assert.is(readdirSync(dir).filter((f) => f.endsWith('.before')).length, 2);
    run.log(5, { 'train/loss': 1 });
    assert.is(readdirSync(dir).filter((f) => f.endsWith('.before')).length, 0);
    run.fallBack();
    assert.is(run.saved, 4);
    await run.saveBest(sessionOf(4), 'validation/dice', 0.5);
    assert.is(await run.bestStep(), 4);
    assert.is(await (await RunFolder.open(dir, config, null)).bestStep(), null);
  }));

test('chart: gaps where values are not finite, the extremes of long lines kept, nothing to draw said', () => {
  const gap = chartPicture({
    title: 't',
    lines: [{ name: 'a', points: [1, 2, 3, 4, 5].map((s) => [s, s === 3 ? Number.NaN : s]) }],
  });
  assert.is(gap.match(/<polyline/g)!.length, 2);
  assert.not.match(gap, 'NaN');
  const points = Array.from({ length: 20_000 }, (_, i) => [i, i === 7777 ? 50 : Math.sin(i)] as const);
  const long = chartPicture({ title: 't', lines: [{ name: 'a', points, smooth: true }], range: [-1, 50] });
  assert.ok(long.length < 30_000, `${long.length} bytes`);
  // the spike reaches the top of the frame
  assert.match(long, /[ "]\d+\.\d,12\.0[ "]/);
  assert.match(chartPicture({ title: 't', lines: [] }), 'nothing was measured yet');
  for (const value of [0, 3, -2])
    assert.not.match(chartPicture({ title: 't', lines: [{ name: 'a', points: [[1, value]] }] }), /NaN|Infinity/);
});

test('report: whole in one file, every part in its place, text escaped', () => {
  const html = reportPage({
    title: '<net>',
    facts: [{ name: 'Loss', value: '0.5', about: 'last' }],
    config: { command: 'train', plan: { lr: 0.1, groups: [{ match: '<b>' }] }, nothing: null },
    series: [
      {
        title: 'Loss',
        lines: [
          { name: 'a', points: [[1, 1]] },
          { name: 'b&c', points: [[1, 2]] },
        ],
      },
    ],
    images: [{ png: encodePng(new Uint8Array(3), 1, 1), caption: 'a "case"' }],
    tables: [{ title: 'Leak diagnostics', head: ['probe', 'gap'], rows: [['shuffled & all', '0.00']], numbers: [1] }],
    notes: ['stopped < here'],
  });
  for (const part of [
    '&lt;net&gt;',
    'stopped &lt; here',
    'data:image/png;base64,iVBOR',
    'alt="a &quot;case&quot;"',
    '<h2>Leak diagnostics</h2>',
    'shuffled &amp; all',
    '[{&quot;match&quot;:&quot;&lt;b&gt;&quot;}]',
    '</i>b&amp;c</span>',
  ])
    assert.ok(html.includes(part), part);
  assert.not.match(html, /<script|<link|https?:\/\/(?!www\.w3\.org)/);
  const bare = reportPage({ title: 't', config: {}, series: [], images: [], tables: [], notes: [] });
  assert.not.match(bare, '<h2>');
});

test('model card: what it must say, figures per set, no path of the machine', () => {
  const facts = {
    config,
    step: 5,
    steps: 10,
    task: 'Segments.',
    data: ['12 cases'],
    metrics: [{ set: 'validation', cases: '3', metric: 'mean Dice', value: '0.812', step: 5 }],
    files: ['weights.safetensors', 'report.html'],
    notes: ['2 steps were skipped'],
  };
  const card = modelCard(facts);
  for (const part of [
    'This is not a medical device',
    'independent implementation',
    '| validation | 3 | mean Dice | 0.812 | 5 |',
    '- 12 cases',
    '| data | btcv |',
    '| weights | ssl.safetensors |',
    '| note | a\\|b |',
    '- 2 steps were skipped',
    'trained with f16 storage',
    '1,234 parameters, after 5 of 10 steps',
  ])
    assert.ok(card.includes(part), `${part} in\n${card}`);
  assert.not.match(card, /someone|valData|best\.safetensors/);
  assert.match(modelCard({ ...facts, metrics: [] }), 'Nothing was measured yet.');
});

test.run();
