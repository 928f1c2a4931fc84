// The experiment's units: what is declared is what is done, each once, and in an order that an interruption may cut.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FULL, SMALL, seedsOf } from '../../cli/experiment/declaration.ts';
import { nameOf, unitNamed, unitsOf } from '../../cli/experiment/units.ts';

test('every arm is pre-trained with each of its seeds, once, before what starts from it', () => {
  const units = unitsOf(FULL);
  const names = units.map(nameOf);
  assert.is(new Set(names).size, names.length);
  const expected = FULL.arms.flatMap((arm) => seedsOf(arm, FULL).map((seed) => `${arm}:${seed}`)).sort();
  assert.equal(
    units
      .filter((u) => u.task === 'pretrain')
      .map(nameOf)
      .sort(),
    expected,
  );
  for (const u of units) {
    const first = names.indexOf(nameOf({ arm: u.arm, seed: u.seed, task: 'pretrain' }));
    assert.ok(first >= 0 && first <= names.indexOf(nameOf(u)), nameOf(u));
  }
});

test('the primary comparison comes first, all seeds of it', () => {
  const first = unitsOf(FULL).slice(0, 2 * FULL.seeds.length);
  assert.ok(first.every((u) => u.task === 'pretrain' && (u.arm === 't3d' || u.arm === 't3d-shuffled')));
});

test('masks: the declared arms, fractions and seeds, and of an arm with fewer seeds no more than these', () => {
  const masks = unitsOf(FULL).filter((u) => u.task === 'masks');
  const count = (arm: string, fraction: number): number =>
    masks.filter((u) => u.arm === arm && u.fraction === fraction).length;
  assert.is(count('t3d', 0.05), 3);
  assert.is(count('t3d', 1), 3);
  assert.is(count('t3d', 0.2), 0);
  assert.is(count('clip', 1), 0);
  const alone = unitsOf({ ...FULL, arms: ['clip'] });
  assert.ok(alone.every((u) => u.arm === 'clip' && u.task !== 'masks'));
});

test('a unit has a name that finds it; another name is refused with what is expected', () => {
  for (const u of unitsOf(FULL)) assert.equal(unitNamed(nameOf(u), FULL), u);
  for (const name of ['t3d', 't3d:9', 'clip:0:masks:100', 'scratch:0:retrieval', 'restore:2', 't3d:0:masks:50'])
    assert.throws(
      () => unitNamed(name, FULL),
      (e: { code?: string }) => e.code === 'no-run',
    );
});

test('the small copy judges development studies of a phantom that the declared one does not touch', () => {
  assert.is(SMALL.judged, 'development');
  assert.is.not(SMALL.phantom, FULL.phantom);
  assert.equal([...new Set(unitsOf(SMALL).map((u) => u.task))], ['pretrain']);
});

test.run();
