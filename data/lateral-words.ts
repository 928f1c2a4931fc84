// What a text forbids as augmentation: a volume must not be mirrored or turned away from words that name its sides. English and German.
import type { AugmentOptions } from './augment.ts';

export interface NamedDirections {
  /** Left or right. */
  readonly lateral: boolean;
  /** Front or back: anterior, ventral, dorsal, Vorder-, … */
  readonly anteroposterior: boolean;
  /** Upper or lower: superior, cranial, basal, Ober-, … */
  readonly craniocaudal: boolean;
}

/** Which directions a text names. "Bilateral" and "contralateral" name none. In doubt a word is taken for a direction. */
export function namedDirections(text: string): NamedDirections {
  return {
    lateral: namesSide(text) || namesFixedSide(text),
    anteroposterior: ANTEROPOSTERIOR.test(text),
    craniocaudal: CRANIOCAUDAL.test(text) || /\b[LR](?:UL|LL|UQ|LQ)\b/.test(text),
  };
}

/**
 * What of AugmentOptions these texts allow together. `swap`: the caller swaps the words (`swapSides`) wherever
 * `applied.sidesSwapped` says that the volume was mirrored; then axis d may be, unless a word has no counterpart.
 */
export function augmentationOf(
  texts: readonly string[],
  swap = false,
): Pick<AugmentOptions, 'lateral' | 'directional'> {
  const named = texts.map(namedDirections);
  const lateral = named.some((n) => n.lateral);
  const fixed = lateral && (!swap || texts.some(namesFixedSide));
  return {
    lateral: fixed ? 'fixed' : lateral ? [] : 'free',
    directional: named.some((n) => n.anteroposterior || n.craniocaudal),
  };
}

export interface Swapped {
  readonly text: string;
  /** Words exchanged. */
  readonly swaps: number;
}

/** Left becomes right and right left, in the same form and case; swapping twice gives the text back. Words of one side without a
 *  counterpart (RML, LAD, lingula) stay. */
export function swapSides(text: string): Swapped {
  let swaps = 0;
  let swapped = text;
  for (const stem of STEMS)
    swapped = swapped.replace(stem, (_, side: string, tail: string) => {
      swaps++;
      return inCaseOf(side, OTHER.get(side.toLowerCase())!) + tail;
    });
  swapped = swapped.replace(SHORT, (side) => {
    swaps++;
    return OTHER_SHORT.get(side)!;
  });
  return { text: swapped, swaps };
}

const bothWays = (pairs: string): Map<string, string> =>
  new Map(pairs.split(', ').flatMap((pair) => [pair.split(' '), pair.split(' ').reverse()] as [string, string][]));
const OTHER = bothWays('left right, links rechts, link recht, levo dextro, li re, l r');
const OTHER_SHORT = bothWays('LUL RUL, LLL RLL, LUQ RUQ, LLQ RLQ, LCA RCA, LV RV, LVOT RVOT, LPA RPA, Lt Rt, lt rt');

const ALONE = '(?<![\\p{L}\\d])';
const ENDED = '(?![\\p{L}\\d])';
/** Side and ending. A right angle and "all right" are no sides, nor is forensic medicine; `re.` and `(L)` are. */
const STEMS = [
  `(?<!all )(left|right)((?:wards?|most)?)${ENDED}(?! angle| away)`,
  '(links|rechts)((?!medizin|anwalt|anwält|streit)\\p{L}*)',
  `(link|recht)(e[rsnm]?)${ENDED}`,
  '(levo|dextro)((?:scolio|conve|position|rotat|card)\\p{L}*)',
  '(li|re)()(?=\\.)',
  '(?<=\\()(li|re|l|r)()(?=\\))',
].map((s) => new RegExp(ALONE + s, 'giu'));
const SHORT = new RegExp(`${ALONE}(?:${[...OTHER_SHORT.keys()].join('|')})${ENDED}`, 'gu');

const namesSide = (text: string): boolean => [...STEMS, SHORT].some((s) => text.search(s) >= 0);
const namesFixedSide = (text: string): boolean =>
  /\b(?:RML|LAD|LCX|RCX)\b/.test(text) || words('lingula\\p{L}*|middle lobes?|mittellappen\\p{L}*').test(text);

const words = (alternatives: string): RegExp => new RegExp(`${ALONE}(?:${alternatives})${ENDED}`, 'iu');

const ANTEROPOSTERIOR = words(
  '(?:antero|postero)?(?:anterior|posterior)(?:ly)?|(?:antero|postero)\\p{L}+|(?:ventral|dorsal|frontal)\\p{L}*|front|back|rear|behind|' +
    '(?:non-?)?dependent|prone|supine|vorne?|hinten|vordere?[rsnm]?|hintere?[rsnm]?|(?:vorder|hinter)(?!grund)(?:wand|rand|seite|horn|abschnitt|fläche)\\p{L}*|' +
    'rückseit\\p{L}*|(?:rücken|bauch)lage',
);
const CRANIOCAUDAL = words(
  'upper(?:most)?|lower(?:most)?(?! (?:than|attenuation|density|dose))|\\p{L}*(?:superior|inferior)(?:ly)?|(?:supero|infero)\\p{L}+|' +
    '(?:crani|caud|cephal|krani|kaud)(?:al|ad)\\p{L}*|(?:api[ck]al|basal|basilar|bibasilar)\\p{L}*|apex|apices|bases?|top|bottom|above|below|' +
    'supra\\p{L}+|infra\\p{L}+|oben|unten|(?:ober|unter)(?:e[rsnm]?|halb)|\\p{L}*(?:ober|unter)(?:lappen|pol|bauch|feld|rand|geschoss|segment)\\p{L}*|\\p{L}*spitzen?',
);

function inCaseOf(like: string, word: string): string {
  if (like === like.toUpperCase() && (like.length > 1 || word.length === 1)) return word.toUpperCase();
  return like[0] === like[0]!.toUpperCase() ? word[0]!.toUpperCase() + word.slice(1) : word;
}
