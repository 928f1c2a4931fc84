// The experiment's report: one page, with the declaration, the tables, the comparisons and a picture of every seed.
import { STYLE, table, xml } from '../page.ts';
import type { Declaration } from './declaration.ts';
import type { ArmRun, Comparison, Results } from './results.ts';

const percent = (f: number): string => `${Math.round(100 * f)} %`;
const figure = (v: number): string => (Number.isNaN(v) ? '–' : v.toFixed(3));
const signed = (v: number): string => `${v >= 0 ? '+' : '−'}${Math.abs(v).toFixed(3)}`;

export function experimentPage(d: Declaration, r: Results, runs: readonly ArmRun[]): string {
  const head = [
    'arm',
    ...d.fractions.map((f) => `${percent(f)} of labels`),
    'seeds',
    'pre-training',
    'own report found',
  ];
  const rows = r.table.map(({ arm, cells }) => {
    const own = runs.filter((x) => x.arm === arm);
    const mean = (f: (x: ArmRun) => number): number => own.reduce((s, x) => s + f(x), 0) / own.length;
    const accuracy = mean((x) => x.accuracy);
    return [
      xml(arm),
      ...cells.map((c) => figure(c.mean)),
      `${own.length}`,
      arm === 'scratch' ? '–' : `${mean((x) => x.seconds).toFixed(0)} s`,
      Number.isNaN(accuracy) || arm === 'scratch' || arm === 'restore' ? '–' : accuracy.toFixed(2),
    ];
  });
  const compare = (list: readonly Comparison[]): string =>
    table(
      ['difference', 'at', 'mean', '95 % interval', 'p', 'p (Holm)', 'per seed'],
      list.map((c) => [
        xml(`${c.arm} − ${c.against}`),
        percent(c.fraction),
        signed(c.mean),
        `${signed(c.interval.low)} … ${signed(c.interval.high)}`,
        c.p.toFixed(3),
        c.adjusted === null ? '–' : c.adjusted.toFixed(3),
        c.differences.map(signed).join(' '),
      ]),
      [2, 3, 4, 5],
    );
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8">',
    `<title>T3D: does the report help?</title><style>${STYLE}</style></head><body>`,
    `<h1>Does the report help? <small>T3D's experiment on the phantom “part”</small></h1>`,
    `<p>Linear-probe macro AUROC of a lesion's kind, on ${d.judged === 'test' ? d.studies.test : d.studies.development} ${d.judged} studies that no arm has seen. Synthetic data: nothing here is a clinical result.</p>`,
    '<h2>Primary comparison</h2>',
    r.primary
      ? compare([r.primary])
      : '<p>Not there yet: it needs runs of <code>t3d</code> and of <code>t3d-shuffled</code> with the same seed.</p>',
    '<h2>Arms</h2>',
    table(head, rows, head.map((_, i) => i).slice(1)),
    dots(d, r),
    '<h2>Secondary comparisons</h2>',
    r.secondary.length ? compare(r.secondary) : '<p>None yet.</p>',
    ...lesions(d, runs),
    ...pointed(runs),
    ...retrieved(d, runs),
    '<h2>Declaration</h2>',
    `<pre>${xml(JSON.stringify(d, null, 1))}</pre>`,
    '</body></html>',
  ].join('\n');
}

/** Lesions segmented after fine-tuning, mean over the seeds that are done. */
function lesions(d: Declaration, runs: readonly ArmRun[]): string[] {
  if (!runs.some((r) => r.lesions.length)) return [];
  const rows = d.arms.flatMap((arm) =>
    d.fractions.flatMap((fraction) => {
      const found = runs.filter((r) => r.arm === arm).flatMap((r) => r.lesions.filter((l) => l.fraction === fraction));
      if (found.length === 0) return [];
      const mean = (f: (l: (typeof found)[number]) => number): string =>
        figure(found.reduce((s, l) => s + f(l), 0) / found.length);
      return [
        [xml(arm), percent(fraction), mean((l) => l.dice), mean((l) => l.nsd), mean((l) => l.f1), `${found.length}`],
      ];
    }),
  );
  return [
    '<h2>Lesions segmented after fine-tuning</h2>',
    table(['arm', 'masks', 'Dice', 'NSD at one voxel', 'F1 by lesion', 'seeds'], rows, [1, 2, 3, 4, 5]),
  ];
}

/** Where the sentences that tell of a lesion look. */
function pointed(runs: readonly ArmRun[]): string[] {
  const rows = runs.flatMap((r) =>
    r.pointing
      ? [
          [
            xml(r.arm),
            `${r.seed}`,
            figure(r.pointing.hits),
            figure(r.pointing.sameKind),
            figure(r.pointing.station),
            figure(r.pointing.chance),
            `${r.pointing.sentences}`,
          ],
        ]
      : [],
  );
  const head = [
    'arm',
    'seed',
    'on its lesion',
    'on any of the kind',
    'in its station',
    'a token at random',
    'sentences',
  ];
  return rows.length ? ['<h2>Pointing</h2>', table(head, rows, [1, 2, 3, 4, 5, 6])] : [];
}

/** Whose report is whose, mean over the seeds that are done. */
function retrieved(d: Declaration, runs: readonly ArmRun[]): string[] {
  const rows = d.arms.flatMap((arm) => {
    const found = runs.flatMap((r) => (r.arm === arm && r.retrieval ? [r.retrieval] : []));
    if (found.length === 0) return [];
    const mean = (f: (r: (typeof found)[number]) => number): number =>
      found.reduce((s, r) => s + f(r), 0) / found.length;
    const cells = (of: 'reportToStudy' | 'studyToReport'): string[] => [
      ...[0, 1, 2].map((k) => figure(mean((r) => r[of].recall[k]!))),
      mean((r) => r[of].medianRank).toFixed(1),
    ];
    return [[xml(arm), ...cells('reportToStudy'), ...cells('studyToReport'), `${found.length}`]];
  });
  if (rows.length === 0) return [];
  const first = runs.find((r) => r.retrieval)!.retrieval!;
  const sides = ['report → study', 'study → report'].flatMap((side) => [`${side}: R@1`, 'R@5', 'R@10', 'median rank']);
  return [
    '<h2>Retrieval</h2>',
    `<p>Among ${first.studies} studies; reports that state the same are equally right. In random order R@1 would be ${figure(first.reportToStudy.chance[0]!)}, R@10 ${figure(first.reportToStudy.chance[2]!)}.</p>`,
    table(['arm', ...sides, 'seeds'], rows, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
  ];
}

/** Every seed a dot, the mean a line, at the first fraction. */
function dots(d: Declaration, r: Results): string {
  const all = r.table.flatMap((t) => t.cells[0]!.seeds).filter((v) => !Number.isNaN(v));
  if (all.length === 0) return '';
  const low = Math.floor(20 * Math.min(...all) - 0.2) / 20;
  const high = Math.ceil(20 * Math.max(...all) + 0.2) / 20;
  const [left, width, row] = [130, 760, 26];
  const x = (v: number): number => left + ((v - low) / (high - low)) * width;
  const lines: string[] = [];
  for (let v = low; v <= high + 1e-9; v += 0.05)
    lines.push(
      `<line class="tick" x1="${x(v)}" x2="${x(v)}" y1="8" y2="${20 + row * r.table.length}" stroke-opacity=".25"/>`,
      `<text class="soft" x="${x(v)}" y="${34 + row * r.table.length}" text-anchor="middle">${v.toFixed(2)}</text>`,
    );
  r.table.forEach(({ arm, cells }, i) => {
    const y = 24 + row * i;
    lines.push(`<text x="${left - 10}" y="${y + 4}" text-anchor="end">${xml(arm)}</text>`);
    for (const v of cells[0]!.seeds)
      lines.push(`<circle cx="${x(v)}" cy="${y}" r="4" fill="#1f5fb4" fill-opacity=".55"/>`);
    const m = x(cells[0]!.mean);
    lines.push(`<line x1="${m}" x2="${m}" y1="${y - 9}" y2="${y + 9}" stroke="#b4421f" stroke-width="2"/>`);
  });
  return `<svg viewBox="0 0 ${left + width + 30} ${44 + row * r.table.length}" role="img" aria-label="macro AUROC of every seed at ${percent(d.fractions[0]!)} of the labels">${lines.join('')}</svg>`;
}
