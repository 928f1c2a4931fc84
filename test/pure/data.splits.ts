// Splits: whole patients and groups, like shares, the same each time; near-duplicates are found, named, refused or kept together.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isDataError } from '../../data/errors.ts';
import { ABDOMEN, phantom, prepare, stream, type Volume } from '../../data/index.ts';
import { duplicateReports, duplicateVolumes, reportSimilarity } from '../../data/near-duplicates.ts';
import { linkedSets } from '../../data/split-units.ts';
import { checkSplit, type SplitItem, splitItems, splitsFrom } from '../../data/splits.ts';
import { hashSimilarity, type VolumeHash, volumeHash } from '../../data/volume-hash.ts';

const random = stream(11);
/** 120 patients of 1 to 4 studies, three sites, some patients in groups of two. */
const ITEMS: (SplitItem & { site: string })[] = Array.from({ length: 120 }, (_, p) => {
  const site = ['north', 'south', 'west'][p % 10 < 6 ? 0 : p % 10 < 9 ? 1 : 2]!;
  const group = p % 12 < 2 ? `g${Math.floor(p / 12)}` : undefined;
  return Array.from({ length: 1 + random.int(4) }, (_, s) => ({ name: `p${p}s${s}`, patient: `p${p}`, group, site }));
}).flat();

async function fails(code: string, promise: Promise<unknown>, pattern = /./): Promise<void> {
  const err = await promise.then(
    () => null,
    (e) => e,
  );
  assert.ok(isDataError(err, code), `${code}: ${err}`);
  assert.match((err as Error).message, pattern);
}

const patientsOf = (names: readonly string[]) => new Set(names.map((n) => n.replace(/s\d+$/, '')));

test('patients and groups stay whole, shares are met, order does not matter, the seed does', async () => {
  const { splits, patients, units } = await splitItems(ITEMS, { val: 0.1, test: 0.2, seed: 3 });
  const [{ train, val, test: held }] = splits as [(typeof splits)[0]];
  assert.is(patients, 120);
  assert.is(units, 110);
  assert.equal([...train, ...val, ...held!].sort(), ITEMS.map((i) => i.name).sort());
  for (const [part, share] of [
    [train, 0.7],
    [val, 0.1],
    [held!, 0.2],
  ] as const)
    assert.ok(Math.abs(part.length - share * ITEMS.length) <= 2, `${part.length} of ${ITEMS.length} for ${share}`);
  const parts = [train, val, held!].map(patientsOf);
  for (const p of parts[0]!) assert.not.ok(parts[1]!.has(p) || parts[2]!.has(p), p);
  for (let g = 0; g < 10; g++) {
    const of = [`p${12 * g}`, `p${12 * g + 1}`].map((p) => parts.findIndex((s) => s.has(p)));
    assert.is(of[0], of[1], `group ${g}`);
  }
  const again = await splitItems([...ITEMS].reverse(), { val: 0.1, test: 0.2, seed: 3 });
  assert.equal([...again.splits[0]!.val].sort(), [...val].sort());
  const other = await splitItems(ITEMS, { val: 0.1, test: 0.2, seed: 4 });
  assert.not.equal(other.splits[0]!.val, val);
});

test('single items are dealt out exactly; ten in ten folds are one each', async () => {
  const ten = Array.from({ length: 10 }, (_, n) => ({ name: `n${n}`, patient: `n${n}` }));
  const { splits } = await splitItems(ten, { val: 0.1, test: 0.1 });
  assert.equal([splits[0]!.train.length, splits[0]!.val.length, splits[0]!.test!.length], [8, 1, 1]);
  const folds = await splitItems(ten, { folds: 10 });
  assert.ok(folds.splits.every((s) => s.val.length === 1 && s.train.length === 9 && s.test === undefined));
  await fails('split-empty', splitItems(ten.slice(0, 3), { folds: 4 }), /3 units/);
  await fails('split-options', splitItems(ten, { val: 0.5, test: 0.5 }));
  await fails('split-options', splitItems(ten, { folds: 1 }));
  await fails('split-options', splitItems([...ten, ten[0]!], {}), /n0/);
});

test('strata: sites have like shares in each fold, and a test part beside folds stays apart', async () => {
  const siteOf = new Map(ITEMS.map((i) => [i.name, i.site]));
  const { splits, strata } = await splitItems(ITEMS, {
    folds: 5,
    test: 0.2,
    seed: 1,
    stratify: (item) => siteOf.get(item.name)!,
  });
  assert.equal(Object.keys(strata), ['north', 'south', 'west']);
  for (const [site, counts] of Object.entries(strata)) {
    const total = counts.reduce((a, b) => a + b);
    counts.forEach((n, p) => {
      const target = total * (p === 5 ? 0.2 : 0.16);
      assert.ok(Math.abs(n - target) <= 3, `${site} in part ${p}: ${n}, wanted ${target.toFixed(1)}`);
    });
  }
  const held = new Set(splits[0]!.test);
  const validated = splits.flatMap((s) => s.val);
  assert.is(new Set(validated).size, validated.length);
  assert.is(validated.length + held.size, ITEMS.length);
  for (const s of splits) {
    assert.equal(s.test, splits[0]!.test);
    assert.is(s.train.length + s.val.length + held.size, ITEMS.length);
    for (const p of patientsOf(s.train)) assert.not.ok(patientsOf(s.val).has(p), p);
  }
  await fails('split-strata', splitItems(ITEMS, { stratify: (i) => i.name }), /at most 64/);
});

test('linked sets', () => {
  assert.equal(
    linkedSets(6, [
      [4, 1],
      [2, 3],
      [1, 3],
    ]),
    [[0], [1, 2, 3, 4], [5]],
  );
});

const WORDS =
  'liver spleen kidney lung node cyst mass bowel aorta spine rib vein duct lobe pole wall fat air fluid bone'.split(
    ' ',
  );
const sentence = (r: ReturnType<typeof stream>, n: number): string =>
  Array.from({ length: n }, () => WORDS[r.int(WORDS.length)]!).join(' ');

test('near-duplicate reports: those that all comparisons would find, with their similarity', () => {
  const texts: string[] = Array.from({ length: 60 }, (_, n) => sentence(stream(21, n), 60));
  for (let n = 0; n < 20; n++) {
    const words = texts[n]!.split(' ');
    for (let k = 0; k < n % 5; k++) words[7 + 11 * k] = `changed${n}`;
    texts.push(n % 2 ? `${words.join(', ').toUpperCase()}.` : words.join('\n'));
  }
  for (const least of [0.6, 0.8, 0.95]) {
    const { pairs, short } = duplicateReports([...texts, 'Normal study.', 'Normal study.'], {
      reports: least,
      seed: 5,
    });
    assert.is(short, 2);
    const all: string[] = [];
    for (let b = 0; b < texts.length; b++)
      for (let a = 0; a < b; a++) if (reportSimilarity(texts[a]!, texts[b]!) >= least) all.push(`${a} ${b}`);
    assert.equal(pairs.map((d) => `${d.a} ${d.b}`).sort(), all.sort());
    assert.ok(all.length >= 4 && all.length <= 20, `${all.length} pairs at ${least}`);
  }
  assert.is(reportSimilarity(texts[0]!, texts[60]!), 1);
  assert.equal(duplicateReports(texts, { reports: Number.POSITIVE_INFINITY }).pairs, []);
});

test('ten thousand copies of a template are compared quickly', () => {
  const template = sentence(stream(22), 80);
  const started = performance.now();
  const { pairs } = duplicateReports(Array.from({ length: 10_000 }, () => template));
  assert.is(pairs.length, 9999);
  const ms = performance.now() - started;
  assert.ok(ms < 20_000, `${ms.toFixed(0)} ms`);
});

const scans = Array.from({ length: 10 }, (_, index) => phantom({ seed: 3, index, size: [48, 48, 48] }).image);
const hash = (v: Volume): VolumeHash => {
  const contract = { ...ABDOMEN, spacing: null, thickSlices: { above: 1000, action: 'in-plane' as const } };
  const p = prepare(v, undefined, contract);
  return volumeHash(p.image, p.dims);
};
/** The same scan again: noise, another offset, two slices fewer. */
function copy(v: Volume, seed: number): Volume {
  const r = stream(seed);
  const [d, h, w] = v.dims;
  const data = Float32Array.from(v.data, (x) => x + 20 * r.normal() + 15);
  return { ...v, dims: [d - 2, h, w], data: data.slice(2 * h * w) };
}

test('near-duplicate volumes: noise, offset and missing slices do not hide a copy; other patients are none', () => {
  const hashes = [...scans.map(hash), ...scans.map((v, n) => hash(copy(v, n)))];
  for (let n = 0; n < 10; n++) {
    const own = hashSimilarity(hashes[n]!, hashes[10 + n]!);
    assert.ok(own > 0.85, `copy of ${n}: ${own.toFixed(3)}`);
  }
  assert.equal(
    duplicateVolumes([...hashes, null]).map((d) => [d.a, d.b]),
    Array.from({ length: 10 }, (_, n) => [n, 10 + n]),
  );
  assert.is(hashSimilarity(hashes[0]!, hashes[0]!), 1);
  const air = volumeHash(new Float32Array(1000), [10, 10, 10]);
  assert.is(hashSimilarity(air, air), 0, 'nothing is known of air');
  assert.is(volumeHash(new Float32Array(8).fill(1), [2, 2, 2]).bits.length, hashes[0]!.bits.length);
});

const report = sentence(stream(30), 50);
const TWINS: SplitItem[] = Array.from({ length: 30 }, (_, n) => ({
  name: `n${n}`,
  patient: `n${n}`,
  text: n < 2 ? report : sentence(stream(31, n), 50),
}));

test('near-duplicates on two sides are refused by name and similarity, or moved together', async () => {
  let refused = 0;
  for (let seed = 0; seed < 12; seed++) {
    const options = { val: 0.5, seed };
    const err = await splitItems(TWINS, options).catch((e) => e as Error);
    if (err instanceof Error) {
      assert.ok(isDataError(err, 'split-duplicates'), String(err));
      assert.match(err.message, /1 pairs: n0 and n1 \(reports, similarity 1\.000\)/);
      assert.match(err.message, /--together/);
      refused++;
    }
    const moved = await splitItems(TWINS, { ...options, together: true });
    assert.is(moved.splits[0]!.val.includes('n0'), moved.splits[0]!.val.includes('n1'));
    assert.equal([moved.units, moved.largestUnit, moved.duplicates.length], [29, 2, 1]);
  }
  assert.ok(refused > 2 && refused < 12, `${refused} of 12 seeds part the twins`);
  // Of one patient they may be as alike as they like.
  const same = TWINS.map((t, n) => (n < 2 ? { ...t, patient: 'one' } : t));
  assert.equal((await splitItems(same, { val: 0.5 })).duplicates, []);
  const volume = async (_: SplitItem, n: number) => (n < 4 ? hash(n === 3 ? copy(scans[2]!, 1) : scans[n]!) : null);
  const alike = await splitItems(TWINS, { val: 0.5, together: true, volume });
  assert.equal(
    alike.duplicates.map((d) => [d.kind, d.a, d.b]),
    [
      ['reports', 'n0', 'n1'],
      ['volumes', 'n2', 'n3'],
    ],
  );
});

test("nnU-Net's splits are read and held to the rules", async () => {
  const json = [
    { train: ['n2', 'n3'], val: ['n4'] },
    { train: ['n4', 'n3'], val: ['n2'] },
  ];
  const splits = splitsFrom(json);
  assert.equal(splits, json);
  assert.equal(splitsFrom(json[0]), [json[0]]);
  assert.is((await checkSplit(TWINS, splits[0]!)).length, 27);
  await fails('split-duplicates', checkSplit(TWINS, { train: ['n0'], val: ['n1'] }), /n0 and n1/);
  await fails('split-unknown', checkSplit(TWINS, { train: ['n0'], val: ['x'] }), /1 names, the first x/);
  const family = TWINS.map((t) => ({ ...t, text: undefined, group: ['n5', 'n6'].includes(t.name) ? 'f' : undefined }));
  await fails('split-patient', checkSplit(family, { train: ['n5'], val: ['n6'] }), /n5 in train, n6 in val/);
  for (const [bad, code] of [
    [[], 'splits-json'],
    [[{ train: ['a'] }], 'splits-json'],
    [[{ train: ['a'], val: [3] }], 'splits-json'],
    [null, 'splits-json'],
    [[{ train: ['a'], val: ['a'] }], 'split-overlap'],
    [[{ train: ['a'], val: ['b'], test: ['b'] }], 'split-overlap'],
  ] as const)
    assert.throws(
      () => splitsFrom(bad),
      (e: Error) => isDataError(e, code),
      JSON.stringify(bad),
    );
});

test.run();
