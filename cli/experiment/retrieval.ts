// Retrieval: from a report the study that it is of, among all that are judged, and the other way. Studies whose reports state the same
// are equally right.
import { type RetrievalScore, retrieval } from '../../data/index.ts';
import { settingsOf, shapeOf, wholeStudies } from './arms.ts';
import type { Arm, Declaration } from './declaration.ts';
import { opened, type RunOptions } from './opened.ts';
import type { Studies, Study } from './studies.ts';

interface Direction {
  /** At 1, 5 and 10. */
  readonly recall: readonly number[];
  readonly chance: readonly number[];
  readonly medianRank: number;
}

export interface RetrievalResult {
  readonly studies: number;
  readonly reportToStudy: Direction;
  readonly studyToReport: Direction;
}

/** All judged studies are one batch, over which the contrast normalises; each with its own report, also where training gave it another's. */
export async function retrieveStudies(
  weights: Uint8Array,
  arm: Exclude<Arm, 'scratch'>,
  seed: number,
  studies: Studies,
  d: Declaration,
  o: RunOptions,
): Promise<RetrievalResult> {
  const { judged } = studies;
  const all: Declaration = { ...d, batch: judged.length };
  const session = await opened(
    `scores-${shapeOf(arm, d).method}`,
    ['diagnose'],
    settingsOf(arm, all, studies.vocabulary),
    seed,
    o,
  );
  try {
    await session.loadWeights(weights, { strict: false });
    const { scores } = await session.entries.diagnose!(wholeStudies(arm, judged, all));
    const n = judged.length;
    const flat = scores as Float32Array;
    const groups = judged.map(findingsOf);
    const found = retrieval(
      Array.from({ length: n }, (_, j) => flat.subarray(j * n, (j + 1) * n)),
      { rowGroups: groups, columnGroups: groups },
    );
    const direction = ({ recall, chance, medianRank }: RetrievalScore): Direction => ({ recall, chance, medianRank });
    return { studies: n, studyToReport: direction(found.rows), reportToStudy: direction(found.columns) };
  } finally {
    await session.close();
  }
}

/** What a report states of each organ. */
const findingsOf = (s: Study): string =>
  s.statements
    .flatMap((x) => (x.about === 'filler' ? [] : [`${x.organ} ${x.about === 'lesion' ? x.kind : ''}`]))
    .sort()
    .join();
