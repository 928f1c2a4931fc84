// Other programs beside this one, in one run: the same convolutions, gradients, SwinUNETR and training step, in alternating order,
// whole calls (input up, kernels, output back), all with the same number of threads.
//
//   npx tsx bench/peers/run.ts [--only conv,gradients,model,step] [--peers "t3dc wasm,pytorch cpu"] [--threads 2] [--size 32,96]
//                              [--model base] [--rounds N] [--limit S] [--json FILE] [--markdown | --write] [--python PATH]
//                              [--software-webgpu-model] [RESULT.json …]
//
// Peers are installed on demand into .cache/peers. With RESULT.json files nothing is run: they are printed (--markdown), or written
// into docs/performance.md (--write). The exit status is 1 where two programs disagree about a result.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, type as systemName, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import v8 from 'node:v8';
import { replaceSection } from '../section.ts';
import { casesOf, convFlops, MODEL_NAMES, type ModelName } from './cases.ts';
import { nvidia } from './install.ts';
import { disagreements, measureCase } from './measure.ts';
import { onnxRuntime } from './onnxruntime.ts';
import type { Peer, Settings } from './peer.ts';
import { pyTorch } from './pytorch.ts';
import {
  KINDS,
  type Kind,
  PEERS,
  type PeerAbsent,
  type PeerCaseResult,
  type PeerName,
  type PeersResult,
  type Program,
} from './schema.ts';
import { modelFlops, softwareGpu, t3dc, VERSION } from './t3dc.ts';
import { peersMarkdown } from './table.ts';
import { tensorFlow } from './tensorflow.ts';

const PINNED = 'T3DC_BENCH_PINNED';
const PAGE = new URL('../../docs/performance.md', import.meta.url);

const { values: o, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string', default: KINDS.join(',') },
    peers: { type: 'string', default: PEERS.join(',') },
    threads: { type: 'string', default: '2' },
    size: { type: 'string', default: '' },
    model: { type: 'string', default: 'base' },
    rounds: { type: 'string' },
    limit: { type: 'string' },
    json: { type: 'string' },
    markdown: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    python: { type: 'string' },
    'software-webgpu-model': { type: 'boolean', default: false },
  },
});

function list<T extends string>(option: string, text: string, known: readonly T[]): T[] {
  const names = text.split(',').map((s) => s.trim());
  const wrong = names.filter((n) => !known.includes(n as T));
  if (wrong.length > 0) throw new Error(`--${option}: ${wrong.join(', ')} is none of ${known.join(', ')}`);
  return names as T[];
}
function count(option: string, text: string): number {
  const n = Number(text);
  if (!(n > 0)) throw new Error(`--${option} is ${text}: expected a number above 0`);
  return n;
}

async function run(threads: number, pinned: boolean): Promise<PeersResult> {
  v8.setFlagsFromString('--experimental-wasm-relaxed-simd');
  const settings: Settings = {
    threads,
    softwareModel: o['software-webgpu-model'],
    ...(o.python ? { python: o.python } : {}),
  };
  const cases = casesOf({
    only: list<Kind>('only', o.only, KINDS),
    sizes: o.size === '' ? [] : o.size.split(',').map((s) => count('size', s)),
    model: list<ModelName>('model', o.model, MODEL_NAMES)[0]!,
    ...(o.rounds ? { rounds: count('rounds', o.rounds) } : {}),
    ...(o.limit ? { limit: count('limit', o.limit) } : {}),
  });
  const programs: Program[] = [];
  const missing: PeerAbsent[] = [];
  const peers: Peer[] = [];
  for (const name of list<PeerName>('peers', o.peers, PEERS)) {
    const peer = make(name, settings);
    if (!cases.some((c) => peer.kinds.includes(c.kind))) continue;
    try {
      programs.push({ peer: name, ...(await peer.describe()) });
      peers.push(peer);
    } catch (e) {
      missing.push({ peer: name, reason: (e as Error).message });
      console.error(`${name}: ${(e as Error).message}`);
      await peer.close();
    }
  }
  const results: PeerCaseResult[] = [];
  try {
    for (const c of cases) {
      console.error(c.id);
      const flops = c.op === 'conv3d' ? convFlops(c) : modelFlops(c);
      const r = await measureCase(c, peers, flops, {
        onOpen: (peer) => console.error(`  ${peer}: opening`),
        onCall: (peer, ms, what) => console.error(`  ${peer}: ${ms.toFixed(1)} ms (${what})`),
      });
      results.push({
        ...r,
        absent: [...missing.filter((m) => make(m.peer, settings).kinds.includes(c.kind)), ...r.absent],
      });
      for (const p of peers) await p.close(); // the next case starts with free memory
    }
  } finally {
    for (const p of peers) await p.close();
  }
  return {
    t3dc: VERSION,
    date: new Date().toISOString().slice(0, 10),
    machine: {
      processor: cpus()[0]?.model ?? 'unknown',
      cores: cpus().length,
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      system: systemName(),
      node: process.versions.node,
      gpu: nvidia(),
    },
    threads,
    pinned,
    programs,
    cases: results,
  };
}

function make(name: PeerName, settings: Settings): Peer {
  switch (name) {
    case 't3dc webgpu':
    case 't3dc webgpu f16':
    case 't3dc wasm':
      return t3dc(name, settings);
    case 'onnxruntime-node webgpu':
    case 'onnxruntime-node cpu':
    case 'onnxruntime-web wasm':
      return onnxRuntime(name, settings, softwareGpu);
    case 'tensorflow.js webgpu':
      return tensorFlow();
    default:
      return pyTorch(name, settings);
  }
}

async function main(): Promise<number> {
  const threads = count('threads', o.threads);
  if (positionals.length === 0 && !process.env[PINNED]) return pinnedRun(threads);
  const results =
    positionals.length > 0
      ? positionals.map((f) => JSON.parse(readFileSync(f, 'utf8')) as PeersResult)
      : [await run(threads, process.env[PINNED] === 'yes')];
  if (o.json) {
    mkdirSync(dirname(o.json), { recursive: true });
    writeFileSync(o.json, `${JSON.stringify(results.length === 1 ? results[0] : results, null, 1)}\n`);
  }
  const text = peersMarkdown(results);
  if (o.markdown || !o.write) console.log(text);
  if (o.write) writeFileSync(PAGE, replaceSection(readFileSync(PAGE, 'utf8'), 'peers', text));
  const wrong = results.flatMap((r) => r.cases.flatMap((c) => disagreements(c).map((x) => ({ c, x }))));
  for (const { c, x } of wrong)
    console.error(
      `${c.id}: ${x.peer} is ${x.difference!.relativeL2.toExponential(2)} from ${c.reference}, more than ${x.tolerance}`,
    );
  return wrong.length > 0 ? 1 : 0;
}

/** So many threads mean so many cores for software adapters too, which size their pool by the machine: where the system can pin a
 *  process, the run starts itself again, pinned. */
function pinnedRun(threads: number): number {
  const env = { XDG_RUNTIME_DIR: '/tmp', LP_NUM_THREADS: String(threads), ...process.env };
  const self = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const canPin = threads <= cpus().length && has('taskset');
  const [command, ...args] = canPin ? ['taskset', '-c', `0-${threads - 1}`, ...self] : self;
  const child = spawnSync(command!, args, { stdio: 'inherit', env: { ...env, [PINNED]: canPin ? 'yes' : 'no' } });
  return child.status ?? 1;
}

function has(command: string): boolean {
  try {
    execFileSync(command, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

process.exitCode = await main().catch((e: Error) => {
  console.error(e.message);
  return 1;
});
