// The peers' run with programs that are made up: turns, warm-up, limits, absences, disagreements; the tables; pages that are written into.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ADAMW, casesOf, inputsOf, type PeerCase } from '../../bench/peers/cases.ts';
import { disagreements, losses, measureCase, tensors } from '../../bench/peers/measure.ts';
import { Absent, channelsFirst, channelsLast, type Peer } from '../../bench/peers/peer.ts';
import type { PeerName, PeersResult } from '../../bench/peers/schema.ts';
import { peersMarkdown } from '../../bench/peers/table.ts';
import type { BenchResult } from '../../bench/schema.ts';
import { replaceSection } from '../../bench/section.ts';
import { ceilingTables } from '../../bench/tables.ts';

const conv = (rounds: number, limit: number): PeerCase =>
  casesOf({ only: ['conv'], sizes: [8], model: 'base', rounds, limit: limit / 1000 })[0]!;

interface Fake {
  readonly ms?: number;
  readonly output?: readonly number[];
  readonly absent?: string;
  /** The call that fails, from 1. */
  readonly failsAt?: number;
}

function fake(name: PeerName, calls: string[], { ms = 600, output = [1, 2, 3], absent, failsAt }: Fake = {}): Peer {
  let n = 0;
  return {
    name,
    half: false,
    kinds: ['conv'],
    describe: async () => ({ version: `${name} 1`, device: '' }),
    async open() {
      if (absent) throw new Absent(absent);
      return {
        async run() {
          calls.push(name);
          if (++n === failsAt) throw new Error('went away');
          return n === 1 ? 2 * ms : ms;
        },
        output: async () => Float32Array.from(output),
        close: async () => {},
      };
    },
    close: async () => {},
  };
}

test('programs take turns, in the other direction each round, after they are warm', async () => {
  const calls: string[] = [];
  const r = await measureCase(
    conv(3, 60_000),
    [fake('t3dc wasm', calls), fake('pytorch cpu', calls, { ms: 300 })],
    6e8,
  );
  const [a, b] = ['t3dc wasm', 'pytorch cpu'];
  // A second of warm-up: 1200 for one; 600 + 300 + 300 for the other.
  assert.equal(calls, [a, b, b, b, a, b, b, a, a, b]);
  assert.equal(
    r.results.map((x) => [x.peer, x.times, x.gflops, x.cold]),
    [
      [a, [600, 600, 600], 1, false],
      [b, [300, 300, 300], 2, false],
    ],
  );
  assert.is(r.reference, b);
  assert.is(r.results[1]!.difference, null);
});

test('a limit cuts rounds; a call over it is the measurement', async () => {
  const calls: string[] = [];
  const slow = fake('onnxruntime-node webgpu', calls, { ms: 4000 });
  const r = await measureCase(conv(5, 3000), [fake('t3dc wasm', calls, { ms: 1000 }), slow], 1e9);
  assert.equal(r.results[0]!.times.length, 2);
  assert.equal([r.results[1]!.cold, r.results[1]!.times], [true, [8000]]);
});

test('a program that is absent or fails is named with its reason, and the others go on', async () => {
  const calls: string[] = [];
  const peers = [
    fake('t3dc wasm', calls),
    fake('pytorch cuda', calls, { absent: 'no card' }),
    fake('onnxruntime-web wasm', calls, { failsAt: 3 }),
  ];
  const r = await measureCase(conv(2, 60_000), peers, 1e9);
  assert.equal(r.absent, [
    { peer: 'pytorch cuda', reason: 'no card' },
    { peer: 'onnxruntime-web wasm', reason: 'went away' },
  ]);
  assert.equal(
    r.results.map((x) => x.peer),
    ['t3dc wasm'],
  );
});

test('results that differ are told', async () => {
  const peers = [
    fake('t3dc wasm', [], { output: [1, 2, 3.001] }),
    fake('pytorch cpu', []),
    fake('onnxruntime-node cpu', [], { output: [1, 2, Number.NaN] }),
    fake('onnxruntime-web wasm', [], { output: [1, 2] }),
    fake('t3dc webgpu', [], { output: [1, 2.000001, 3] }),
  ];
  const r = await measureCase(conv(1, 60_000), peers, 1e9);
  assert.equal(
    disagreements(r).map((x) => x.peer),
    ['t3dc wasm', 'onnxruntime-node cpu', 'onnxruntime-web wasm'],
  );
});

test('differences: of tensors, and of the losses that both have', () => {
  const d = tensors(Float32Array.of(3, 4.5), Float32Array.of(3, 4));
  assert.is(d.relativeL2, 0.1);
  assert.is(d.max, 0.125);
  assert.is(losses(Float32Array.of(2, 1, 7), Float32Array.of(2, 2)).relativeL2, 0.5);
  assert.ok(Number.isNaN(losses(Float32Array.of(), Float32Array.of(1)).relativeL2));
  const x = Float32Array.from({ length: 12 }, (_, i) => i);
  assert.equal([...channelsFirst(x, 3)], [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]);
  assert.equal(channelsLast(channelsFirst(x, 3), 3), x);
});

test('cases: names of their own, inputs of the shapes that they say', () => {
  const all = casesOf({ only: ['conv', 'gradients', 'model', 'step'], sizes: [], model: 'base' });
  assert.is(new Set(all.map((c) => c.id)).size, all.length);
  assert.is(all.length, 11);
  assert.is(ADAMW.lr, 1e-4);
  for (const c of casesOf({ only: ['conv', 'gradients'], sizes: [8], model: 'base' }))
    for (const { shape, data } of Object.values(inputsOf(c)))
      assert.is(
        data.length,
        shape.reduce((a, b) => a * b, 1),
      );
});

const result = (cases: PeersResult['cases']): PeersResult => ({
  t3dc: '0',
  date: '2026-01-01',
  machine: { processor: 'Some CPU', cores: 2, memoryGiB: 8, system: 'Linux', node: '20', gpu: null },
  threads: 2,
  pinned: true,
  programs: [{ peer: 'pytorch cpu', version: 'PyTorch 2', device: 'AVX2' }],
  cases,
});

test('the table: times, rates, ratios on the same kind of device, what is not there', async () => {
  const calls: string[] = [];
  const peers = [
    fake('t3dc wasm', calls),
    fake('pytorch cpu', calls, { ms: 900 }),
    fake('pytorch cuda', calls, { absent: 'PyTorch finds no CUDA device' }),
  ];
  const text = peersMarkdown([result([await measureCase(conv(3, 60_000), peers, 9e8)])]);
  assert.match(text, /Some CPU, 2 cores; 2 threads, pinned.*\n\n- pytorch cpu: PyTorch 2, AVX2\n/);
  assert.match(text, /\| t3dc wasm \| 600 ms, 1\.5 \|\n\| pytorch cpu \| 900 ms, 1\.0 \|/);
  assert.match(text, /\| pytorch cpu ÷ t3dc wasm \|[\s\S]*\| 1\.50 \|/);
  assert.match(text, /Largest relative L2 difference from pytorch cpu: 0\.0e\+0 \(t3dc wasm; bound 1e-5\)/);
  assert.match(text, /Not there:\n\n- pytorch cuda: PyTorch finds no CUDA device$/);
  assert.not.match(text, /NaN|undefined/);
});

test('tables against the ceilings', () => {
  const bench: BenchResult = {
    t3dc: '0',
    device: { kind: 'wasm', description: 'wasm, 2 threads', processor: 'Some CPU', node: '20' },
    date: '2026-01-01',
    ceilings: [
      { name: 'f32 FMA', unit: 'GFLOP/s', value: 100, how: 'chains' },
      { name: 'copy', unit: 'GB/s', value: 10, how: 'a loop' },
    ],
    cases: [
      {
        ...{ id: 'copy.forward 48 96³', op: 'copy', pass: 'forward', shape: '', dtype: 'f32', schedule: 'map' },
        ...{ ms: { p20: 1, p50: 2, p80: 3 }, runs: 5, flops: 0, bytes: 22e6, gflops: 0, gbps: 11, intensity: 0 },
        ...{ ceiling: { by: 'copy', rate: 10 }, percent: 110, maxError: 0 },
      },
    ],
  };
  const text = ceilingTables([bench]);
  assert.match(text, /f32 FMA 100 GFLOP\/s \(chains\); copy 10\.0 GB\/s/);
  assert.match(text, /\| copy\.forward 48 96³ \| 2\.00 \| – \| 11\.0 \| 110 % copy \| 0 \| map \|/);
  assert.match(text, /110 % of the copy ceiling/);
});

test('a part of a page is replaced, the rest stays', () => {
  const page = 'before\n<!-- peers: begin (by a command) -->\nold\n<!-- peers: end -->\nafter\n';
  const next = replaceSection(page, 'peers', 'new\n');
  assert.is(next, 'before\n<!-- peers: begin (by a command) -->\n\nnew\n\n<!-- peers: end -->\nafter\n');
  assert.is(replaceSection(next, 'peers', 'new'), next);
  assert.throws(() => replaceSection(page, 'other', ''), /no lines <!-- other: begin -->/);
});

test.run();
