// A report with one thing in it made false: a side, an organ, a kind of finding, or whether it is there. For pre-training, which must not
// take the false report for the true one. Words alone are changed, by lists (counterfactual-words.ts); a sentence in which nothing of
// them stands has no counterfactual.
import { COUNTERFACTUAL_WORDS, type CounterfactualWords, isFinding, type WordPairs } from './counterfactual-words.ts';
import { swapSides } from './lateral-words.ts';
import type { RandomStream } from './random.ts';

export const CHANGES = ['side', 'organ', 'kind', 'negation'] as const;
export type Change = (typeof CHANGES)[number];

export interface Counterfactual {
  /** Place of the sentence that was changed. */
  readonly sentence: number;
  /** What it says now. */
  readonly text: string;
  readonly change: Change;
}

/**
 * Up to `most` counterfactuals of a report's sentences, each with one thing in one sentence changed, all different; fewer, or none, where
 * there is less to change. Drawn change first, then sentence, so that none of them crowds the others out.
 * @param fits whether a changed sentence can be used; others are drawn in its place
 */
export function counterfactuals(
  sentences: readonly string[],
  most: number,
  random: RandomStream,
  words: CounterfactualWords = COUNTERFACTUAL_WORDS,
  fits: (c: Counterfactual) => boolean = () => true,
): Counterfactual[] {
  const said = new Set(sentences.map(plain));
  const left = CHANGES.map((change) =>
    sentences.flatMap((sentence, n) => {
      // What the report says elsewhere is not false.
      const changed = changedBy(change, sentence, words).filter((text) => !said.has(plain(text)));
      return changed.length > 0 ? [{ n, changed }] : [];
    }),
  );
  const out: Counterfactual[] = [];
  while (out.length < most) {
    const kinds = left.flatMap((places, k) => (places.length > 0 ? [k] : []));
    if (kinds.length === 0) break;
    const k = kinds[random.int(kinds.length)]!;
    const [place] = left[k]!.splice(random.int(left[k]!.length), 1);
    const { n, changed } = place!;
    const found = { sentence: n, text: changed[random.int(changed.length)]!, change: CHANGES[k]! };
    const isNew = out.every((o) => o.sentence !== n || plain(o.text) !== plain(found.text));
    if (isNew && fits(found)) out.push(found);
  }
  return out;
}

/** What a sentence would say with that one thing changed; none where it cannot be. Only what is told as there can be elsewhere. */
export function changedBy(
  change: Change,
  sentence: string,
  words: CounterfactualWords = COUNTERFACTUAL_WORDS,
): string[] {
  if (change === 'negation') return isFinding(sentence) ? denied(sentence) : affirmed(sentence);
  if (!isFinding(sentence)) return [];
  if (change === 'side') return otherSide(sentence);
  return exchanged(sentence, change === 'organ' ? words.organs : words.kinds);
}

/** Where one side is named, once or more; with both, the exchange would say the same. */
function otherSide(sentence: string): string[] {
  const { text, swaps } = swapSides(sentence);
  const sides = new Set(
    Array.from(sentence.matchAll(SIDES), (m) => (/^[lLr]/.test(m[0]) ? m[0][0]!.toLowerCase() : m[0])),
  );
  return swaps > 0 && sides.size < 2 ? [text] : [];
}
/** Enough to see that both are named. */
const SIDES = /\b(?:left|right|link|recht)/gi;

/** Each way of putting the other word of a pair, wherever the one stands. */
function exchanged(sentence: string, pairs: WordPairs): string[] {
  const out = new Set<string>();
  for (const pair of pairs)
    for (const [from, to] of [pair, [pair[1], pair[0]] as const]) {
      // "Liver and spleen" exchanged are the same again.
      if (!wordOf(from).test(sentence) || wordOf(to).test(sentence)) continue;
      // A part of a longer word of the list, as `bladder` of `bladder wall`, is a word all the same; `cyst` of `simple cyst` too.
      const text = sentence.replace(
        new RegExp(`(?:(?<![\\p{L}\\d])(an?)(\\s+))?${wordOf(from).source}`, 'giu'),
        (found: string, article: string | undefined, space: string | undefined) => {
          const own = article === undefined ? found : found.slice(article.length + space!.length);
          const word = inCaseOf(own, to);
          return article === undefined ? word : `${inCaseOf(article, articleOf(word))}${space}${word}`;
        },
      );
      if (plain(text) !== plain(sentence)) out.add(text);
    }
  return [...out];
}

const wordOf = (word: string): RegExp =>
  new RegExp(
    `(?<![\\p{L}\\d-])${word.replace(/[.*+?^$()|[\]\\{}]/g, '\\$&').replace(/ /g, '\\s+')}(?![\\p{L}\\d-])`,
    'iu',
  );

/** "There is no effusion." -> "There is effusion."; "No nodule." -> "Nodule is seen."; "Keine Zyste." -> "Zyste abgrenzbar." */
function affirmed(sentence: string): string[] {
  const [, body, end] = /^(.*?)([.!?]*)$/su.exec(sentence)!;
  const evidence = /^(?:no|kein) (evidence|sign|signs|indication|hinweis|anhalt)( .*)$/isu.exec(body!);
  if (evidence) return [raise(evidence[1]!) + evidence[2]! + end!];
  const there = /^(there (?:is|are) )no (.*)$/isu.exec(body!);
  if (there) return [there[1]! + there[2]! + end!];
  const seen =
    /^no (.+?) ((?:is|are|was|were) (?:seen|noted|identified|present|visible|demonstrated|found)\b.*)$/isu.exec(body!);
  if (seen) return [`${raise(seen[1]!)} ${seen[2]!}${end!}`];
  const german = /^keine?n? (.*)$/isu.exec(body!);
  if (german) return [`${raise(german[1]!)} abgrenzbar${end!}`];
  const bare = /^no ([^,;]*?)(?: or .*| nor .*|[,;].*)?$/isu.exec(body!);
  if (bare && bare[1] !== '') return [`${raise(bare[1]!)} ${isPlural(bare[1]!) ? 'are' : 'is'} seen${end!}`];
  return [];
}

/** "There is a cyst in the liver." -> "There is no cyst …"; "A cyst is seen." -> "No cyst is seen."; "Eine Zyste …" -> "Keine Zyste …" */
function denied(sentence: string): string[] {
  const there = /^(there (?:is|are) )(?:an? )?(.*)$/isu.exec(sentence);
  if (there) return [`${there[1]!}no ${there[2]!}`];
  const german = /^(.*?)(?<![\p{L}])(ein)(e[nrms]?)?(?= )(.*)$/isu.exec(sentence);
  if (german) return [`${german[1]!}${inCaseOf(german[2]!, 'kein')}${german[3] ?? ''}${german[4]!}`];
  const first = /^an? (.*)$/isu.exec(sentence);
  if (first) return [`No ${first[1]!}`];
  const within = /^(.*? (?:shows|contains|demonstrates|with|has|harbou?rs) )an? (.*)$/isu.exec(sentence);
  if (within) return [`${within[1]!}no ${within[2]!}`];
  const seen =
    /^(?!the |this |these |both |all )(\p{L}.*? (?:is|are|was|were) (?:seen|noted|identified|present|visible|demonstrated|found)\b.*)$/isu.exec(
      sentence,
    );
  return seen ? [`No ${lower(seen[1]!)}`] : [];
}

const plain = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^\p{L}\d]+/gu, ' ')
    .trim();
const raise = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
/** Unless the first word is one of capitals. */
const lower = (text: string): string =>
  /^\p{Lu}{2}/u.test(text) ? text : text.charAt(0).toLowerCase() + text.slice(1);
const inCaseOf = (like: string, word: string): string => {
  if (like.length > 1 && like === like.toUpperCase()) return word.toUpperCase();
  return like.charAt(0) === like.charAt(0).toUpperCase() && /^\p{L}/u.test(like) ? raise(word) : word;
};
const articleOf = (word: string): string => (/^[aeiou]/i.test(word) ? 'an' : 'a');
/** Of the word before "in", "of" or the end. */
const isPlural = (what: string): boolean => /[^siu]s$/i.test(/^(.*?)(?: (?:in|of|at|within) .*)?$/isu.exec(what)![1]!);
