// How reports compare with earlier studies, in English and German. A word that compares within one study ("small compared with the
// left kidney") is no such comparison.

/** What an earlier study is called. */
const PRIOR_EN =
  '(?:(?:the|a|an|his|her|their|most|recent) )*(?:prior|previous|preceding|earlier|old|older|last|outside|baseline|initial|study|studies|exam(?:s|ination|inations)?|ct|cta|mri?|pet(?:[-/]ct)?|scans?|imaging|x-?rays?|radiographs?|ultrasound|(?:jan|feb|mar|apr|may|june?|july?|aug|sep|oct|nov|dec)[a-z]*|\\[date\\]|\\d{4}|\\d{1,2}[./-]\\d{1,2})';
const PRIOR_DE =
  '(?:(?:zur|zum|zu|der|dem|den|die|das|mit|vom|von|letzten|letzter) )*(?:vor(?:untersuchung|befund|aufnahme|studie|ct|mrt?|bild)\\p{L}*|vor-?(?:ct|mrt?)|extern\\p{L}*|(?:ct|mrt?|pet-ct|untersuchung|aufnahme|röntgen\\p{L}*)|\\[date\\]|\\d{1,2}\\.\\s?\\d{1,2}\\.|\\d{4}|(?:jan|feb|mär|apr|mai|jun|jul|aug|sep|okt|nov|dez)\\p{L}*)';

const ENGLISH = [
  `(?:compared|comparison|relative) (?:is made )?(?:with|to) ${PRIOR_EN}`,
  `(?:in|by|for|on) (?:direct )?comparison(?! (?:with|to) the (?:left|right|contralateral|opposite|other|adjacent))`,
  `(?:no|without) (?:[\\p{L}-]+ )?(?:comparisons?|priors)`,
  '(?:prior|previous|earlier|preceding|last) (?:[\\p{L}-]+ )?(?:study|studies|exam(?:s|ination|inations)?|ct|cta|mri?|scans?|imaging|reports?|radiographs?|pet(?:[-/]ct)?)',
  'previously (?:seen|noted|described|reported|identified|demonstrated|visuali[sz]ed|known|characteri[sz]ed|measur\\p{L}+)',
  'as (?:before|previously)|than (?:before|previously)|(?:re-?|again (?:is |are )?)(?:demonstrated|seen|noted|identified|visuali[sz]ed)',
  '(?:un|not (?:significantly |substantially )?)changed|no (?:[\\p{L}-]+ ){0,2}change|interval|no longer|not any ?more',
  `since (?:${PRIOR_EN}|then)`,
  '(?<!ally )stable(?! (?:angina|patient|condition))|stability',
  '(?:ha(?:s|ve)|had) (?:[\\p{L}-]+ ){0,2}(?:increased|decreased|resolved|progressed|regressed|enlarged|grown|shrunk|developed|improved|worsened|cleared|disappeared|appeared|changed)',
  '(?:increas|decreas)(?:ed|ing|e) in (?:size|number|volume|extent|conspicuity)|increasingly|(?:larger|smaller|more|less|fewer)(?: [\\p{L}-]+){0,2} than (?:on|in|at) (?:the )?(?:prior|previous|earlier|last)',
  'progress(?:ion|ive|ed|ing)|regress(?:ion|ive|ed|ing)|worsen(?:ed|ing)|improv(?:ed|ing|ement)|resolution of|(?:un)?resolved|resolving',
  'new(?:ly)?(?! york)|follow(?:ed)?[- ]up (?:of|to) (?:the )?(?:prior|previous|known)',
];
const GERMAN = [
  `(?:im |zum )?vergleich(?:e|s)? (?:${PRIOR_DE})|verglichen mit ${PRIOR_DE}`,
  '(?:im|zum) vergleich(?! (?:zur|zum|zu|mit|der|dem) )|kein(?:e|er)? (?:[\\p{L}-]+ )?(?:vergleich|vor)(?:s?aufnahme|suntersuchung|untersuchung|befund|bild)\\p{L}*|ohne vergleich',
  'vor(?:untersuchung|befund|aufnahme|studie|bild|ct|mrt)\\p{L}*|vor-(?:ct|mrt?)|vorbeschrieben\\p{L}*|vorbekannt\\p{L}*|vorbestehend\\p{L}*',
  `gegenüber (?:${PRIOR_DE})|seit (?:${PRIOR_DE})`,
  'unverändert\\p{L}*|nicht (?:wesentlich |signifikant )?verändert|kein(?:e|er)? (?:[\\p{L}-]+ )?(?:befund)?(?:änderung|veränderung) (?:zu|gegen|seit|im verlauf)\\p{L}*|befundkonstan\\p{L}+',
  'nicht mehr|nunmehr|zwischenzeitlich\\p{L}*|wie (?:zuvor|vorher|vorbeschrieben)|weiterhin|erneut',
  'neu(?:e|er|es|en|em)?(?! york)|neu(?:aufgetreten|aufgetretene|auftreten|nachgewiesen)\\p{L}*',
  '(?:grö(?:ß|ss)en|befund)?(?:progred|regred)ien\\p{L}*|(?:grö(?:ß|ss)en)?(?:progress|regress)(?:ion)?|grö(?:ß|ss)en(?:konstan|zunahme|abnahme|zunehm|abnehm)\\p{L}*|(?:zu|ab)genommen\\p{L}*|(?:zu|ab)nehmend\\p{L}*|rückläufig\\p{L}*|rückbildung\\p{L}*|zurückgebildet\\p{L}*|stabil(?:e|er|es|en)?|im verlauf',
];

const word = (alternatives: readonly string[]): RegExp =>
  new RegExp(`(?<![\\p{L}\\d])(?:${alternatives.join('|')})(?![\\p{L}\\d])`, 'iu');
const COMPARES = [word(ENGLISH), word(GERMAN)];

/** Whether a sentence compares with an earlier study: "unchanged since", "no longer seen", "im Vergleich zur Voruntersuchung". */
export const comparesWithPrior = (sentence: string): boolean =>
  COMPARES.some((c) => c.test(sentence.replace(/\s+/g, ' ')));
