// What this machine has for the tests: a WebGPU adapter, a Chromium. Both are looked for, then set up where that needs no
// question (root on Debian or Ubuntu), else named as missing with what to do.
import { execFileSync, spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

const root = new URL('..', import.meta.url).pathname;

/** @typedef {{ ok: boolean, what: string, hint: string }} Found */

/** Asks Dawn in a process of its own: a broken driver may crash it. @returns {Found} */
export function findWebGpu() {
  let found = probeAdapter();
  if (!found && trySetup('setup-vulkan.sh')) found = probeAdapter();
  if (found) return { ok: true, what: found, hint: '' };
  return {
    ok: false,
    what: 'no WebGPU adapter',
    hint: setupHint('setup-vulkan.sh', 'install a Vulkan driver (Mesa 23.1 or later has lavapipe)'),
  };
}

/** The executable's path in `what`. T3DC_CHROMIUM names one. @returns {Found} */
export function findChromium() {
  let found = whichChromium();
  if (!found && trySetup('setup-chromium.sh')) found = whichChromium();
  if (found) return { ok: true, what: found, hint: '' };
  return {
    ok: false,
    what: 'no Chromium',
    hint: setupHint('setup-chromium.sh', 'install Chromium or Chrome, or set T3DC_CHROMIUM to its path'),
  };
}

const PROBE = `
const { create } = await import('webgpu');
let gpu = create([]);
const adapter = await gpu.requestAdapter();
if (adapter) console.log([adapter.info.vendor, adapter.info.device, adapter.info.description].filter(Boolean).join(' ') || 'unnamed');
process.exit(adapter ? 0 : 1);`;

function probeAdapter() {
  const r = spawnSync(process.execPath, ['--input-type=module', '-e', PROBE], {
    cwd: root,
    encoding: 'utf8',
    timeout: 120_000,
    env: { XDG_RUNTIME_DIR: tmpdir(), ...process.env },
  });
  return r.status === 0 ? r.stdout.trim() : null;
}

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];
const PLACES = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
];

function whichChromium() {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const given = process.env.T3DC_CHROMIUM;
  const candidates = given ? [given] : [...folders.flatMap((f) => NAMES.map((n) => join(f, n))), ...PLACES];
  return candidates.find(executable) ?? null;
}

function executable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const canInstall = () => process.platform === 'linux' && process.getuid?.() === 0 && executable('/usr/bin/apt-get');

function trySetup(script) {
  if (!canInstall()) return false;
  console.log(`setting up: scripts/${script}`);
  try {
    execFileSync('sh', [join(root, 'scripts', script)], { stdio: 'inherit', timeout: 600_000 });
    return true;
  } catch {
    return false; // the script said why
  }
}

const setupHint = (script, other) =>
  process.platform === 'linux' ? `run scripts/${script} as root (Debian, Ubuntu), or ${other}` : other;
