// Reports as rows of tokens: every sentence with its number, none cut, a sample where they are too many; who may be told apart.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isDataError } from '../../data/errors.ts';
import { phantom, stream } from '../../data/index.ts';
import { nullRow, pairMask, reportRow, tokeniseReport } from '../../data/report-tokens.ts';
import { TextTokenizer } from '../../data/tokens.ts';
import { piecesIn, tokenizerJson, trainWordPiece, type WordPieceNormalizer } from '../../data/wordpiece.ts';

const texts = Array.from({ length: 30 }, (_, index) => {
  const { report } = phantom({ seed: 4, index, size: [16, 16, 16], maxLesions: 3 }).truth;
  return report.text;
});
const pieces = trainWordPiece(texts, 500);
const tokenizer = new TextTokenizer(tokenizerJson(pieces));
const [CLS, SEP] = [pieces.indexOf('[CLS]'), pieces.indexOf('[SEP]')];
const REPORT = 'Liver: No focal lesion. The spleen is unremarkable. No free fluid in the abdomen.';

test('a tokenizer tells how many rows its embedding needs', () => {
  assert.is(tokenizer.size, pieces.length);
});

test('the whole report: special tokens around every sentence, its tokens under its number', () => {
  const report = tokeniseReport(REPORT, tokenizer, { length: 64 });
  assert.equal(report.texts, [
    'Liver: No focal lesion.',
    'The spleen is unremarkable.',
    'No free fluid in the abdomen.',
  ]);
  const row = reportRow(report, tokenizer, { length: 64, most: 16 }, stream(0));
  assert.equal(row.used, [0, 1, 2]);
  const expected = [CLS, ...report.texts.flatMap((t) => tokenizer.encode(t).slice(1))];
  assert.equal([...row.ids.subarray(0, expected.length)], expected);
  assert.is(
    row.mask.reduce((a, b) => a + b, 0),
    expected.length,
  );
  for (let at = 0; at < 64; at++) {
    const real = at < expected.length;
    assert.is(row.mask[at], real ? 1 : 0);
    assert.is(row.ids[at], real ? expected[at] : tokenizer.padId);
    const special = !real || [CLS, SEP].includes(row.ids[at]!);
    assert.is(row.sentence[at] === 0, special, `token ${at}`);
  }
  for (const n of [1, 2, 3]) {
    const own = [...row.ids].filter((_, at) => row.sentence[at] === n);
    assert.equal(own, tokenizer.encode(report.texts[n - 1]!).slice(1, -1));
  }
});

test('too many sentences: a sample in the report’s order, none in part; every one has its turn', () => {
  const long = tokeniseReport(texts.slice(0, 6).join('\n\n'), tokenizer, { length: 48, sections: 'all' });
  assert.ok(long.texts.length > 16);
  const seen = new Set<number>();
  for (let seed = 0; seed < 80; seed++) {
    const row = reportRow(long, tokenizer, { length: 48, most: 4 }, stream(seed));
    assert.equal(row, reportRow(long, tokenizer, { length: 48, most: 4 }, stream(seed)));
    assert.ok(row.used.length >= 1 && row.used.length <= 4);
    assert.equal(
      [...row.used],
      [...new Set(row.used)].sort((a, b) => a - b),
    );
    row.used.forEach((place, n) => {
      assert.equal(
        [...row.ids].filter((_, at) => row.sentence[at] === n + 1),
        [...long.ids[place]!],
      );
      seen.add(place);
    });
  }
  assert.is(seen.size, long.texts.length);
});

test('few sentences that do not fit a row together are sampled too', () => {
  const report = tokeniseReport(REPORT, tokenizer, { length: 64 });
  const room = 1 + report.ids[0]!.length + 1 + report.ids[1]!.length + 1;
  const row = reportRow(report, tokenizer, { length: room, most: 16 }, stream(2));
  assert.ok(row.used.length > 0 && row.used.length < 3, String(row.used));
});

test('a long sentence becomes several, and loses no word; a word that does not fit is refused', () => {
  const sentence =
    'No free fluid in the abdomen, no mass in the liver, no mass in the spleen and no lesion of the left kidney.';
  const report = tokeniseReport(sentence, tokenizer, { length: 14 });
  assert.ok(report.texts.length > 1);
  assert.is(report.split, 1);
  assert.is(report.texts.join(' '), sentence);
  assert.ok(report.ids.every((ids) => ids.length <= 12));
  try {
    tokeniseReport('Zzzzzzzzzzzzzzzzzzz.', tokenizer, { length: 6 });
    assert.unreachable();
  } catch (e) {
    assert.ok(isDataError(e, 'text-too-long'), String(e));
    assert.not.match((e as Error).message, /zzzz/i);
  }
});

test('sections: findings and impression by default; history is not asked where to be', () => {
  const report = 'HISTORY: Cough.\nFINDINGS: The liver is normal.\nIMPRESSION: No metastasis.\nCOMPARISON: None.';
  const of = (sections?: 'findings' | 'all') => tokeniseReport(report, tokenizer, { length: 64, sections }).texts;
  assert.equal(of(), ['The liver is normal.', 'No metastasis.']);
  assert.equal(of('findings'), ['The liver is normal.']);
  assert.equal(of('all'), ['Cough.', 'The liver is normal.', 'No metastasis.', 'None.']);
  const changed = 'The cyst is unchanged since 2019. The spleen is normal.';
  assert.equal(tokeniseReport(changed, tokenizer, { length: 64, drop: ['comparison'] }).texts, [
    'The spleen is normal.',
  ]);
  assert.equal(tokeniseReport('HISTORY: Cough.', tokenizer, { length: 64 }).texts, []);
});

test('the null row is special tokens alone, as one sentence', () => {
  const row = nullRow(tokenizer, 8);
  assert.equal([...row.ids], [CLS, SEP, 0, 0, 0, 0, 0, 0]);
  assert.equal([...row.mask], [1, 1, 0, 0, 0, 0, 0, 0]);
  assert.equal([...row.sentence], [1, 1, 0, 0, 0, 0, 0, 0]);
});

test("an older folder's vocab.txt: a piece a line; case and accents as they are told; what is none is refused", () => {
  const text = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', 'leber', 'Leber', 'große', 'grosse', '##n', ''].join('\r\n');
  const pieces = piecesIn(text, 'vocab.txt');
  assert.is(pieces.length, 9);
  const ids = (words: string, normalizer: WordPieceNormalizer) =>
    new TextTokenizer(tokenizerJson(pieces, normalizer)).encode(words).slice(1, -1);
  assert.equal(ids('Lebern', { lowercase: true }), [4, 8]);
  assert.equal(ids('Lebern', { lowercase: false }), [5, 8]);
  assert.equal(ids('lebér', { stripAccents: true }), [4]);
  assert.equal(ids('lebér', { stripAccents: false }), [1]);
  assert.throws(
    () => piecesIn('{"a": 0}\n', 'vocab.json'),
    (e: Error) => isDataError(e, 'vocabulary-file') && /vocab\.json.*\[PAD\]/.test(e.message),
  );
});

test('told apart: not one patient, study, group or findings; a study and its own report always', () => {
  const key = (text: string) => tokeniseReport(text, tokenizer, { length: 64 }).key;
  const normal = key('The liver is normal. No effusion.');
  assert.is(key('No  effusion.\nThe LIVER is normal.'), normal);
  const cyst = { patient: 'a', key: key('A cyst.') };
  const mask = pairMask([
    cyst,
    { patient: 'a', key: key('Two cysts.') },
    { patient: 'b', study: 's', key: normal },
    { patient: 'c', study: 's', group: 'g', key: key('Fracture.') },
    { patient: 'd', group: 'g', key: normal },
  ]);
  assert.equal(
    [0, 1, 2, 3, 4].map((b) => [...mask.subarray(b * 5, b * 5 + 5)].join('')),
    ['10111', '01111', '11100', '11010', '11001'],
  );
});

test.run();
