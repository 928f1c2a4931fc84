// The phantom's radiology report: what its truth table says, in words that vary. Every lesion is told once in the findings and once
// in the impression; organs without one are mostly called normal; the rest is filler. The order is shuffled, so that a sentence's
// place tells nothing. The words are in phantom-phrases.ts.
import type { Lesion, LesionOrgan } from './phantom-lesions.ts';
import { type Language, PHRASES, type Phrases, type Site } from './phantom-phrases.ts';
import type { RandomStream } from './random.ts';
import { pick, raised, shuffled } from './wording.ts';

export type { Language } from './phantom-phrases.ts';

export interface ReportOptions {
  /** Share of the reports that are in the second language, German. Default 0.1. */
  readonly secondLanguage?: number;
}

/** What a sentence of the findings states. */
export type Statement =
  | { readonly text: string; readonly about: 'lesion' /** Place in the truth's list. */; readonly lesion: number }
  | {
      readonly text: string;
      readonly about: 'normal';
      readonly organ: LesionOrgan;
      /** Null: both, or an organ that is single. */
      readonly side: Lesion['side'];
    }
  | { readonly text: string; readonly about: 'filler' };

export interface PhantomReport {
  readonly language: Language;
  /** Sentences of the findings, in the order of the text. */
  readonly findings: readonly Statement[];
  readonly impression: readonly string[];
  /** The whole report, with its headings. */
  readonly text: string;
}

const SITES: readonly Site[] = [
  { organ: 'liver', side: null },
  { organ: 'spleen', side: null },
  { organ: 'kidney', side: 'right' },
  { organ: 'kidney', side: 'left' },
  { organ: 'lung', side: 'right' },
  { organ: 'lung', side: 'left' },
];
/** How often an organ without a lesion is called normal. */
const TELLS_NORMAL = 0.75;
const MOST_FILLER = 3;

/** A report of these lesions. The same stream gives the same text. */
export function writeReport(
  random: RandomStream,
  lesions: readonly Lesion[],
  options: ReportOptions = {},
): PhantomReport {
  const language: Language = random.chance(options.secondLanguage ?? 0.1) ? 'de' : 'en';
  const p = PHRASES[language];
  const told = lesions.map((lesion, n) => ({ lesion, n })).filter(({ lesion }) => lesion.voxels > 0);
  const findings: Statement[] = told.map(({ lesion, n }) => ({
    text: lesionSentence(random.fork(n, 1), p, lesion),
    about: 'lesion',
    lesion: n,
  }));
  findings.push(
    ...normals(
      random.fork(0, 2),
      p,
      told.map((t) => t.lesion),
    ),
  );
  const extra = random.fork(0, 3);
  const filler = shuffled(extra, p.filler).slice(0, extra.int(MOST_FILLER + 1));
  findings.push(...filler.map((text): Statement => ({ text, about: 'filler' })));
  const order = shuffled(random.fork(0, 4), findings);
  const own = random.fork(0, 5);
  const impression =
    told.length === 0
      ? [pick(own, p.nothing)]
      : told.map(({ lesion }) => sentence(pick(own, p.concluded), p, lesion, own));
  const numbered = impression.length > 1 ? impression.map((s, n) => `${n + 1}. ${s}`) : impression;
  const text = `${p.headings[0]}\n${order.map((s) => s.text).join(' ')}\n\n${p.headings[1]}\n${numbered.join('\n')}\n`;
  return { language, findings: order, impression, text };
}

const lesionSentence = (random: RandomStream, p: Phrases, lesion: Lesion): string =>
  sentence(pick(random, p.lesion), p, lesion, random);

/** `{a kind}`, `{kind}`, `{size}`, `{in site}`, `{site}` filled in, the first letter raised. */
function sentence(template: string, p: Phrases, lesion: Lesion, random: RandomStream): string {
  const kind = pick(random, p.kinds[lesion.kind]);
  const site = pick(random, p.sites(lesion));
  return raised(
    template
      .replace('{a kind}', kind.indefinite)
      .replace('{kind}', kind.bare)
      .replace('{size}', size(random, p, lesion.diameterMm))
      .replace('{in site}', site.where)
      .replace('{site}', site.name),
  );
}

/** Whole millimetres, or centimetres with one digit. */
function size(random: RandomStream, p: Phrases, mm: number): string {
  return random.chance(0.5) ? `${Math.round(mm)} mm` : `${(Math.round(mm) / 10).toFixed(1).replace('.', p.point)} cm`;
}

/** Organs without a lesion, most of them; a pair that is normal on both sides mostly in one sentence. */
function normals(random: RandomStream, p: Phrases, lesions: readonly Lesion[]): Statement[] {
  const clear = SITES.filter((s) => !lesions.some((l) => l.organ === s.organ && l.side === s.side));
  const out: Statement[] = [];
  /** Of each organ, whether its two sides are told together. */
  const together = new Map<LesionOrgan, boolean>();
  for (const site of clear) {
    if (together.get(site.organ)) continue;
    const pair = site.side !== null && clear.filter((s) => s.organ === site.organ).length === 2;
    const both = pair && !together.has(site.organ) && random.chance(0.7);
    together.set(site.organ, both);
    if (!random.chance(TELLS_NORMAL)) continue;
    const side = both ? null : site.side;
    const words = pick(random, p.sites({ organ: site.organ, side }));
    const plural = both ? p.normalBoth : p.normal;
    out.push({
      text: raised(pick(random, plural).replace('{in site}', words.where).replace('{site}', words.name)),
      about: 'normal',
      organ: site.organ,
      side,
    });
  }
  return out;
}
