// The page of an evaluation of label maps.
import { FROC_RATES } from '../data/index.ts';
import { chart, evalPage, figure, type Section, stripChart, withInterval } from './eval-page.ts';
import {
  averageOf,
  type CaseScore,
  type GroupScore,
  type LesionSummary,
  type SegmentSummary,
  worstFirst,
} from './eval-segment.ts';
import { sizeBin } from './eval-strata.ts';
import { table, xml } from './page.ts';

export interface WorstPicture {
  readonly name: string;
  /** A PNG file. */
  readonly png: Uint8Array;
}

export interface SegmentPage {
  readonly cases: readonly CaseScore[];
  readonly summary: SegmentSummary;
  readonly tolerance: number;
  readonly bins: readonly number[];
  readonly pictures: readonly WorstPicture[];
  /** What a reader must know before trusting the figures: cases left out, ids unknown. */
  readonly warnings: readonly string[];
}

export function segmentPage(page: SegmentPage): string {
  const { cases, summary, tolerance, pictures } = page;
  const patients = new Set(cases.map((c) => c.patient)).size;
  const { all } = summary;
  const lead =
    `${cases.length} cases of ${patients} patients. Mean over classes: Dice <b>${withInterval(all.dice)}</b>, ` +
    `NSD at ${tolerance} mm <b>${withInterval(all.nsd)}</b>, HD95 <b>${withInterval(all.hd95, 1)}</b> mm. ` +
    'In small print: 95 % percentile bootstrap intervals over patients.';
  const sections: Section[] = [
    { title: 'Classes', body: classesBody(page) },
    ...[...summary.lesions].map(([name, s]) => ({
      title: `Lesion by lesion: ${name}`,
      body: lesionBody(s, page.bins),
    })),
    ...(summary.strata.size > 0 ? [{ title: 'Strata', body: strataBody(summary, tolerance) }] : []),
    {
      title: 'Worst cases',
      body:
        pictures.length > 0
          ? pictures.map((p) => pictureFigure(p, cases.find((c) => c.name === p.name)!)).join('\n')
          : worstTable(cases),
    },
    { title: 'All cases', body: allCases(cases, tolerance) },
    { title: 'How to read this', body: conventions(tolerance) },
  ];
  return evalPage('Segmentation', lead, page.warnings, sections);
}

function classesBody({ cases, summary, tolerance }: SegmentPage): string {
  const rows = [...summary.classes].map(([name, s]) => [
    `<b>${xml(name)}</b>`,
    ...scoreCells(s),
    counted(s.dice.cases, s.cases),
    String(s.falseAlarms),
    String(s.hd95.infiniteCases),
  ]);
  const head = ['class', 'Dice', `NSD ${tolerance} mm`, 'HD95 mm', 'cases with it', 'false alarms', 'one side empty'];
  const strip = [...summary.classes].map(([name, s]) => ({
    name,
    values: cases.map((c) => ({ name: c.name, value: c.classes.get(name)?.dice ?? Number.NaN })),
    mean: s.dice,
  }));
  return [
    table(head, rows, [1, 2, 3, 4, 5, 6]),
    stripChart('Dice of every case, and the mean with its interval', strip),
  ].join('\n');
}

function lesionBody(s: LesionSummary, edges: readonly number[]): string {
  const row = (name: string, l: LesionSummary['all'], cells: readonly string[]) => [
    name,
    ...cells,
    `${l.found} of ${l.truth}`,
    `${l.right} of ${l.predicted}`,
  ];
  const plain = (l: LesionSummary['all']) => [figure(l.sensitivity), figure(l.precision), figure(l.f1)];
  const rows = [
    row('<b>all sizes</b>', s.all, [withInterval(s.sensitivity), withInterval(s.precision), withInterval(s.f1)]),
    ...s.bins.map((b) => row(xml(sizeBin(b.from, edges)), b, plain(b))),
  ];
  const parts = [
    table(['diameter', 'sensitivity', 'precision', 'F1', 'lesions found', 'predictions right'], rows, [1, 2, 3, 4, 5]),
  ];
  if (s.froc) {
    const end = s.froc.curve.at(-1)!;
    parts.push(
      table(
        ['false positives per scan', ...FROC_RATES.map((r) => (r < 1 ? `1/${1 / r}` : String(r))), 'mean'],
        [['sensitivity', ...s.froc.at.map((v) => figure(v)), `<b>${figure(s.froc.average)}</b>`]],
        FROC_RATES.map((_, i) => i + 1).concat(FROC_RATES.length + 1),
      ),
      chart(
        [
          {
            kind: 'line',
            points: [
              [FROC_RATES[0]!, s.froc.at[0]!],
              ...s.froc.curve
                .filter((p) => p.falsePositives > FROC_RATES[0]!)
                .map((p) => [p.falsePositives, p.sensitivity] as const),
              ...(end.falsePositives < 8 ? [[8, end.sensitivity] as const] : []),
            ],
          },
          { kind: 'dots', points: FROC_RATES.map((r, i) => [r, s.froc!.at[i]!] as const) },
        ],
        {
          caption: 'FROC: sensitivity against false positives per scan',
          x: 'false positives per scan',
          y: 'sensitivity',
          xTicks: FROC_RATES,
          yTicks: [0, 0.2, 0.4, 0.6, 0.8, 1],
          logX: true,
        },
      ),
    );
  }
  return parts.join('\n');
}

function strataBody({ strata }: SegmentSummary, tolerance: number): string {
  const rows = [...strata].flatMap(([what, groups]) =>
    [...groups].map(([stratum, s], i) => [
      i === 0 ? `<b>${xml(what)}</b>` : '',
      xml(stratum),
      String(s.cases),
      ...scoreCells(s),
    ]),
  );
  return table(['by', 'stratum', 'cases', 'Dice', `NSD ${tolerance} mm`, 'HD95 mm'], rows, [2, 3, 4, 5]);
}

function pictureFigure({ name, png }: WorstPicture, score: CaseScore): string {
  const a = averageOf(score);
  const caption = `<b>${xml(name)}</b>: Dice ${figure(a.dice)}, NSD ${figure(a.nsd)}, HD95 ${Number.isFinite(a.hd95) ? `${figure(a.hd95, 1)} mm` : 'not finite: a class is in one map alone'}`;
  const data = Buffer.from(png).toString('base64');
  return `<figure><figcaption>${caption}</figcaption><img alt="${xml(name)}: prediction and truth over the CT" src="data:image/png;base64,${data}"></figure>`;
}

function worstTable(cases: readonly CaseScore[]): string {
  const rows = worstFirst(cases)
    .slice(0, 10)
    .map((c) => {
      const a = averageOf(c);
      return [xml(c.name), figure(a.dice), figure(a.nsd), figure(a.hd95, 1)];
    });
  return `${table(['case', 'Dice', 'NSD', 'HD95 mm'], rows, [1, 2, 3])}\n<p class="soft">With --images they are drawn.</p>`;
}

function allCases(cases: readonly CaseScore[], tolerance: number): string {
  const rows = cases.flatMap((c) =>
    [...c.classes].map(([name, s], i) => [
      i === 0 ? xml(c.name) : '',
      xml(name),
      figure(s.dice),
      figure(s.nsd),
      figure(s.hd95, 1),
      s.truthMl.toFixed(1),
      s.predictedMl.toFixed(1),
      i === 0 ? c.spacing.map((v) => v.toFixed(2)).join(' × ') : '',
    ]),
  );
  const head = ['case', 'class', 'Dice', `NSD ${tolerance} mm`, 'HD95 mm', 'truth mL', 'predicted mL', 'spacing mm'];
  return `<details><summary>${rows.length} rows (also in per-case.csv)</summary>\n${table(head, rows, [2, 3, 4, 5, 6, 7])}\n</details>`;
}

const conventions = (tolerance: number): string => `<ul>
<li>Dice is left out where the truth has nothing of a class (–); a prediction there is a false alarm, which has a column of its own.</li>
<li>NSD: share of the surface voxels of both maps that lie within ${tolerance} mm of the other's surface; 0 where one map has nothing of the class, – where neither has.</li>
<li>HD95: the larger of both directions' 95th percentiles of surface distances. Cases in which one map has nothing of the class have no finite distance:
they are not in the mean, and are counted (“one side empty”). A mean over classes is not finite either then.</li>
<li>A lesion is found when one voxel of it is predicted; a predicted one is right when one voxel of it is lesion. Diameters are those of balls of the same volume.</li>
<li>Intervals: patients drawn with replacement, all scans of a patient together.</li>
</ul>`;

const scoreCells = (s: GroupScore): string[] => [withInterval(s.dice), withInterval(s.nsd), withInterval(s.hd95, 1)];
const counted = (n: number, of: number): string => (n === of ? String(n) : `${n} of ${of}`);
