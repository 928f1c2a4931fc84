// De-identification on made-up reports: what is tagged, what stays, and that nothing changes the second time.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { deidentify, IDENTIFIERS } from '../../data/deidentify.ts';
import { phantom } from '../../data/index.ts';

/** Text and what becomes of it. */
const TAGGED: readonly (readonly [string, string])[] = [
  ['Patient: John Smith, DOB: 03/05/1960, MRN: 1234567', 'Patient: [NAME], DOB: [DATE], MRN: [ID]'],
  ['PATIENT NAME: smith, john a. AGE: 92', 'PATIENT NAME: [NAME] AGE: [AGE]'],
  ['Patient: SMITH, JOHN\nThe cyst of Mr Smith.', 'Patient: [NAME]\nThe cyst of Mr [NAME].'],
  ['Patient: SMITH, JOHN\nAs told to Smith before.', 'Patient: [NAME]\nAs told to [NAME] before.'],
  ['Patient John Smith was seen.', 'Patient [NAME] was seen.'],
  ["Seen by Dr. O'Brien and Dr Mary-Jane Lee.", 'Seen by Dr. [NAME] and Dr [NAME].'],
  ['Prof. Dr. med. Otto von Bismarck', 'Prof. Dr. med. [NAME]'],
  ['Frau Anna Müller-Lüdenscheidt, geb. 3.5.1960', 'Frau [NAME], geb. [DATE]'],
  ['Bei Herrn Öztürk kein Erguss.', 'Bei Herrn [NAME] kein Erguss.'],
  ['Vorname: Klaus\nNachname: Meier', 'Vorname: [NAME]\nNachname: [NAME]'],
  ['Referring Physician: Peter van der Berg', 'Referring Physician: [NAME]'],
  ['Zuweiser: Dr. Haus', 'Zuweiser: Dr. [NAME]'],
  [
    'Electronically signed by: J.R. Doe, MD on 3 May 2024 at 14:35',
    'Electronically signed by: [NAME], MD on [DATE] at [TIME]',
  ],
  ['Jane Q. Doe, M.D.', '[NAME], M.D.'],
  ['Befundet durch Eva Klein', 'Befundet durch [NAME]'],
  ['2024-05-03, 2024/5/3, 20240503, 2024-05-03T10:11:12Z', '[DATE], [DATE], [DATE], [DATE]'],
  ['3.5.24, 03.05.2024, 3. 5. 2024, 12/31/2023, 31-12-23', '[DATE], [DATE], [DATE], [DATE], [DATE]'],
  [
    '3 May 2024; 3rd of May, 2024; May 3, 2024; May 3rd; 03MAY2024; 12-Mar-19',
    '[DATE]; [DATE]; [DATE]; [DATE]; [DATE]; [DATE]',
  ],
  ['3. Mai 2024, 3. März, Sept. 2023, Mai 2024, 05/2024', '[DATE], [DATE], [DATE], [DATE], [DATE]'],
  ['Since March. CT im Oktober. CT vom 3.5. und 4/2023.', 'Since [DATE]. CT im [DATE]. CT vom [DATE] und [DATE].'],
  ['Compared with CT on 3/5.', 'Compared with CT on [DATE].'],
  ['um 14.30 Uhr, 3:45 pm', 'um [TIME], [TIME]'],
  ['Accession No. A-123456; Acc#: 99887', 'Accession No. [ID]; Acc#: [ID]'],
  [
    'Fallnummer 998877; Pat.-Nr.: 4711; Versicherten-Nr. A123456789',
    'Fallnummer [ID]; Pat.-Nr.: [ID]; Versicherten-Nr. [ID]',
  ],
  ['SSN 123-45-6789, UID 1.2.840.10008.5.1.4', 'SSN [ID], UID [ID]'],
  ['Tel. 0621 / 383-1234, Fax: 555-1234', 'Tel. [PHONE], Fax: [PHONE]'],
  ['+49 6221 56-0 or (617) 555-1234 or 617.555.1234 or 06221 561234', '[PHONE] or [PHONE] or [PHONE] or [PHONE]'],
  ['j.smith@clinic.example.org, https://pacs.example.org/x?id=1. www.example.de', '[EMAIL], [URL]. [URL]'],
  ['12 North Main Street, Boston, MA 02115', '[ADDRESS], [ADDRESS]'],
  ['Hauptstraße 12, 69120 Heidelberg', '[ADDRESS], [ADDRESS]'],
  ['Lange Str. 5a; P.O. Box 12', '[ADDRESS]; [ADDRESS]'],
  ['Address: 12 Elm, Springfield\nFINDINGS: normal', 'Address: [ADDRESS]\nFINDINGS: normal'],
  ['Massachusetts General Hospital; Universitätsklinikum Heidelberg', '[HOSPITAL]; [HOSPITAL]'],
  [
    'a 92-year-old; 95-jährige; 92 y/o; 101yo; 92F; aged 90; ninety-two-year-old',
    'a [AGE]-year-old; [AGE]-jährige; [AGE] y/o; [AGE]yo; [AGE]F; aged [AGE]; [AGE]-year-old',
  ],
];

/** What says nothing of a person. */
const STAYS = [
  'Patient: 54-year-old man with pain.',
  'Patient: Female, 89 years.',
  'Die Frau ist krank. Der Patient: Z.n. Sturz.',
  'A lesion of 3.5 x 2.3 x 1.2 cm, SUVmax 12.10, 1.5 mm slices, 120 kV.',
  'Segments 5/6, L4/5, Th12/L1, 3/4 of the liver, grade 2/3.',
  'Lesion 3 may represent a cyst. Segment 4 May be fatty. MR. No change.',
  'Unchanged since 2019. Series 3, image 45.',
  'Prior MR. No new lesion. CT Abdomen with contrast.',
  'Atemwege frei. Gallengang 3 mm. Galleweg 3 mm.',
  'Up to 95 mm and 100 mL at 92 HU; 99% of it.',
  'Leber und Milz unauffällig. Bei Sturz am Abend. Weg 3.',
  'Case 12 of 30. Order of events. Study: CT.',
  'Biopsy at 6 o’clock. Cells 1:20.5.',
];

test('names, dates, numbers, addresses, ages: tagged', () => {
  for (const [from, to] of TAGGED) assert.is(deidentify(from).text, to);
});

test('measures, levels, verbs and headings: untouched', () => {
  for (const s of STAYS) assert.equal([deidentify(s).text, total(s)], [s, 0]);
  for (let index = 0; index < 40; index++) {
    const { text } = phantom({ seed: 6, index, size: [16, 16, 16], maxLesions: 3, secondLanguage: 0.5 }).truth.report;
    assert.is(deidentify(text).text, text);
  }
});

test('a second time nothing changes, and the counts are those of the tags', () => {
  for (const [from] of TAGGED) {
    const { text, counts } = deidentify(from);
    assert.equal([deidentify(text).text, total(text)], [text, 0]);
    for (const kind of IDENTIFIERS) assert.is(counts[kind], text.split(`[${kind}]`).length - 1, `${kind} in ${text}`);
  }
});

test('known names are found anywhere, in any case; a found name everywhere in its report', () => {
  assert.is(deidentify('the cyst of john doe', { names: ['Doe, John'] }).text, 'the cyst of [NAME]');
  assert.is(deidentify('Doering doe', { names: ['Doe'] }).text, 'Doering [NAME]');
  assert.is(
    deidentify('Frau Meier. Meier hat Husten. Meiers Leber.').text,
    'Frau [NAME]. [NAME] hat Husten. Meiers Leber.',
  );
  assert.is(deidentify('', { names: [''] }).text, '');
});

test('a long report takes no long time', () => {
  const long =
    `${TAGGED.map(([t]) => t).join('. ')} ${STAYS.join(' ')} ${'A'.repeat(300)} ${'Aa '.repeat(300)} ${'1'.repeat(300)} ${'1.'.repeat(300)}\n`.repeat(
      10,
    );
  const started = performance.now();
  deidentify(long);
  const ms = performance.now() - started;
  assert.ok(ms < 2000, `${long.length} characters in ${ms.toFixed(0)} ms`);
});

const total = (text: string): number => Object.values(deidentify(text).counts).reduce((a, b) => a + b, 0);

test.run();
