// The phantom `part`: what its studies hold, and sets of it on disk.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  axisCodes,
  PART_KINDS,
  PART_LABELS,
  PART_ORGANS,
  PART_SIZE,
  PART_SPACING,
  PART_STATIONS,
  PART_TILE,
  PART_WINDOW,
  type PartKind,
  type PartStudy,
  partLabels,
  partOrganLabels,
  phantomPart,
  volumeSpacing,
} from '../../data/index.ts';
import { datasetFrom, readReports, readVolume, writePartSet } from '../../data/node.ts';
import { fromVessel } from '../../data/phantom-part-lesions.ts';

const hash = (data: ArrayBufferView | string) =>
  createHash('sha256')
    .update(typeof data === 'string' ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength))
    .digest('hex')
    .slice(0, 16);

const studies: readonly PartStudy[] = Array.from({ length: 50 }, (_, index) => phantomPart({ seed: 5, index }));
const organs = studies.flatMap((study) => study.truth.organs.map((organ) => ({ study, organ })));
const lesions = organs.flatMap(({ study, organ }) => (organ.lesion ? [{ study, organ, lesion: organ.lesion }] : []));
const [d, h, w] = PART_SIZE;

/** Share of the window at a voxel. */
const valueAt = (study: PartStudy, at: number): number =>
  (study.image.data[at]! - PART_WINDOW[0]) / (PART_WINDOW[1] - PART_WINDOW[0]);

type Take = (i: number, j: number, k: number) => boolean;

/** Mean share of the window over the voxels for which `take` holds, no further than `reach` from `centre` along d; NaN without any. */
function meanWhere(study: PartStudy, take: Take, centre = d / 2, reach = d): number {
  let sum = 0;
  let n = 0;
  for (let i = Math.max(0, Math.floor(centre - reach)); i < Math.min(d, centre + reach + 1); i++)
    for (let j = 0; j < h; j++)
      for (let k = 0; k < w; k++) {
        if (!take(i, j, k)) continue;
        sum += valueAt(study, (i * h + j) * w + k);
        n++;
      }
  return sum / n;
}

const distance = (c: readonly number[], i: number, j: number, k: number): number =>
  Math.hypot(i - c[0]!, j - c[1]!, k - c[2]!);
const mean = (of: readonly number[]): number => of.reduce((a, b) => a + b, 0) / of.length;

test('the same seed gives the same bytes, on every engine and machine', () => {
  const a = phantomPart({ seed: 1, index: 0 });
  const b = phantomPart({ seed: 1, index: 0 });
  assert.equal(a.image.data, b.image.data);
  assert.equal(a.label.data, b.label.data);
  assert.equal([a.report, a.truth], [b.report, b.truth]);
  assert.equal([hash(a.image.data), hash(a.label.data), hash(a.report.text)], GOLDEN);
  assert.not.equal(hash(phantomPart({ seed: 1, index: 1 }).image.data), hash(a.image.data));
  assert.not.equal(hash(phantomPart({ seed: 2, index: 0 }).image.data), hash(a.image.data));
  // A study depends on its own number alone.
  assert.is(hash(studies[7]!.image.data), hash(phantomPart({ seed: 5, index: 7 }).image.data));
});
const GOLDEN = ['a6622f09a5823298', '45f76616fd39d8c0', 'e61504fec3b45caf'];

test('four stations of two organs each, at 6 mm; the label is a mask of lesions', () => {
  assert.equal(PART_SIZE, [PART_STATIONS * PART_TILE, PART_TILE, PART_TILE]);
  for (const { image, label, truth } of studies) {
    assert.is(axisCodes(image.affine), 'RAS');
    assert.equal(volumeSpacing(image), [PART_SPACING, PART_SPACING, PART_SPACING]);
    assert.equal(
      truth.organs.map((o) => o.organ),
      [...PART_ORGANS],
    );
    let voxels = 0;
    for (const id of label.data) {
      if (id > 1) assert.unreachable(`label ${id}`);
      voxels += id;
    }
    assert.is(
      voxels,
      truth.organs.reduce((n, o) => n + (o.lesion?.voxels ?? 0), 0),
    );
    truth.organs.forEach((o, n) => {
      assert.is(o.station, Math.floor(n / 2));
      [0, 1, 2].forEach((axis) => {
        const from = axis === 0 ? o.station * PART_TILE : 0;
        assert.ok(o.centre[axis]! - o.radii[axis]! > from - 1, `${o.organ} starts at its station`);
        assert.ok(o.centre[axis]! + o.radii[axis]! < from + PART_TILE, `${o.organ} ends in its station`);
      });
    });
  }
  const share = mean(studies.map((s) => mean([...s.label.data])));
  assert.ok(share > 0.008 && share < 0.014, `lesions fill ${share}`);
});

test('ribs and spine tell the side of a station, a hilum that of a kidney', () => {
  for (const study of studies.slice(0, 10)) {
    const columns = (from: number, to: number) => meanWhere(study, (i, j) => i >= from && i <= to && j < 12);
    assert.ok(columns(53, 58) > 0.38, 'spine');
    assert.ok(Math.min(columns(1, 2), columns(d - 3, d - 2)) > columns(26, 29) + 0.03, 'ribs');
    for (const { organ, centre, radii, hilum } of study.truth.organs) {
      assert.is(hilum !== null, / kidney$/.test(organ));
      if (hilum) assert.is(Math.sign(hilum.centre[0] - centre[0]), organ === 'left kidney' ? 1 : -1);
      assert.ok(
        radii.every((r) => r > 4.2 + 0.4),
        'room for the largest lesion',
      );
    }
  }
});

test('places, sizes and brightness vary; every lesion lies in its organ', () => {
  PART_ORGANS.forEach((name, n) => {
    const own = studies.map((s) => s.truth.organs[n]!);
    const spread = (of: (o: (typeof own)[number]) => number) => Math.max(...own.map(of)) - Math.min(...own.map(of));
    assert.ok(spread((o) => o.level) > 0.05, `${name} level`);
    assert.ok(spread((o) => o.centre[1]) > 0.5, `${name} place`);
    assert.ok(spread((o) => o.radii[0]) > 0.6, `${name} size`);
  });
  for (const { organ, lesion } of lesions) {
    const q = Math.hypot(...[0, 1, 2].map((a) => (lesion.centre[a]! - organ.centre[a]!) / (organ.radii[a]! - 3)));
    assert.ok(q < 1, `${organ.organ} ${q}`);
  }
});

test('lesions: how many, of which kind, size and darkness', () => {
  const rate = lesions.length / organs.length;
  assert.ok(Math.abs(rate - 0.6) < 0.08, `rate ${rate}`);
  const darkness = PART_KINDS.map((kind) => {
    const own = lesions.filter((l) => l.lesion.kind === kind);
    assert.ok(Math.abs(own.length / lesions.length - 1 / 3) < 0.1, `${kind}: ${own.length} of ${lesions.length}`);
    // Where the kind is dark, half a voxel from every surface.
    const dark = (r: number): readonly [number, number] => {
      if (kind === 'abscess') return [0, r - 1.4 - 0.5];
      return [kind === 'metastasis' ? 0.55 * r + 0.5 : 0, r - 0.5];
    };
    return mean(
      own.map(({ study, organ, lesion }) => {
        const [from, to] = dark(lesion.radius);
        const at = meanWhere(
          study,
          (i, j, k) => {
            const x = distance(lesion.centre, i, j, k);
            return x >= from && x <= to;
          },
          lesion.centre[0],
          5,
        );
        return Number.isNaN(at) ? lesion.contrast : organ.level - at;
      }),
    );
  });
  // All kinds are equally dark where they are dark.
  for (const found of darkness) assert.ok(found > 0.21 && found < 0.29, `darkness ${darkness}`);
  for (const { lesion } of lesions) {
    assert.ok(lesion.radius >= 3 && lesion.radius < 4.2);
    assert.ok(lesion.contrast >= 0.22 && lesion.contrast < 0.3);
    assert.ok(Math.abs(lesion.voxels / ((4 / 3) * Math.PI * lesion.radius ** 3) - 1) < 0.15);
  }
});

test('kinds differ in structure: a bright rim, a bright core, or neither', () => {
  const profile = (kind: PartKind, from: number, to: number) =>
    mean(
      lesions
        .filter((l) => l.lesion.kind === kind)
        .map(({ study, organ, lesion }) => {
          const at = meanWhere(
            study,
            (i, j, k) => {
              const x = distance(lesion.centre, i, j, k);
              return x >= lesion.radius * from && x < lesion.radius * to;
            },
            lesion.centre[0],
            5,
          );
          return at - organ.level;
        })
        .filter((v) => !Number.isNaN(v)),
    );
  assert.ok(profile('cyst', 0, 0.35) < -0.2 && profile('cyst', 0.7, 0.9) < -0.2, 'cyst');
  assert.ok(profile('abscess', 0.7, 0.9) > 0.1 && profile('abscess', 0, 0.3) < -0.15, 'abscess');
  assert.ok(profile('metastasis', 0, 0.35) > 0.1 && profile('metastasis', 0.7, 0.9) < -0.2, 'metastasis');
});

test('one to three vessels in every organ, dark or bright as lesions are', () => {
  const counts = [0, 0, 0, 0];
  let bright = 0;
  let seen = 0;
  const shown: number[] = [];
  for (const { study, organ } of organs) {
    counts[organ.vessels.length]!++;
    for (const vessel of organ.vessels) {
      seen++;
      if (vessel.contrast > 0) bright++;
      assert.ok(Math.abs(vessel.contrast) >= 0.22 && Math.abs(vessel.contrast) < 0.3);
    }
    // Where nothing else lies, a vessel is as bright or dark as it is said to be.
    const [vessel, ...more] = organ.vessels;
    if (more.length > 0 || organ.lesion || organ.hilum || shown.length >= 10) continue;
    const found = meanWhere(study, (i, j, k) => {
      if (fromVessel(vessel!, i, j, k) > vessel!.radius - 0.5) return false;
      const [x, y, z] = [i, j, k].map((v, a) => (v - organ.centre[a]!) / organ.radii[a]!) as [number, number, number];
      return Math.hypot(x, y, z) < 0.7;
    });
    if (!Number.isNaN(found)) shown.push(found - organ.level - vessel!.contrast);
  }
  assert.is(counts[0], 0);
  for (const n of counts.slice(1)) assert.ok(n > organs.length / 5, `${counts}`);
  assert.ok(Math.abs(bright / seen - 0.5) < 0.1, `${bright} of ${seen}`);
  assert.ok(shown.length >= 5 && mean(shown.map(Math.abs)) < 0.03, `${shown}`);
});

test('noise is of the strength that the truth tells', () => {
  for (const study of studies.slice(0, 20)) {
    assert.ok(study.truth.noise >= 0.03 && study.truth.noise < 0.05);
    // Differences of neighbours between the front organs of two stations, where there is fat alone: √2 σ.
    let sum = 0;
    let n = 0;
    for (const i of [26, 27, 28, 29, 82, 83, 84, 85])
      for (let j = 14; j < h; j++)
        for (let k = 0; k < w; k += 2) {
          const at = (i * h + j) * w + k;
          sum += (valueAt(study, at) - valueAt(study, at + 1)) ** 2;
          n++;
        }
    const sigma = Math.sqrt(sum / n / 2);
    assert.ok(Math.abs(sigma / study.truth.noise - 1) < 0.15, `${sigma} for ${study.truth.noise}`);
  }
});

test('what the probe predicts follows from the truth, and from the report', () => {
  for (const { truth, report } of studies) {
    const byOrgan = partOrganLabels(truth);
    const byStation = partLabels(truth);
    assert.is(byOrgan.length, 24);
    assert.is(byStation.length, 12);
    const organsOf = new Uint8Array(24);
    const stationsOf = new Uint8Array(12);
    for (const s of report.statements) {
      if (s.about !== 'lesion') continue;
      organsOf[s.organ * 3 + PART_KINDS.indexOf(s.kind)] = 1;
      stationsOf[Math.floor(s.organ / 2) * 3 + PART_KINDS.indexOf(s.kind)] = 1;
    }
    assert.equal(byOrgan, organsOf);
    assert.equal(byStation, stationsOf);
  }
});

test('a set on disk is what the phantom drew', async () => {
  const dir = await mkdtemp(join(tmpdir(), 't3dc-part-'));
  try {
    const names = await writePartSet(dir, { seed: 5, count: 2, first: 6 });
    assert.equal(names, ['part_0006', 'part_0007']);
    const set = await datasetFrom(dir, { labelled: true });
    assert.equal(set.classes, [...PART_LABELS]);
    const made = studies[7]!;
    const image = await readVolume(set.cases[1]!.image);
    assert.equal([...image.data], [...made.image.data]);
    assert.equal([...(await readVolume(set.cases[1]!.label!)).data], [...made.label.data]);
    assert.is((await readReports(dir)).reports[1]!.text, made.report.text);
    const json = JSON.parse(await readFile(join(dir, 'dataset.json'), 'utf8'));
    assert.equal(json.training[1].truth.organs, JSON.parse(JSON.stringify(made.truth.organs)));
    const rows = (await readFile(join(dir, 'lesions.csv'), 'utf8')).trim().split('\n').slice(1);
    assert.is(rows.length, [6, 7].flatMap((n) => studies[n]!.truth.organs.filter((o) => o.lesion)).length);
    const kidney = [6, 7].flatMap((n) => studies[n]!.truth.organs.filter((o) => o.lesion && / kidney/.test(o.organ)));
    assert.is(rows.filter((r) => /,kidney,(left|right),/.test(r)).length, kidney.length);
  } finally {
    await rm(dir, { recursive: true });
  }
});

test('the command writes it, and refuses settings of the other phantom', async () => {
  const dir = await mkdtemp(join(tmpdir(), 't3dc-part-'));
  try {
    const found = await t3dc('data', 'phantom', '--preset', 'part', '-o', dir, '--cases', '1', '--seed', '5', '--json');
    assert.is(found.code, 0, found.stderr);
    assert.equal(JSON.parse(found.stdout).cases, ['part_0000']);
    assert.is(await readFile(join(dir, 'reports/part_0000.txt'), 'utf8'), studies[0]!.report.text);
    const bad = await t3dc('data', 'phantom', '--preset', 'part', '-o', dir, '--size', '64', '--lesion-class');
    assert.is(bad.code, 2);
    assert.match(
      bad.stderr,
      /^error\[bad-value\]: The preset part has no such settings\n {2}found: +--size, --lesion-class/m,
    );
  } finally {
    await rm(dir, { recursive: true });
  }
});

function t3dc(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const tool = fileURLToPath(new URL('../../bin/t3dc.mjs', import.meta.url));
  return new Promise((done) => {
    execFile(process.execPath, [tool, ...words], { timeout: 60_000 }, (err, stdout, stderr) => {
      done({ code: err ? ((err.code as unknown as number) ?? -1) : 0, stdout, stderr });
    });
  });
}

test.run();
