// Where parameters lie when entries give them factors of their own, and what a group or an average may not be.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Placement, placeParameters, ROW } from '../../compiler/placement.ts';
import { trace } from '../../compiler/trace.ts';
import { adamW, type EntrySpec, ema, f32, linear, model, type ParameterGroup, scope, sgd } from '../../dsl/index.ts';

const entry = (layers: readonly string[], groups?: readonly ParameterGroup[]): EntrySpec => ({
  inputs: { x: f32({ b: 4, c: 8 }) },
  loss: 'loss',
  optimizer: adamW(),
  groups,
  run: ({ x }) => {
    let y = x!;
    for (const l of layers) y = scope(l, () => linear(y, 8));
    return { loss: y.mul(y).mean('b c') };
  },
});
const placed = (entries: Readonly<Record<string, EntrySpec>>): Placement =>
  placeParameters(trace(model({ name: 'm', settings: {}, build: () => ({ entries }) }), {}));
const rowsOf = (p: Placement, names: readonly string[]): number[] =>
  names.map((n) => p.places.get(n)!.offset / (4 * ROW));
const throws = (code: string, text: RegExp, work: () => unknown): void => {
  try {
    work();
  } catch (e) {
    assert.is((e as { code?: string }).code, code);
    assert.match((e as Error).message, text);
    return;
  }
  assert.unreachable(`nothing was thrown; expected ${code}`);
};

test('without groups parameters lie one after another, in the order of the model', () => {
  const p = placed({ fit: entry(['a', 'b']) });
  assert.equal([...p.places.keys()], ['a.weight', 'a.bias', 'b.weight', 'b.bias']);
  assert.equal(
    [...p.places.values()].map((x) => x.offset),
    [0, 256, 512, 768],
  );
  assert.equal(p.rows.get('fit'), [{ first: 0, lr: 1, weightDecay: 1 }]);
  assert.is(p.trainable, 4 * ROW);
});

test('what has other factors begins on another row; factors of several groups are multiplied', () => {
  const p = placed({
    fit: entry(
      ['a', 'b', 'c'],
      [
        { match: '\\.bias$', weightDecay: 0 },
        { match: '^b', lr: 0.5 },
        { match: '^[bc]', lr: 0.5 },
        { match: '^a', lr: 0 },
      ],
    ),
  });
  assert.equal(rowsOf(p, ['a.weight', 'a.bias', 'b.weight', 'b.bias', 'c.weight', 'c.bias']), [0, 0.0625, 1, 2, 3, 4]);
  assert.equal(p.rows.get('fit'), [
    { first: 0, lr: 0, weightDecay: 0 },
    { first: 1, lr: 0.25, weightDecay: 1 },
    { first: 2, lr: 0.25, weightDecay: 0 },
    { first: 3, lr: 0.5, weightDecay: 1 },
    { first: 4, lr: 0.5, weightDecay: 0 },
  ]);
});

test('what an entry does not read is as if it were frozen; neighbours with the same factors are one range', () => {
  const p = placed({
    one: entry(['a', 'b']),
    two: { ...entry([], []), run: ({ x }) => ({ loss: scope('b', () => linear(x!.detach(), 8)).mean('b c') }) },
  });
  assert.equal(p.rows.get('one'), [{ first: 0, lr: 1, weightDecay: 1 }]);
  assert.equal(p.rows.get('two'), [
    { first: 0, lr: 0, weightDecay: 0 },
    { first: 1, lr: 1, weightDecay: 1 },
  ]);
});

test('groups that fit nothing, are no regular expression, or have no factor are refused', () => {
  throws('model-groups', /no parameter that its loss reads matches the group 'z'\n {2}found: a\.weight/, () =>
    placed({ fit: entry(['a'], [{ match: 'z', lr: 0 }]) }),
  );
  throws('model-groups', /no regular expression/, () => placed({ fit: entry(['a'], [{ match: '(' }]) }));
  throws('model-groups', /has lr -1/, () => placed({ fit: entry(['a'], [{ match: 'a', lr: -1 }]) }));
  throws('model-groups', /has weightDecay NaN/, () =>
    placed({ fit: entry(['a'], [{ match: 'a', weightDecay: Number.NaN }]) }),
  );
});

test('an average of an average, or a decay outside 0 to 1, is refused', () => {
  throws('model-optimizer', /already/, () => ema(ema(sgd())));
  for (const decay of [1, -0.1, Number.NaN]) throws('model-optimizer', /its decay is/, () => ema(sgd(), decay));
  assert.equal(ema(sgd({ momentum: 0.9 })).states, ['momentum_buffer', 'ema']);
});

test.run();
