// Results of one or more runs as Markdown.
import { markdownTable } from '../section.ts';
import {
  KINDS,
  type Kind,
  PEERS,
  type PeerCaseResult,
  type PeerName,
  type PeerResult,
  type PeersResult,
} from './schema.ts';

const TITLES: Readonly<Record<Kind, string>> = {
  conv: 'Convolution, forward',
  gradients: 'Its gradients',
  model: 'SwinUNETR, forward',
  step: 'A training step: forward, Dice + cross-entropy, backward, AdamW',
};

/** One section for each machine and number of threads; later results of a case replace earlier ones. */
export function peersMarkdown(results: readonly PeersResult[]): string {
  const groups = new Map<string, PeersResult[]>();
  for (const r of results) {
    const { processor, cores, gpu } = r.machine;
    const key = [processor, cores, gpu, r.threads].join('|');
    groups.set(key, [...(groups.get(key) ?? []), r]);
  }
  return [...groups.values()].map(section).join('\n\n');
}

function section(runs: readonly PeersResult[]): string {
  const { machine, threads } = runs.at(-1)!;
  const cases = [...new Map(runs.flatMap((r) => r.cases).map((c) => [c.id, c])).values()];
  const programs = new Map(runs.flatMap((r) => r.programs).map((p) => [p.peer, p]));
  const dates = [...new Set(runs.map((r) => r.date))].sort();
  const pinned = runs.every((r) => r.pinned) ? ', pinned to as many cores' : '';
  const title = [machine.processor, `${machine.cores} cores`, ...(machine.gpu ? [machine.gpu] : [])].join(', ');
  const named = PEERS.flatMap((name) => {
    const p = programs.get(name);
    return p ? [`- ${name}: ${[p.version, p.device].filter(Boolean).join(', ')}`] : [];
  });
  return [
    `**${title}; ${threads} ${threads === 1 ? 'thread' : 'threads'}${pinned}.** ${dates.join(', ')}, ${machine.system}, Node ${machine.node}.`,
    named.join('\n'),
    ...KINDS.flatMap((kind) => {
      const list = cases.filter((c) => c.kind === kind);
      return list.length ? [times(TITLES[kind], list), ratios(list), remarks(list)] : [];
    }),
    missing(cases),
  ]
    .filter((s) => s !== '')
    .join('\n\n');
}

const showMs = (ms: number): string =>
  ms >= 10_000 ? `${(ms / 1000).toFixed(1)} s` : ms >= 1000 ? `${(ms / 1000).toFixed(2)} s` : `${ms.toPrecision(3)} ms`;
const showRate = (g: number): string => (g >= 100 ? g.toFixed(0) : g.toFixed(1));

/** `230 ms, 17.6` */
const cell = (r: PeerResult | undefined): string =>
  r ? `${showMs(r.ms.p50)}${r.cold ? '*' : ''}, ${showRate(r.gflops)}` : '–';

function times(title: string, cases: readonly PeerCaseResult[]): string {
  const present = PEERS.filter((p) => cases.some((c) => c.results.some((r) => r.peer === p)));
  const rows = present.map((p) => [p, ...cases.map((c) => cell(of(c, p)))]);
  return `${title} (median time, GFLOP/s):\n\n${markdownTable(['', ...cases.map((c) => shortId(c.id))], rows, `.${'r'.repeat(cases.length)}`)}`;
}

const shortId = (id: string): string => id.replace(/^(conv3d\.forward|swinunetr\.\w+) /, '').replace('conv3d.', '');
const of = (c: PeerCaseResult, p: PeerName): PeerResult | undefined => c.results.find((r) => r.peer === p);

/** This project's target beside which a program stands. */
const OURS: Readonly<Record<string, PeerName>> = {
  wasm: 't3dc wasm',
  cpu: 't3dc wasm',
  webgpu: 't3dc webgpu',
  cuda: 't3dc webgpu',
};
const beside = (p: PeerName): PeerName =>
  p === 'pytorch cuda amp' ? 't3dc webgpu f16' : (OURS[p.split(' ').at(-1)!] ?? 't3dc webgpu');

/** How many times as fast as each program this project's own target is. */
function ratios(cases: readonly PeerCaseResult[]): string {
  const others = PEERS.filter((p) => !p.startsWith('t3dc') && cases.some((c) => of(c, p) && of(c, beside(p))));
  if (others.length === 0) return '';
  const rows = cases.map((c) => [
    shortId(c.id),
    ...others.map((p) => {
      const [them, us] = [of(c, p), of(c, beside(p))];
      return them && us ? (them.ms.p50 / us.ms.p50).toFixed(2) : '–';
    }),
  ]);
  return `Times that t3dc is as fast, on the same kind of device:\n\n${markdownTable(
    ['', ...others.map((p) => `${p} ÷ ${beside(p)}`)],
    rows,
    `.${'r'.repeat(others.length)}`,
  )}`;
}

function remarks(cases: readonly PeerCaseResult[]): string {
  const lines: string[] = [];
  const compared = cases.flatMap((c) => c.results.flatMap((r) => (r.difference ? [{ c, r, d: r.difference }] : [])));
  for (const half of [false, true]) {
    const some = compared.filter(({ r }) => /f16|amp/.test(r.peer) === half);
    if (some.length === 0) continue;
    const worst = some.reduce((a, b) => (b.d.relativeL2 > a.d.relativeL2 ? b : a));
    const bound = Math.max(...some.map(({ r }) => r.tolerance));
    const references = [...new Set(some.map(({ c }) => c.reference))].join(', ');
    lines.push(
      `Largest ${worst.c.kind === 'step' ? 'relative difference of a loss' : 'relative L2 difference'} from ${references}${half ? ', halves' : ''}: ${worst.d.relativeL2.toExponential(1)} (${worst.r.peer}; bound ${bound.toExponential(0)}).`,
    );
  }
  if (cases.some((c) => c.results.some((r) => r.cold))) lines.push('*: one call, the first, with what it compiles.');
  for (const [note, where] of gathered(
    cases.flatMap((c) => c.results.flatMap((r) => (r.note ? [[`${r.peer}: ${r.note}`, c.id] as const] : []))),
  ))
    lines.push(`${note}${where.length < cases.length ? ` (${where.map(shortId).join('; ')})` : ''}.`);
  return lines.join(' ');
}

/** What could not be had, once for all cases that it holds for. */
function missing(cases: readonly PeerCaseResult[]): string {
  const all = gathered(cases.flatMap((c) => c.absent.map((a) => [`${a.peer}: ${a.reason}`, c.id] as const)));
  const concerned = (reason: string): number => {
    const name = reason.split(':')[0];
    return cases.filter((c) => c.absent.some((a) => a.peer === name) || c.results.some((r) => r.peer === name)).length;
  };
  if (all.length === 0) return '';
  const lines = all.map(([reason, where]) =>
    where.length < concerned(reason) ? `- ${reason} (${where.map(shortId).join('; ')})` : `- ${reason}`,
  );
  return `Not there:\n\n${lines.join('\n')}`;
}

function gathered(pairs: readonly (readonly [string, string])[]): [string, string[]][] {
  const groups = new Map<string, string[]>();
  for (const [what, where] of pairs) groups.set(what, [...(groups.get(what) ?? []), where]);
  return [...groups];
}
