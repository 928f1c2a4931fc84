// Surface distances against MONAI, the distance transform against SciPy and brute force, lesions against SciPy's components, FROC
// against MONAI.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  FROC_RATES,
  type FrocScan,
  froc,
  frocScan,
  lesionScores,
  matchLesions,
  surfaceDistances,
} from '../../data/index.ts';
import { squaredDistanceTransform } from '../../data/metrics/distance-transform.ts';
import { loadGolden } from '../golden.ts';
import { balls, type Ellipsoid, speckle, worstDifference } from '../metrics.ts';

type Triple = [number, number, number];

interface SurfaceCase {
  readonly dims: Triple;
  readonly spacing: Triple;
  readonly tolerance: number;
  readonly truth?: readonly Ellipsoid[];
  readonly predicted?: readonly Ellipsoid[];
  readonly speckle?: readonly [number, number];
  readonly nsd: number | string;
  readonly hd95: number | string;
  readonly hd: number | string;
}

interface LesionCase {
  readonly dims: Triple;
  readonly spacing: Triple;
  readonly speckle: readonly [number, number];
  readonly c6: { truth: number; found: number; predicted: number; right: number; sizes: number[] };
  readonly c26: LesionCase['c6'];
}

interface FrocCase {
  readonly images: number;
  readonly lesions: number;
  readonly fp: readonly number[];
  readonly tp: readonly number[];
  readonly at: readonly number[];
  readonly average: number;
}

const surface = loadGolden<{ cases: Record<string, SurfaceCase>; edt: number[] }>('metrics/surface');
const lesions = loadGolden<{ cases: Record<string, LesionCase>; froc: Record<string, FrocCase> }>('metrics/lesions');
const code = (c: string) => (err: Error & { code?: string }) => err.code === c;
const numberOf = (v: number | string): number => (v === 'inf' ? Number.POSITIVE_INFINITY : Number(v));

const masks = (name: string, c: SurfaceCase) =>
  c.speckle
    ? [speckle(`${name}.p`, c.dims, c.speckle[1]), speckle(`${name}.t`, c.dims, c.speckle[0])]
    : [balls(c.dims, c.predicted!), balls(c.dims, c.truth!)];

test('NSD and HD95 are those of MONAI', () => {
  for (const [name, c] of Object.entries(surface.cases)) {
    const [p, t] = masks(name, c);
    const found = surfaceDistances(p!, t!, c.dims, c.spacing, { tolerance: c.tolerance });
    const whole = surfaceDistances(p!, t!, c.dims, c.spacing, { tolerance: c.tolerance, percentile: 100 });
    const same = (a: number, b: number) => Object.is(a, b) || Math.abs(a - b) < 1e-4;
    assert.ok(same(found.nsd, numberOf(c.nsd)), `${name}: NSD ${found.nsd}, MONAI ${c.nsd}`);
    assert.ok(same(whole.hd95, numberOf(c.hd)), `${name}: HD ${whole.hd95}, MONAI ${c.hd}`);
    // Where one is empty MONAI's largest distance is infinite, but the percentile of its infinite distances NaN.
    const hd95 = c.hd === 'inf' ? Number.POSITIVE_INFINITY : numberOf(c.hd95);
    assert.ok(same(found.hd95, hd95), `${name}: HD95 ${found.hd95}, MONAI ${c.hd95}`);
  }
});

test('surfaces of another label, of other number types, and swapped', () => {
  const c = surface.cases.anisotropic!;
  const [p, t] = masks('anisotropic', c);
  const options = { tolerance: c.tolerance };
  const expected = surfaceDistances(p!, t!, c.dims, c.spacing, options);
  const relabelled = [p!, t!].map((m, n) => Int16Array.from(m, (v) => (v === 1 ? 7 : 3 + n)));
  const seventh = { ...options, label: 7 };
  assert.equal(surfaceDistances(relabelled[0]!, relabelled[1]!, c.dims, c.spacing, seventh), expected);
  const swapped = surfaceDistances(t!, p!, c.dims, c.spacing, options);
  assert.equal([swapped.nsd, swapped.hd95], [expected.nsd, expected.hd95]);
  assert.is(swapped.truthSurface, expected.predictedSurface);
});

test('surfaces that do not fit are refused', () => {
  const m = new Uint8Array(8);
  assert.throws(() => surfaceDistances(m, new Uint8Array(9), [2, 2, 2], [1, 1, 1]), code('surface-shape'));
  assert.throws(() => surfaceDistances(m, m, [2, 2, 2], [1, 0, 1]), code('surface-options'));
  assert.throws(() => surfaceDistances(m, m, [2, 2, 2], [1, 1, 1], { tolerance: -1 }), code('surface-options'));
});

test('the distance transform is that of SciPy, and of trying every pair', () => {
  const dims: Triple = [9, 7, 8];
  const spacing: Triple = [2.5, 0.6, 1.1];
  const flags = speckle('edt', dims, 0.03);
  const field = squaredDistanceTransform(flags, 1, dims, spacing).map(Math.sqrt);
  assert.ok(worstDifference(field, surface.edt) < 1e-5);
  for (const shape of [
    [1, 1, 1],
    [1, 9, 1],
    [17, 1, 3],
    [5, 6, 1],
  ] as Triple[]) {
    const some = speckle('edt.odd', shape, 0.2);
    some[0] = 1;
    const found = squaredDistanceTransform(some, 1, shape, spacing);
    assert.ok(worstDifference(found, bruteForce(some, shape, spacing)) < 1e-4, shape.join(' '));
  }
  const none = squaredDistanceTransform(new Uint8Array(24), 1, [2, 3, 4], spacing);
  assert.ok(none.every((v) => v === Number.POSITIVE_INFINITY));
});

function bruteForce(flags: Uint8Array, [d, h, w]: Triple, spacing: Triple): Float64Array {
  const places = Array.from(flags, (_, at) => [Math.floor(at / (h * w)), Math.floor(at / w) % h, at % w]);
  assert.is(places.length, d * h * w);
  return Float64Array.from(places, (a) =>
    Math.min(
      ...places.filter((_, at) => flags[at]).map((b) => b.reduce((s, v, n) => s + ((v - a[n]!) * spacing[n]!) ** 2, 0)),
    ),
  );
}

test("lesions are SciPy's components, found and right by overlap", () => {
  for (const [name, c] of Object.entries(lesions.cases)) {
    const truth = speckle(`${name}.t`, c.dims, c.speckle[0]);
    const predicted = speckle(`${name}.p`, c.dims, c.speckle[1]);
    for (const connectivity of [6, 26] as const) {
      const m = matchLesions(predicted, truth, c.dims, c.spacing, { connectivity });
      const { all } = lesionScores([m]);
      const g = connectivity === 6 ? c.c6 : c.c26;
      assert.equal([all.truth, all.found, all.predicted, all.right], [g.truth, g.found, g.predicted, g.right], name);
      assert.equal(
        m.truth.map((l) => l.voxels).sort((a, b) => a - b),
        g.sizes,
      );
    }
  }
});

test('sensitivity, precision and F1, overall and by size', () => {
  // By the ball of its volume a lesion of one voxel of 1 mm³ measures 1.24 mm, one of eight 2.48 mm.
  const radius = (n: number) => Math.max(0.5, 0.87 * (n - 1));
  const cube = (at: Triple, n: number): Ellipsoid => [
    [at[0] + (n - 1) / 2, at[1] + (n - 1) / 2, at[2] + (n - 1) / 2],
    [radius(n), radius(n), radius(n)],
  ];
  const dims: Triple = [12, 12, 12];
  const truth = balls(dims, [cube([0, 0, 0], 2), cube([8, 8, 8], 1)]);
  const predicted = balls(dims, [cube([1, 1, 1], 2), cube([0, 9, 0], 1), cube([5, 0, 9], 1)]);
  const m = matchLesions(predicted, truth, dims, [1, 1, 1]);
  const { all, bins } = lesionScores([m], [2, 4]);
  assert.equal([all.truth, all.found, all.predicted, all.right], [2, 1, 3, 1]);
  assert.equal([all.sensitivity, all.precision], [1 / 2, 1 / 3]);
  assert.ok(Math.abs(all.f1 - 0.4) < 1e-12);
  assert.equal(
    bins.map((b) => [b.from, b.to, b.truth, b.found, b.predicted, b.right]),
    [
      [0, 2, 1, 0, 2, 0],
      [2, 4, 1, 1, 1, 1],
      [4, Number.POSITIVE_INFINITY, 0, 0, 0, 0],
    ],
  );
  assert.equal([bins[0]!.f1, bins[1]!.f1], [0, 1]);
  assert.ok(Number.isNaN(bins[2]!.f1) && Number.isNaN(bins[2]!.sensitivity));
  assert.ok(Math.abs(m.truth[0]!.diameterMm - 2 * Math.cbrt((3 * m.truth[0]!.voxels) / (4 * Math.PI))) < 1e-12);
  // One voxel of eight is shared: not enough when a quarter is asked for.
  assert.is(lesionScores([matchLesions(predicted, truth, dims, [1, 1, 1], { overlap: 0.25 })]).all.found, 0);
  // Nothing predicted is F1 0; nothing there is no figure.
  const nothing = new Uint8Array(12 ** 3);
  assert.is(lesionScores([matchLesions(nothing, truth, dims, [1, 1, 1])]).all.f1, 0);
  assert.ok(Number.isNaN(lesionScores([matchLesions(predicted, nothing, dims, [1, 1, 1])]).all.f1));
  assert.throws(() => matchLesions(nothing, new Uint8Array(3), dims, [1, 1, 1]), code('lesion-shape'));
});

test('FROC is that of MONAI', () => {
  for (const [name, g] of Object.entries(lesions.froc)) {
    const scans: FrocScan[] = Array.from({ length: g.images }, (_, i) => ({
      lesions: i === 0 ? g.lesions : 0,
      candidates: [
        ...g.fp.filter((_, n) => n % g.images === i).map((score) => ({ score, lesion: -1 })),
        ...(i === 0
          ? g.tp.flatMap((score, lesion) =>
              score > 0
                ? [
                    { score, lesion },
                    { score: 0, lesion },
                  ]
                : [],
            )
          : []),
      ],
    }));
    const found = froc(scans);
    assert.ok(worstDifference(found.at, g.at) < 1e-8, `${name}: ${found.at}, MONAI ${g.at}`);
    assert.ok(Math.abs(found.average - g.average) < 1e-8, name);
    assert.is(found.at.length, FROC_RATES.length);
  }
  assert.ok(Number.isNaN(froc([{ lesions: 0, candidates: [{ score: 1, lesion: -1 }] }]).average));
});

test('candidates of a probability map: scored by their highest voxel, given to the lesion they share most with', () => {
  const dims: Triple = [1, 1, 14];
  const truth = Uint8Array.from([1, 1, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1]);
  const probability = Float32Array.from([0, 0.2, 0.2, 0.25, 0.5, 0.2, 0, 0, 0.75, 0.2, 0, 0, 0.05, 0]);
  const scan = frocScan(probability, truth, dims, { threshold: 0.1 });
  assert.equal(scan, {
    lesions: 3,
    candidates: [
      { score: 0.5, lesion: 1 },
      { score: 0.75, lesion: -1 },
    ],
  });
  const { curve } = froc([scan]);
  assert.equal(curve.slice(1), [
    { threshold: 0.75, falsePositives: 1, sensitivity: 0 },
    { threshold: 0.5, falsePositives: 1, sensitivity: 1 / 3 },
  ]);
});

test.run();
