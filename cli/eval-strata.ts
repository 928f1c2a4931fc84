// How an evaluation parts its cases: spacing and size, in mm, at fixed edges; anything else as the table writes it.
import { badOption } from './eval-cases.ts';

export interface Stratification {
  /** What parts them: the column's name. */
  readonly name: string;
  /** The strata that have a case, in their order. */
  readonly strata: readonly string[];
  stratumOf(value: string | undefined): string;
}

const SPACING_EDGES = [1.5, 3, 5];
/** Of the largest edge of a voxel, the finest first. */
export const SPACINGS = ['≤ 1.5 mm', '1.5–3 mm', '3–5 mm', '> 5 mm'];
const UNKNOWN = '(not given)';

/**
 * A column that is called `spacing` or `size` (`spacing_mm` too) and holds numbers is parted at edges in mm, and any other by its
 * values.
 * @param bins edges of sizes in mm, rising
 */
export function stratification(
  name: string,
  values: readonly (string | undefined)[],
  bins: readonly number[],
): Stratification {
  const [, kind] = /^(spacing|size)(?:[ _]?mm)?$/i.exec(name) ?? [];
  const given = values.flatMap((v) => v?.trim() || []);
  const measured = kind !== undefined && given.length > 0 && given.every((v) => Number(v) >= 0);
  const order = !measured ? [] : kind.toLowerCase() === 'spacing' ? SPACINGS : sizeBins(bins);
  const binOf = kind?.toLowerCase() === 'spacing' ? spacingStratum : (mm: number) => sizeBin(mm, bins);
  const stratumOf = (value: string | undefined): string => {
    const text = value?.trim() ?? '';
    return text === '' ? UNKNOWN : measured ? binOf(Number(text)) : text;
  };
  const place = (s: string): number => (s === UNKNOWN ? Number.POSITIVE_INFINITY : order.indexOf(s));
  const strata = [...new Set(values.map(stratumOf))].sort(
    (a, b) => (place(a) === place(b) ? 0 : place(a) - place(b)) || (a < b ? -1 : 1),
  );
  return { name, strata, stratumOf };
}

/** `< 5 mm`, `5–10 mm`, `≥ 10 mm` of a diameter. */
export function sizeBin(mm: number, edges: readonly number[]): string {
  const above = edges.findIndex((e) => mm < e);
  if (edges.length === 0) return 'any size';
  if (above === 0) return `< ${edges[0]} mm`;
  return above < 0 ? `≥ ${edges.at(-1)} mm` : `${edges[above - 1]}–${edges[above]} mm`;
}

/** Their names, the smallest first. */
export const sizeBins = (edges: readonly number[]): string[] => [0, ...edges].map((edge) => sizeBin(edge, edges));

export const spacingStratum = (mm: number): string => SPACINGS[SPACING_EDGES.filter((e) => mm > e + 1e-6).length]!;

/** `5,10,20` of --bins. @throws UsageError `bad-value` */
export function sizeEdges(text: string): number[] {
  const edges = text.trim() === '' ? [] : text.split(',').map(Number);
  if (edges.some((b, i) => !(b > (edges[i - 1] ?? 0))))
    throw badOption('bins', text, 'rising diameters in mm: 5,10,20');
  return edges;
}
