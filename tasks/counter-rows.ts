// False reports as rows of tokens: the row that a study's report is shown as, with one sentence of it changed.
import { type Counterfactual, counterfactuals } from '../data/counterfactual.ts';
import type { CounterfactualWords } from '../data/counterfactual-words.ts';
import type { RandomStream } from '../data/index.ts';
import { noRow, type ReportRow, rowWith, type TokenisedReport } from '../data/report-tokens.ts';
import type { TextTokenizer } from '../data/tokens.ts';

/** `count` rows; those that no change can be made for have no sentence, and count as no report. */
export function falseRows(
  said: TokenisedReport,
  row: ReportRow,
  count: number,
  tokenizer: TextTokenizer,
  random: RandomStream,
  words?: CounterfactualWords,
): ReportRow[] {
  const made = new Map<Counterfactual, ReportRow>();
  const texts = row.used.map((n) => said.texts[n]!);
  const found = counterfactuals(texts, count, random, words, (c) => {
    const changed = rowWith(said, row, c.sentence, c.text, tokenizer);
    if (changed) made.set(c, changed);
    return changed !== null;
  });
  return Array.from({ length: count }, (_, n) => made.get(found[n]!) ?? noRow(tokenizer, row.ids.length));
}
