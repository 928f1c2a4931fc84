// The loader: the same samples in the same order from any number of threads, a bounded window, errors, abort, resuming, and how long
// the device waits.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isDataError } from '../../data/errors.ts';
import { epochOrder, type Loaded, Loader, type LoaderOptions, type SampleKey } from '../../data/loader.ts';
import type { TestSample, TestSource } from '../loader-source.ts';

const module = new URL('../loader-source.mjs', import.meta.url);
const loader = (source: TestSource, options: LoaderOptions) =>
  new Loader<TestSample>({ module, options: source }, options);

const bytes = ({ epoch, index, item, sample }: Loaded<TestSample>): string =>
  `${epoch} ${index} ${item}: ${Buffer.from(sample.image.buffer).toString('base64')} ${sample.part} ${sample.words}`;

async function all(source: TestSource, options: LoaderOptions): Promise<string[]> {
  const out: string[] = [];
  for await (const loaded of loader(source, options)) out.push(bytes(loaded));
  return out;
}

const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

async function failure(promise: Promise<unknown>): Promise<Error> {
  const err = await promise.then(
    () => null,
    (e) => e as Error,
  );
  assert.ok(err instanceof Error, 'it should fail');
  return err;
}

test('the same samples in the same order, whatever the threads and their timing', async () => {
  const options = { items: 7, epochs: 3, seed: 5 };
  const first = await all({}, { ...options, workers: 0 });
  assert.is(first.length, 21);
  assert.is(new Set(first).size, 21);
  for (let e = 0; e < 3; e++) {
    const order = first.slice(7 * e, 7 * e + 7).map((s) => Number(s.split(' ')[2]!.replace(':', '')));
    assert.equal(order, [...epochOrder(7, 5, e)]);
    assert.equal([...order].sort(), [0, 1, 2, 3, 4, 5, 6]);
  }
  assert.match(first[0]!, / (\d),\1,\1,\1 item \1$/);
  for (const [workers, prefetch, affinity] of [
    [0, 4, 'any'],
    [1, 1, 'any'],
    [2, 9, 'any'],
    [3, 5, 'item'],
    [4, 2, 'any'],
  ] as const)
    assert.equal(
      await all({ ms: 3, uneven: true }, { ...options, workers, prefetch, affinity }),
      first,
      `${workers} threads`,
    );
  assert.not.equal(await all({}, { ...options, workers: 0, seed: 6 }), first);
  const typed = new Loader<TestSample>(
    { module: new URL('../loader-source.ts', import.meta.url), options: {} },
    options,
  );
  const through: string[] = [];
  for await (const loaded of typed) through.push(bytes(loaded));
  assert.equal(through, first, 'a source in TypeScript');
  assert.equal(await all({}, { ...options, workers: 2, samples: 9 }), first.slice(0, 9), 'no further than asked for');
  const plain = await all({}, { items: 3, epochs: 1, workers: 0, shuffle: false });
  assert.equal(
    plain.map((s) => s.split(':')[0]),
    ['0 0 0', '0 1 1', '0 2 2'],
  );
});

test('a run that goes on where another stopped sees what that one would have seen', async () => {
  const options = { items: 5, epochs: 3, seed: 1, workers: 2 };
  const whole = await all({}, options);
  for (const stop of [1, 5, 7, 15]) {
    const seen: string[] = [];
    let next = { epoch: 0, index: 0 };
    for await (const loaded of loader({}, options)) {
      seen.push(bytes(loaded));
      next = loaded.next;
      if (seen.length === stop) break;
    }
    seen.push(...(await all({}, { ...options, start: next })));
    assert.equal(seen, whole, `stopped after ${stop}`);
  }
});

test('no more is read ahead than the window holds', async () => {
  const begun = new SharedArrayBuffer(4);
  const reading = loader({ begun }, { items: 50, workers: 2, prefetch: 6 });
  for (let n = 1; n <= 4; n++) {
    await reading.next();
    await sleep(60);
    assert.is(new Int32Array(begun)[0], n + 6);
  }
  await reading.close();
  assert.equal(await reading.next(), { value: undefined, done: true });
});

/** While the threads start, and the window fills. */
const WARM_UP = 8;

/** A device that takes `ms` a step; what it waited in all steps but the first eight. */
async function train(source: TestSource, options: Partial<LoaderOptions>, steps: number, ms: number) {
  const reading = loader(source, { ...options, items: 1000 });
  let waited = 0;
  const started = performance.now();
  for (let step = 0; step < steps; step++) {
    const { value } = await reading.next();
    if (step >= WARM_UP) waited += value!.waitMs;
    await sleep(ms);
  }
  const wallMs = performance.now() - started;
  const { stats } = reading;
  await reading.close();
  return { waited, wallMs, stats };
}

test('a device is never starved where the readers are fast enough, however uneven; the wait that is left is told', async () => {
  // 50 ms a sample, three threads: a sample each 17 ms for a device of 25 ms.
  const uneven = await train({ ms: 50, uneven: true }, { workers: 3, prefetch: 8 }, 40, 25);
  // Every eighth takes 120 ms, longer than four steps: the window covers it.
  const bursts = await train({ ms: 5, slowEvery: 8, slowMs: 120 }, { workers: 2, prefetch: 10 }, 40, 25);
  // The same readers without a thread to read ahead.
  const alone = await train({ ms: 50 }, { workers: 1, prefetch: 1 }, 20, 25);
  // One thread of 50 ms for a device of 25 ms: a wait of 25 ms a step.
  const slow = await train({ ms: 50 }, { workers: 1, prefetch: 8 }, 20, 25);
  const show = (r: typeof uneven) => `waited ${r.waited.toFixed(0)} ms of ${r.wallMs.toFixed(0)}`;
  console.log(
    `\n  uneven: ${show(uneven)}; bursts: ${show(bursts)}; one ahead: ${show(alone)}; too slow: ${show(slow)}`,
  );
  assert.ok(uneven.waited < 0.05 * uneven.wallMs, show(uneven));
  assert.ok(bursts.waited < 0.05 * bursts.wallMs, show(bursts));
  for (const r of [alone, slow]) {
    assert.ok(r.waited > 12 * 18 && r.waited < 12 * 45, show(r));
    const { stats } = r;
    assert.is(stats.delivered, 20);
    assert.ok(stats.waits >= 12 && stats.longestWaitMs >= 20, JSON.stringify(stats));
    assert.ok(stats.waitMs >= r.waited && stats.sampleMs > 20 * 45, JSON.stringify(stats));
  }
});

test("an item's error comes at its turn, with its code; or is counted and passed over", async () => {
  for (const workers of [0, 2]) {
    const reading = loader({ fails: [2] }, { items: 5, shuffle: false, workers, prefetch: 5 });
    await reading.next();
    await reading.next();
    const err = await failure(reading.next());
    assert.is((err as { code?: string }).code, 'file-missing');
    assert.is(isDataError(err), workers > 0, 'a DataError of another thread is one here');
    assert.match(err.message, /^item 2 \(epoch 0, index 2\): There is no item 2/);
    assert.is((await reading.next()).done, true);
    const told: SampleKey[] = [];
    const skipping = loader(
      { fails: [0, 3] },
      { items: 5, epochs: 2, seed: 3, workers, errors: 'skip', onError: (_, key) => told.push(key) },
    );
    const seen: number[] = [];
    for await (const { item } of skipping) seen.push(item);
    assert.equal([...seen].sort(), [1, 1, 2, 2, 4, 4]);
    assert.equal(told.map((k) => k.item).sort(), [0, 0, 3, 3]);
    assert.equal([skipping.stats.delivered, skipping.stats.failed], [6, 4]);
    const nothing = await failure(all({ fails: [0, 1] }, { items: 2, workers, errors: 'skip' }));
    assert.ok(isDataError(nothing, 'loader-nothing'), String(nothing));
    const closed = await failure(all({ neverOpens: true }, { items: 2, workers }));
    assert.is((closed as { code?: string }).code, 'no-source');
  }
  for (const bad of [{ items: 0 }, { items: 2, prefetch: 0 }, { items: 2, start: { epoch: 0, index: 3 } }])
    assert.throws(
      () => loader({}, bad),
      (e: Error) => isDataError(e, 'loader-options'),
    );
});

test('aborting ends it at once, as does a thread that dies', async () => {
  for (const workers of [0, 2]) {
    const cancel = new AbortController();
    const reading = loader({ ms: 5000 }, { items: 5, workers, signal: cancel.signal });
    const waiting = failure(reading.next());
    await sleep(20);
    const started = performance.now();
    cancel.abort(new Error('enough'));
    assert.is((await waiting).message, 'enough');
    assert.ok(performance.now() - started < 1000);
    assert.is((await failure(loader({}, { items: 1, workers, signal: cancel.signal }).next())).message, 'enough');
  }
  const dead = await failure(all({ dies: 1 }, { items: 3, shuffle: false, workers: 2, errors: 'skip' }));
  assert.ok(isDataError(dead, 'loader-thread'), String(dead));
  assert.match(dead.message, /code 3/);
  const missing = new Loader({ module: new URL('../nothing.mjs', import.meta.url) }, { items: 1, workers: 1 });
  assert.match((await failure(missing.next())).message, /nothing\.mjs/);
});

test('closing while someone waits ends that wait', async () => {
  const reading = loader({ ms: 5000 }, { items: 5, workers: 1 });
  const waiting = reading.next();
  await sleep(20);
  await reading.close();
  assert.equal(await waiting, { value: undefined, done: true });
});

test.run();
