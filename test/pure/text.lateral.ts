// What words forbid as augmentation, and left and right changing places in them.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { AUGMENT, augment, phantom } from '../../data/index.ts';
import { augmentationOf, namedDirections, swapSides } from '../../data/lateral-words.ts';

const SWAPS: readonly (readonly [string, string])[] = [
  ['A cyst in the left kidney.', 'A cyst in the right kidney.'],
  ['Right-sided effusion, LEFT lung clear, leftward shift.', 'Left-sided effusion, RIGHT lung clear, rightward shift.'],
  ['Nodule in the RUL and LLQ; (L) and (r).', 'Nodule in the LUL and RLQ; (R) and (l).'],
  ['Zyste in der linken Niere, rechts kein Stau.', 'Zyste in der rechten Niere, links kein Stau.'],
  [
    'Linksseitiger Erguss, RECHTER Lappen, Rechtsherzbelastung.',
    'Rechtsseitiger Erguss, LINKER Lappen, Linksherzbelastung.',
  ],
  ['Niere li. klein, re. groß.', 'Niere re. klein, li. groß.'],
  ['Dextroscoliosis, levoconvex.', 'Levoscoliosis, dextroconvex.'],
];
const NO_SIDE = [
  'Bilateral effusions; contralateral and ipsilateral nodes.',
  'At a right angle to it. All right.',
  'Recht große Leber, beidseits frei, rechtsmedizinisch.',
  'Brightly enhancing; leftover; are (a) normal.',
];

test('left and right change places, in form and case; twice is nothing', () => {
  for (const [a, b] of SWAPS) {
    assert.is(swapSides(a).text, b);
    assert.is(swapSides(b).text, a);
    assert.ok(namedDirections(a).lateral, a);
  }
  for (const s of NO_SIDE) {
    assert.equal(swapSides(s), { text: s, swaps: 0 });
    assert.not.ok(namedDirections(s).lateral, s);
  }
  assert.is(swapSides(SWAPS[0]![0]).swaps, 1);
});

test("the phantom's reports: swapped, they say what the mirrored truth says", () => {
  let told = 0;
  for (let index = 0; index < 40; index++) {
    const { report, lesions } = phantom({
      seed: 8,
      index,
      size: [16, 16, 16],
      maxLesions: 3,
      secondLanguage: 0.4,
    }).truth;
    assert.is(swapSides(swapSides(report.text).text).text, report.text);
    for (const s of report.findings) {
      if (s.about !== 'lesion' || !lesions[s.lesion]!.side) continue;
      const other = lesions[s.lesion]!.side === 'left' ? /\b(right|rechten?)\b/i : /\b(left|linken?)\b/i;
      assert.match(swapSides(s.text).text, other, s.text);
      assert.not.match(s.text, other, s.text);
      told++;
    }
  }
  assert.ok(told > 20, `${told} sided lesions`);
});

test('front and back, upper and lower', () => {
  const ap = [
    'Anterior wall.',
    'posteriorly',
    'anterolateral rib',
    'dorsal atelectasis',
    'Vorderwand',
    'hintere Wand',
    'in the back',
    'Dependent atelectasis.',
  ];
  const cc = [
    'Upper lobe.',
    'inferior pole',
    'posteroinferior',
    'Unterlappen',
    'im oberen Drittel',
    'kranial',
    'lung apex',
    'Lungenspitze',
    'RLL nodule',
    'bases clear',
    'suprahilar',
  ];
  const none = [
    'Untersuchung mit Kontrastmittel.',
    'The liver is of lower attenuation.',
    'Background noise. Im Vordergrund steht nichts.',
    'Oberfläche glatt, unter Kontrolle.',
    'independent',
    'based on this',
  ];
  for (const s of ap) assert.ok(namedDirections(s).anteroposterior, s);
  for (const s of cc) assert.ok(namedDirections(s).craniocaudal, s);
  for (const s of none)
    assert.equal(namedDirections(s), { lateral: false, anteroposterior: false, craniocaudal: false }, s);
});

test('what augmentation may do', () => {
  assert.equal(augmentationOf(['The liver is normal.']), { lateral: 'free', directional: false });
  assert.equal(augmentationOf(['The liver is normal.', 'Left kidney.']), { lateral: 'fixed', directional: false });
  assert.equal(augmentationOf(['Left kidney.'], true), { lateral: [], directional: false });
  assert.equal(augmentationOf(['Left kidney.', 'RML nodule.'], true), { lateral: 'fixed', directional: false });
  assert.equal(augmentationOf(['Lingula.', 'upper pole'], true), { lateral: 'fixed', directional: true });
  assert.equal(augmentationOf([]), { lateral: 'free', directional: false });
});

test('mirrored volumes carry mirrored words, and only they', () => {
  const text = 'A cyst in the left kidney.';
  const sample = {
    image: Float32Array.from({ length: 8 }, (_, i) => i),
    dims: [2, 2, 2] as const,
    spacing: [1, 1, 1] as const,
  };
  const options = { ...AUGMENT, flip: 0.5, rot90: 0, shiftChance: 0, ...augmentationOf([text], true) };
  let swapped = 0;
  for (let index = 0; index < 40; index++) {
    const { sample: out, applied } = augment(sample, options, { seed: 3, epoch: 0, index });
    const words = applied.sidesSwapped ? swapSides(text).text : text;
    assert.is(words.includes('right'), applied.flips[0]);
    assert.is(out.image[0]! >= 4, applied.flips[0], 'the first slab is the former last');
    if (applied.flips[0]) swapped++;
    const still = augment(sample, { ...options, ...augmentationOf([text]) }, { seed: 3, epoch: 0, index });
    assert.is(still.applied.flips[0], false);
  }
  assert.ok(swapped > 8 && swapped < 32, `${swapped} of 40`);
});

test.run();
