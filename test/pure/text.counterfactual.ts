// Reports with one thing made false: what each change makes of a sentence, what is left as it is, and rows of tokens of them.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CHANGES, type Change, changedBy, counterfactuals } from '../../data/counterfactual.ts';
import { isFinding } from '../../data/counterfactual-words.ts';
import { phantom, stream } from '../../data/index.ts';
import { noRow, reportRow, rowWith, tokeniseReport } from '../../data/report-tokens.ts';
import { TextTokenizer } from '../../data/tokens.ts';
import { tokenizerJson, trainWordPiece } from '../../data/wordpiece.ts';
import { falseRows } from '../../tasks/counter-rows.ts';

const table: readonly (readonly [Change, string, readonly string[]])[] = [
  ['side', 'There is a cyst in the left kidney.', ['There is a cyst in the right kidney.']],
  ['side', 'Cysts of both the left and the right kidney.', []],
  ['side', 'A cyst in the liver.', []],
  ['side', 'Zyste der linken Niere.', ['Zyste der rechten Niere.']],
  ['side', 'No cyst in the left kidney.', []],
  ['organ', 'There is a cyst in the liver.', ['There is a cyst in the spleen.']],
  ['organ', 'Hepatic cyst.', ['Splenic cyst.']],
  ['organ', 'Cysts of liver and spleen.', []],
  ['organ', 'The liver is unremarkable.', []],
  ['organ', 'A nodule in the left kidney.', ['A nodule in the left lung.', 'A nodule in the left psoas muscle.']],
  ['organ', 'A stone in the gallbladder.', ['A stone in the bladder.']],
  [
    'kind',
    'There is an abscess in the liver.',
    [
      'There is a cyst in the liver.',
      'There is a metastasis in the liver.',
      'There is a haematoma in the liver.',
      'There is a hematoma in the liver.',
    ],
  ],
  ['kind', 'A cyst is seen.', ['A metastasis is seen.', 'An abscess is seen.']],
  ['kind', 'LARGE PLEURAL EFFUSION.', ['LARGE PNEUMOTHORAX.']],
  ['kind', 'Eine Zyste der Leber.', ['Eine Metastase der Leber.']],
  ['kind', 'Polycystic ovaries.', []],
  ['negation', 'No pleural effusion.', ['Pleural effusion is seen.']],
  ['negation', 'No enlarged lymph nodes in the abdomen.', ['Enlarged lymph nodes in the abdomen are seen.']],
  ['negation', 'No effusion or pneumothorax.', ['Effusion is seen.']],
  ['negation', 'There is no free fluid.', ['There is free fluid.']],
  ['negation', 'No evidence of metastasis.', ['Evidence of metastasis.']],
  ['negation', 'No cyst is seen in the liver.', ['Cyst is seen in the liver.']],
  ['negation', 'Keine freie Luft.', ['Freie Luft abgrenzbar.']],
  ['negation', 'Kein Hinweis auf Metastasen.', ['Hinweis auf Metastasen.']],
  ['negation', 'There is a cyst in the liver.', ['There is no cyst in the liver.']],
  ['negation', 'A cyst is seen in the liver.', ['No cyst is seen in the liver.']],
  ['negation', 'The liver shows a cyst.', ['The liver shows no cyst.']],
  ['negation', 'Eine Zyste in der Leber.', ['Keine Zyste in der Leber.']],
  ['negation', 'The bowel is regular.', []],
  ['negation', 'Vascular calcification.', []],
];

for (const [change, sentence, expected] of table)
  test(`${change}: ${sentence}`, () => {
    assert.equal([...changedBy(change, sentence)].sort(), [...expected].sort());
  });

test('findings are told from what is not there or is as it should be', () => {
  for (const s of ['A cyst in the liver.', 'Zyste der Leber.', 'Notable calcification.']) assert.ok(isFinding(s), s);
  for (const s of ['No cyst.', 'The liver is normal.', 'Leber unauffällig.', 'Keine Zyste.', 'Lungs are clear.'])
    assert.not.ok(isFinding(s), s);
});

test('words of one’s own', () => {
  const words = { organs: [['tibia', 'fibula']] as const, kinds: [] };
  assert.equal(changedBy('organ', 'Fracture of the tibia.', words), ['Fracture of the fibula.']);
  assert.equal(changedBy('organ', 'A cyst in the liver.', words), []);
});

const REPORT = ['There is a cyst in the left kidney.', 'There is a cyst in the right kidney.', 'No free fluid.'];

test('the same stream makes the same; all differ, and none says what the report says elsewhere', () => {
  const seen = new Map<string, Set<string>>();
  for (let seed = 0; seed < 60; seed++) {
    const made = counterfactuals(REPORT, 2, stream(seed));
    assert.equal(made, counterfactuals(REPORT, 2, stream(seed)));
    assert.is(made.length, 2);
    assert.not.equal([made[0]!.sentence, made[0]!.text], [made[1]!.sentence, made[1]!.text]);
    for (const { change, sentence, text } of made) {
      assert.not.ok(REPORT.includes(text), text);
      assert.ok(changedBy(change, REPORT[sentence]!).includes(text));
      seen.set(change, (seen.get(change) ?? new Set()).add(text));
    }
  }
  // A side that is exchanged would say what another sentence says.
  assert.equal([...seen.keys()].sort(), ['kind', 'negation', 'organ']);
  assert.ok(seen.get('negation')!.has('Free fluid is seen.'));
});

test('where nothing can be exchanged there is none; where little can, fewer', () => {
  assert.equal(counterfactuals(['Vascular calcification.', 'The bowel is regular.'], 2, stream(1)), []);
  assert.equal(
    counterfactuals(['Hepatic steatosis.'], 2, stream(1)).map((c) => c.text),
    ['Splenic steatosis.'],
  );
  assert.equal(
    counterfactuals(REPORT, 2, stream(1), undefined, () => false),
    [],
  );
});

test('most of the phantom’s reports have two, of every change', () => {
  const changes = new Set<string>();
  let two = 0;
  for (let index = 0; index < 40; index++) {
    const { findings } = phantom({ seed: 4, index, size: [16, 16, 16], maxLesions: 3 }).truth.report;
    const made = counterfactuals(
      findings.map((f) => f.text),
      2,
      stream(7, index),
    );
    for (const m of made) changes.add(m.change);
    if (made.length === 2) two++;
  }
  assert.ok(two >= 24, `${two} of 40`);
  assert.equal([...changes].sort(), [...CHANGES].sort());
});

const tokenizer = new TextTokenizer(
  tokenizerJson(trainWordPiece([...REPORT, 'liver spleen lung metastasis seen'], 200)),
);

test('a false report is its row with one sentence in other words; what does not fit is none', () => {
  const said = tokeniseReport(REPORT.join(' '), tokenizer, { length: 64 });
  const row = reportRow(said, tokenizer, { length: 64, most: 2 }, stream(3));
  const changed = rowWith(said, row, 1, 'Free fluid is seen.', tokenizer)!;
  const tokens = (r: typeof row, n: number): number[] => [...r.ids].filter((_, at) => r.sentence[at] === n);
  assert.equal(tokens(changed, 1), tokens(row, 1));
  assert.equal(tokens(changed, 2), tokenizer.encode('Free fluid is seen.').slice(1, -1));
  assert.is(rowWith(said, row, 1, 'fluid '.repeat(60), tokenizer), null);
  const rows = falseRows(said, row, 2, tokenizer, stream(5));
  assert.equal(rows, falseRows(said, row, 2, tokenizer, stream(5)));
  for (const r of rows) {
    const differs = [1, 2].filter((n) => tokens(r, n).join() !== tokens(row, n).join());
    assert.is(differs.length, 1);
  }
  const bare = tokeniseReport('Vascular calcification.', tokenizer, { length: 64 });
  const none = falseRows(bare, reportRow(bare, tokenizer, { length: 64, most: 2 }, stream(0)), 2, tokenizer, stream(5));
  assert.equal(none, [noRow(tokenizer, 64), noRow(tokenizer, 64)]);
  assert.ok(none.every((r) => r.mask.every((m) => m === 0) && r.sentence.every((m) => m === 0)));
});

test.run();
