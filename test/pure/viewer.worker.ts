// Between a page and its worker: arrays arrive as they were, copied or given; errors keep what they are; a worker that fails
// says so to all who wait. (test/browser/worker.ts has real workers.)
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DataError } from '../../data/errors.ts';
import { T3dcError } from '../../runtime/errors.ts';
import { buffersOf, hand, Pieced } from '../../viewer/arrays.ts';
import { Connection, type WorkerLike } from '../../viewer/connection.ts';
import type { ToWorker } from '../../viewer/messages.ts';
import { openInWorker } from '../../viewer/open-in-worker.ts';
import { received, sendable } from '../../viewer/sent-errors.ts';

/** Through `hand`, a structured clone as postMessage makes it, and the other side. */
async function sent(value: unknown, transfer = false): Promise<{ value: unknown; pieces: number }> {
  const pieced = new Pieced();
  let pieces = 0;
  const post = (message: ToWorker, list: Transferable[]): void => {
    const m = structuredClone(message, { transfer: list as never });
    if (m.type === 'piece') pieced.take(m);
    pieces++;
  };
  const handed = (await hand(value, transfer, post, () => true))!;
  return { value: pieced.whole(structuredClone(handed.value, { transfer: handed.transfer as never })), pieces };
}

test('arrays are copied with their types, whatever they are views of', async () => {
  const whole = Float32Array.from({ length: 10 }, (_, i) => i / 3);
  const shared = new Int16Array(new SharedArrayBuffer(8));
  shared.set([1, -2, 3, -4]);
  const value = {
    a: whole,
    part: whole.subarray(2, 5),
    shared,
    node: Buffer.from([1, 2, 3]),
    buffer: Uint8Array.from([9, 8]).buffer,
    nested: { data: Float64Array.of(0.1), shape: [1], list: [{ d: Uint16Array.of(7) }, null] },
    seed: 5n,
    nothing: undefined,
  };
  const { value: got, pieces } = await sent(value);
  const back = got as typeof value;
  assert.is(pieces, 0);
  assert.equal([...back.part], [...whole.subarray(2, 5)]);
  assert.equal([back.a.constructor.name, back.shared.constructor.name], ['Float32Array', 'Int16Array']);
  assert.equal([...back.shared], [1, -2, 3, -4]);
  assert.not(back.shared.buffer instanceof SharedArrayBuffer);
  assert.equal([...back.node], [1, 2, 3]);
  assert.equal([...new Uint8Array(back.buffer)], [9, 8]);
  assert.equal(back.nested.data[0], 0.1);
  assert.equal([...back.nested.list[0]!.d, back.nested.list[1], back.seed], [7, null, 5n]);
  assert.is(whole.length, 10, 'the page keeps its own');
});

test('transfer hands over what is a whole buffer, and copies a part of one', async () => {
  const given = new Uint8Array(100).fill(3);
  const part = new Uint8Array(100).fill(4).subarray(10, 20);
  const { value } = await sent({ given, part }, true);
  assert.equal([given.length, part.length], [0, 10]);
  assert.equal([(value as { given: Uint8Array }).given[99], (value as { part: Uint8Array }).part.length], [3, 10]);
});

test('a large array goes in pieces; one that is not wanted any more is dropped', async () => {
  const large = Int32Array.from({ length: 5 * 2 ** 20 + 3 }, (_, i) => Math.imul(i, 2654435761));
  const { value, pieces } = await sent([large.subarray(1)]);
  assert.is(pieces, 3);
  const back = (value as [Int32Array])[0];
  assert.is(back.length, large.length - 1);
  assert.is(Buffer.compare(Buffer.from(back.buffer), Buffer.from(large.buffer, 4)), 0);
  const types: string[] = [];
  let wanted = true;
  const post = (m: ToWorker): void => {
    types.push(m.type);
    wanted = false;
  };
  assert.is(await hand(large, false, post, () => wanted), null);
  assert.equal(types, ['piece', 'drop']);
});

test('results hand over every buffer once', () => {
  const a = new Float32Array(4);
  const found = buffersOf({ a, b: { c: [{ d: a.subarray(1) }, { e: new Uint8Array(2) }] }, list: [1, 2, 3] });
  assert.is(found.size, 2);
});

test('errors keep class, code, message and parts', () => {
  const a = received(
    structuredClone(sendable(new T3dcError('limits', 'too small', { found: [1], expected: 2, hint: 'Do.' }))),
  );
  assert.instance(a, T3dcError);
  const { code, message, found, expected, hint } = a as T3dcError;
  assert.equal(
    [code, message, found, expected, hint],
    ['limits', 'too small; found [1]; expected 2. Do.', '[1]', 2, 'Do.'],
  );
  const b = received(structuredClone(sendable(new DataError('volume-shape', 'No.', { found: 'x', fix: 'y' }))));
  assert.instance(b, DataError);
  assert.is((b as DataError).code, 'volume-shape');
  assert.match(b.message, /found: {4}x/);
  assert.is(received(sendable(new TypeError('plain'))).message, 'plain');
});

class Silent implements WorkerLike {
  readonly posted: ToWorker[] = [];
  onmessage: WorkerLike['onmessage'] = null;
  onerror: WorkerLike['onerror'] = null;
  ended = 0;
  postMessage(message: unknown): void {
    this.posted.push(message as ToWorker);
  }
  terminate(): void {
    this.ended++;
  }
}

test('a worker that cannot be loaded fails all that wait, and what comes later', async () => {
  const worker = new Silent();
  const opening = openInWorker('x.t3dc', { worker: () => worker });
  await new Promise((done) => setTimeout(done, 10));
  worker.onerror!({ message: '' } as ErrorEvent);
  const e = (await opening.then(
    () => null,
    (error) => error,
  )) as T3dcError;
  assert.is(e.code, 'device-error');
  assert.match(e.message, /could not be loaded.*worker\.js/);
  assert.is(worker.ended, 1);
});

test('abort rejects at once and tells the worker; closing ends it and rejects what waits', async () => {
  const worker = new Silent();
  const connection = new Connection(worker);
  const session = connection.join({ onProgress: undefined, onNotice: () => {} });
  const control = new AbortController();
  const call = connection.call(session, 'entry', ['x', {}], { signal: control.signal });
  const other = connection.call(session, 'entry', ['x', {}]);
  await new Promise((done) => setTimeout(done, 5));
  control.abort(new Error('why'));
  const e = await call.then(
    () => null,
    (error) => error as T3dcError,
  );
  assert.equal([e?.code, (e?.cause as Error | undefined)?.message], ['aborted', 'why']);
  assert.equal(
    worker.posted.map((m) => m.type),
    ['call', 'call', 'abort'],
  );
  const closed = other.then(
    () => null,
    (error) => (error as T3dcError).code,
  );
  await connection.leave(session);
  assert.is(await closed, 'closed');
  assert.is(worker.ended, 1);
});

test('a page device is refused for a worker', async () => {
  const e = await openInWorker('x', { device: {} as never }).catch((error) => error);
  assert.is(e.code, 'bad-option');
  assert.match(e.message, /open\(…, \{ device \}\)/);
});

test.run();
