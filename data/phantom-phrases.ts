// The words of the phantom's reports, in English and German.
import type { Lesion, LesionKind, LesionOrgan } from './phantom-lesions.ts';

export type Language = 'en' | 'de';

export interface Site {
  readonly organ: LesionOrgan;
  readonly side: Lesion['side'];
}

/** How a thing is called: `a cyst` and `cyst`. */
interface Kind {
  readonly indefinite: string;
  readonly bare: string;
}
/** `the left kidney`, and `in the left kidney`. Paired organs with side null are both. */
interface Place {
  readonly name: string;
  readonly where: string;
}

export interface Phrases {
  readonly headings: readonly [string, string];
  readonly point: string;
  readonly kinds: Readonly<Record<LesionKind, readonly Kind[]>>;
  sites(site: Site): readonly Place[];
  readonly lesion: readonly string[];
  readonly concluded: readonly string[];
  readonly normal: readonly string[];
  readonly normalBoth: readonly string[];
  readonly nothing: readonly string[];
  readonly filler: readonly string[];
}

const english = (indefinite: string): Kind => ({ indefinite, bare: indefinite.replace(/^an? /, '') });
/** Nominative; the feminine article needs no other form in these sentences. */
const german = (article: 'ein' | 'eine', bare: string): Kind => ({ indefinite: `${article} ${bare}`, bare });

const en: Phrases = {
  headings: ['FINDINGS:', 'IMPRESSION:'],
  point: '.',
  kinds: {
    cyst: ['a cyst', 'a simple cyst', 'a homogeneous cystic lesion', 'a well-defined lesion of fluid density'].map(
      english,
    ),
    abscess: [
      'an abscess',
      'a ring-enhancing lesion',
      'a collection with an enhancing rim',
      'a thick-walled abscess',
    ].map(english),
    metastasis: [
      'a metastasis',
      'a metastatic deposit',
      'a target-like lesion with a bright centre',
      'a lesion with central enhancement',
    ].map(english),
  },
  sites: ({ organ, side }) => {
    const places = (...names: string[]): Place[] => names.map((name) => ({ name, where: `in ${name}` }));
    if (organ === 'liver') return places('the liver', 'the hepatic parenchyma');
    if (organ === 'spleen') return places('the spleen', 'the splenic parenchyma');
    if (side) return places(`the ${side} ${organ}`, `the ${organ} on the ${side}`);
    return [{ name: `both ${organ}s`, where: `in either ${organ}` }, ...places(`the ${organ}s`)];
  },
  lesion: [
    '{a kind} of {size} {in site}.',
    '{in site} there is {a kind} measuring {size}.',
    '{site} shows {a kind}, {size} in diameter.',
    '{a kind} is seen {in site}, size {size}.',
    'There is {a kind} {in site} with a diameter of {size}.',
    '{site}: {kind}, {size}.',
    'Noted {in site} is {a kind}; it measures {size}.',
    '{kind} {in site}, up to {size}.',
    'We identify {a kind} {in site} ({size}).',
  ],
  concluded: ['{kind} {in site}.', '{a kind} of {size} {in site}.', 'Findings consistent with {a kind} {in site}.'],
  normal: [
    '{site} is unremarkable.',
    'No focal lesion {in site}.',
    '{site} is normal in size and attenuation.',
    '{site} without cyst, abscess or metastasis.',
    'There is no mass {in site}.',
  ],
  normalBoth: [
    '{site} are unremarkable.',
    'No focal lesion {in site}.',
    '{site} are normal.',
    '{site} without cyst, abscess or metastasis.',
    'There is no mass {in site}.',
  ],
  nothing: ['No focal lesion.', 'Normal study.', 'No cyst, abscess or metastasis.'],
  filler: [
    'Portal venous phase of good quality.',
    'The aorta is of normal calibre.',
    'No free fluid in the abdomen.',
    'No enlarged lymph nodes.',
    'Bowel loops are not dilated.',
    'Mild degenerative changes of the spine.',
    'No suspicious bone lesion.',
    'The stomach is partly filled.',
    'The heart is not enlarged.',
  ],
};

const de: Phrases = {
  headings: ['BEFUND:', 'BEURTEILUNG:'],
  point: ',',
  kinds: {
    cyst: [
      german('eine', 'Zyste'),
      german('eine', 'homogene zystische Läsion'),
      german('eine', 'glatt begrenzte Zyste'),
    ],
    abscess: [
      german('ein', 'Abszess'),
      german('eine', 'randständig anreichernde Läsion'),
      german('eine', 'Abszesshöhle'),
    ],
    metastasis: [
      german('eine', 'Metastase'),
      german('eine', 'metastatische Absiedlung'),
      german('eine', 'zentral anreichernde Läsion'),
    ],
  },
  sites: ({ organ, side }) => {
    const adjective = side === 'right' ? 'rechte' : 'linke';
    const paired = (one: string, many: string): Place =>
      side
        ? { name: `die ${adjective} ${one}`, where: `in der ${adjective}n ${one}` }
        : { name: `beide ${many}`, where: `in beiden ${many}` };
    return [
      {
        liver: { name: 'die Leber', where: 'in der Leber' },
        spleen: { name: 'die Milz', where: 'in der Milz' },
        kidney: paired('Niere', 'Nieren'),
        lung: paired('Lunge', 'Lungen'),
      }[organ],
    ];
  },
  lesion: [
    '{in site} zeigt sich {a kind} von {size}.',
    '{kind} {in site}, {size}.',
    'Es findet sich {a kind} {in site} mit einem Durchmesser von {size}.',
    '{in site} {a kind}, bis {size}.',
    '{a kind} ({size}) {in site}.',
  ],
  concluded: ['{kind} {in site}.', '{a kind} {in site}, {size}.'],
  normal: ['{site} ist unauffällig.', 'Kein Herdbefund {in site}.', '{site} ohne Zyste, Abszess oder Metastase.'],
  normalBoth: ['{site} sind unauffällig.', 'Kein Herdbefund {in site}.', '{site} ohne Zyste, Abszess oder Metastase.'],
  nothing: ['Kein Herdbefund.', 'Unauffällige Untersuchung.'],
  filler: [
    'Portalvenöse Phase in guter Qualität.',
    'Die Aorta ist normal weit.',
    'Keine freie Flüssigkeit.',
    'Keine vergrößerten Lymphknoten.',
    'Mäßige degenerative Veränderungen der Wirbelsäule.',
    'Der Magen ist teilweise gefüllt.',
  ],
};

export const PHRASES: Readonly<Record<Language, Phrases>> = { en, de };
