// The test runner: each test file in a process of its own, by uvu's totals.
//
//   node test/run.mjs                    every group: pure, device, browser
//   node test/run.mjs pure webgpu        groups, or parts of file names
//   node test/run.mjs parity             the whole matrix against MONAI (an hour and more)
//   node test/run.mjs --t3d curves browser   the loss curves with T3D nano in place of a small U-Net (an hour)
//
// A test file is one under test/{pure,device,browser} that imports uvu. It fails when a test fails, and also when it ran
// none (a file that forgets test.run()), crashed, or was still alive at its time limit. Files named *.webgpu.ts need an
// adapter, those of test/browser a Chromium: without one they are skipped by name, and under CI=true that is a failure.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { findChromium, findWebGpu } from './machine.mjs';

const GROUPS = ['pure', 'device', 'browser'];
const T3D = process.argv.includes('--t3d');
const LIMIT_S = Number(process.env.T3DC_TEST_LIMIT_S ?? (T3D ? 7200 : 900));
/** Files that train for minutes, on machines that have other things to do. */
const LONGER = { 'device/experiment.wasm.ts': 2 };
const limitOf = (file) => LIMIT_S * (LONGER[file] ?? 1);
const root = new URL('..', import.meta.url).pathname;
const ci = /^(1|true)$/.test(process.env.CI ?? '');

async function main(filters) {
  const started = performance.now();
  const files = choose(filters);
  if (files.length === 0) {
    console.error(`no test file matches ${filters.join(' ')}; groups are ${GROUPS.join(', ')}`);
    return 1;
  }
  const env = {
    XDG_RUNTIME_DIR: tmpdir(),
    ...process.env,
    NO_COLOR: '1',
    FORCE_COLOR: '0',
    ...(T3D ? { T3DC_CURVES: 't3d' } : {}),
  };
  const { missing, notes } = prepare(files, env);
  for (const n of notes) console.log(n);

  const total = { passed: 0, failed: 0, skipped: 0 };
  const notRun = [];
  const failures = [];
  const take = (r) => {
    total.passed += r.passed;
    total.failed += r.failed;
    total.skipped += r.skipped;
    const mark = r.problems.length ? 'FAIL' : 'ok  ';
    const skipped = r.skipped ? `, ${r.skipped} skipped` : '';
    console.log(
      `${mark} ${r.file.padEnd(44)} ${String(r.passed).padStart(4)} passed${skipped}  ${(r.ms / 1000).toFixed(1)} s`,
    );
    if (!r.problems.length) return;
    failures.push(r.file);
    console.log(`\n${r.output.trim()}\n`);
    for (const p of r.problems) console.log(`  ${r.file}: ${p}`);
    console.log();
  };
  const runnable = [];
  for (const file of files) {
    const need = needs(file);
    if (need && missing.has(need)) notRun.push([file, missing.get(need)]);
    else runnable.push(file);
  }
  await queue(
    runnable.filter((f) => groupOf(f) === 'pure'),
    Math.min(2, cpus().length),
    env,
    take,
  );
  await queue(
    runnable.filter((f) => groupOf(f) !== 'pure'),
    1,
    env,
    take,
  );

  if (notRun.length) {
    console.log(`\nnot run${ci ? ' (a failure in CI)' : ''}:`);
    for (const [file, why] of notRun) console.log(`  ${file}: ${why}`);
    if (ci) total.failed += notRun.length;
    else total.skipped += notRun.length;
  }
  if (failures.length) console.log(`\nfailed: ${failures.join(', ')}`);
  if (total.passed + total.failed === 0) {
    console.log('\nno test ran: that is a failure');
    total.failed = 1;
  }
  console.log(`\n${files.length} files, ${((performance.now() - started) / 1000).toFixed(0)} s`);
  console.log(`${total.passed} passed, ${total.failed} failed${total.skipped ? `, ${total.skipped} skipped` : ''}`);
  return total.failed ? 1 : 0;
}

/** Test files, in the groups' order. */
function choose(filters) {
  const files = GROUPS.filter((g) => existsSync(join(root, 'test', g))).flatMap((g) =>
    readdirSync(join(root, 'test', g), { recursive: true, withFileTypes: true })
      .filter((e) => e.isFile() && /\.(ts|mjs)$/.test(e.name))
      .map((e) => relative(join(root, 'test'), join(e.parentPath ?? e.path, e.name)))
      .filter((f) => /from 'uvu'/.test(readFileSync(join(root, 'test', f), 'utf8')))
      .sort(),
  );
  if (filters.length === 0) return files;
  return files.filter((f) =>
    filters.some((x) => (GROUPS.includes(x) ? groupOf(f) === x : f.includes(x.replace(/^test\//, '')))),
  );
}

const groupOf = (file) => file.split(/[\\/]/)[0];
const needs = (file) => (groupOf(file) === 'browser' ? 'browser' : /\.webgpu\.(ts|mjs)$/.test(file) ? 'webgpu' : null);

/** Looks for what the chosen files need. Tests learn it by T3DC_WEBGPU (adapter's name, or empty) and T3DC_CHROMIUM. */
function prepare(files, env) {
  const missing = new Map();
  const notes = [];
  if (files.some((f) => groupOf(f) === 'device')) {
    const found = findWebGpu();
    env.T3DC_WEBGPU = found.ok ? found.what : '';
    notes.push(`WebGPU adapter: ${found.what}`);
    if (!found.ok) missing.set('webgpu', `${found.what}: ${found.hint}`);
  }
  if (files.some((f) => groupOf(f) === 'browser')) {
    const found = findChromium();
    if (found.ok) env.T3DC_CHROMIUM = found.what;
    notes.push(`Chromium: ${found.what}`);
    if (!found.ok) missing.set('browser', `${found.what}: ${found.hint}`);
  }
  return { missing, notes };
}

async function queue(files, width, env, take) {
  const left = [...files];
  const worker = async () => {
    for (let f = left.shift(); f !== undefined; f = left.shift()) take(await runFile(f, env));
  };
  await Promise.all(Array.from({ length: width }, worker));
}

/** Runs one file; problems is empty when every test passed and the process ended by itself. */
function runFile(file, env) {
  return new Promise((resolve) => {
    const started = performance.now();
    const flags = groupOf(file) === 'pure' ? [] : ['--experimental-wasm-relaxed-simd'];
    // A group of its own, so that workers and browsers that it started end with it.
    const child = spawn(process.execPath, [...flags, '--import', 'tsx', join('test', file)], {
      cwd: root,
      env,
      detached: process.platform !== 'win32',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let late = false;
    const keep = (d) => {
      output += d;
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    const timer = setTimeout(() => {
      late = true;
      kill(child);
    }, limitOf(file) * 1000);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      kill(child);
      resolve({ file, output, ms: performance.now() - started, ...judge(output, code, signal, late && limitOf(file)) });
    });
  });
}

/** `late`: the limit in seconds that was reached, or false. */
function judge(output, code, signal, late) {
  const number = (name) =>
    Number([...output.matchAll(new RegExp(`^\\s*${name}:\\s+(\\d+)`, 'gm'))].at(-1)?.[1] ?? Number.NaN);
  const [all, passed, skipped] = [number('Total'), number('Passed'), number('Skipped')];
  const problems = [];
  const counted = Number.isFinite(all) && Number.isFinite(passed);
  if (late)
    problems.push(
      counted ? `did not exit within ${late} s of its start: something is left open` : `still running after ${late} s`,
    );
  else if (!counted) problems.push(`ended without uvu's totals (${signal ?? `exit code ${code}`})`);
  else if (code !== 0 && all === passed)
    problems.push(`all tests passed, then it ended with ${signal ?? `exit code ${code}`}`);
  if (counted && all === 0 && !(skipped > 0)) problems.push('ran no test: is test.run() missing?');
  const bad = counted ? all - passed : 0;
  const failed = bad || (problems.length ? 1 : 0);
  if (bad) problems.push(`${bad} of ${all} tests failed`);
  return { passed: counted ? passed : 0, failed, skipped: Number.isFinite(skipped) ? skipped : 0, problems };
}

function kill(child) {
  try {
    if (process.platform === 'win32') child.kill('SIGKILL');
    else process.kill(-child.pid, 'SIGKILL');
  } catch {
    // it is gone
  }
}

/** Every golden of test/golden/swinunetr on both targets. */
function parity(rest) {
  const child = spawn(
    process.execPath,
    ['--experimental-wasm-relaxed-simd', '--import', 'tsx', 'test/parity-matrix.ts', ...rest],
    {
      cwd: root,
      stdio: 'inherit',
      env: { XDG_RUNTIME_DIR: tmpdir(), ...process.env },
    },
  );
  return new Promise((resolve) => child.on('close', (code) => resolve(code ?? 1)));
}

const args = process.argv.slice(2).filter((a) => a !== '--t3d');
process.exitCode = args.includes('parity') ? await parity(args.filter((a) => a !== 'parity')) : await main(args);
