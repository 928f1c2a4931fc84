// What a class's name says in codes, for DICOM segments: SNOMED CT where the name is a known structure or finding, a code of
// our own with the name as its meaning elsewhere.

export interface Code {
  readonly value: string;
  /** Coding scheme: SCT, or 99T3DC for our own. */
  readonly scheme: string;
  readonly meaning: string;
}

export interface SegmentCodes {
  readonly category: Code;
  readonly type: Code;
  /** Right, left or both, where the name tells it. */
  readonly side?: Code;
}

/** Codes of a class name such as `right kidney`, `kidney_left`, `lungs`, `liver tumour`. */
export function segmentCodes(name: string): SegmentCodes {
  const words = name.toLowerCase().split(/[^\p{L}\p{N}]+/u);
  const has = (word: string) => words.includes(word);
  const side = has('right') ? RIGHT : has('left') ? LEFT : undefined;
  for (const [meaning, value, ...names] of FINDINGS)
    if (names.some(has)) return { category: FINDING, type: { value, scheme: 'SCT', meaning }, side };
  const rest = words.filter((w) => w !== 'right' && w !== 'left').join(' ');
  for (const [meaning, value, ...names] of STRUCTURES) {
    if (![meaning.toLowerCase(), ...names].some((n) => n === rest || `${n}s` === rest)) continue;
    const both = !side && PAIRED.has(meaning) && rest.endsWith('s') ? BOTH : undefined;
    return { category: STRUCTURE, type: { value, scheme: 'SCT', meaning }, side: side ?? both };
  }
  // A code value has at most 16 characters.
  return {
    category: STRUCTURE,
    type: { value: name.trim().slice(0, 16), scheme: '99T3DC', meaning: name.trim() },
    side,
  };
}

const sct = (value: string, meaning: string): Code => ({ value, scheme: 'SCT', meaning });
const STRUCTURE = sct('123037004', 'Anatomical Structure');
const FINDING = sct('49755003', 'Morphologically Altered Structure');
const RIGHT = sct('24028007', 'Right');
const LEFT = sct('7771000', 'Left');
const BOTH = sct('51440002', 'Right and left');

/** Meaning, SNOMED CT code, words that name it. */
const FINDINGS: readonly (readonly string[])[] = [
  ['Metastasis', '14799000', 'metastasis', 'metastases'],
  ['Cyst', '367643001', 'cyst', 'cysts'],
  ['Abscess', '44132006', 'abscess', 'abscesses'],
  ['Nodule', '27925004', 'nodule', 'nodules'],
  ['Neoplasm', '108369006', 'tumor', 'tumour', 'tumors', 'tumours', 'neoplasm', 'cancer'],
  ['Lesion', '52988006', 'lesion', 'lesions'],
];

/** Meaning, SNOMED CT code, further names. */
const STRUCTURES: readonly (readonly string[])[] = [
  ['Liver', '10200004'],
  ['Spleen', '78961009'],
  ['Kidney', '64033007'],
  ['Lung', '39607008'],
  ['Spine', '421060004', 'vertebral column'],
  ['Aorta', '15825003'],
  ['Pancreas', '15776009'],
  ['Gallbladder', '28231008', 'gall bladder'],
  ['Stomach', '69695003'],
  ['Esophagus', '32849002', 'oesophagus'],
  ['Inferior vena cava', '64131007', 'ivc', 'postcava'],
  ['Portal vein', '32764006'],
  ['Splenic vein', '35819009'],
  ['Adrenal gland', '23451007', 'adrenal'],
  ['Duodenum', '38848004'],
  ['Small intestine', '30315005', 'small bowel'],
  ['Colon', '71854001'],
  ['Bladder', '89837001', 'urinary bladder'],
  ['Prostate', '41216001'],
  ['Heart', '80891009'],
  ['Trachea', '44567001'],
  ['Brain', '12738006'],
  ['Bone', '272673000'],
];
const PAIRED = new Set(['Kidney', 'Lung', 'Adrenal gland']);
