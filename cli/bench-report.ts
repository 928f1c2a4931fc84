// What a bench found, as lines for a terminal and as a page.
import { type BenchResult, type CaseResult, CEILINGS, remarks } from '../bench/schema.ts';
import { STYLE, table, xml } from './page.ts';
import { rooflinePicture } from './roofline-picture.ts';
import { columns, showFlops, showTime } from './units.ts';

const figure = (v: number): string => (v === 0 ? '–' : v >= 100 ? v.toFixed(0) : v >= 1 ? v.toFixed(1) : v.toFixed(3));

export function ceilingLines(r: Pick<BenchResult, 'ceilings'>): string[] {
  return columns(
    r.ceilings.map((c) => [`  ${c.name}`, `${figure(c.value)} ${c.unit}`, c.how]),
    '.r.',
  );
}

const HEAD = ['case', 'ms p50', 'p20', 'p80', 'GFLOP/s', 'GB/s', 'FLOP/B', 'of ceiling', 'error', 'schedule'];

function cells(c: CaseResult): string[] {
  return [
    c.id,
    figure(c.ms.p50),
    figure(c.ms.p20),
    figure(c.ms.p80),
    figure(c.gflops),
    figure(c.gbps),
    figure(c.intensity),
    `${c.percent.toFixed(0)} % ${CEILINGS[c.ceiling.by]}`,
    c.maxError === null ? '–' : c.maxError === 0 ? '0' : c.maxError.toExponential(0),
    c.schedule.length > 60 ? `${c.schedule.slice(0, 57)}…` : c.schedule,
  ];
}

export const caseLines = (cases: readonly CaseResult[]): string[] => columns([HEAD, ...cases.map(cells)], '.rrrrrrrr.');

export interface Comparison {
  readonly id: string;
  readonly before: number;
  readonly after: number;
}

/** Cases of both, by median time. */
export function compare(before: BenchResult, after: BenchResult): Comparison[] {
  const old = new Map(before.cases.map((c) => [c.id, c.ms.p50]));
  return after.cases.flatMap((c) => {
    const ms = old.get(c.id);
    return ms === undefined ? [] : [{ id: c.id, before: ms, after: c.ms.p50 }];
  });
}

export const comparisonLines = (list: readonly Comparison[]): string[] =>
  columns(
    [
      ['case', 'before', 'after', 'speed'],
      ...list.map((c) => [c.id, showTime(c.before), showTime(c.after), `${(c.before / c.after).toFixed(2)}×`]),
    ],
    '.rrr',
  );

export function benchPage(r: BenchResult, old: readonly Comparison[]): string {
  const { device } = r;
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>t3dc bench – ${xml(device.description)}</title>
<style>${STYLE}</style>
<h1>Bench <small>${xml(device.description)}${device.software ? ', a software adapter' : ''}</small></h1>
<p>${xml(device.processor)}, Node ${xml(device.node)}, t3dc ${xml(r.t3dc)}, ${xml(r.date)}</p>
<h2>Ceilings</h2>
<p>Measured on this device before the cases, by small kernels that do nothing else.</p>
${table(
  ['ceiling', 'reached', 'how'],
  r.ceilings.map((c) => [xml(c.name), `${figure(c.value)} ${c.unit}`, xml(c.how)]),
  [1],
)}
<h2>Roofline</h2>
${rooflinePicture(r)}
<h2>Cases</h2>
<p>Times are medians over the runs of a case, kernels alone. A multiply-add counts two operations; attention's backward pass
five products. Bytes are the compulsory ones: every input and output once. Error: the largest difference from float64 over
sampled elements, in units of the output's largest.</p>
${table(
  HEAD.map(xml),
  r.cases.map((c) => cells(c).map(xml)),
  [1, 2, 3, 4, 5, 6, 7, 8],
)}
${remarks(r.cases)
  .map((m) => `<p><b>${xml(m)}</b></p>`)
  .join('\n')}
${
  old.length === 0
    ? ''
    : `<h2>Compared</h2>\n${table(
        ['case', 'before', 'after', 'speed'],
        old.map((c) => [xml(c.id), showTime(c.before), showTime(c.after), `${(c.before / c.after).toFixed(2)}×`]),
        [1, 2, 3],
      )}`
}
<p>Work in all: ${showFlops(r.cases.reduce((s, c) => s + c.flops, 0))}.</p>
</html>
`;
}
