// The report of the phantom `part`: one finding for each organ, its lesion or that it has none, and filler, in random order; sometimes
// an impression. A lesion's kind is told in words alone, and vessels are never told. The words are in phantom-part-phrases.ts.
import type { LesionShape, PartKind } from './phantom-part-lesions.ts';
import type { PartOrganName } from './phantom-part-organs.ts';
import {
  PART_CONCLUDED,
  PART_FILLER,
  PART_KIND_WORDS,
  PART_LESION,
  PART_NORMAL,
  PART_NOTHING,
  PART_PLACES,
} from './phantom-part-phrases.ts';
import type { RandomStream } from './random.ts';
import { fill, pick, shuffled } from './wording.ts';

/** What a sentence of the findings states. `organ` counts in PART_ORGANS. */
export type PartStatement =
  | { readonly about: 'lesion'; readonly organ: number; readonly kind: PartKind }
  | { readonly about: 'normal'; readonly organ: number }
  | { readonly about: 'filler' };

export interface PartReport {
  /** The whole report, with its headings. */
  readonly text: string;
  /** Sentences of the findings, in the order of the text. */
  readonly sentences: readonly string[];
  /** What each of them states. */
  readonly statements: readonly PartStatement[];
  /** Empty where the report has no impression. */
  readonly impression: readonly string[];
}

interface Organ {
  readonly organ: PartOrganName;
  readonly lesion: LesionShape | null;
}

const MOST_FILLER = 3;
/** How often a report ends in an impression. */
const HAS_IMPRESSION = 0.5;

/** The same stream gives the same text. */
export function writePartReport(random: RandomStream, organs: readonly Organ[], spacing: number): PartReport {
  const findings = organs.map((organ, n): { text: string; statement: PartStatement } => {
    const own = random.fork(n, 1);
    const { lesion } = organ;
    if (!lesion) return { text: sentence(own, PART_NORMAL, organ, spacing), statement: { about: 'normal', organ: n } };
    const statement: PartStatement = { about: 'lesion', organ: n, kind: lesion.kind };
    return { text: sentence(own, PART_LESION, organ, spacing), statement };
  });
  const extra = random.fork(0, 2);
  const filler = shuffled(extra, PART_FILLER).slice(0, extra.int(MOST_FILLER + 1));
  const order = shuffled(random.fork(0, 3), [
    ...findings,
    ...filler.map((text) => ({ text, statement: { about: 'filler' } as PartStatement })),
  ]);
  const sentences = order.map((f) => f.text);
  const impression = conclude(random.fork(0, 4), organs, spacing);
  const numbered = impression.length > 1 ? impression.map((s, n) => `${n + 1}. ${s}`) : impression;
  const end = impression.length > 0 ? `\nIMPRESSION:\n${numbered.join('\n')}\n` : '';
  return {
    text: `FINDINGS:\n${sentences.join(' ')}\n${end}`,
    sentences,
    statements: order.map((f) => f.statement),
    impression,
  };
}

function conclude(random: RandomStream, organs: readonly Organ[], spacing: number): string[] {
  if (!random.chance(HAS_IMPRESSION)) return [];
  const ill = organs.filter((o) => o.lesion);
  if (ill.length === 0) return [pick(random, PART_NOTHING)];
  return ill.map((organ) => sentence(random, PART_CONCLUDED, organ, spacing));
}

function sentence(random: RandomStream, templates: readonly string[], organ: Organ, spacing: number): string {
  const template = pick(random, templates);
  const site = pick(random, PART_PLACES[organ.organ]);
  const words: Record<string, string> = { 'in site': site.where, site: site.name };
  if (organ.lesion) {
    const kind = pick(random, PART_KIND_WORDS[organ.lesion.kind]);
    words['a kind'] = kind.indefinite;
    words.kind = kind.bare;
    words.size = size(random, 2 * organ.lesion.radius * spacing);
  }
  return fill(template, words);
}

/** Whole millimetres, or centimetres with one digit. */
function size(random: RandomStream, mm: number): string {
  return random.chance(0.5) ? `${Math.round(mm)} mm` : `${(Math.round(mm) / 10).toFixed(1)} cm`;
}
