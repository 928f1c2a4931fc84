// Tasks without a device: the data contract, sides of classes, the order of cases.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PHANTOM_LABELS } from '../../data/index.ts';
import { type Manifest, T3dcError } from '../../runtime/index.ts';
import { lateralityOf, segmentationContract } from '../../tasks/index.ts';
import { mirrorsOf } from '../../tasks/segment.ts';
import { caseOf } from '../../tasks/segmentation-samples.ts';

test('sides: pairs swap, single sides and unknown names forbid mirroring', () => {
  assert.equal(lateralityOf(PHANTOM_LABELS), [[3, 4]]);
  assert.equal(lateralityOf(['background', 'kidney_left', 'liver', 'kidney_right']), [[1, 3]]);
  assert.is(lateralityOf(['background', 'liver', 'spleen']), 'free');
  assert.is(lateralityOf(['background', 'left atrium']), 'fixed');
  assert.is(lateralityOf(['background', 'class 1', 'class 2']), 'fixed');
  assert.is(lateralityOf(['background', 'bright spot', 'cleft']), 'free');
});

test('mirrors: pairs swap, and a side without its partner keeps right and left', () => {
  assert.equal(mirrorsOf(PHANTOM_LABELS), { axes: [0, 1, 2], pairs: [[3, 4]] });
  assert.equal(mirrorsOf(['background', 'liver']), { axes: [0, 1, 2], pairs: [] });
  assert.equal(mirrorsOf(['background', 'left atrium']), { axes: [1, 2] });
});

test('every case comes once an epoch, in another order each time', () => {
  const epoch = (e: number) => Array.from({ length: 7 }, (_, n) => caseOf(e * 7 + n, 7, 3));
  for (const e of [0, 1, 2]) assert.equal([...epoch(e)].sort(), [0, 1, 2, 3, 4, 5, 6]);
  assert.not.equal(epoch(0), epoch(1));
  assert.equal(epoch(1), epoch(1));
});

test('a model without a data contract is refused with what to do', () => {
  const manifest = { model: { name: 'mlp' }, preprocess: null } as unknown as Manifest;
  assert.throws(
    () => segmentationContract(manifest),
    (err: unknown) => err instanceof T3dcError && err.code === 'bad-artifact' && /preprocess/.test(err.message),
  );
});

test.run();
