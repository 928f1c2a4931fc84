// Reports: sections, sentences, a vocabulary, and rows of tokens.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isDataError } from '../../data/errors.ts';
import { phantom } from '../../data/index.ts';
import { sectionsOf, sentencesOf, splitLong } from '../../data/report-text.ts';
import { readReports } from '../../data/reports.ts';
import { TextTokenizer } from '../../data/tokens.ts';
import { SPECIAL_TOKENS, tokenizerJson, trainWordPiece, wordsOf } from '../../data/wordpiece.ts';
import { loadGolden } from '../golden.ts';

const texts = Array.from({ length: 40 }, (_, index) => {
  const { report } = phantom({ seed: 2, index, size: [16, 16, 16], maxLesions: 0 }).truth;
  return report.text;
});
const golden = loadGolden<{ pieces: string[]; texts: string[]; ids: number[][] }>('text/tokens');

test('sections by their headings, in two languages', () => {
  const report =
    'CT of 3 May\nHISTORY: cough\nCOMPARISON:\nnone\nFINDINGS: Lungs: clear.\nThe liver\nis normal.\nIMPRESSION:\n1. Normal.';
  assert.equal(
    sectionsOf(report).map((s) => [s.kind, s.title, s.text]),
    [
      ['other', '', 'CT of 3 May'],
      ['history', 'HISTORY', 'cough'],
      ['comparison', 'COMPARISON', 'none'],
      ['findings', 'FINDINGS', 'Lungs: clear.\nThe liver\nis normal.'],
      ['impression', 'IMPRESSION', '1. Normal.'],
    ],
  );
  assert.equal(
    sectionsOf('Klinische Angaben: Husten\nBefund: Leber frei.\nBeurteilung: Unauffällig.').map((s) => s.kind),
    ['history', 'findings', 'impression'],
  );
  assert.equal(
    sectionsOf('The liver is normal.').map((s) => s.kind),
    ['findings'],
  );
});

test('sentences: not at numbers, abbreviations or initials; lists by their items', () => {
  assert.equal(
    sentencesOf('A nodule of 1.5 cm in the l. Lower lobe, approx. 3 cm from the hilum. No effusion! Is it new?\nYes.'),
    ['A nodule of 1.5 cm in the l. Lower lobe, approx. 3 cm from the hilum.', 'No effusion!', 'Is it new?', 'Yes.'],
  );
  assert.equal(sentencesOf('1. Cyst.\n2. Nodule\n   of 4 mm.\n\n- no fracture'), [
    'Cyst.',
    'Nodule of 4 mm.',
    'no fracture',
  ]);
  assert.equal(sentencesOf('Z.B. 3 Zysten. Kein Erguss.'), ['Z.B. 3 Zysten.', 'Kein Erguss.']);
  assert.equal(sentencesOf('Seen by Mr. [NAME]. [NAME] is well since [DATE]. (Normal.)'), [
    'Seen by Mr. [NAME].',
    '[NAME] is well since [DATE].',
    '(Normal.)',
  ]);
  assert.equal(sentencesOf(' \n . '), []);
});

test('a long sentence is split where it may be, and loses no word', () => {
  const fits = (t: string): boolean => t.split(' ').length <= 6;
  const long = 'A cyst in the liver, a cyst in the left kidney and a nodule in the lung; nothing else.';
  const pieces = splitLong(long, fits)!;
  assert.ok(pieces.length > 2 && pieces.every(fits), pieces.join(' | '));
  assert.is(pieces.join(' '), long);
  assert.is(
    splitLong('word', () => false),
    null,
  );
});

test('a vocabulary of the corpus: every word is told, the same texts give the same pieces', () => {
  const pieces = trainWordPiece(texts, 300);
  assert.is(pieces.length, 300);
  assert.is(new Set(pieces).size, 300);
  assert.equal(pieces.slice(0, 5), [...SPECIAL_TOKENS]);
  assert.equal(trainWordPiece([...texts].reverse(), 300), pieces);
  const tokenizer = new TextTokenizer(tokenizerJson(pieces));
  for (const t of texts) {
    const ids = tokenizer.encode(t);
    assert.not.ok(ids.includes(pieces.indexOf('[UNK]')), t);
    const text = ids.slice(1, -1).map((i) => pieces[i]!);
    assert.is(text.join(' ').replaceAll(' ##', ''), wordsOf(t).join(' '));
  }
  // The commonest words are one piece.
  assert.ok(pieces.includes('lesion') && pieces.includes('unremarkable'), 'words');
});

test("tokens are those of Hugging Face's tokenizers", () => {
  const tokenizer = new TextTokenizer(tokenizerJson(golden.pieces));
  for (const [n, t] of golden.texts.entries()) assert.equal(tokenizer.encode(t), golden.ids[n], t);
});

test('rows: padded, masked, long sentences in several', () => {
  const tokenizer = new TextTokenizer(tokenizerJson(trainWordPiece(texts, 400)));
  const rows = tokenizer.rows(
    ['No focal lesion.', 'No free fluid in the abdomen, no mass in the liver, no mass in the spleen.'],
    10,
  );
  assert.equal(rows.source, [0, ...Array.from({ length: rows.texts.length - 1 }, () => 1)]);
  assert.ok(rows.texts.length > 2);
  rows.texts.forEach((t, n) => {
    const ids = tokenizer.encode(t);
    assert.equal([...rows.input_ids.slice(n * 10, n * 10 + 10)], [...ids, ...Array(10 - ids.length).fill(0)]);
    assert.is(
      rows.attention_mask.slice(n * 10, n * 10 + 10).reduce((a, b) => a + b),
      ids.length,
    );
  });
  try {
    tokenizer.rows(['zzzzzzzzzzzz'], 4);
    assert.unreachable();
  } catch (e) {
    assert.ok(isDataError(e, 'text-too-long'), String(e));
  }
  assert.throws(
    () => new TextTokenizer({ model: {} }),
    (e: Error) => isDataError(e, 'tokenizer-json'),
  );
});

test('reports on disk: pairs, folders, files; what is missing or empty is told', async () => {
  const dir = await mkdtemp(join(tmpdir(), 't3dc-'));
  try {
    await writeFile(join(dir, 'a.txt'), 'Normal.');
    await writeFile(join(dir, 'b.txt'), ' \n');
    const folder = await readReports(dir);
    assert.equal(folder.reports, [{ name: 'a', text: 'Normal.' }]);
    assert.equal(folder.skipped, [{ name: 'b', reason: 'empty' }]);
    const pairs = [
      { patient: 'p', report: 'a.txt' },
      { patient: 'q', report: 'c.txt' },
      { name: 'r', text: 'Cyst.' },
      { patient: 's' },
    ];
    await writeFile(join(dir, 'pairs.jsonl'), `${pairs.map((p) => JSON.stringify(p)).join('\n')}\n`);
    const listed = await readReports(dir);
    assert.equal(
      listed.reports.map((r) => r.name),
      ['p', 'r'],
    );
    assert.equal(listed.skipped, [
      { name: 'q', reason: 'no file c.txt' },
      { name: 's', reason: 'no report' },
    ]);
    await writeFile(join(dir, 'pairs.jsonl'), '{"patient":\n');
    for (const [path, code] of [
      [dir, 'pairs-json'],
      [join(dir, 'none'), 'reports-missing'],
      [join(dir, 'b.txt'), 'reports-empty'],
    ] as const)
      await readReports(path).then(
        () => assert.unreachable(),
        (e) => assert.ok(isDataError(e, code), String(e)),
      );
  } finally {
    await rm(dir, { recursive: true });
  }
});

test.run();
