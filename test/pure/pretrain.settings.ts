// Settings of pre-training's options: what goes together, what is refused and says why, and the inputs that each option brings.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { diagnoseInputs, pretrainInputs } from '../../models/t3d/pretrain.ts';
import { checkPretrain, PRETRAIN_DEFAULTS, type PretrainSettings } from '../../models/t3d/pretrain-settings.ts';
import { DEFAULTS } from '../../models/t3d/settings.ts';

const refused = (change: Partial<PretrainSettings>, words: RegExp): void =>
  assert.throws(
    () => checkPretrain({ ...PRETRAIN_DEFAULTS, ...change }, 4, 32),
    (e: Error & { code?: string }) => e.code === 'model-pretrain' && words.test(e.message),
  );

test('options that do not go together are refused', () => {
  checkPretrain({ ...PRETRAIN_DEFAULTS, lambdaView: 0.5, counterfactuals: 2, mask: 'attended' }, 4, 32);
  checkPretrain({ ...PRETRAIN_DEFAULTS, method: 't3d-shuffled', counterfactuals: 1 }, 4, 32);
  refused({ lambdaView: -1 }, /lambdaView is -1/);
  refused({ counterfactuals: 3 }, /use 0, 1 or 2/);
  refused({ mask: 'seen' as 'random' }, /random, attended/);
  refused({ attended: 1 }, /between 0 and 1/);
  refused({ mask: 'attended', lambdaTir: 0 }, /restores nothing/);
  refused({ method: 'fullclip', lambdaView: 0.5 }, /lambdaView needs sentences/);
  refused({ method: 'clipcrop', tiles: 1, counterfactuals: 1 }, /clipcrop has none/);
  refused({ method: 'restore', mask: 'attended' }, /mask 'attended' needs sentences/);
});

test('each option has its inputs; diagnostics have none of them', () => {
  const names = (change: Partial<PretrainSettings>, more: object = {}): string[] =>
    Object.keys(
      pretrainInputs({ ...DEFAULTS, ...more, pretrain: { ...PRETRAIN_DEFAULTS, ...change } } as typeof DEFAULTS),
    );
  const plain = names({});
  const beside = (change: Partial<PretrainSettings>, more: object = {}): string[] =>
    names(change, more).filter((n) => !names({}, more).includes(n));
  assert.equal(beside({ lambdaView: 0.5 }), ['tiles_b']);
  assert.equal(beside({ counterfactuals: 2 }), ['counter_ids', 'counter_mask', 'counter_sentence_ids']);
  assert.equal(beside({ counterfactuals: 2 }, { textTrain: 0 }), [
    'counter_hidden',
    'counter_mask',
    'counter_sentence_ids',
  ]);
  assert.equal(beside({ mask: 'attended' }), ['restored_tile', 'asked_sentence']);
  assert.not.ok(names({ mask: 'attended' }).includes('corrupt_mask'));
  const all = { lambdaView: 0.5, counterfactuals: 2, mask: 'attended' as const };
  assert.equal(Object.keys(diagnoseInputs({ ...DEFAULTS, pretrain: { ...PRETRAIN_DEFAULTS, ...all } })), plain);
});

test.run();
