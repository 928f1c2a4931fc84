// How long the device waited for data: over the steps but the first, and what is said where it is much.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { adviceOn, MUCH, shareOf, showShare, WAITED, Waited, waitedIn } from '../../cli/waiting.ts';
import { defaultWorkers } from '../../cli/workers.ts';

test('the share of the time, without the first step, which waits for threads to start', () => {
  const waited = new Waited();
  waited.take(1000, 900);
  assert.is(waited.share, 0);
  waited.take(100, 0);
  waited.take(300, 20);
  assert.is(waited.share, 0.05);
  // A clock's jitter does not make more than all of it.
  assert.is(shareOf(12, 10), 1);
  assert.is(shareOf(-1, 10), 0);
  assert.is(shareOf(0, 0), 0);
});

test('the same from what was logged; null where it was not, or of one step alone', () => {
  const step = (n: number, share: number | null, ms: number) => ({
    step: n,
    values: { 'train/ms': ms, [WAITED]: share },
  });
  const records = [
    step(1, 0.9, 1000),
    step(2, 0, 100),
    { step: 2, values: { 'validation/dice': 0.5 } },
    step(3, 0.1, 200),
  ];
  assert.ok(Math.abs(waitedIn(records)! - 20 / 300) < 1e-12);
  assert.is(waitedIn(records.slice(0, 1)), null);
  assert.is(waitedIn([{ step: 1, values: { 'train/ms': 3 } }]), null);
  assert.is(showShare(0.00345), '0.3 %');
  assert.ok(MUCH === 0.1);
  assert.match(adviceOn(0.34), /34\.0 %.*--workers.*data prepare/);
});

test('threads by default: one at least, four at most', () => {
  assert.ok(defaultWorkers() >= 1 && defaultWorkers() <= 4);
});

test.run();
