// What fine-tuning asks of an artifact: rates by layer, frozen parameters, an average, a guard; and nothing by default.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { placeParameters } from '../../compiler/placement.ts';
import { resolveSettings } from '../../compiler/settings.ts';
import { trace } from '../../compiler/trace.ts';
import t3d, { type Settings } from '../../models/t3d/index.ts';
import { PRETRAIN_DEFAULTS } from '../../models/t3d/pretrain-settings.ts';

const small = { preset: 'pico', set: { batch: 2, pretrain: { tileBatch: 1, restoreBatch: 1 } } } as const;
const settings = (set: Readonly<Record<string, unknown>>): Settings =>
  resolveSettings(t3d, { ...small, set: { ...small.set, ...set } });
const groupsOf = (s: Settings, entry: string) => t3d.build(s).entries[entry]!.groups;
const coded = (code: string, pattern: RegExp) => (e: { code?: string; message?: string }) =>
  e.code === code && pattern.test(e.message ?? '');

test('by default an entry trains with neither groups, average nor guard', () => {
  for (const preset of [undefined, 'pico'] as const) {
    const { entries } = t3d.build(resolveSettings(t3d, { preset }));
    for (const name of ['segment', 'classify', 'pretrain']) {
      const e = entries[name]!;
      assert.equal(
        [e.groups, e.guard, e.optimizer!.name, e.optimizer!.states],
        [undefined, undefined, 'AdamW', ['exp_avg', 'exp_avg_sq']],
      );
    }
  }
});

test('layerDecay: each layer of the encoder learns at a part of the rate of the one above, the head at the whole of it', () => {
  const rates = groupsOf(settings({ layerDecay: 0.5 }), 'segment')!.map((g) => [g.match, g.lr]);
  assert.equal(rates, [
    ['^encoder\\.0\\.', 0.125],
    ['^encoder\\.1\\.', 0.25],
    ['^encoder\\.2\\.', 0.5],
  ]);
  const swin = { ...t3d.settings, useV2: true, batch: 1, layerDecay: 0.5 };
  assert.equal(
    groupsOf(swin, 'segment')!.map((g) => g.lr),
    [2 ** -5, 2 ** -4, 2 ** -3, 2 ** -2, 2 ** -1],
  );
  // A study's tokens are the map below the last stage, which classify does not read.
  assert.equal(groupsOf(swin, 'classify')!.length, 4);
  for (const entry of ['segment', 'classify']) {
    const traced = trace(t3d, swin, [entry]);
    // Those that the loss does not read, at rate 0, are beside the point.
    const rows = placeParameters(traced).rows.get(entry)!;
    assert.equal(
      [...new Set(rows.map((r) => r.lr))].filter((lr) => lr > 0).sort(),
      entry === 'segment' ? [0.03125, 0.0625, 0.125, 0.25, 0.5, 1] : [0.0625, 0.125, 0.25, 0.5, 1],
    );
  }
});

test('freeze, ema and guard reach the update; pre-training is not frozen', () => {
  const s = settings({ freeze: '^encoder\\.0\\.,^text\\.', ema: 0.9, guard: true });
  assert.equal(groupsOf(s, 'segment'), [
    { match: '^encoder\\.0\\.', lr: 0 },
    { match: '^text\\.', lr: 0 },
  ]);
  const { entries } = t3d.build(s);
  for (const name of ['segment', 'classify', 'pretrain']) {
    assert.is(entries[name]!.guard, true);
    assert.is(entries[name]!.optimizer!.average, 'ema');
  }
  assert.is(entries.pretrain!.groups, undefined);
  assert.throws(() => placeParameters(trace(t3d, s, ['segment'])), coded('model-groups', /\^text/));
});

test('pre-training has a list of its own of what stays as it is', () => {
  const s = settings({ pretrain: { ...PRETRAIN_DEFAULTS, freeze: ['^text\\.'] } });
  assert.equal(groupsOf(s, 'pretrain'), [{ match: '^text\\.', lr: 0 }]);
  assert.is(t3d.build(s).entries.segment!.groups, undefined);
});

test('settings that cannot be are refused; names may hold any letter', () => {
  const refused = (set: Readonly<Record<string, unknown>>, pattern: RegExp) =>
    assert.throws(() => t3d.build(settings(set)), coded('model-settings', pattern));
  refused({ layerDecay: 0 }, /layerDecay is 0/);
  refused({ layerDecay: 1.5 }, /layerDecay/);
  refused({ ema: 1 }, /ema is 1/);
  refused({ findings: 2, findingNames: 'cyst' }, /1 findingNames for 2 findings/);
  assert.equal(settings({ findingNames: 'thorax,axilla' }).findingNames, ['thorax', 'axilla']);
  assert.equal(settings({ findingNames: '["a, b","c"]' }).findingNames, ['a, b', 'c']);
  assert.equal(settings({ freeze: '' }).freeze, []);
  assert.equal(settings({ size: '32x28x28' }).size, [32, 28, 28]);
});

test('classify and retrieval read the encoder by the names that pre-training gives it', () => {
  const s = settings({});
  const names = (entry: string) => [...trace(t3d, s, [entry]).parameters.keys()];
  const pretrained = names('pretrain');
  for (const entry of ['classify', 'scores', 'embedStudy', 'embedReport', 'scorePairs']) {
    const own = names(entry).filter((n) => !n.startsWith('classify.'));
    assert.equal(
      own.filter((n) => !pretrained.includes(n)),
      [],
      entry,
    );
  }
  assert.ok(names('classify').includes('classify.weight') && names('classify').includes('encoder.0.conv1.weight'));
  // Frozen layers are computed all the same where a report is embedded.
  const frozen = trace(t3d, settings({ textTrain: 1 }), ['embedReport']).parameters;
  assert.ok(frozen.has('text.embeddings.word_embeddings.weight'));
});

test('entries that compare studies with reports refuse methods that do not', () => {
  const of = (pretrain: object) => () =>
    trace(t3d, settings({ pretrain: { ...small.set.pretrain, ...pretrain } }), ['scorePairs']);
  assert.throws(of({ method: 'restore' }), coded('model-pretrain', /compares no text/));
  assert.throws(of({ method: 'contrast', tiles: 2 }), coded('model-pretrain', /compares no text/));
  assert.throws(of({ normalize: 'studies' }), coded('model-pretrain', /normalised over studies/));
  of({ method: 'fullclip' })();
});

test.run();
