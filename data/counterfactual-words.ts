// Words that a report may exchange to say something else, English and German: which organ, which kind of finding. Both of a pair are of
// one form (and of one gender), so that the sentence stays one.

/** Words that stand for each other, each way; a word may be in several pairs. */
export type WordPairs = readonly (readonly [string, string])[];

export interface CounterfactualWords {
  readonly organs: WordPairs;
  readonly kinds: WordPairs;
}

const pairs = (list: string): WordPairs =>
  list.split(', ').map((pair) => {
    const [a, b] = pair.split(' / ');
    return [a!, b!] as const;
  });

/** Paired organs for paired ones, so that a side goes with both. */
const ORGANS =
  'liver / spleen, hepatic / splenic, pancreas / stomach, pancreatic / gastric, kidney / lung, kidneys / lungs, renal / pulmonary, ' +
  'gallbladder / bladder, kidney / psoas muscle, upper lobe / lower lobe, thyroid / thymus, colon / duodenum, ' +
  'Leber / Milz, Pankreas / Duodenum, Niere / Lunge, Nieren / Lungen, Gallenblase / Harnblase, Oberlappen / Unterlappen';

const KINDS =
  'cyst / metastasis, cysts / metastases, cyst / abscess, cysts / abscesses, metastasis / abscess, metastases / abscesses, ' +
  'cystic / solid, simple cyst / solid mass, homogeneous / ring-enhancing, ring-enhancing / target-like, ' +
  'hypodense / hyperdense, hypoattenuating / hyperattenuating, benign / malignant, pleural effusion / pneumothorax, ' +
  'atelectasis / consolidation, stenosis / aneurysm, haematoma / abscess, hematoma / abscess, ' +
  'Zyste / Metastase, Zysten / Metastasen, Abszess / Tumor, Abszesse / Tumore, hypodense / hyperdense, hypodenser / hyperdenser, ' +
  'Pleuraerguss / Pneumothorax, benigne / maligne';

export const COUNTERFACTUAL_WORDS: CounterfactualWords = { organs: pairs(ORGANS), kinds: pairs(KINDS) };

/** Words by which a sentence says that something is not there, or is as it should be. */
const NEGATED =
  /(?<![\p{L}\d])(?:no|not|none|without|absent|absence|negative|normal|unremarkable|regular|clear|intact|free of|kein\p{L}*|nicht|ohne|unauffällig\p{L}*|regelrecht\p{L}*|normal\p{L}*|frei)(?![\p{L}\d])/iu;

/** Whether a sentence tells of something that is there: none of its words says that nothing is, or that all is well. */
export const isFinding = (sentence: string): boolean => !NEGATED.test(sentence);
