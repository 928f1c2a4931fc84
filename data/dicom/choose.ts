// Which series of a study is its scan: scouts, projections and what is no CT are never taken; of the rest the best is, by rules
// that are told with the choice.

import type { ScanSeries } from './series.ts';

export type Phase = 'native' | 'arterial' | 'portal-venous' | 'delayed' | 'unknown';
export type KernelKind = 'soft' | 'sharp' | 'unknown';

export interface SeriesWishes {
  /** First wish. Default portal-venous. */
  readonly phase?: Exclude<Phase, 'unknown'>;
  /** Default soft. */
  readonly kernel?: Exclude<KernelKind, 'unknown'>;
  /** This one, by its UID (or `UID#2`) or its series number. */
  readonly series?: string;
  /** Fewer slices are no scan. Default 8. */
  readonly minSlices?: number;
  /** mm; thinner series are preferred above this, none below. Default 5. */
  readonly maxThickness?: number;
}

export interface SeriesVerdict {
  readonly series: ScanSeries;
  readonly phase: Phase;
  readonly kernel: KernelKind;
  readonly decision: 'chosen' | 'not chosen' | 'refused';
  readonly reasons: readonly string[];
}

export interface StudyChoice {
  readonly studyUid: string;
  readonly chosen: ScanSeries | null;
  /** Every series of the study, the best first. */
  readonly verdicts: readonly SeriesVerdict[];
}

/** One choice a study. */
export function chooseSeries(series: readonly ScanSeries[], wishes: SeriesWishes = {}): StudyChoice[] {
  const studies = [...new Set(series.map((s) => s.studyUid))];
  return studies.map((uid) =>
    choiceOf(
      uid,
      series.filter((s) => s.studyUid === uid),
      wishes,
    ),
  );
}

function choiceOf(studyUid: string, series: readonly ScanSeries[], wishes: SeriesWishes): StudyChoice {
  const judged = series.map((s) => judge(s, wishes));
  const ranked = judged.sort((a, b) => {
    for (let i = 0; i < a.rank.length; i++) if (a.rank[i] !== b.rank[i]) return a.rank[i]! - b.rank[i]!;
    return 0;
  });
  const best = ranked.find((r) => r.refusals.length === 0);
  const verdicts = ranked.map((r): SeriesVerdict => {
    const { series: own, phase, kernel } = r;
    if (r.refusals.length > 0) return { series: own, phase, kernel, decision: 'refused', reasons: r.refusals };
    if (r === best) return { series: own, phase, kernel, decision: 'chosen', reasons: r.traits };
    return { series: own, phase, kernel, decision: 'not chosen', reasons: [...r.traits, better(best!, r)] };
  });
  return { studyUid, chosen: best?.series ?? null, verdicts };
}

interface Judged {
  readonly series: ScanSeries;
  readonly phase: Phase;
  readonly kernel: KernelKind;
  readonly refusals: readonly string[];
  readonly traits: readonly string[];
  /** Lower is better, entry by entry; CRITERIA names them. */
  readonly rank: readonly number[];
}

const CRITERIA = [
  'a series that can be taken',
  'original and not derived',
  'axial slices',
  'the wished phase',
  'the wished kernel',
  'slices that are not too thick',
  'more slices',
  'the lower series number',
];

const better = (best: Judged, other: Judged): string => {
  const n = best.rank.findIndex((v, i) => v !== other.rank[i]);
  return `${best.series.id} has ${CRITERIA[n] ?? 'come first'}`;
};

/** Processed images of CT that are no measurement of one place. */
const PROJECTIONS = [
  'MIP',
  'MAXIP',
  'MINIP',
  'MIN_IP',
  'MAX_IP',
  'VRT',
  'SSD',
  'PROJECTION IMAGE',
  'VOLUME_RENDERED',
  'VOLUME RENDERING',
];
const CT_STORAGE = new Set(['1.2.840.10008.5.1.4.1.1.2', '1.2.840.10008.5.1.4.1.1.2.1', '1.2.840.10008.5.1.4.1.1.2.2']);

function judge(series: ScanSeries, wishes: SeriesWishes): Judged {
  const first = series.slices[0]!;
  const { imageType } = first;
  const phase = phaseOf(`${series.description} ${first.contrast}`);
  const kernel = kernelOf(first.kernel);
  const count = series.slices.length;
  const derived = imageType[0] === 'DERIVED' || imageType[1] === 'SECONDARY';
  const axial = isAxial(first.orientation);
  const thickness = first.thickness ?? 0;
  const {
    phase: wishedPhase = 'portal-venous',
    kernel: wishedKernel = 'soft',
    minSlices = 8,
    maxThickness = 5,
  } = wishes;
  const wanted = wishes.series;
  const named = wanted !== undefined && (wanted === series.id || wanted === String(series.number));
  const projection = PROJECTIONS.find(
    (p) => imageType.includes(p) || new RegExp(`\\b${p}\\b`, 'i').test(series.description),
  );
  const refusals = [
    ...(first.modality !== 'CT' ? [`modality ${first.modality || 'unknown'}, no CT`] : []),
    ...(first.modality === 'CT' && !CT_STORAGE.has(first.sopClassUid)
      ? [`no CT image storage (${first.sopClassUid})`]
      : []),
    ...(imageType.includes('LOCALIZER') ||
    /\b(scout|topogram|scanogram|localizer|localiser|surview)\b/i.test(series.description)
      ? ['a localiser (scout)']
      : []),
    ...(projection ? [`a projection or rendering (${projection})`] : []),
    ...(!first.position || !first.orientation || !first.spacing
      ? ['no place in the patient (position, orientation, spacing)']
      : []),
    ...(count < minSlices && !named ? [`${count} slices, fewer than ${minSlices}`] : []),
    ...(wanted !== undefined && !named ? [`not the series asked for (${wanted})`] : []),
  ];
  const traits = [
    `${count} slices${first.thickness ? ` of ${first.thickness} mm` : ''}`,
    `phase ${phase}`,
    `kernel ${first.kernel || 'not told'} (${kernel})`,
    derived ? `ImageType ${imageType.join('\\')}: derived` : `ImageType ${imageType.join('\\') || 'not told'}`,
    ...(axial ? [] : ['not axial']),
  ];
  const rank = [
    refusals.length > 0 ? 1 : 0,
    derived ? 1 : 0,
    axial ? 0 : 1,
    phaseRank(phase, wishedPhase),
    kernel === wishedKernel ? 0 : kernel === 'unknown' ? 1 : 2,
    thickness > maxThickness ? 1 : 0,
    -count,
    series.number ?? Number.MAX_SAFE_INTEGER,
  ];
  return { series, phase, kernel, refusals, traits, rank };
}

/** After the wished phase those whose enhancement is nearest to it. */
function phaseRank(phase: Phase, wished: Phase): number {
  if (phase === wished) return 0;
  const order: readonly Phase[] = ['native', 'arterial', 'portal-venous', 'delayed'];
  if (phase === 'unknown') return 1;
  return 1 + Math.abs(order.indexOf(phase) - order.indexOf(wished));
}

const PHASES: readonly (readonly [Phase, RegExp])[] = [
  [
    'native',
    /\b(native?|nativ\w*|non[ -]?contrast|non[ -]?enh\w*|unenhanced|plain|without (iv )?contrast|w\/?o\b|ohne km|pre[ -]?contrast|ncct)\b/i,
  ],
  ['portal-venous', /\b(portal\w*|porto\w*|pv|pvp|venous|venös|venoes|ven)\b/i],
  ['arterial', /\b(arterial|arteriell|art|aortic|angio\w*|cta)\b/i],
  ['delayed', /\b(delay\w*|late|spät\w*|spaet\w*|excretory|equilibrium|urographic)\b/i],
];

/** By the words of the description and of the contrast agent. Underscores separate words. */
export function phaseOf(words: string): Phase {
  const plain = words.replaceAll('_', ' ');
  return PHASES.find(([, pattern]) => pattern.test(plain))?.[0] ?? 'unknown';
}

/** By the vendors' names: Siemens B30f, Br40d, I31f; GE STANDARD; Philips B; Canon FC08. */
export function kernelOf(name: string): KernelKind {
  const plain = name.trim().toUpperCase();
  const siemens = /^[A-Z][A-Z]?(\d{2})[A-Z]?\b/.exec(plain);
  if (siemens && !plain.startsWith('FC')) return Number(siemens[1]) < 50 ? 'soft' : 'sharp';
  const canon = /^FC(\d{2})/.exec(plain);
  if (canon) return Number(canon[1]) < 30 ? 'soft' : 'sharp';
  if (/^(STANDARD|STND|SOFT|SMOOTH|DETAIL|A|B|C|SA|SB|SC)$/.test(plain)) return 'soft';
  if (/^(LUNG|BONE|BONEPLUS|EDGE|CHEST|ULTRA|D|E|F|L|YA|YB|YC|YD|HD LUNG)$/.test(plain)) return 'sharp';
  return 'unknown';
}

/** The normal within 30° of head to foot. */
function isAxial(orientation: readonly number[] | undefined): boolean {
  if (!orientation) return false;
  const [rx, ry, , cx, cy] = orientation as [number, number, number, number, number, number];
  return Math.abs(rx * cy - ry * cx) > Math.cos(Math.PI / 6);
}
