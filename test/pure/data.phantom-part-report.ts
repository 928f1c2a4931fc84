// The reports of the phantom `part`: that they agree with the truth, and that every wording occurs.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PART_KINDS, PART_ORGANS, PART_SPACING, type PartKind, phantomPart, stream } from '../../data/index.ts';
import {
  PART_CONCLUDED,
  PART_FILLER,
  PART_KIND_WORDS,
  PART_LESION,
  PART_NORMAL,
  PART_NOTHING,
  PART_PLACES,
} from '../../data/phantom-part-phrases.ts';
import { writePartReport } from '../../data/phantom-part-report.ts';
import { sectionsOf, sentencesOf } from '../../data/report-text.ts';

const studies = Array.from({ length: 50 }, (_, index) => phantomPart({ seed: 5, index }));

test('reports: one finding of each organ, and filler, which agree with the truth and can be split again', () => {
  for (const { report, truth } of studies) {
    assert.is(report.sentences.length, report.statements.length);
    const told = report.statements.flatMap((s) => (s.about === 'filler' ? [] : [s.organ]));
    assert.equal([...told].sort(), [0, 1, 2, 3, 4, 5, 6, 7]);
    report.statements.forEach((s, n) => {
      const text = report.sentences[n]!;
      if (s.about === 'filler') {
        assert.ok(PART_FILLER.includes(text), text);
        return;
      }
      const { organ, lesion } = truth.organs[s.organ]!;
      const places = Object.entries(PART_PLACES).filter(([, of]) => of.some((p) => has(text, p.name)));
      assert.equal(
        places.map(([name]) => name),
        [organ],
        text,
      );
      assert.is(s.about, lesion ? 'lesion' : 'normal');
      if (s.about === 'lesion') {
        assert.is(s.kind, lesion!.kind);
        assert.equal(kindsIn(text), [s.kind], text);
      }
    });
    const sections = sectionsOf(report.text);
    assert.equal(sentencesOf(sections.find((x) => x.kind === 'findings')!.text), [...report.sentences]);
    const end = sections.find((x) => x.kind === 'impression');
    assert.equal(end ? sentencesOf(end.text) : [], [...report.impression]);
    assert.ok(report.sentences.length <= 11);
  }
  const orders = new Set(
    studies.map((s) => s.report.statements.map((x) => (x.about === 'filler' ? '' : x.organ)).join()),
  );
  assert.is(orders.size, studies.length);
  const concluded = studies.filter((s) => s.report.impression.length > 0).length;
  assert.ok(concluded > 12 && concluded < 38, `${concluded} impressions`);
});

test('a kind is named in a healthy organ only to deny it', () => {
  let denied = 0;
  for (const { report } of studies)
    report.statements.forEach((s, n) => {
      const text = report.sentences[n]!;
      if (s.about !== 'normal' || !/cyst|abscess|metasta|ring|lesion|mass/i.test(text)) return;
      denied++;
      assert.match(text, /\b(no|neither|free of)\b/i);
    });
  assert.ok(denied > 30, `${denied}`);
});

test('every wording occurs', () => {
  const text = studies.flatMap((s) => [...s.report.sentences, ...s.report.impression]);
  const occurs = (what: string) =>
    assert.ok(
      text.some((t) => has(t, what)),
      what,
    );
  assert.ok(PART_LESION.length >= 8 && PART_NORMAL.length >= 8);
  for (const words of Object.values(PART_KIND_WORDS)) {
    assert.ok(words.length >= 8);
    for (const kind of words) occurs(kind.bare);
  }
  for (const places of Object.values(PART_PLACES)) for (const p of places) occurs(p.name);
  for (const filler of PART_FILLER) occurs(filler);
  // Studies without any lesion are one in 1,500.
  const healthy = PART_ORGANS.map((organ) => ({ organ, lesion: null }));
  const ends = Array.from({ length: 40 }, (_, n) => writePartReport(stream(1, n), healthy, PART_SPACING).impression);
  assert.equal([...new Set(ends.flat())].sort(), [...PART_NOTHING].sort());
  for (const template of [...PART_LESION, ...PART_NORMAL, ...PART_CONCLUDED]) {
    const form = new RegExp(
      `^${template
        .replace(/[.()]/g, '\\$&')
        .replace(/\{size\}/, '[\\d.]+ (mm|cm)')
        .replace(/\{[^}]+\}/g, '.+')}$`,
      'i',
    );
    assert.ok(
      text.some((t) => form.test(t)),
      template,
    );
  }
});

/** Whether a sentence says these words, as whole words. */
function has(text: string, words: string): boolean {
  const at = ` ${text.toLowerCase()} `.replace(/[,:;()]/g, ' ').replace(/\s+/g, ' ');
  return at.includes(words.toLowerCase());
}

/** Kinds of which a sentence says a name. */
function kindsIn(text: string): PartKind[] {
  return PART_KINDS.filter((kind) => PART_KIND_WORDS[kind].some((k) => has(text, k.bare)));
}

test.run();
