// Results of `t3dc bench --out FILE` as the tables of docs/performance.md: every case against the ceilings of its device.
//
//   npx tsx bench/tables.ts FILE.json …            prints them
//   npx tsx bench/tables.ts FILE.json … --write    writes them into docs/performance.md, section "Against the ceilings"
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { type BenchResult, type CaseResult, CEILINGS, type Ceiling, remarks } from './schema.ts';
import { markdownTable, replaceSection } from './section.ts';

const PAGE = new URL('../docs/performance.md', import.meta.url);

/** A heading, the ceilings and a table for each result. */
export const ceilingTables = (results: readonly BenchResult[]): string => results.map(one).join('\n\n');

function one(r: BenchResult): string {
  const { description, software, processor, node } = r.device;
  const ceilings = r.ceilings.map((c) => `${c.name} ${showCeiling(c)} (${c.how})`).join('; ');
  const doubts = remarks(r.cases);
  return [
    `**${description}**${software ? ', a software adapter' : ''}. ${processor}, Node ${node}, ${r.date}.`,
    `Ceilings: ${ceilings}.`,
    markdownTable(
      ['case', 'ms', 'GFLOP/s', 'GB/s', 'of ceiling', 'largest error', 'schedule'],
      r.cases.map(cells),
      '.rrrrr.',
    ),
    ...(doubts.length > 0 ? [doubts.join('\n')] : []),
  ].join('\n\n');
}

const showCeiling = (c: Ceiling): string => `${figure(c.value)} ${c.unit}`;

/** Three digits, as a person would write them; nothing for no work. */
const figure = (v: number): string =>
  v === 0 ? '–' : v >= 100 ? v.toFixed(0) : v >= 10 ? v.toFixed(1) : v >= 1 ? v.toFixed(2) : v.toPrecision(2);

function cells(c: CaseResult): string[] {
  return [
    c.dtype === 'f16' ? `${c.id}, f16` : c.id,
    figure(c.ms.p50),
    figure(c.gflops),
    figure(c.gbps),
    `${c.percent < 10 ? c.percent.toFixed(1) : c.percent.toFixed(0)} % ${CEILINGS[c.ceiling.by]}`,
    c.maxError === null ? '–' : c.maxError === 0 ? '0' : c.maxError.toExponential(0),
    c.schedule,
  ];
}

function main(): void {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { write: { type: 'boolean', default: false } },
  });
  if (positionals.length === 0) throw new Error('name the JSON files that `t3dc bench --out FILE` wrote');
  const results = positionals.map((f) => JSON.parse(readFileSync(f, 'utf8')) as BenchResult);
  const text = ceilingTables(results);
  if (values.write) writeFileSync(PAGE, replaceSection(readFileSync(PAGE, 'utf8'), 'ceilings', text));
  else console.log(text);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main();
