// Matching the tensors of a checkpoint to a model's parameters, whatever names their publisher gave them.
import { T3dcError } from './errors.ts';
import type { Parameter } from './manifest.ts';
import type { SafetensorsFile, StoredTensor } from './safetensors.ts';

/** How one publisher's names become the model's. */
export interface Dialect {
  readonly name: string;
  /** Applied in order to every tensor's name: a regular expression and its replacement. */
  readonly rename: readonly { readonly pattern: string; readonly replacement: string }[];
  /** Tensors that hold no weights (regular expressions over the renamed name). */
  readonly ignore?: readonly string[];
}

/** A tensor's name in the model, or null to leave it out. */
export type Rename = (name: string) => string | null;

export interface WeightReport {
  /** Which dialect's names fitted best; null when the names fitted as they are. */
  readonly dialect: string | null;
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
  /** Buffers without weights: integer tensors that no parameter takes, and what the dialect names. */
  readonly ignored: readonly string[];
}

export interface WeightMatch {
  readonly report: WeightReport;
  readonly tensors: ReadonlyMap<Parameter, StoredTensor>;
}

/** Tries the names as they are and every dialect; the one that matches most wins. Throws T3dcError 'weights-mismatch' when
 *  nothing matches, and, if `strict`, when anything is missing, unexpected or of another shape. */
export function matchWeights(
  file: SafetensorsFile,
  parameters: readonly Parameter[],
  options: { readonly strict: boolean; readonly dialects: readonly Dialect[]; readonly rename?: Rename },
): WeightMatch {
  const asIs: Dialect = { name: '', rename: [] };
  let best: WeightMatch | null = null;
  for (const dialect of [asIs, ...options.dialects]) {
    const match = matchDialect(file, parameters, dialect, options.rename);
    if (!best || match.report.matched.length > best.report.matched.length) best = match;
  }
  const { report } = best!;
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
  return best!;
}

function matchDialect(
  file: SafetensorsFile,
  parameters: readonly Parameter[],
  dialect: Dialect,
  rename?: Rename,
): WeightMatch {
  const rules = dialect.rename.map((r) => ({ pattern: new RegExp(r.pattern), replacement: r.replacement }));
  const ignore = (dialect.ignore ?? []).map((p) => new RegExp(p));
  const byName = new Map<string, Parameter>();
  for (const p of parameters) for (const alias of p.aliases ?? []) byName.set(alias, p);
  for (const p of parameters) byName.set(p.name, p);

  const tensors = new Map<Parameter, StoredTensor>();
  const unexpected: string[] = [];
  const ignored: string[] = [];
  const shapeMismatch: { name: string; found: readonly number[]; expected: readonly number[] }[] = [];
  const mismatched = new Set<Parameter>();
  for (const [original, tensor] of file.tensors) {
    let name = rename ? rename(original) : original;
    if (name === null) {
      ignored.push(original);
      continue;
    }
    // torch.nn.DataParallel's prefix
    name = name.replace(/^module\./, '');
    for (const r of rules) name = name.replace(r.pattern, r.replacement);
    const parameter = byName.get(name);
    if (!parameter) {
      const buffer = /^(I|U|BOOL)/.test(tensor.dtype) || ignore.some((p) => p.test(name!));
      (buffer ? ignored : unexpected).push(original);
    } else if (tensor.shape.join() !== parameter.shape.join()) {
      shapeMismatch.push({ name: parameter.name, found: tensor.shape, expected: parameter.shape });
      mismatched.add(parameter);
    } else if (tensors.has(parameter)) unexpected.push(original);
    else tensors.set(parameter, tensor);
  }
  const names = (take: (p: Parameter) => boolean): string[] => parameters.filter(take).map((p) => p.name);
  return {
    tensors,
    report: {
      dialect: dialect.name || null,
      matched: names((p) => tensors.has(p)),
      missing: names((p) => !tensors.has(p) && !mismatched.has(p)),
      unexpected,
      shapeMismatch,
      ignored,
    },
  };
}
