// Matching the tensors of a checkpoint to a model's parameters, whatever names their publisher gave them.
import { translator } from './dialects.ts';
import { T3dcError } from './errors.ts';
import type { Dialect, Parameter } from './manifest.ts';
import type { SafetensorsFile, StoredTensor } from './safetensors.ts';

/** A tensor's name in the model, or null to leave it out. */
export type Rename = (name: string) => string | null;

export interface WeightReport {
  /** Dialects that some names went through, with the number of tensors loaded by each; empty when the names fit as they are. */
  readonly dialects: readonly { readonly name: string; readonly tensors: number }[];
  /** Parameters that were loaded. */
  readonly matched: readonly string[];
  /** Parameters that the file does not hold. */
  readonly missing: readonly string[];
  /** Tensors that no parameter takes. */
  readonly unexpected: readonly string[];
  readonly shapeMismatch: readonly {
    readonly name: string;
    readonly found: readonly number[];
    readonly expected: readonly number[];
  }[];
  /** What was left out: integer tensors that no parameter takes (buffers), groups that dialects call optional and this artifact
   *  lacks as a whole, and what `rename` leaves out. */
  readonly ignored: readonly string[];
}

export interface WeightMatch {
  readonly report: WeightReport;
  readonly tensors: ReadonlyMap<Parameter, StoredTensor>;
}

/** Takes every tensor by its name as it is, else by the dialects. Throws T3dcError 'weights-mismatch' when nothing matches, and,
 *  if `strict`, when anything is missing, unexpected or of another shape. */
export function matchWeights(
  file: SafetensorsFile,
  parameters: readonly Parameter[],
  options: { readonly strict: boolean; readonly dialects: readonly Dialect[]; readonly rename?: Rename },
): WeightMatch {
  const match = matchNames(file, parameters, options.dialects, options.rename);
  const { report } = match;
  const first = (names: readonly string[]): string =>
    `${names.slice(0, 5).join(', ')}${names.length > 5 ? `, … (${names.length})` : ''}`;
  if (report.matched.length === 0)
    throw new T3dcError('weights-mismatch', 'the file holds no weight of this model', {
      found: first([...file.tensors.keys()]),
      expected: first(parameters.map((p) => p.name)),
      hint: 'Is it the right file? Names can be mapped with the option `rename`.',
    });
  if (options.strict) {
    const faults = [
      ...(report.missing.length ? [`missing ${first(report.missing)}`] : []),
      ...(report.unexpected.length ? [`unexpected ${first(report.unexpected)}`] : []),
      ...report.shapeMismatch
        .slice(0, 5)
        .map((m) => `${m.name} is [${m.found.join(', ')}], not [${m.expected.join(', ')}]`),
    ];
    if (faults.length)
      throw new T3dcError('weights-mismatch', `the weights do not fit the model: ${faults.join('; ')}`, {
        hint: 'Load with { strict: false } to take what fits.',
      });
  }
  return match;
}

function matchNames(
  file: SafetensorsFile,
  parameters: readonly Parameter[],
  dialects: readonly Dialect[],
  rename?: Rename,
): WeightMatch {
  const byName = new Map<string, Parameter>();
  for (const p of parameters) for (const alias of p.aliases ?? []) byName.set(alias, p);
  for (const p of parameters) byName.set(p.name, p);
  const translate = translator(dialects, byName);
  const absent = dialects
    .flatMap((d) => (d.optional ?? []).map((match) => new RegExp(match)))
    .filter((group) => !parameters.some((p) => group.test(p.name)));

  const tensors = new Map<Parameter, StoredTensor>();
  const used = new Map<string, number>();
  const unexpected: string[] = [];
  const ignored: string[] = [];
  const shapeMismatch: { name: string; found: readonly number[]; expected: readonly number[] }[] = [];
  const mismatched = new Set<Parameter>();
  for (const [original, tensor] of file.tensors) {
    const wanted = rename ? rename(original) : original;
    if (wanted === null) {
      ignored.push(original);
      continue;
    }
    const { name, dialects: through } = translate(wanted);
    const parameter = byName.get(name);
    if (!parameter) {
      const left = /^(I|U|BOOL)/.test(tensor.dtype) || absent.some((group) => group.test(name));
      (left ? ignored : unexpected).push(original);
    } else if (tensor.shape.join() !== parameter.shape.join()) {
      shapeMismatch.push({ name: parameter.name, found: tensor.shape, expected: parameter.shape });
      mismatched.add(parameter);
    } else if (tensors.has(parameter)) unexpected.push(original);
    else {
      tensors.set(parameter, tensor);
      for (const d of through) used.set(d, (used.get(d) ?? 0) + 1);
    }
  }
  const names = (take: (p: Parameter) => boolean): string[] => parameters.filter(take).map((p) => p.name);
  return {
    tensors,
    report: {
      dialects: [...used].map(([name, count]) => ({ name, tensors: count })),
      matched: names((p) => tensors.has(p)),
      missing: names((p) => !tensors.has(p) && !mismatched.has(p)),
      unexpected,
      shapeMismatch,
      ignored,
    },
  };
}
