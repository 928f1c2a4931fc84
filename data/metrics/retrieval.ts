// Retrieval from a matrix of similarities, in both directions: R@k and the median rank, with groups where several candidates are
// equally right (studies whose reports state the same, say).

import { DataError } from '../errors.ts';

export interface RetrievalOptions {
  /** Group of each row and of each column: a column is right for a row of its group. Default: the i-th for the i-th. */
  readonly rowGroups?: readonly (string | number)[];
  readonly columnGroups?: readonly (string | number)[];
  /** Default 1, 5, 10. */
  readonly ks?: readonly number[];
}

export interface RetrievalScore {
  /** Per query: rank of its best right candidate, from 1; NaN where it has none. */
  readonly ranks: Float64Array;
  /** Per k: share of the queries with a right candidate among the first k. */
  readonly recall: readonly number[];
  /** Per k: what candidates in random order would give. */
  readonly chance: readonly number[];
  readonly medianRank: number;
  /** Queries that count, and those left out because no candidate is right for them. */
  readonly queries: number;
  readonly withoutAnswer: number;
  readonly candidates: number;
}

/**
 * Ranks count wrong candidates alone: other right ones before the best do not push it down. A wrong candidate of the same similarity
 * stands before it, so that a model that scores everything alike gets no credit.
 * @param similarity a row of column similarities per row item
 * @throws `retrieval-shape`, `metric-nan`
 */
export function retrieval(
  similarity: readonly ArrayLike<number>[],
  options: RetrievalOptions = {},
): { rows: RetrievalScore; columns: RetrievalScore } {
  const rows = similarity.length;
  const columns = similarity[0]?.length ?? 0;
  const rowGroups = options.rowGroups ?? Array.from({ length: rows }, (_, i) => i);
  const columnGroups = options.columnGroups ?? Array.from({ length: columns }, (_, i) => i);
  check(similarity, rows, columns, rowGroups.length, columnGroups.length, options.rowGroups === undefined);
  const ks = options.ks ?? [1, 5, 10];
  return {
    rows: scoreOf(rows, columns, rowGroups, columnGroups, (q, c) => similarity[q]![c]!, ks),
    columns: scoreOf(columns, rows, columnGroups, rowGroups, (q, c) => similarity[c]![q]!, ks),
  };
}

/** R@k and median of some ranks, those that are NaN left out. */
export function rankScores(ranks: ArrayLike<number>, ks: readonly number[]): { recall: number[]; medianRank: number } {
  const kept = Array.from(ranks)
    .filter((r) => !Number.isNaN(r))
    .sort((a, b) => a - b);
  const half = kept.length >> 1;
  return {
    recall: ks.map((k) => kept.filter((r) => r <= k).length / kept.length),
    medianRank: kept.length === 0 ? Number.NaN : kept.length % 2 ? kept[half]! : (kept[half - 1]! + kept[half]!) / 2,
  };
}

function scoreOf(
  queries: number,
  candidates: number,
  queryGroups: readonly (string | number)[],
  candidateGroups: readonly (string | number)[],
  similarity: (query: number, candidate: number) => number,
  ks: readonly number[],
): RetrievalScore {
  const missed = ks.map(() => 0);
  const ranks = Float64Array.from({ length: queries }, (_, q) => {
    let best = Number.NEGATIVE_INFINITY;
    let answers = 0;
    for (let c = 0; c < candidates; c++) {
      if (candidateGroups[c] !== queryGroups[q]) continue;
      answers++;
      best = Math.max(best, similarity(q, c));
    }
    if (answers === 0) return Number.NaN;
    ks.forEach((k, n) => {
      missed[n]! += chanceOfMissing(k, answers, candidates);
    });
    let before = 0;
    for (let c = 0; c < candidates; c++)
      if (candidateGroups[c] !== queryGroups[q] && similarity(q, c) >= best) before++;
    return before + 1;
  });
  const withoutAnswer = ranks.filter(Number.isNaN).length;
  const answered = queries - withoutAnswer;
  const chance = missed.map((m) => 1 - m / answered);
  return { ranks, ...rankScores(ranks, ks), chance, queries: answered, withoutAnswer, candidates };
}

/** That the first k of a random order are all wrong. */
function chanceOfMissing(k: number, answers: number, candidates: number): number {
  let p = 1;
  for (let i = 0; i < k; i++) p *= Math.max(0, candidates - answers - i) / Math.max(1, candidates - i);
  return p;
}

function check(
  similarity: readonly ArrayLike<number>[],
  rows: number,
  columns: number,
  rowGroups: number,
  columnGroups: number,
  paired: boolean,
): void {
  const fix = 'pass a full matrix, a group per row and per column, and no groups only where row i belongs to column i';
  const ragged = similarity.findIndex((r) => r.length !== columns);
  if (
    rows === 0 ||
    columns === 0 ||
    ragged >= 0 ||
    rowGroups !== rows ||
    columnGroups !== columns ||
    (paired && rows !== columns)
  )
    throw new DataError('retrieval-shape', 'This is no matrix of similarities.', {
      found: `${rows} × ${columns}${ragged >= 0 ? `, row ${ragged} has ${similarity[ragged]!.length}` : ''}, ${rowGroups} and ${columnGroups} groups`,
      expected: 'rows of equal length, and groups for all or none (then as many rows as columns)',
      fix,
    });
  similarity.forEach((row, i) => {
    for (let c = 0; c < columns; c++)
      if (Number.isNaN(row[c]!))
        throw new DataError('metric-nan', 'A similarity is not a number.', { found: `row ${i}, column ${c}`, fix });
  });
}
