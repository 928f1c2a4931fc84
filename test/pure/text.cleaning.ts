// What is taken out of a report on demand: sections, and sentences that compare with earlier studies. All of it is handed back.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { comparesWithPrior } from '../../data/comparison-words.ts';
import { phantom } from '../../data/index.ts';
import { cleanReport, DROPS } from '../../data/report-cleaning.ts';

const REPORT = `CT CHEST

CLINICAL HISTORY: Cough, stable since 2019.
TECHNIQUE: 100 mL of contrast.
COMPARISON: CT of 3 May 2023.
FINDINGS: Lungs: clear. A nodule of 5 mm in the right upper lobe is
unchanged since the prior study. No effusion.
- Heart normal.
- New rib fracture.
- Spine normal.
IMPRESSION:
1. Stable nodule.
2. No pneumonia.
`;

test('nothing is taken out unless it is asked for', () => {
  assert.equal(cleanReport(REPORT, []), {
    text: REPORT,
    removed: [],
    counts: { history: 0, technique: 0, comparison: 0 },
  });
  for (let index = 0; index < 30; index++) {
    const { text } = phantom({ seed: 4, index, size: [16, 16, 16], maxLesions: 3, secondLanguage: 0.5 }).truth.report;
    assert.is(cleanReport(text, DROPS).text, text, 'a phantom compares with nothing');
  }
});

test('sections by kind, each removal handed back', () => {
  const { text, removed, counts } = cleanReport(REPORT, ['history', 'technique']);
  assert.equal(counts, { history: 1, technique: 1, comparison: 0 });
  assert.equal(
    removed.map((r) => [r.drop, r.what, r.text]),
    [
      ['history', 'section', 'Cough, stable since 2019.'],
      ['technique', 'section', '100 mL of contrast.'],
    ],
  );
  assert.not.match(text, /Cough|contrast|HISTORY|TECHNIQUE/);
  assert.match(text, /^CT CHEST\n[\s\S]*COMPARISON:\nCT of 3 May[\s\S]*unchanged[\s\S]*Stable/);
});

test('comparisons by sentence: what stands around stays as it was', () => {
  const { text, removed, counts } = cleanReport(REPORT, DROPS);
  assert.equal(counts, { history: 1, technique: 1, comparison: 4 });
  assert.equal(
    removed.filter((r) => r.what === 'sentence').map((r) => [r.section, r.text]),
    [
      ['findings', 'A nodule of 5 mm in the right upper lobe is unchanged since the prior study.'],
      ['findings', 'New rib fracture.'],
      ['impression', 'Stable nodule.'],
    ],
  );
  assert.is(
    text,
    'CT CHEST\n\nFINDINGS:\nLungs: clear. No effusion.\n- Heart normal.\n- Spine normal.\n\nIMPRESSION:\n2. No pneumonia.\n',
  );
  assert.equal(cleanReport(text, DROPS), { text, removed: [], counts: { history: 0, technique: 0, comparison: 0 } });
});

test('a section ends at an unknown heading; a report of history alone becomes empty', () => {
  const { text, removed } = cleanReport('HISTORY: cough\nand fever\nLungs: clear.\nHeart: normal.', ['history']);
  assert.is(removed[0]!.text, 'cough\nand fever');
  assert.is(text, 'Lungs: clear.\nHeart: normal.\n');
  assert.is(cleanReport('Indikation: Husten.', ['history']).text, '');
  assert.is(cleanReport('Unchanged.', ['comparison']).text, '');
  assert.equal(cleanReport('', DROPS).text, '');
});

const COMPARE = [
  'Compared with the CT of 3 May, the mass is larger.',
  'Compared to 2019 there is no difference.',
  'Compared to [DATE], smaller.',
  'In comparison, the effusion is smaller.',
  'No comparison available.',
  'No prior studies for comparison.',
  'The cyst is unchanged.',
  'No significant interval change.',
  'No change since 2020.',
  'The nodule is no longer seen.',
  'Nodule, previously 5 mm, as previously described.',
  'Redemonstrated is a cyst.',
  'Again seen is a cyst.',
  'Stable appearance of the liver.',
  'The mass has significantly increased.',
  'Lymph nodes have decreased in size.',
  'Newly developed ascites.',
  'No new lesion.',
  'Interval resolution of the effusion.',
  'Progressive disease.',
  'On the prior CT the cyst measured 3 cm.',
  'Im Vergleich zur Voruntersuchung größer.',
  'Verglichen mit dem CT vom 3.5.2023 kleiner.',
  'Gegenüber der Voraufnahme idem.',
  'Seit 2019 gleich.',
  'Zyste unverändert.',
  'Der Erguss ist nicht mehr nachweisbar.',
  'Neu aufgetretener Erguss.',
  'Keine neuen Herde.',
  'Größenprogrediente Raumforderung.',
  'Die Lymphknoten haben zugenommen.',
  'Vorbeschriebene Zyste.',
  'Keine Vergleichsaufnahmen.',
  'Zum Vergleich liegt ein CT vor.',
  'Stabile Metastasen.',
  'Rückläufiger Erguss.',
  'Größenkonstanter Rundherd.',
];
const STAND_ALONE = [
  'The right kidney is small compared with the left kidney.',
  'The lesion is hypodense compared to the liver.',
  'The left lung is small in comparison with the right.',
  'The patient is hemodynamically stable.',
  'High-resolution images of the lungs.',
  'Status post previous cholecystectomy.',
  'Decreased attenuation of the liver.',
  'The diaphragm is larger than expected.',
  'Degenerative changes of the spine.',
  'Neuroforaminal narrowing.',
  'Renewed attention to the hip is not needed.',
  'A nodule of 5 mm in the right upper lobe.',
  'Die linke Niere ist im Vergleich zur Gegenseite klein.',
  'Hypodens gegenüber der Leber.',
  'Neuroforamina frei.',
  'Vordere Bauchwand unauffällig.',
  'Keine Veränderung der Knochenstruktur.',
  'Instabile Fraktur.',
  'Beidseits kein Erguss.',
];

test('what compares with an earlier study, in English and German', () => {
  for (const s of COMPARE) assert.ok(comparesWithPrior(s), s);
  for (const s of COMPARE) assert.ok(comparesWithPrior(s.toUpperCase()), s.toUpperCase());
  for (const s of COMPARE)
    assert.is(cleanReport(`Leber normal. ${s} Milz normal.`, ['comparison']).text.includes(s), false, s);
});

test('what compares within the study stays', () => {
  for (const s of STAND_ALONE) assert.not.ok(comparesWithPrior(s), s);
});

test.run();
