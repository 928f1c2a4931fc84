// The words of the reports of the phantom `part`. Every wording is told with every organ and kind, so that none of them gives away
// what it is about.
import type { PartKind } from './phantom-part-lesions.ts';
import type { PartOrganName } from './phantom-part-organs.ts';

/** `the spleen`, and `in the spleen`. */
interface Place {
  readonly name: string;
  readonly where: string;
}
/** `a cyst`, and `cyst`. */
interface Kind {
  readonly indefinite: string;
  readonly bare: string;
}

const place = (name: string): Place => ({ name, where: `in ${name}` });
const kind = (indefinite: string): Kind => ({ indefinite, bare: indefinite.replace(/^an? /, '') });
const sided = (side: string, organ: string, adjective: string): Place[] => [
  place(`the ${side} ${organ}`),
  place(`the ${organ} on the ${side}`),
  place(`the ${side} ${adjective}`),
];

export const PART_PLACES: Readonly<Record<PartOrganName, readonly Place[]>> = {
  spleen: [place('the spleen'), place('the splenic parenchyma'), place('the splenic tissue')],
  'left kidney': sided('left', 'kidney', 'renal parenchyma'),
  stomach: [place('the stomach'), place('the gastric wall'), place('the gastric body')],
  'left psoas': sided('left', 'psoas muscle', 'iliopsoas'),
  pancreas: [place('the pancreas'), place('the pancreatic parenchyma'), place('the pancreatic gland')],
  'right psoas': sided('right', 'psoas muscle', 'iliopsoas'),
  liver: [place('the liver'), place('the hepatic parenchyma'), place('the hepatic tissue')],
  'right kidney': sided('right', 'kidney', 'renal parenchyma'),
};

export const PART_KIND_WORDS: Readonly<Record<PartKind, readonly Kind[]>> = {
  cyst: [
    'a cyst',
    'a simple cyst',
    'a homogeneous lesion',
    'a uniformly dark lesion',
    'a homogeneous cystic lesion',
    'a cystic focus of fluid density',
    'a lesion without internal structure',
    'a well-defined cyst',
  ].map(kind),
  abscess: [
    'an abscess',
    'a ring-enhancing lesion',
    'a lesion with an enhancing rim',
    'a thick-walled abscess',
    'a collection with a bright wall',
    'a rim-enhancing collection',
    'a walled-off collection',
    'an abscess with a bright margin',
  ].map(kind),
  metastasis: [
    'a metastasis',
    'a metastatic deposit',
    'a target-like lesion',
    'a lesion with a bright centre',
    'a lesion with central enhancement',
    'a secondary deposit with an enhancing core',
    'a metastatic nodule',
    'a hypodense mass with a bright core',
  ].map(kind),
};

/** One lesion, one organ. */
export const PART_LESION: readonly string[] = [
  'There is {a kind} {in site}.',
  '{site} shows {a kind}.',
  '{in site}, {a kind} is seen.',
  '{a kind} of {size} is present {in site}.',
  '{site}: {kind}, {size}.',
  '{kind} {in site}.',
  'Noted {in site} is {a kind}.',
  'We identify {a kind} {in site}, {size} in diameter.',
  '{site} contains {a kind} measuring {size}.',
  'Findings {in site} are in keeping with {a kind}.',
];

/** An organ without a lesion: negations among them, which name kinds that are not there. */
export const PART_NORMAL: readonly string[] = [
  '{site} is unremarkable.',
  'No focal lesion {in site}.',
  '{site} is normal.',
  'No cyst, abscess or metastasis {in site}.',
  'There is no mass {in site}.',
  '{site} shows no ring-enhancing or cystic lesion.',
  '{site} is free of metastatic deposits.',
  'Neither an abscess nor a cyst is seen {in site}.',
  '{site} is of normal attenuation throughout.',
  'No suspicious finding {in site}.',
];

export const PART_FILLER: readonly string[] = [
  'Portal venous phase of good quality.',
  'The aorta is of normal calibre.',
  'No free fluid.',
  'No enlarged lymph nodes.',
  'Bowel loops are not dilated.',
  'Mild degenerative changes of the spine.',
  'No hernia.',
  'No pneumoperitoneum.',
  'The study is of diagnostic quality.',
  'No comparison is available.',
];

export const PART_CONCLUDED: readonly string[] = [
  '{kind} {in site}.',
  '{a kind} {in site}.',
  'Findings consistent with {a kind} {in site}.',
];
export const PART_NOTHING: readonly string[] = ['No focal lesion.', 'Normal study.', 'No cyst, abscess or metastasis.'];
