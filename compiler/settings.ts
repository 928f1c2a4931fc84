// A model's settings: its defaults, a preset over them, and what the command line sets, each checked against the default's
// type.
import { ModelError } from '../dsl/errors.ts';
import type { ModelSpec } from '../dsl/model.ts';

export interface SettingsOptions {
  readonly preset?: string;
  /** Settings from elsewhere (a published model's configuration), over the preset; `set` goes over both. */
  readonly given?: Readonly<Record<string, unknown>>;
  /** key=value pairs, values as text or already typed. */
  readonly set?: Readonly<Record<string, unknown>>;
  /** Spatial size: one number for all axes, or one each. */
  readonly size?: readonly number[];
  readonly batch?: number;
}

export function resolveSettings<S extends object>(spec: ModelSpec<S>, o: SettingsOptions): S {
  const base = spec.settings as Record<string, unknown>;
  const out: Record<string, unknown> = { ...base };
  if (o.preset !== undefined) {
    const preset = spec.presets?.[o.preset];
    if (!preset)
      throw new ModelError(
        'build-preset',
        `model ${spec.name} has no preset '${o.preset}'; it has: ${Object.keys(spec.presets ?? {}).join(', ') || 'none'}`,
      );
    Object.assign(out, preset);
  }
  for (const [key, value] of [...Object.entries(o.given ?? {}), ...Object.entries(o.set ?? {})]) {
    if (!(key in base))
      throw new ModelError(
        'build-setting',
        `model ${spec.name} has no setting '${key}'${near(key, Object.keys(base))}; it has: ${Object.keys(base).join(', ')}`,
      );
    const now = out[key];
    out[key] = isRecord(now) ? merged(key, value, now) : parse(key, value, base[key]);
  }
  if (o.size) out.size = spatial(spec.name, o.size, base.size);
  if (o.batch !== undefined) {
    if (!('batch' in base)) throw new ModelError('build-setting', `model ${spec.name} has no setting 'batch'`);
    out.batch = o.batch;
  }
  return out as S;
}

function spatial(model: string, size: readonly number[], like: unknown): unknown {
  if (like === undefined) throw new ModelError('build-setting', `model ${model} has no setting 'size'`);
  const three = size.length === 1 ? [size[0], size[0], size[0]] : size;
  if (!Array.isArray(like)) return three[0];
  if (three.length !== like.length)
    throw new ModelError(
      'build-setting',
      `--size has ${size.length} numbers; expected 1 or ${like.length}, as 64 or 64x96x64`,
    );
  return three;
}

function parse(key: string, value: unknown, like: unknown): unknown {
  if (typeof value !== 'string') return value;
  const bad = (expected: string): never => {
    throw new ModelError(
      'build-setting',
      `--set ${key}=${value}: expected ${expected}, such as ${key}=${Array.isArray(like) ? like.join(',') : String(like)}`,
    );
  };
  if (typeof like === 'number') return Number.isFinite(Number(value)) && value !== '' ? Number(value) : bad('a number');
  if (typeof like === 'boolean') return value === 'true' ? true : value === 'false' ? false : bad('true or false');
  if (Array.isArray(like)) {
    const list = listFrom(value);
    const numbers = list.map(Number);
    // an empty default does not say of what
    if (like.length === 0) return numbers.every(Number.isFinite) ? numbers : list;
    if (typeof like[0] !== 'number') return list;
    return numbers.every(Number.isFinite) ? numbers : bad('numbers separated by commas');
  }
  return value;
}

/** `a,b`, `["a","b"]`, and for numbers `64x96x64`. */
function listFrom(text: string): unknown[] {
  if (text.startsWith('['))
    try {
      const json: unknown = JSON.parse(text);
      if (Array.isArray(json)) return json;
    } catch {
      // [64,64,64] and [a,b] alike
    }
  if (text.trim() === '') return [];
  const sizes = /^\[?\s*[\d.]+(\s*x\s*[\d.]+)+\s*\]?$/.test(text);
  return text
    .replace(/^\[|\]$/g, '')
    .split(sizes ? 'x' : ',')
    .map((v) => v.trim());
}

const isRecord = (v: unknown): v is Record<string, unknown> => v !== null && typeof v === 'object' && !Array.isArray(v);

/** A setting of several fields: those that are given, over the others. */
function merged(key: string, value: unknown, like: Record<string, unknown>): Record<string, unknown> {
  let given = value;
  if (typeof value === 'string') {
    try {
      given = JSON.parse(value);
    } catch {
      given = null;
    }
  }
  if (!isRecord(given))
    throw new ModelError(
      'build-setting',
      `--set ${key}=${String(value)}: expected fields as JSON, such as ${key}=${JSON.stringify(Object.fromEntries(Object.entries(like).slice(0, 2)))}`,
    );
  const wrong = Object.entries(given).find(([k, v]) => typeof v !== typeof like[k]);
  if (wrong)
    throw new ModelError(
      'build-setting',
      wrong[0] in like
        ? `--set ${key}: ${wrong[0]} is ${JSON.stringify(wrong[1])}; expected something like ${JSON.stringify(like[wrong[0]])}`
        : `--set ${key} has no field '${wrong[0]}'; it has: ${Object.keys(like).join(', ')}`,
    );
  return { ...like, ...given };
}

/** `; did you mean 'featureSize'?` */
function near(key: string, known: readonly string[]): string {
  const close = known.find((k) => k.toLowerCase() === key.toLowerCase().replace(/[_-]/g, ''));
  return close ? `; did you mean '${close}'?` : '';
}
