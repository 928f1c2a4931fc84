// What must stay together in a split, and how such units are dealt out to its parts.
import type { RandomStream } from './random.ts';

/** Places that are linked, directly or over others, each set sorted; sets in the order of their first place. */
export function linkedSets(count: number, links: Iterable<readonly [number, number]>): number[][] {
  const parent = Array.from({ length: count }, (_, i) => i);
  const root = (i: number): number => {
    let at = i;
    while (parent[at] !== at) at = parent[at] = parent[parent[at]!]!;
    return at;
  };
  for (const [a, b] of links) {
    const [x, y] = [root(a), root(b)];
    parent[Math.max(x, y)] = Math.min(x, y);
  }
  const sets = new Map<number, number[]>();
  for (let i = 0; i < count; i++) {
    const r = root(i);
    const set = sets.get(r);
    if (set) set.push(i);
    else sets.set(r, [i]);
  }
  return [...sets.values()];
}

/** Links of all places that share a value; undefined shares nothing. */
export function* sharing(values: readonly (string | undefined)[]): Generator<readonly [number, number]> {
  const first = new Map<string, number>();
  for (const [i, v] of values.entries()) {
    if (v === undefined) continue;
    const before = first.get(v);
    if (before === undefined) first.set(v, i);
    else yield [before, i];
  }
}

/**
 * The part of each unit. Units go, the largest first and equal ones in an order drawn from `random`, where they bring sizes and strata
 * nearest to `shares`: single items are dealt out like seats by Sainte-Laguë.
 *
 * @param strata of each unit, how many of its items lie in each stratum
 */
export function dealOut(
  strata: readonly (readonly number[])[],
  shares: readonly number[],
  random: RandomStream,
): number[] {
  const order = strata.map((_, i) => i);
  for (let i = order.length - 1; i > 0; i--) {
    const j = random.int(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  const size = strata.map((s) => s.reduce((a, b) => a + b, 0));
  order.sort((a, b) => size[b]! - size[a]!);
  const kinds = strata[0]?.length ?? 0;
  // The last column is the size.
  const rows = strata.map((s, i) => [...s, size[i]!]);
  const total = Array.from({ length: kinds + 1 }, (_, k) => rows.reduce((n, r) => n + r[k]!, 0));
  const have = shares.map(() => new Float64Array(kinds + 1));
  const part = new Array<number>(strata.length).fill(0);
  for (const unit of order) {
    const costs = shares.map((share, p) =>
      rows[unit]!.reduce((cost, n, k) => {
        if (n === 0) return cost;
        const target = share * total[k]!;
        const gap = have[p]![k]! - target;
        return cost + ((gap + n) ** 2 - gap ** 2) / target;
      }, 0),
    );
    const best = costs.indexOf(Math.min(...costs));
    part[unit] = best;
    rows[unit]!.forEach((n, k) => {
      have[best]![k]! += n;
    });
  }
  return part;
}
