// Tuning on this machine's adapter: schedules compute what their kernels do, wrong candidates are discarded, a run that was stopped
// goes on, and an artifact built with the result runs what was chosen.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type BenchGpu, openBenchGpu } from '../../bench/device.ts';
import { tuningJobs } from '../../bench/tune/kernels.ts';
import { tuneKernel } from '../../bench/tune/tune.ts';
import { build } from '../../compiler/index.ts';
import { compileEntry } from '../../compiler/pipeline.ts';
import { flatten } from '../../compiler/repeats.ts';
import { trace } from '../../compiler/trace.ts';
import { parseTable, type TuningTable } from '../../compiler/tuning.ts';
import * as t from '../../dsl/index.ts';
import { samples } from '../../kernels/samples/index.ts';
import type { WgslVariant } from '../../kernels/targets.ts';
import { checkWgsl } from '../../kernels/wgsl/check.ts';
import { openDevice, type TestDevice } from '../../kernels/wgsl/device.ts';
import { alternatives, emitWgsl } from '../../kernels/wgsl/index.ts';
import { adapterKey } from '../../runtime/adapter-key.ts';
import { open } from '../../runtime/index.ts';

let device: TestDevice;
let gpu: BenchGpu;
test.before(async () => {
  device = await openDevice();
  gpu = (await openBenchGpu(true, []))!;
});
test.after(() => {
  device.close();
  gpu.close();
});

// Of each kind one with tails in rows, columns and sums, and one of whole tiles.
const CHECKED = [
  'matmul 33×31×24 gelu',
  'matmul 64×48×32',
  'matmul 2×11×23×10 aT bT bias',
  'conv 6→14 k3 s2 6×5×7 bias',
  'convWeightGrad 6→10 k3 s1 5×3×7 b2 prologue split 2',
  'reduce row sum of squares 5×1031',
  'reduce column sum 1×11×13×17×3',
  'attention forward g4 h3 n27 e16 masked bias',
  'attention dq g1 h1 n63 e15 bias',
  'attention dkv g4 h3 n27 e16 masked bias',
];

test('every schedule of a kernel computes what the kernel does, whole and in slabs', async () => {
  const ran = new Set<string>();
  for (const name of CHECKED) {
    const sample = samples.find((s) => s.name === name);
    assert.ok(sample, `no sample is named ${name}; there are ${samples.map((s) => s.name).join(', ')}`);
    const own = emitWgsl(sample.kernel, { readOnly: new Set(), maxFold: 65535 }).variants.map((v) => v.id);
    const schedules = own.flatMap((id) => alternatives(sample.kernel, id).slice(0, 3));
    const results = await checkWgsl(device, [sample], { schedules: () => schedules, variants: schedules });
    for (const r of results) {
      ran.add(r.variant.split('-')[0]!);
      assert.equal(r.problems, [], `${name}: ${r.variant}`);
    }
  }
  for (const family of ['threads', 'tile', 'tiled']) assert.ok(ran.has(family), `no schedule of ${family} ran`);
});

const SIZE = { m: 48, n: 36, k: 40 };
const model = t.model({
  name: 'product',
  settings: {},
  build: () => ({
    entries: {
      e: {
        inputs: { a: t.f32({ m: SIZE.m, k: SIZE.k }), b: t.f32({ k: SIZE.k, n: SIZE.n }) },
        run: ({ a, b }) => ({ y: t.einsum(a!, b!, 'm n') }),
      },
    },
  }),
});
const traced = trace(model, {});
const [job] = tuningJobs([flatten(compileEntry(traced, traced.entries[0]!).forward)]);

test('a candidate that is wrong, spoils its inputs, knows no slabs or does not compile is discarded, however fast', async () => {
  const bad: Record<string, (code: string) => string> = {
    // Nothing but zeros: the fastest of all.
    zeros: (code) => code.replace(/^(\s*)(b2\[.*\]) = .*;$/gm, '$1$2 = $2 - $2;'),
    scribbles: (code) => code.replace('let count', 'if (wg.x == 0u) { b0[1] = b0[1] + b0[2]; }\n let count'),
    slabless: (code) =>
      code
        .replace('let count = i32(params[0].y);', 'let count = i32(params[0].y) | 1;')
        .replace('let first = i32(params[0].x);', 'let first = 0;'),
    broken: (code) => code.replace('fn main', 'fn main main'),
    silent: (code) => code.replace(/^(\s*)if \(group >= /m, '$1if (group >= 0) { return; }\n$1if (group >= '),
  };
  const own = emitWgsl(job!.kernel, { readOnly: new Set(), maxFold: 65535 });
  const base: WgslVariant = own.variants.at(-1)!;
  const result = await tuneKernel({ ...gpu, lost: () => null }, job!, {
    most: 20,
    alternatives: (kernel, variant) => [...Object.keys(bad), ...alternatives(kernel, variant).slice(0, 1)],
    emit: (kernel, o) => {
      const found = emitWgsl(kernel, o);
      const [id] = o.schedules ?? [];
      if (id === undefined || !bad[id]) return found;
      const code = bad[id](base.code);
      assert.is.not(code, base.code, `${id} changes nothing`);
      return { ...found, scheduled: [{ ...base, id, code }] };
    },
  });
  assert.ok('tuned' in result, JSON.stringify(result));
  const { tuned } = result;
  assert.equal(Object.keys(tuned.discarded).sort(), Object.keys(bad).sort());
  assert.match(tuned.discarded.broken!, /does not compile/);
  assert.match(tuned.discarded.zeros!, /against float64/);
  for (const id of Object.keys(bad)) assert.ok(!(id in tuned.ms) && tuned.schedule !== id, id);
  // The others are measured on sound inputs.
  assert.ok(Object.keys(tuned.ms).length >= 2, JSON.stringify(tuned));
  assert.ok(tuned.ms[tuned.heuristic]! > 0);
});

test('an artifact runs the schedule that was measured on its adapter, and no other adapter’s', async () => {
  const schedule = alternatives(job!.kernel, 'default')[0]!;
  const table = (adapter: string): TuningTable => ({
    format: 1,
    adapter,
    description: '',
    kernels: { [job!.hash]: { what: '', heuristic: 'default', schedule, ms: {}, discarded: {} } },
  });
  const key = adapterKey(gpu.info, gpu.device);
  const a = Float32Array.from({ length: SIZE.m * SIZE.k }, (_, i) => Math.sin(i));
  const b = Float32Array.from({ length: SIZE.k * SIZE.n }, (_, i) => Math.cos(2 * i));
  const made = (tuning: TuningTable[]) => build(model, { targets: ['webgpu'], tuning });
  const run = async (built: Awaited<ReturnType<typeof made>>, on: 'own' | 'given') => {
    const session = await open(built.files, {
      device: on === 'own' ? 'webgpu' : gpu.device,
      seed: 1,
      onNotice: () => {},
    });
    try {
      const { y } = await session.entries.e!({ a, b });
      const [op] = await session.profile('e');
      return { y: y as Float32Array, variant: op!.variant };
    } finally {
      await session.close();
    }
  };
  const plain = await run(await made([]), 'own');
  const tuned = await made([table(key)]);
  const mine = await run(tuned, 'own');
  const given = await run(tuned, 'given');
  const other = await run(await made([table('acme/one storage 16384 invocations 256')]), 'own');
  assert.is(mine.variant, schedule);
  assert.is(given.variant, schedule);
  assert.is.not(plain.variant, schedule);
  assert.is(other.variant, plain.variant);
  assert.equal(other.y, plain.y);
  assert.equal(given.y, mine.y);
  mine.y.forEach((v, i) => {
    assert.ok(Math.abs(v - plain.y[i]!) < 1e-5, `${i}: ${v} for ${plain.y[i]}`);
  });
});

const tool = fileURLToPath(new URL('../../bin/t3dc.mjs', import.meta.url));
function t3dc(words: readonly string[], whileRunning?: (child: ChildProcess) => void) {
  return new Promise<{ code: number | null; stdout: string; stderr: string }>((done) => {
    const child = spawn(process.execPath, [tool, ...words], { cwd: fileURLToPath(new URL('../../', import.meta.url)) });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (d: Buffer) => {
      stdout += d;
    });
    child.stderr.on('data', (d: Buffer) => {
      stderr += d;
    });
    const timer = whileRunning && setInterval(() => whileRunning(child), 50);
    child.on('close', (code) => {
      clearInterval(timer);
      done({ code, stdout, stderr });
    });
  });
}

test('t3dc tune keeps what it measured when it is stopped, goes on from there, and measures nothing twice', async () => {
  const store = mkdtempSync(join(tmpdir(), 't3dc-tuning-'));
  const words = ['tune', 'mlp', '--device', 'webgpu', '--share', '0.6', '--most', '3', '--store', store, '--json'];
  const tables = () => readdirSync(store).filter((n) => n.endsWith('.json'));
  const stored = () => parseTable(readFileSync(join(store, tables()[0]!), 'utf8'), 'store').kernels;
  try {
    let asked = false;
    const stopped = await t3dc(words, (child) => {
      if (asked || tables().length === 0) return;
      asked = true; // a second one would not wait
      child.kill('SIGINT');
    });
    assert.is(stopped.code, 130, stopped.stderr);
    assert.match(stopped.stderr, /is kept in .*; run the command again to go on/);
    const before = stored();
    assert.ok(Object.keys(before).length >= 1);
    const whole = await t3dc(words);
    assert.is(whole.code, 0, whole.stderr);
    assert.match(whole.stderr, new RegExp(`${Object.keys(before).length} of \\d+ kernels were measured before`));
    const result = JSON.parse(whole.stdout) as { adapter: string; kernels: { hash: string; ms: object }[] };
    assert.ok(result.kernels.length > Object.keys(before).length);
    for (const [hash, k] of Object.entries(before)) assert.equal(stored()[hash], k, 'measured again');
    const built = await t3dc(['build', 'mlp', '-o', join(store, 'out'), '--tuning', store, '--explain', '--json']);
    assert.is(built.code, 0, built.stderr);
    assert.match(built.stdout, /"webgpu: schedules","lines":\["\d+ kernels with a schedule/);
  } finally {
    rmSync(store, { recursive: true });
  }
});

test.run();
