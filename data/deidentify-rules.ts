// The patterns of de-identification, English and German. Order matters: what a label announces goes before what only looks like it.

export const IDENTIFIERS = [
  'URL',
  'EMAIL',
  'ID',
  'NAME',
  'ADDRESS',
  'HOSPITAL',
  'DATE',
  'TIME',
  'PHONE',
  'AGE',
] as const;
export type Identifier = (typeof IDENTIFIERS)[number];

export interface Rule {
  readonly kind: Identifier;
  readonly pattern: RegExp;
  /** Refuses what only looks right. */
  readonly accepts?: (match: RegExpMatchArray) => boolean;
}

/** Blanks within a line. */
const S = '[^\\S\\n]';
const START = '(?<![\\p{L}\\d])';
const END = '(?![\\p{L}\\d])';
const after = (labels: string, gap = `${S}*`): string => `(?<=${START}(?:${labels})${gap})`;
const rule = (kind: Identifier, source: string, flags = 'gu', accepts?: Rule['accepts']): Rule => ({
  kind,
  pattern: new RegExp(source, flags),
  accepts,
});

/** Capitalised words that follow names and labels without being names. */
const STOP =
  '(?:Drs?|Prof(?:essor)?|Herrn?|Frau|Hr|Mr|Mrs|Ms|Miss|Priv|Position(?:ing)?|Preparation|Information|Data|Female|Male|Woman|Man|Lady|Gentleman|Unknown|Anonymous|The|This|There|With|Known|No|Not|None|Status|History|Patient|Patientin|Name|Sex|Gender|Age|DOB|MRN|ID|Date|Accession|Findings?|Impression|Technique|Comparison|Indication|Exam(?:ination)?|Study|Report|Signed|Electronically|Radiologist|Physician|Referring|Attending|Resident|CT|CTA|MRI?|PET|US|MD|DO|PhD|Tel|Phone|Fax|Chest|Abdomen|Pelvis|Weiblich|Männlich|Geschlecht|Alter|Geb|Geburtsdatum|Befund|Beurteilung|Zustand|Untersuchung|Anamnese|Klinische|Indikation|Fragestellung|Technik|Vergleich|Arzt|Ärztin|Radiologe|Radiologin|Unbekannt|Keine?|Bei|Mit)(?![\\p{L}])';
const PARTICLE = `(?:(?:von|van|de|der|den|zu|zum|zur|la|le|du|di|da|del|della|bin|al|el|ter|ten|vom)${S}+)*`;
const CAP = `(?!${STOP})(?:(?:\\p{Lu}\\.){1,3}|\\p{Lu}(?:[\\p{L}'’]*\\p{L})?(?:-\\p{Lu}[\\p{L}'’]*\\p{L})*)(?![\\p{L}]|\\.\\p{Ll})`;
const names = (most: number): string => `${PARTICLE}${CAP}(?:(?:,${S}*|${S}+)${PARTICLE}${CAP}){0,${most - 1}}`;
/** In any case, up to a number, the next label or the line's end: after labels that announce nothing but a name. */
const WORD = `(?!${STOP})[\\p{L}][\\p{L}'’.-]*(?![\\p{L}'’.-]|${S}*:)`;
const words = `${WORD}(?:,?${S}${WORD}){0,4}`;

const NAME_LABELS =
  "(?:patient(?:'s|’s|en)?[- ]?|first |last |given |family |middle |full |familien|vor|nach|geburts)?names?|surname|vorname|nachname";
const PERSON_LABELS =
  'patient(?:in|en)?|pat\\.?|radiologist|(?:(?:referring|attending|ordering|reporting|requesting|primary care) )?(?:physician|doctor|clinician|provider|radiologist)|attending|resident|fellow|technologist|referrer|zuweiser(?:in)?|überweiser(?:in)?|befunder(?:in)?|untersucher(?:in)?|(?:ober|chef|haus|assistenz)?(?:arzt|ärztin)|radiologe|radiologin|mtra?';
const SIGNED =
  '(?:dictated|signed|reported|approved|verified|reviewed|read|interpreted|transcribed|attested|performed|ordered|requested|finali(?:s|z)ed|discussed|communicated|befundet|validiert|vidiert|unterschrieben|diktiert|freigegeben|besprochen|übermittelt) (?:by|with|to|von|durch|mit|an)';
const TITLES =
  '(?:Dr|Drs|DR|Prof|Hr|Hrn|Fr|Mr|Mrs|Ms|MRS)\\.?(?:[^\\S\\n]*(?:med|dent|phil|rer|nat|h|c|habil)\\.)*|Professor|Doctor|Miss|Mister|Herrn?|Frau|Schwester|Pfleger';

const ID_LABELS =
  'MRN|MR ?#|med(?:ical)?\\.? rec(?:ord)?\\.?|patient(?:en)?[- ]?(?:id|nr|no|number|nummer)|pat\\.?[- ]?(?:id|nr)|(?:fall|aufnahme|auftrags|versicherten|versicherungs|kranken(?:kassen|versicherten)|patienten)(?:[- ]?nr|nummer)|vers\\.?[- ]?nr|accession|acc|account|acct|ssn|social security|insurance|policy|order|requisition|case|encounter|visit|study|exam|chart|device|serial|license';

const MONTH =
  '(?:Jan(?:uary|uar)?|Jänner|Feb(?:ruary|ruar)?|Mar(?:ch)?|März|Mrz|Mär|Apr(?:il)?|May|Mai|June?|Juni|July?|Juli|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|Okt(?:ober)?|Nov(?:ember)?|Dec(?:ember)?|Dez(?:ember)?)';
const MONTHS = `(?:${MONTH}|${MONTH.toUpperCase()})`;
const FULL =
  '(?:January|February|March|April|May|June|July|August|September|October|November|December|Januar|Februar|März|Mai|Juni|Juli|Oktober|Dezember)';
const YEAR = '(?:19|20)\\d{2}';
/** What makes a verb of May. */
const VERB = '(?:be|also|not|still|have|represent|reflect|indicate|suggest|correspond|contain)';
const UNIT = `${S}?(?:mm|cm|ml|mL|HU|HE|%|x${S}?\\d|×)`;
const CLOCK = `(?:[01]?\\d|2[0-3])[:][0-5]\\d(?::[0-5]\\d(?:\\.\\d+)?)?(?:${S}?[ap]\\.?m\\.?)?`;

/** Day and month in either order. */
const isDay = ([, a, , b]: RegExpMatchArray): boolean => {
  const [x, y] = [Number(a), Number(b)];
  return x >= 1 && y >= 1 && Math.min(x, y) <= 12 && Math.max(x, y) <= 31;
};

export const RULES: readonly Rule[] = [
  rule('URL', `(?:https?|ftp)://[^\\s<>"']*[^\\s<>"'.,;:)]|${START}www\\.[^\\s<>"']*[^\\s<>"'.,;:)]`, 'giu'),
  rule('EMAIL', `[\\p{L}\\d._%+-]+@[\\p{L}\\d-]+(?:\\.[\\p{L}\\d-]+)+`),
  // Numbers that name a person or a study.
  rule(
    'ID',
    `${after(ID_LABELS, `${S}*(?:no|nr|num|number|nummer|id|code|uid)?${S}*[.:#=-]*${S}*`)}(?=[\\p{L}.-]*\\d)[\\p{L}\\d][\\p{L}\\d./-]*[\\p{L}\\d]`,
    'giu',
    ([m]) => m.replace(/\D/g, '').length >= 3 && !/^\d{1,2}[./-]\d{1,2}[./-]/.test(m),
  ),
  rule('ID', `${START}\\d(?:\\d*\\.\\d+){4,}${END}`),
  rule('ID', `${START}\\d{3}-\\d{2}-\\d{4}${END}`),
  rule('ID', `${START}[A-Z]\\d{9}${END}`),
  rule('NAME', `${after(NAME_LABELS, `${S}*[:=]${S}*`)}${words}`, 'giu'),
  rule('NAME', `${after(insensitive(PERSON_LABELS), `${S}*[:=]${S}*`)}${names(4)}`),
  rule('NAME', `${after(insensitive(SIGNED), `${S}*:?${S}*`)}${names(4)}`),
  rule('NAME', `${after(TITLES, `${S}*`)}${names(3)}`),
  rule('NAME', `${START}${CAP}(?:,?${S}+${CAP}){1,3}(?=,?${S}+(?:M\\.?D|D\\.?O|Ph\\.?D|MBBS|FRCR|RN)\\b)`),
  rule('NAME', `${after('[Pp]atient(?:in|en)?', `${S}+`)}${CAP}${S}+${PARTICLE}${CAP}`),
  rule(
    'ADDRESS',
    `${after('(?:home )?address|adresse|anschrift|wohnhaft(?: in)?|residing (?:at|in)', `${S}*:?${S}*`)}(?=[\\p{L}\\d])[^\\n\\[]*[^\\s\\[.]`,
    'giu',
  ),
  rule(
    'ADDRESS',
    `${START}\\d{1,5}[a-z]?${S}+(?:(?:[NSEW]\\.?|\\p{Lu}[\\p{L}'’.-]*|\\d+(?:st|nd|rd|th))${S}+){1,4}(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Court|Ct|Way|Place|Terrace|Parkway|Pkwy|Highway|Hwy)${END}\\.?(?:,?${S}+(?:Apt|Suite|Unit|#)\\.?${S}*[\\p{L}\\d]+)?`,
  ),
  rule('ADDRESS', `${START}P\\.?${S}?O\\.?${S}?Box${S}+\\d+`, 'giu'),
  rule(
    'ADDRESS',
    `${START}(?:\\p{Lu}[\\p{L}.-]*(?:straße|strasse|str\\.|weg|gasse|allee|platz|ring|damm|ufer)|(?:\\p{Lu}[\\p{L}-]+${S}+){1,2}(?:Straße|Strasse|Str\\.|Weg|Allee|Platz|Ring))${S}+\\d{1,4}${S}?[a-z]?(?![\\p{L}\\d]|[.,]\\d|${UNIT})`,
  ),
  rule(
    'ADDRESS',
    `${START}(?:D-|A-|CH-)?\\d{5}${S}+(?!${STOP})\\p{Lu}\\p{Ll}+(?:${S}(?:am|an der|im)${S}\\p{Lu}\\p{Ll}+)?`,
  ),
  rule(
    'ADDRESS',
    `(?:${START}\\p{Lu}\\p{Ll}+(?:${S}\\p{Lu}\\p{Ll}+)?,${S}*)?${START}[A-Z]{2}${S}+\\d{5}(?:-\\d{4})?${END}`,
  ),
  rule(
    'HOSPITAL',
    `${START}(?:\\p{Lu}[\\p{L}.'’-]+${S}+){1,4}(?:Hospitals?|Medical Cent(?:er|re)|Clinic|Infirmary|Klinikum|Krankenhaus)${END}`,
  ),
  rule(
    'HOSPITAL',
    `${START}(?:\\p{Lu}[\\p{L}-]*klinikum|Klinikum|\\p{Lu}?[\\p{L}-]*[Kk]rankenhaus)(?:${S}(?:der|am|im|St\\.))?${S}\\p{Lu}[\\p{L}-]+`,
  ),
  // Dates: whole ones, then parts that only a neighbour tells to be dates.
  rule(
    'DATE',
    `${START}${YEAR}([-/.])(?:0?[1-9]|1[0-2])\\1(?:0?[1-9]|[12]\\d|3[01])(?:[T ]${CLOCK}(?:Z|[+-]\\d{2}:?\\d{2})?)?${END}`,
  ),
  rule('DATE', `${START}${YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\\d|3[01])${END}`),
  rule(
    'DATE',
    `${START}(?<![.,/-])(\\d{1,2})([./-])${S}?(\\d{1,2})\\2${S}?(?:${YEAR}|\\d{2})${END}(?!${UNIT}|[./]\\d)`,
    'gu',
    isDay,
  ),
  rule('DATE', `${START}\\d{1,2}(?:st|nd|rd|th|\\.)?(?:${S}of)?[ -]?${MONTH}\\.?,?[ -]?${YEAR}${END}`, 'giu'),
  rule('DATE', `${START}\\d{1,2}-${MONTHS}-\\d{2}${END}`),
  rule('DATE', `${START}\\d{1,2}(?:st|nd|rd|th|\\.)?(?:${S}of)?${S}?(?!MAY|May ${VERB})${MONTHS}${END}`),
  rule('DATE', `${START}${MONTH}\\.?${S}\\d{1,2}(?:st|nd|rd|th)?,?${S}?${YEAR}${END}`, 'giu'),
  rule('DATE', `${START}(?!MAY)${MONTHS}\\.?${S}\\d{1,2}(?:st|nd|rd|th)?${END}(?!${UNIT}|[.,]\\d|-)`),
  rule('DATE', `${START}${MONTH}\\.?,?${S}(?:of${S})?${YEAR}${END}`, 'giu'),
  rule('DATE', `${START}(?:0?[1-9]|1[0-2])[/.]${YEAR}${END}`),
  rule(
    'DATE',
    `${after(insensitive('in|since|of|from|until|during|by|last|early|late|mid|im|seit|vom|bis|anfang|mitte|ende'), `[ -]`)}${FULL}${END}`,
  ),
  rule(
    'DATE',
    `${after(insensitive('on|dated|from|since|until'), `${S}(?:the${S})?`)}(\\d{1,2})(/)(\\d{1,2})${END}(?!${UNIT}|/)`,
    'gu',
    isDay,
  ),
  rule(
    'DATE',
    `${after('vom|am|seit|bis|zum', `${S}(?:dem${S})?`)}(\\d{1,2})(\\.)${S}?(\\d{1,2})\\.(?!\\d)`,
    'giu',
    isDay,
  ),
  rule('TIME', `${START}(?<![.:])${CLOCK}${END}(?!\\.\\d)(?:${S}?Uhr)?`),
  rule('TIME', `${START}(?:[01]?\\d|2[0-3])\\.[0-5]\\d${S}?Uhr${END}`),
  rule(
    'PHONE',
    `${after('tel(?:efon|ephone)?|phone|fax|pager|mobile?|cell|handy|ext(?:ension)?|durchwahl|dw|call(?:ed)? (?:at|on)?', `\\.?${S}*(?:no|nr|number)?\\.?${S}*[:.]?${S}*`)}\\+?\\(?\\d(?:[\\d()/.-]|${S})+\\d`,
    'giu',
  ),
  rule('PHONE', `(?<![\\p{L}\\d.])(?:\\+|00)[1-9]\\d{0,2}(?:[\\d()/.-]|${S}){6,}\\d`),
  rule('PHONE', `(?<![\\p{L}\\d.])\\(?[2-9]\\d{2}\\)?(?:[-.]|${S})\\d{3}(?:[-.]|${S})\\d{4}${END}`),
  rule('PHONE', `(?<![\\p{L}\\d.])0[1-9]\\d{1,4}[ /-]{1,3}\\d{3,}(?:[ -]\\d+)*`),
  rule('ID', `${START}\\d{7,}${END}`),
  rule(
    'AGE',
    `${START}(?:9\\d|1[0-2]\\d)(?=[- ]?(?:years?|yrs?|y\\.?o|y/o|y|jährig\\p{L}*|Jahren?)(?![\\p{L}])|[FM](?![\\p{L}\\d]))`,
  ),
  rule('AGE', `${after('age[d]?|alter|im alter von', `${S}*:?${S}*`)}(?:9\\d|1[0-2]\\d)${END}`, 'giu'),
  rule('AGE', `${START}ninety(?:[- ](?:one|two|three|four|five|six|seven|eight|nine))?(?=[- ]years?)`, 'giu'),
];

/** Either case in the letters of a pattern whose neighbours depend on it. */
function insensitive(source: string): string {
  return source.replace(/(\\.)|\p{L}/gu, (m, escaped) => (escaped ? m : `[${m.toLowerCase()}${m.toUpperCase()}]`));
}
