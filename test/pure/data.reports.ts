// The phantom's reports: each says what the truth says, in words that vary, and nothing else.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Lesion } from '../../data/index.ts';
import { writeReport } from '../../data/phantom-report.ts';
import { stream } from '../../data/random.ts';

const lesion = (kind: Lesion['kind'], organ: Lesion['organ'], side: Lesion['side'], diameterMm: number): Lesion => ({
  kind,
  organ,
  side,
  centre: [1, 2, 3],
  diameterMm,
  voxels: 100,
});
const LESIONS = [
  lesion('cyst', 'kidney', 'left', 31.2),
  lesion('metastasis', 'liver', null, 24.7),
  lesion('abscess', 'lung', 'right', 40),
];
const reports = Array.from({ length: 200 }, (_, n) => writeReport(stream(5, n), LESIONS, { secondLanguage: 0.2 }));

test('every lesion is told once, with its side and size', () => {
  for (const r of reports) {
    const told = r.findings.filter((s) => s.about === 'lesion');
    assert.equal(told.map((s) => s.lesion).sort(), [0, 1, 2]);
    for (const s of told) {
      const l = LESIONS[s.lesion]!;
      const side = { right: /\b(right|rechten?)\b/, left: /\b(left|linken?)\b/ };
      if (l.side) assert.match(s.text, side[l.side], s.text);
      assert.not.match(
        s.text,
        l.side ? side[l.side === 'right' ? 'left' : 'right'] : /\b(right|left|rechten?|linken?)\b/,
        s.text,
      );
      const found = /(\d+(?:[.,]\d)?) (mm|cm)/.exec(s.text)!;
      const mm = Number(found[1]!.replace(',', '.')) * (found[2] === 'cm' ? 10 : 1);
      assert.ok(Math.abs(mm - l.diameterMm) <= 0.51, s.text);
    }
    assert.is(r.impression.length, 3);
    for (const s of [...r.findings.map((f) => f.text), ...r.impression]) {
      assert.not.match(s, /[{}]|undefined/, s);
      assert.match(s, /^[\p{Lu}].*\.$/u, s);
      assert.ok(r.text.includes(s), 'the text holds its sentences');
    }
  }
});

test('an organ with a lesion is never called normal, nor said twice', () => {
  for (const r of reports) {
    const normal = r.findings.filter((s) => s.about === 'normal');
    for (const s of normal) {
      assert.not.ok(s.organ === 'liver', s.text);
      assert.not.ok(s.organ === 'kidney' && s.side !== 'right', s.text);
      assert.not.ok(s.organ === 'lung' && s.side !== 'left', s.text);
    }
    assert.is(new Set(normal.map((s) => `${s.organ} ${s.side}`)).size, normal.length);
  }
});

test('wording, order and language vary', () => {
  const english = reports.filter((r) => r.language === 'en');
  const first = (r: (typeof reports)[number]): string =>
    r.findings.find((s) => s.about === 'lesion' && s.lesion === 0)!.text;
  assert.ok(new Set(english.map(first)).size > 40, 'wordings of one lesion');
  assert.ok(new Set(reports.map((r) => r.findings.findIndex((s) => s.about === 'lesion'))).size > 3, 'places');
  const german = reports.length - english.length;
  assert.ok(german > 20 && german < 70, `${german} of 200 in German at 0.2`);
  assert.ok(english.some((r) => r.findings.some((s) => s.about === 'filler')));
});

test('no lesion: negations alone, and an impression that says so; the same stream, the same text', () => {
  for (let n = 0; n < 50; n++) {
    const r = writeReport(stream(6, n), [{ ...LESIONS[0]!, voxels: 0 }], { secondLanguage: 0 });
    assert.ok(r.findings.every((s) => s.about !== 'lesion'));
    assert.is(r.impression.length, 1);
    assert.match(r.impression[0]!, /No|Normal/);
    assert.equal(writeReport(stream(6, n), [], { secondLanguage: 0 }), r);
  }
});

test.run();
