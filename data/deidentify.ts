// De-identification of reports by rules: what names a person becomes a tag. Rules miss things; this is a help before a review by
// people, and no certification of anything.
import { IDENTIFIERS, type Identifier, RULES } from './deidentify-rules.ts';

export { IDENTIFIERS, type Identifier } from './deidentify-rules.ts';

export interface Deidentified {
  /** With [NAME], [DATE], … in the places of what was found. */
  readonly text: string;
  /** How many of each kind; what was found is not handed back. */
  readonly counts: Readonly<Record<Identifier, number>>;
}

export interface DeidentifyOptions {
  /** Names that are known, such as a patient's from the list: they are found anywhere, in any case. */
  readonly names?: readonly string[];
}

/**
 * Tags names after titles, labels and signatures (and the same names elsewhere in the text), dates (years alone stay), times,
 * numbers of patients, studies and insurances, phones, e-mails, addresses, hospitals, URLs, and ages over 89. English and German.
 * Applied again it changes nothing.
 */
export function deidentify(report: string, options: DeidentifyOptions = {}): Deidentified {
  const counts = Object.fromEntries(IDENTIFIERS.map((k) => [k, 0])) as Record<Identifier, number>;
  const people = new Set<string>();
  let text = replaceWords(report, options.names?.flatMap(wordsOfName) ?? [], 'iu', counts);
  for (const { kind, pattern, accepts } of RULES)
    text = text.replace(pattern, (...match) => {
      const found = match.slice(
        0,
        match.findIndex((m) => typeof m === 'number'),
      ) as unknown as RegExpMatchArray;
      if (accepts && !accepts(found)) return found[0];
      counts[kind]++;
      if (kind === 'NAME') for (const word of wordsOfName(found[0])) for (const form of forms(word)) people.add(form);
      return `[${kind}]`;
    });
  return { text: replaceWords(text, [...people], 'u', counts), counts };
}

/** The parts of a name that are long enough to be looked for. */
const wordsOfName = (name: string): string[] =>
  name
    .split(/[\s,]+/)
    .filter((w) => /^\p{L}[\p{L}'’-]{2,}$/u.test(w) && !/^(?:von|van|der|den|del|della|zum|zur|ter|ten|vom)$/i.test(w));

/** As it stands, capitalised, and in capitals: `SMITH` in the head of a report is `Smith` in its text, but never `smith`. */
const forms = (word: string): string[] => {
  const lower = word.toLowerCase();
  return [...(word === lower ? [] : [word]), lower[0]!.toUpperCase() + lower.slice(1), word.toUpperCase()];
};

/** Runs of these words become one tag each. */
function replaceWords(
  text: string,
  words: readonly string[],
  flags: string,
  counts: Record<Identifier, number>,
): string {
  if (words.length === 0) return text;
  const any = [...new Set(words)]
    .sort((a, b) => b.length - a.length)
    .map((w) => w.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('|');
  const run = new RegExp(
    `(?<![\\p{L}\\d[])(?:${any})(?:(?:,[^\\S\\n]*|[^\\S\\n]+)(?:${any}))*(?![\\p{L}\\d\\]])`,
    `g${flags}`,
  );
  return text.replace(run, () => {
    counts.NAME++;
    return '[NAME]';
  });
}
