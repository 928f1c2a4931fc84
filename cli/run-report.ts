// A training run as one HTML page that needs nothing else: figures at a glance, curves, pictures, tables, configuration.
import { type Chart, chartFigure } from './chart.ts';
import { STYLE, table, xml } from './page.ts';

export interface ReportTable {
  readonly title: string;
  /** A paragraph above the table. */
  readonly text?: string;
  readonly head: readonly string[];
  /** Plain text; it is escaped here. */
  readonly rows: readonly (readonly string[])[];
  /** Columns of numbers, set to the right. */
  readonly numbers?: readonly number[];
}

export interface ReportImage {
  /** A PNG file. */
  readonly png: Uint8Array;
  readonly caption: string;
}

export interface Report {
  readonly title: string;
  /** Beside the title: what was trained, and on what. */
  readonly subtitle?: string;
  /** Figures at a glance, in their order: `Best mean Dice`, `0.812`, `at step 4000`. */
  readonly facts?: readonly { readonly name: string; readonly value: string; readonly about?: string }[];
  /** Everything that decides what the run computes. Nested objects become sections. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly series: readonly Chart[];
  readonly images: readonly ReportImage[];
  /** Metrics per set, diagnostics of leaks, memory: each under its own title. */
  readonly tables: readonly ReportTable[];
  /** What a reader must know, above all else: a run that stopped, steps that were skipped, what the figures do not say. */
  readonly notes: readonly string[];
}

/** An HTML file. */
export function reportPage({ title, subtitle, facts = [], config, series, images, tables, notes }: Report): string {
  const part = (heading: string, body: readonly string[]) => (body.length > 0 ? [`<h2>${heading}</h2>`, ...body] : []);
  return [
    '<!doctype html>',
    '<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
    `<title>${xml(title)}</title>`,
    `<style>${STYLE}${LOOK}</style>`,
    `<h1>${xml(title)}${subtitle ? ` <small>${xml(subtitle)}</small>` : ''}</h1>`,
    ...(facts.length > 0
      ? [
          '<dl class="facts">',
          ...facts.map(
            (f) =>
              `<div><dt>${xml(f.name)}</dt><dd>${xml(f.value)}</dd>${f.about ? `<dd class="about">${xml(f.about)}</dd>` : ''}</div>`,
          ),
          '</dl>',
        ]
      : []),
    ...(notes.length > 0 ? ['<ul class="notes">', ...notes.map((n) => `<li>${xml(n)}</li>`), '</ul>'] : []),
    ...part('Curves', series.length > 0 ? ['<div class="charts">', ...series.map(chartFigure), '</div>'] : []),
    ...part('Examples', images.map(imageFigure)),
    ...tables.flatMap((t) => [
      `<h2>${xml(t.title)}</h2>`,
      ...(t.text ? [`<p>${xml(t.text)}</p>`] : []),
      '<div class="wide">',
      table(
        t.head,
        t.rows.map((r) => r.map(xml)),
        t.numbers ?? [],
      ),
      '</div>',
    ]),
    ...part('Configuration', configTables(config)),
    '</html>',
    '',
  ].join('\n');
}

const LOOK = `
h1 { font-size: 24px; margin-bottom: 12px; }
h2 { font-size: 18px; }
.facts { display: flex; flex-wrap: wrap; gap: 10px; margin: 14px 0; }
.facts div { border: 1px solid #e2e5ea; border-radius: 6px; padding: 8px 16px 8px 12px; min-width: 108px; }
.facts dt { color: #5c636e; font-size: 12px; }
.facts dd { margin: 0; font-size: 20px; font-variant-numeric: tabular-nums; }
.facts dd.about { font-size: 12px; color: #5c636e; }
.notes { background: #fdf6e7; border-left: 4px solid #d29a2a; margin: 14px 0; padding: 8px 12px 8px 30px; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 520px), 1fr)); gap: 18px 24px; }
figure { margin: 0; }
.chart figcaption { font-weight: 600; margin-bottom: 2px; }
.chart small { font-weight: normal; color: #5c636e; }
.chart svg .grid { stroke: #e6e8ec; }
.chart svg .axis { stroke: #9aa1ab; }
.chart svg .mark { stroke: #8a929d; stroke-dasharray: 3 3; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 14px; padding-left: 44px; font-size: 12px; color: #333; }
.legend i { display: inline-block; width: 18px; margin-right: 5px; vertical-align: middle; }
.example { margin: 12px 0 20px; }
.example img { max-width: 100%; border-radius: 4px; display: block; }
.example figcaption { color: #5c636e; font-size: 13px; margin-top: 4px; }
.wide { overflow-x: auto; }
.config { columns: 2 460px; column-gap: 32px; }
.config section { break-inside: avoid; }
.config h3 { font-size: 14px; margin: 10px 0 0; }
.config table { margin-top: 2px; width: 100%; }
.config td { overflow-wrap: anywhere; }
.config td:first-child { width: 34%; color: #5c636e; }
`;

function imageFigure({ png, caption }: ReportImage): string {
  const data = Buffer.from(png.buffer, png.byteOffset, png.byteLength).toString('base64');
  return `<figure class="example"><img alt="${xml(caption)}" src="data:image/png;base64,${data}"><figcaption>${xml(caption)}</figcaption></figure>`;
}

/** A table for the plain values, and one for each object. */
function configTables(config: Readonly<Record<string, unknown>>): string[] {
  const isGroup = (v: unknown): v is Readonly<Record<string, unknown>> =>
    typeof v === 'object' && v !== null && !Array.isArray(v) && Object.keys(v).length > 0;
  const rowsOf = (values: Readonly<Record<string, unknown>>, prefix = ''): [string, string][] =>
    Object.entries(values).flatMap(([k, v]): [string, string][] =>
      isGroup(v) ? rowsOf(v, `${prefix}${k}.`) : [[prefix + k, showValue(v)]],
    );
  const section = (title: string, rows: readonly [string, string][]): string => {
    const lines = rows.map(([k, v]) => `<tr><td>${xml(k)}</td><td>${xml(v)}</td></tr>`);
    return `<section><h3>${xml(title)}</h3><table>${lines.join('')}</table></section>`;
  };
  const plain = Object.entries(config).filter(([, v]) => !isGroup(v));
  const groups = Object.entries(config).filter((e): e is [string, Readonly<Record<string, unknown>>] => isGroup(e[1]));
  if (plain.length + groups.length === 0) return [];
  return [
    '<div class="config">',
    ...(plain.length > 0 ? [section('run', rowsOf(Object.fromEntries(plain)))] : []),
    ...groups.map(([name, values]) => section(name, rowsOf(values))),
    '</div>',
  ];
}

function showValue(v: unknown): string {
  if (v === null || v === undefined) return '–';
  if (Array.isArray(v) && v.every((x) => typeof x !== 'object')) return v.join(', ') || '–';
  return typeof v === 'object' ? JSON.stringify(v) : String(v);
}
