// Weights from a file into a session: all that the artifact has, or, to begin a training, what there is; and what came from where.
import { readBytes } from '../data/node.ts';
import type { Session } from '../runtime/index.ts';
import { CliError } from './errors.ts';
import type { Output } from './output.ts';
import { checkpointNames } from './weight-counts.ts';

/**
 * All that these entries read. A file's tensors that the artifact does not have are left out, and told: heads, decoders and text
 * towers; what other entries read and the file lacks does not matter.
 * @throws CliError `weights-mismatch` where the file lacks some; what `loadWeights` throws
 */
export async function loadNeeded(
  session: Session,
  path: string,
  entries: readonly string[],
  out: Output,
): Promise<Uint8Array> {
  const file = await readBytes(path);
  const report = await session.loadWeights(file, { strict: false, ...checkpointNames(session.manifest, file) });
  const { parameters } = session.manifest;
  const needed = new Set(entries.flatMap((e) => session.entry(e).parameters.map((n) => parameters[n]!.name)));
  const lacking = [...report.missing, ...report.shapeMismatch.map((m) => m.name)].filter((n) => needed.has(n));
  if (lacking.length > 0)
    throw new CliError('weights-mismatch', `${path} is not of a model like this artifact's`, {
      found: `${needed.size - lacking.length} of ${needed.size} tensors; not there or of another shape: ${parts(lacking)}`,
      expected: `all that ${entries.join(', ')} read`,
      hint: 'Build the artifact with the settings and the method that the weights were trained with.',
    });
  for (const d of report.dialects)
    if (d.tensors > 0) out.note(`${path}: ${d.tensors} tensors by the names of ${d.name}`);
  const unused = [...report.unexpected, ...report.ignored];
  if (unused.length > 0) out.note(`${path}: not used here: ${parts(unused)}`);
  return file;
}

export interface Beginning {
  readonly loaded: readonly string[];
  readonly drawn: readonly string[];
  readonly unused: readonly string[];
}

/** What the file has of the model; what it lacks stays as it was drawn. Tells both. @throws what `loadWeights` throws */
export async function loadInitial(session: Session, path: string, out: Output): Promise<Beginning> {
  const file = await readBytes(path);
  const report = await session.loadWeights(file, { strict: false, ...checkpointNames(session.manifest, file) });
  const found: Beginning = {
    loaded: report.matched,
    drawn: [...report.missing, ...report.shapeMismatch.map((m) => m.name)],
    unused: [...report.unexpected, ...report.ignored],
  };
  out.note(
    `${path}: ${found.loaded.length} of ${session.manifest.parameters.length} tensors loaded: ${parts(found.loaded)}`,
  );
  for (const d of report.dialects) if (d.tensors > 0) out.note(`  ${d.tensors} by the names of ${d.name}`);
  if (found.drawn.length > 0) out.note(`drawn from the seed instead: ${parts(found.drawn)} (${found.drawn.length})`);
  for (const m of report.shapeMismatch) out.note(`  ${m.name} is of another shape in the file`);
  if (found.unused.length > 0) out.note(`not used: ${parts(found.unused)} (${found.unused.length})`);
  return found;
}

/** Names by the part of the model that they are of: `encoder (14), classify (2)`. */
export function parts(names: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of names) {
    const part = name.split('.')[0]!;
    counts.set(part, (counts.get(part) ?? 0) + 1);
  }
  return [...counts].map(([part, n]) => `${part} (${n})`).join(', ') || 'none';
}
