// An index of studies and reports on disk: what a score needs of each, by which artifact and weights it was made, and the moments that
// scores are normalised by. No text of a report is in it, unless it was asked for.
import { createHash } from 'node:crypto';
import { dirname, relative, resolve } from 'node:path';
import { isDataError } from '../data/errors.ts';
import { readBytes, writeFileAtomic } from '../data/node.ts';
import { readSafetensors, toFloat32, type WriteTensor, writeSafetensors } from '../runtime/safetensors.ts';
import type { ContrastMoments, ReportEmbedding } from '../tasks/retrieval.ts';
import { CliError } from './errors.ts';

export interface IndexedStudy {
  readonly name: string;
  readonly patient: string;
}

export interface IndexedReport {
  /** That of the study that it belongs to. */
  readonly name: string;
  readonly patient: string;
  /** Equal for reports that say the same sentences: a hash, from which no text follows. */
  readonly says: string;
  readonly text?: string;
}

/** A file that the index was made with: where it lay, as seen from the index, and what was in it. */
export interface MadeWith {
  readonly path: string;
  readonly hash: string;
}

export interface RetrievalIndex {
  readonly model: string;
  readonly method: string;
  /** The artifact's hash is that of its graph. */
  readonly artifact: MadeWith;
  readonly weights: MadeWith;
  readonly tokenizer: MadeWith;
  readonly sections: string;
  readonly studies: readonly IndexedStudy[];
  readonly reports: readonly IndexedReport[];
  /** By place in `studies` and `reports`. */
  readonly embeddings: {
    readonly studies: readonly Float32Array[];
    readonly reports: readonly ReportEmbedding[];
  };
  readonly moments: ContrastMoments;
}

const FORMAT = 't3dc-retrieval-index-1';

export const hashOf = (content: Uint8Array | string): string => createHash('sha256').update(content).digest('hex');

/** `path`, as seen from where the index will lie. */
export const madeWith = (index: string, path: string, hash: string): MadeWith => ({
  path: relative(dirname(resolve(index)), resolve(path)).replaceAll('\\', '/') || '.',
  hash,
});

/** The path of a file that the index was made with. */
export const pathOf = (index: string, file: MadeWith): string => resolve(dirname(resolve(index)), file.path);

/** @param shape of a study and of a report's sentences */
export async function writeIndex(
  path: string,
  index: RetrievalIndex,
  shape: { readonly study: readonly number[]; readonly sentence: readonly [number, number] },
): Promise<number> {
  const { embeddings, moments, ...about } = index;
  const { studies, reports } = embeddings;
  const [s, c] = shape.sentence;
  const tensor = (name: string, list: readonly Float32Array[], each: readonly number[]): WriteTensor => {
    const size = each.reduce((a, b) => a * b, 1);
    const data = new Float32Array(list.length * size);
    list.forEach((x, n) => {
      data.set(x, n * size);
    });
    return { name, shape: [list.length, ...each], data };
  };
  const queries = reports.map((r) => r.query);
  const bytes = writeSafetensors(
    [
      tensor('study', studies, shape.study),
      ...(queries.every((q) => q !== null) ? [tensor('query', queries, [s, c])] : []),
      tensor(
        'sentence',
        reports.map((r) => r.sentence),
        [s, c],
      ),
      tensor(
        'valid',
        reports.map((r) => r.valid),
        [s],
      ),
      ...(['study', 'text'] as const).flatMap((of) => [
        { name: `${of}_mean`, shape: [c], data: moments[of].mean },
        { name: `${of}_variance`, shape: [c], data: moments[of].variance },
      ]),
    ],
    { format: FORMAT, index: JSON.stringify(about) },
  );
  await writeFileAtomic(path, bytes);
  return bytes.byteLength;
}

/** @throws CliError `bad-index`; DataError `file-missing` */
export async function readIndex(path: string): Promise<RetrievalIndex> {
  const bad = (found: string): CliError =>
    new CliError('bad-index', `${path} is no index of studies and reports`, {
      found,
      expected: `a file that t3dc embed wrote (${FORMAT})`,
      hint: 'Make it anew: t3dc embed ARTIFACT --weights W --pairs P -o INDEX.',
    });
  const bytes = await readBytes(path);
  let file: ReturnType<typeof readSafetensors>;
  try {
    file = readSafetensors(bytes);
  } catch (e) {
    if (isDataError(e)) throw e;
    throw bad(String((e as Error).message).split('\n')[0]!);
  }
  if (file.metadata.format !== FORMAT || file.metadata.index === undefined)
    throw bad(`format ${file.metadata.format ?? 'none'}`);
  const about = JSON.parse(file.metadata.index) as Omit<RetrievalIndex, 'embeddings' | 'moments'>;
  const of = (name: string): Float32Array => {
    const tensor = file.tensors.get(name);
    if (!tensor) throw bad(`no tensor ${name}`);
    return toFloat32(tensor);
  };
  const rows = (name: string, count: number): Float32Array[] => {
    const data = of(name);
    const each = data.length / Math.max(1, count);
    if (!Number.isInteger(each)) throw bad(`${data.length} values of ${name} for ${count} rows`);
    return Array.from({ length: count }, (_, n) => data.subarray(n * each, (n + 1) * each));
  };
  const { length } = about.reports;
  const queries = file.tensors.has('query') ? rows('query', length) : null;
  const [sentences, valid] = [rows('sentence', length), rows('valid', length)];
  return {
    ...about,
    embeddings: {
      studies: rows('study', about.studies.length),
      reports: sentences.map((sentence, n) => ({ query: queries?.[n] ?? null, sentence, valid: valid[n]! })),
    },
    moments: {
      study: { mean: of('study_mean'), variance: of('study_variance') },
      text: { mean: of('text_mean'), variance: of('text_variance') },
    },
  };
}

/** That a file is the one that the index was made with. @throws CliError `index-artifact`, `index-weights`, `index-tokenizer` */
export function checkMadeWith(
  kind: 'artifact' | 'weights' | 'tokenizer',
  made: MadeWith,
  given: { readonly path: string; readonly hash: string },
): void {
  if (made.hash === given.hash) return;
  throw new CliError(
    `index-${kind}`,
    `the index was made with another ${kind === 'weights' ? 'file of weights' : kind}`,
    {
      found: `${given.path} of hash ${given.hash.slice(0, 12)}`,
      expected: `hash ${made.hash.slice(0, 12)}, as ${made.path} had`,
      hint: `Give the ${kind} that it was made with, or make the index anew by t3dc embed.`,
    },
  );
}
