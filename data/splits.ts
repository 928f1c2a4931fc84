// Training, validation and test parts of a list: by patient and group, seeded, stratified on demand; nothing that is nearly the same
// may stand on two sides.
import { DataError } from './errors.ts';
import { type Duplicate, type DuplicateOptions, duplicateReports, duplicateVolumes } from './near-duplicates.ts';
import { stream } from './random.ts';
import { dealOut, linkedSets, sharing } from './split-units.ts';
import type { VolumeHash } from './volume-hash.ts';

export interface SplitItem {
  readonly name: string;
  readonly patient: string;
  readonly group?: string;
  /** The report, compared with the others. */
  readonly text?: string;
}

export interface SplitOptions {
  /** Shares of the items, 0 to 1 together at most; the rest is for training. With `folds`, `val` has no meaning. */
  readonly val?: number;
  readonly test?: number;
  /** k folds in place of one validation part: k splits, each item in one `val`. */
  readonly folds?: number;
  /** Default 0. */
  readonly seed?: number;
  /** The stratum of an item, such as its site or label; parts get like shares of each. */
  readonly stratify?: (item: SplitItem, place: number) => string;
  /** Moves near-duplicates together in place of refusing them. Default false. */
  readonly together?: boolean;
  readonly duplicates?: DuplicateOptions;
  /** Hash of an item's prepared volume, null where it has none. Default: volumes are not compared. */
  readonly volume?: (item: SplitItem, place: number) => Promise<VolumeHash | null>;
}

/** Names of the items, each part in the order of the list. */
export interface Split {
  readonly train: readonly string[];
  readonly val: readonly string[];
  readonly test?: readonly string[];
}

export interface SplitResult {
  /** One, or one for each fold. */
  readonly splits: readonly Split[];
  readonly patients: number;
  /** What stays together: patients, groups, and with `together` near-duplicates. */
  readonly units: number;
  readonly largestUnit: number;
  /** Items of each stratum in each part: train and val (or the folds), then test. */
  readonly strata: Readonly<Record<string, readonly number[]>>;
  /** Near-duplicates of different patients and groups. */
  readonly duplicates: readonly NamedDuplicate[];
  /** Reports too short to be compared. */
  readonly shortReports: number;
}

export interface NamedDuplicate {
  readonly kind: Duplicate['kind'];
  readonly a: string;
  readonly b: string;
  readonly similarity: number;
}

const MOST_STRATA = 64;

/**
 * Deals the items out. The same items, whatever their order, options and seed give the same parts.
 *
 * @throws `split-options`, `split-strata`, `split-empty` where a part would hold nothing, `split-duplicates` where near-duplicates would
 *   stand in different parts
 */
export async function splitItems(items: readonly SplitItem[], options: SplitOptions): Promise<SplitResult> {
  const shares = sharesOf(options);
  const sorted = [...items.keys()].sort((a, b) => (items[a]!.name < items[b]!.name ? -1 : 1));
  const list = sorted.map((i) => items[i]!);
  checkNames(list);
  const found = await findDuplicates(list, options, (n) => sorted[n]!);
  const links = [...sharing(list.map((i) => i.patient)), ...sharing(list.map((i) => i.group))];
  const own = linkedSets(list.length, links);
  const unitOf = new Map(own.flatMap((set, u) => set.map((i) => [i, u] as const)));
  const duplicates = found.pairs.filter((d) => unitOf.get(d.a) !== unitOf.get(d.b));
  const units = options.together
    ? linkedSets(list.length, [...links, ...duplicates.map((d) => [d.a, d.b] as const)])
    : own;
  const strata = strataOf(list, options, (n) => sorted[n]!);
  const kinds = [...new Set(strata)].sort();
  const counted = units.map((set) => kinds.map((k) => set.filter((i) => strata[i] === k).length));
  const dealt = dealOut(counted, shares, stream(options.seed ?? 0, 0x5350));
  const part = new Array<number>(list.length);
  for (const [u, set] of units.entries()) for (const i of set) part[i] = dealt[u]!;
  const empty = shares.findIndex((_, p) => !dealt.includes(p));
  if (empty >= 0)
    throw new DataError('split-empty', 'A part of the split would hold nothing.', {
      found: `${list.length} items in ${units.length} units that stay together, the largest of ${Math.max(0, ...units.map((u) => u.length))}`,
      expected: `at least one for each of ${shares.length} parts`,
      fix: 'take fewer parts or larger shares, or more patients',
    });
  const named = duplicates.map((d) => ({ ...d, a: list[d.a]!.name, b: list[d.b]!.name }));
  refuseAcross(named.filter((_, n) => part[duplicates[n]!.a] !== part[duplicates[n]!.b]));
  const place = new Map(list.map((item, i) => [item.name, part[i]!]));
  const inPart = (wanted: (p: number) => boolean): string[] =>
    items.filter((i) => wanted(place.get(i.name)!)).map((i) => i.name);
  const test = options.test ? shares.length - 1 : -1;
  const splits = Array.from({ length: options.folds ?? 1 }, (_, fold) => {
    const val = options.folds ? fold : 1;
    const rest = { train: inPart((p) => p !== val && p !== test), val: inPart((p) => p === val) };
    return test >= 0 ? { ...rest, test: inPart((p) => p === test) } : rest;
  });
  return {
    splits,
    patients: new Set(list.map((i) => i.patient)).size,
    units: units.length,
    largestUnit: Math.max(...units.map((u) => u.length)),
    strata: Object.fromEntries(
      kinds.map((k) => [k, shares.map((_, p) => strata.filter((s, i) => s === k && part[i] === p).length)]),
    ),
    duplicates: named,
    shortReports: found.short,
  };
}

/**
 * Holds a split that exists, such as nnU-Net's, to the same rules. Returns the names of the list that are in none of its parts.
 *
 * @throws `split-unknown` (a name that the list lacks), `split-patient` (a patient or group on two sides), `split-duplicates`
 */
export async function checkSplit(
  items: readonly SplitItem[],
  split: Split,
  options: Pick<SplitOptions, 'duplicates' | 'volume'> = {},
): Promise<string[]> {
  checkNames(items);
  const part = partsOf(split);
  const known = new Set(items.map((i) => i.name));
  const unknown = [...part.keys()].filter((n) => !known.has(n));
  if (unknown.length > 0)
    throw new DataError('split-unknown', 'The split names what the list lacks.', {
      found: `${unknown.length} names, the first ${unknown[0]}`,
      expected: 'names of the list',
      fix: 'check that both are of one data set, and what readers leave out of the list',
    });
  for (const key of ['patient', 'group'] as const) {
    const sides = new Map<string, { name: string; part: string }>();
    for (const item of items) {
      const [value, own] = [item[key], part.get(item.name)];
      if (value === undefined || own === undefined) continue;
      const before = sides.get(value);
      if (before && before.part !== own)
        throw new DataError('split-patient', `A ${key} stands on two sides of the split.`, {
          found: `${before.name} in ${before.part}, ${item.name} in ${own}`,
          expected: `all of a ${key} in one part`,
          fix: 'split anew with t3dc data split',
        });
      sides.set(value, { name: item.name, part: own });
    }
  }
  const { pairs } = await findDuplicates(items, options, (n) => n);
  const named = pairs.map((d) => ({ ...d, a: items[d.a]!.name, b: items[d.b]!.name }));
  refuseAcross(named.filter((d) => part.has(d.a) && part.has(d.b) && part.get(d.a) !== part.get(d.b)));
  return items.filter((i) => !part.has(i.name)).map((i) => i.name);
}

/**
 * Splits from JSON: nnU-Net's splits_final.json (a list of {train, val}), the same with `test`, or one such object.
 *
 * @throws `splits-json`, `split-overlap`
 */
export function splitsFrom(json: unknown, name = 'the splits'): Split[] {
  const list = Array.isArray(json) ? json : [json];
  if (list.length === 0) throw badSplits(`${name}: an empty list`);
  return list.map((entry, n) => {
    const { train, val, test } = (entry ?? {}) as Record<string, unknown>;
    for (const [key, part] of Object.entries({ train, val, ...(test !== undefined && { test }) }))
      if (!Array.isArray(part) || part.some((p) => typeof p !== 'string'))
        throw badSplits(`${name}: ${key} of split ${n} is ${part === undefined ? 'not there' : 'no list of names'}`);
    const split = { train, val, ...(test !== undefined && { test }) } as Split;
    partsOf(split);
    return split;
  });
}

/** The part of each name. @throws `split-overlap` */
function partsOf(split: Split): Map<string, string> {
  const part = new Map<string, string>();
  for (const key of ['train', 'val', 'test'] as const)
    for (const name of split[key] ?? []) {
      const before = part.get(name);
      if (before !== undefined)
        throw new DataError('split-overlap', 'A split names an item twice.', {
          found: `${name} in ${before} and in ${key}`,
          expected: 'each item once',
          fix: 'split anew with t3dc data split',
        });
      part.set(name, key);
    }
  return part;
}

/** Of the parts: train and val, or the folds; then test. */
function sharesOf({ val = 0.1, test = 0, folds }: SplitOptions): number[] {
  const shares = folds ? Array.from({ length: folds }, () => (1 - test) / folds) : [1 - val - test, val];
  const good =
    (folds === undefined || (Number.isInteger(folds) && folds >= 2)) && test >= 0 && shares.every((s) => s > 1e-9);
  if (!good)
    throw new DataError('split-options', 'These are no parts of a whole.', {
      found: folds ? `${folds} folds, test ${test}` : `val ${val}, test ${test}`,
      expected: 'shares above 0 that leave something for training; at least 2 folds',
      fix: 'take smaller shares',
    });
  return test > 0 ? [...shares, test] : shares;
}

function strataOf(list: readonly SplitItem[], options: SplitOptions, placeOf: (n: number) => number): string[] {
  const strata = list.map((item, n) => options.stratify?.(item, placeOf(n)) ?? '');
  const kinds = new Set(strata).size;
  if (kinds > MOST_STRATA)
    throw new DataError('split-strata', 'There are too many strata.', {
      found: `${kinds} values over ${list.length} items`,
      expected: `at most ${MOST_STRATA}`,
      fix: 'stratify by a column of few values',
    });
  return strata;
}

async function findDuplicates(
  list: readonly SplitItem[],
  options: Pick<SplitOptions, 'duplicates' | 'volume'>,
  placeOf: (n: number) => number,
): Promise<{ pairs: Duplicate[]; short: number }> {
  const withText = [...list.keys()].filter((n) => list[n]!.text !== undefined);
  const reports = duplicateReports(
    withText.map((n) => list[n]!.text!),
    options.duplicates,
  );
  const pairs = reports.pairs.map((d) => ({ ...d, a: withText[d.a]!, b: withText[d.b]! }));
  if (options.volume) {
    const hashes: (VolumeHash | null)[] = [];
    for (const [n, item] of list.entries()) hashes.push(await options.volume(item, placeOf(n)));
    pairs.push(...duplicateVolumes(hashes, options.duplicates));
  }
  return { pairs, short: reports.short };
}

function refuseAcross(across: readonly NamedDuplicate[]): void {
  if (across.length === 0) return;
  const worst = [...across].sort((p, q) => q.similarity - p.similarity).slice(0, 3);
  throw new DataError('split-duplicates', 'Near-duplicates of different patients would stand in different parts.', {
    found: `${across.length} pairs: ${worst.map((d) => `${d.a} and ${d.b} (${d.kind}, similarity ${d.similarity.toFixed(3)})`).join('; ')}${across.length > 3 ? '; …' : ''}`,
    expected: 'none',
    fix: 'keep them together (--together; `together` in code), take one of them out, or raise the threshold where reports follow a template (--reports-alike)',
  });
}

function checkNames(items: readonly SplitItem[]): void {
  const seen = new Set<string>();
  for (const { name } of items) {
    if (seen.has(name))
      throw new DataError('split-options', 'Two items have one name.', {
        found: name,
        expected: 'a name for each',
        fix: 'give the list names (a column `name`)',
      });
    seen.add(name);
  }
}

const badSplits = (found: string): DataError =>
  new DataError('splits-json', 'These splits cannot be read.', {
    found,
    expected: '[{"train": [names], "val": [names], "test"?: [names]}, …], as in splits_final.json of nnU-Net',
    fix: 'make them with t3dc data split, or mend the file',
  });
