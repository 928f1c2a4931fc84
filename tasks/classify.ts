// Probabilities of findings for whole studies.
import { type Session, T3dcError } from '../runtime/index.ts';
import { studyContract } from './study-contract.ts';
import { type ReadingOptions, type StudySource, studyBatches } from './study-input.ts';

export interface ClassifiedStudy<S> {
  readonly study: S;
  /** Per finding, 0..1. */
  readonly scores: Float32Array;
}

/** Name of the entry: tiles [b k 1 d h w] -> scores [b f]. */
export const SCORES = 'scores';

/** Findings that the entry scores, and their names where the artifact has some. @throws T3dcError `no-entry`, `bad-artifact` */
export function findingsOf(session: Session): { readonly count: number; readonly names: readonly string[] | null } {
  const scores = session.entry(SCORES).outputs.find((p) => p.name === SCORES);
  if (scores?.shape.length !== 2)
    throw new T3dcError('bad-artifact', 'the entry scores gives no scores of findings', {
      found: session
        .entry(SCORES)
        .outputs.map((p) => `${p.name}[${p.axes.join(' ')}]`)
        .join(', '),
      expected: 'scores [b f]',
      hint: 'Build it from models/t3d.',
    });
  const { findingNames } = session.manifest.model.settings as { readonly findingNames?: readonly string[] };
  return { count: scores.shape[1]!, names: findingNames && findingNames.length > 0 ? findingNames : null };
}

/** @throws T3dcError `no-entry`, `bad-artifact`, `aborted`; without `onSkip` what keeps a study from being read */
export async function classifyStudies<S extends StudySource>(
  session: Session,
  sources: readonly S[],
  options: ReadingOptions = {},
): Promise<ClassifiedStudy<S>[]> {
  const { count } = findingsOf(session);
  const contract = studyContract(session.manifest, SCORES);
  const all: ClassifiedStudy<S>[] = [];
  for await (const { tiles, studies } of studyBatches(sources, contract, options)) {
    const { scores } = await session.entries[SCORES]!({ tiles }, { signal: options.signal });
    studies.forEach((study, b) => {
      all.push({ study, scores: (scores as Float32Array).slice(b * count, (b + 1) * count) });
    });
  }
  return all;
}
