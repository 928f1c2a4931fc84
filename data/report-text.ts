// A report's text: its sections and its sentences. Nothing is dropped or cut here; what belongs to whom is the caller's choice.

export type SectionKind = 'findings' | 'impression' | 'history' | 'comparison' | 'technique' | 'other';

export interface Section {
  readonly kind: SectionKind;
  /** As the report writes it; empty for text before the first heading. */
  readonly title: string;
  readonly text: string;
}

/** Headings by their words, English and German. */
const HEADINGS: Readonly<Record<Exclude<SectionKind, 'other'>, RegExp>> = {
  findings: /^(?:findings?|ct findings|befunde?|ct-befund)$/i,
  impression: /^(?:impression|conclusion|opinion|summary|beurteilung|zusammenfassung)$/i,
  history:
    /^(?:(?:clinical )?(?:history|information|indications?|details|question|data)|reason for (?:the )?(?:exam|examination|study)|klinische (?:angaben|information(?:en)?|fragestellung)|(?:rechtfertigende )?indikation|anamnese|fragestellung)$/i,
  comparison:
    /^(?:comparisons?|prior (?:exams?|studies)|(?:zum )?vergleich|voraufnahmen?|vorbefunde?|voruntersuchung(?:en)?)$/i,
  technique:
    /^(?:(?:ct |imaging |scan )?technique|protocol|procedure|exam(?:ination)?|(?:ct-|untersuchungs)?technik|methode|untersuchung)$/i,
};

const kindOf = (title: string): SectionKind | null =>
  (Object.keys(HEADINGS) as (keyof typeof HEADINGS)[]).find((k) => HEADINGS[k].test(title)) ?? null;

/** Sections in the order of the text. A heading is a known word at the start of a line with a colon after it; a report without any is
 *  one section of findings. */
export function sectionsOf(report: string): Section[] {
  const out: { kind: SectionKind; title: string; lines: string[] }[] = [{ kind: 'other', title: '', lines: [] }];
  for (const line of report.split(/\r?\n/)) {
    const m = /^\s*([\p{L}][\p{L} /-]{2,40}?)\s*:\s*(.*)$/u.exec(line);
    const kind = m && kindOf(m[1]!);
    if (kind) out.push({ kind, title: m[1]!, lines: [m[2]!] });
    else out[out.length - 1]!.lines.push(line);
  }
  const sections = out.map((s) => ({ kind: s.kind, title: s.title, text: s.lines.join('\n').trim() }));
  const filled = sections.filter((s) => s.text !== '' || s.title !== '');
  return filled.length === 1 && filled[0]!.title === '' ? [{ ...filled[0]!, kind: 'findings' }] : filled;
}

/** Words that end with a full stop in the middle of a sentence. */
const ABBREVIATIONS = new Set(
  'dr prof mr mrs ms approx ca cf vs e.g i.e fig incl resp st z.b bzw u.a ggf inkl vgl max min li re bds d.h o.g v.a'.split(
    ' ',
  ),
);

/** Sentences of a section: at full stops, question and exclamation marks, blank lines and the items of a list. Numbers such as 1.5 and
 *  abbreviations do not end one. */
export function sentencesOf(text: string): string[] {
  const blocks = text.split(/\n\s*\n|\n(?=\s*(?:[-•*]|\d{1,2}[.)])\s)/);
  return blocks.flatMap((block) => {
    const line = block
      .replace(/^\s*(?:[-•*]|\d{1,2}[.)])\s+/, '')
      .replace(/\s+/g, ' ')
      .trim();
    const out: string[] = [];
    let from = 0;
    for (const m of line.matchAll(/[.!?]+(?=\s+["'([]?[\p{Lu}\d])/gu)) {
      const end = m.index + m[0].length;
      const word = /[^\s(]*$/.exec(line.slice(from, m.index))![0].toLowerCase();
      if (m[0] === '.' && (ABBREVIATIONS.has(word) || /^\p{L}$/u.test(word))) continue;
      out.push(line.slice(from, end).trim());
      from = end;
    }
    out.push(line.slice(from).trim());
    return out.filter((s) => /[\p{L}\d]/u.test(s));
  });
}

/** A sentence in pieces that fit, each as long as can be: cut after semicolons, commas or conjunctions where that suffices, else between
 *  words. Null where a single word does not fit. */
export function splitLong(sentence: string, fits: (text: string) => boolean): string[] | null {
  if (fits(sentence)) return [sentence];
  for (const cut of [/(?<=;)\s+/, /(?<=[;,])\s+/, /\s+(?=(?:and|und|with|mit|or|oder)\s)|(?<=[;,])\s+/, /\s+/]) {
    const parts = sentence.split(cut);
    if (!parts.every(fits)) continue;
    const out: string[] = [];
    for (const part of parts) {
      const joined = out.length > 0 ? `${out[out.length - 1]} ${part}` : part;
      if (out.length > 0 && fits(joined)) out[out.length - 1] = joined;
      else out.push(part);
    }
    return out;
  }
  return null;
}
