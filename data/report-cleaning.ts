// What a report says that its images cannot show: history, technique, comparisons with earlier studies. Removed only on demand, and
// every removal is handed back.
import { comparesWithPrior } from './comparison-words.ts';
import { type Section, type SectionKind, sectionsOf, sentencesOf } from './report-text.ts';

/** `history`: sections of history and indication. `technique`: how the scan was made. `comparison`: sections that name earlier
 *  studies, and sentences of other sections that compare with them. */
export const DROPS = ['history', 'technique', 'comparison'] as const;
export type Drop = (typeof DROPS)[number];

export interface Removal {
  readonly drop: Drop;
  /** A whole section, or one sentence. */
  readonly what: 'section' | 'sentence';
  /** Of the section it stood in. */
  readonly section: SectionKind;
  readonly text: string;
}

export interface CleanedReport {
  /** The report as it was where nothing is removed; else its sections one below another. Empty where nothing is left. */
  readonly text: string;
  readonly removed: readonly Removal[];
  readonly counts: Readonly<Record<Drop, number>>;
}

/**
 * The report without what `drop` names; an empty `drop` changes nothing. Whole sentences go: "Unchanged nodule of 5 mm" takes the
 * nodule with it, which is the price of not teaching what one scan cannot tell. A section ends at a line with an unknown heading
 * too, so that "Lungs: clear." after a history stays. Cleaning a cleaned report changes nothing.
 */
export function cleanReport(report: string, drop: readonly Drop[]): CleanedReport {
  const removed: Removal[] = [];
  const counts = { history: 0, technique: 0, comparison: 0 };
  const remove = (r: Removal): void => {
    removed.push(r);
    counts[r.drop]++;
  };
  const kept = sectionsOf(report).flatMap((section): Section[] => {
    const gone = drop.find((d) => d === section.kind);
    if (gone) {
      const [own, rest] = ownPart(section.text);
      remove({ drop: gone, what: 'section', section: section.kind, text: own });
      section = { kind: 'other', title: '', text: rest };
    }
    if (!drop.includes('comparison')) return [section];
    return [{ ...section, text: withoutComparisons(section, remove) }];
  });
  if (removed.length === 0) return { text: report, removed, counts };
  const text = kept
    .filter((s) => s.text !== '')
    .map((s) => (s.title === '' ? s.text : `${s.title}:\n${s.text}`))
    .join('\n\n');
  return { text: text === '' ? '' : `${text}\n`, removed, counts };
}

/** A section's text up to a line that begins like a heading, and what follows. */
function ownPart(text: string): [own: string, rest: string] {
  const at = /\n(?=[^\S\n]*\p{Lu}[\p{L} /-]{2,40}:)/u.exec(text)?.index;
  return at === undefined ? [text, ''] : [text.slice(0, at).trim(), text.slice(at + 1).trim()];
}

function withoutComparisons(section: Section, remove: (r: Removal) => void): string {
  let text = section.text;
  let from = 0;
  for (const sentence of sentencesOf(section.text)) {
    const found = place(text, sentence, from);
    if (!comparesWithPrior(sentence)) {
      from = found.end;
      continue;
    }
    remove({ drop: 'comparison', what: 'sentence', section: section.kind, text: sentence });
    text = cut(text, found);
    from = found.start;
  }
  return text.trim();
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/** Where a sentence stands; its white space may differ. */
function place(text: string, sentence: string, from: number): Span {
  const words = sentence.split(' ').map((w) => w.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  const pattern = new RegExp(words.join('\\s+'), 'g');
  pattern.lastIndex = from;
  const found = pattern.exec(text);
  if (!found) throw new RangeError(`sentence ${JSON.stringify(sentence)} is not in its section`);
  return { start: found.index, end: found.index + found[0].length };
}

/** Without the span and the blanks after it; a list item of which nothing is left goes with its mark. */
function cut(text: string, { start, end }: Span): string {
  const line = text.lastIndexOf('\n', start - 1) + 1;
  const before = text.slice(line, start);
  const after = /^[^\S\n]*(?:\n|$)/.exec(text.slice(end));
  const alone = /^\s*(?:(?:[-•*]|\d{1,2}[.)])\s+)?$/.test(before) && after !== null;
  if (alone) return text.slice(0, line) + text.slice(end + after[0].length);
  const blanks = /^[^\S\n]*/.exec(text.slice(end))![0].length;
  const head = after ? text.slice(0, start).trimEnd() : text.slice(0, start);
  return head + text.slice(end + blanks);
}
