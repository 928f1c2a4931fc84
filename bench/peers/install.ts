// Other programs, installed when a run first asks for them: Node's into .cache/peers, Python's into .cache/peers/venv. None is a
// dependency of this project.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Absent } from './peer.ts';

export const FOLDER = new URL('../../.cache/peers/', import.meta.url).pathname;

/** By package. */
const NODE: Readonly<Record<string, string>> = {
  'onnxruntime-node': '1.30.0',
  'onnxruntime-web': '1.30.0',
  '@tensorflow/tfjs-core': '4.22.0',
  '@tensorflow/tfjs-backend-webgpu': '4.22.0',
};
const TORCH = 'torch==2.13.0';
const PYTHON = ['monai==1.6.1', 'einops==0.8.2', 'numpy==2.4.6', 'onnx==1.20.1'];
/** PyTorch's own index of builds without CUDA: a tenth of the size. */
const WITHOUT_CUDA = ['--index-url', 'https://download.pytorch.org/whl/cpu'];

/** What resolves these packages, installed in the versions above. @throws Absent */
export function nodePackages(names: readonly string[]): NodeJS.Require {
  mkdirSync(FOLDER, { recursive: true });
  const missing = names.filter((n) => versionOf(n) !== NODE[n]).map((n) => `${n}@${NODE[n]}`);
  if (missing.length > 0) {
    if (!existsSync(join(FOLDER, 'package.json'))) writeFileSync(join(FOLDER, 'package.json'), '{"private":true}\n');
    // Without install scripts: onnxruntime-node's downloads CUDA.
    const args = ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--save-exact', ...missing];
    install(missing, () => run('npm', args, FOLDER));
  }
  return createRequire(join(FOLDER, 'package.json'));
}

export function versionOf(name: string): string | null {
  const file = join(FOLDER, 'node_modules', name, 'package.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version : null;
}

/** A Python with PyTorch and MONAI: with CUDA where an NVIDIA driver is, else the smaller build without. @throws Absent */
export function python(): string {
  const folder = join(FOLDER, 'venv');
  const command = join(folder, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python');
  // Written last, so that an installation that broke off is taken up again.
  const done = join(folder, 'installed.txt');
  const wanted = [TORCH, ...PYTHON].join('\n');
  if (existsSync(done) && readFileSync(done, 'utf8') === wanted) return command;
  mkdirSync(FOLDER, { recursive: true });
  install([TORCH, ...PYTHON], () => {
    if (!existsSync(command)) run('python3', ['-m', 'venv', folder], FOLDER);
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'];
    run(command, [...pip, TORCH, ...(nvidia() ? [] : WITHOUT_CUDA)], FOLDER);
    run(command, [...pip, ...PYTHON], FOLDER);
    writeFileSync(done, wanted);
  });
  return command;
}

/** Card and driver, or null without NVIDIA's. */
export function nvidia(): string | null {
  try {
    const query = ['--query-gpu=name,driver_version', '--format=csv,noheader'];
    const [name, driver] = execFileSync('nvidia-smi', query, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
      .split('\n')[0]!
      .split(', ');
    return `${name}, driver ${driver}`;
  } catch {
    return null;
  }
}

function install(what: readonly string[], steps: () => void): void {
  console.error(`installing ${what.join(', ')}`);
  try {
    steps();
  } catch (e) {
    throw new Absent(`cannot be installed: ${(e as Error).message.split('\n').slice(0, 3).join(' ')}`);
  }
}

/** Its output goes to the error stream, where it bothers no reader of results. */
const run = (command: string, args: readonly string[], cwd: string): void => {
  execFileSync(command, args, { cwd, stdio: ['ignore', 2, 2] });
};
