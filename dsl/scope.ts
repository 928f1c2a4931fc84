// Parameters and scopes. A parameter's name is the path of scopes, in the original PyTorch names, so that published
// weights load as they are: scope('encoder1', () => scope('layer', …)) gives `encoder1.layer.conv1.conv.weight`.
import { ModelError } from './errors.ts';
import { currentRegion, make, withRegion } from './graph.ts';
import { parameter } from './ops/leaf.ts';
import { Tensor } from './tensor.ts';
import type { Axis } from './types.ts';

/** How a parameter starts; the runtime draws it (see runtime/manifest.ts). */
export type Init =
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'uniform'; readonly low: number; readonly high: number }
  | { readonly kind: 'normal'; readonly mean: number; readonly std: number }
  | { readonly kind: 'truncatedNormal'; readonly std: number; readonly low: number; readonly high: number };

export interface ParameterInfo {
  readonly name: string;
  /** Axes in the checkpoint's order. */
  readonly axes: readonly Axis[];
  /** stored axis i is checkpoint axis permutation[i] */
  readonly permutation: readonly number[];
  readonly init: Init;
  readonly trainable: boolean;
}

export interface Trace {
  readonly parameters: Map<string, { info: ParameterInfo; tensor: Tensor }>;
}

let path: string[] = [];
let trace: Trace | null = null;

export function tracing<T>(t: Trace, f: () => T): T {
  const saved = trace;
  const savedPath = path;
  trace = t;
  path = [];
  try {
    return f();
  } finally {
    trace = saved;
    path = savedPath;
  }
}

/** Runs f with `name` added to parameter names and to the region. */
export function scope<T>(name: string, f: () => T): T {
  path.push(name);
  try {
    return withRegion(name, f);
  } finally {
    path.pop();
  }
}

/** Runs f with `name` added to the region alone (a composite's name). */
export const region = withRegion;

export const fullName = (name: string): string => [...path, name].join('.');

/**
 * A parameter. `axes` are in the checkpoint's (PyTorch's) order; `stored` is the order in memory, which is the order of
 * the tensor's axes here (channels last, output channels innermost). The same full name gives the same parameter.
 */
export function param(
  name: string,
  axes: Readonly<Record<string, number>>,
  options: { init: Init; stored?: string; trainable?: boolean },
): Tensor {
  if (!trace)
    throw new ModelError('model-no-trace', `param '${name}' outside of a model: call it from an entry's function`);
  const list = Object.entries(axes).map(([n, size]) => ({ name: n, size }));
  const stored = options.stored?.split(' ') ?? list.map((a) => a.name);
  const permutation = stored.map((n) => list.findIndex((a) => a.name === n));
  const full = fullName(name);
  const known = trace.parameters.get(full);
  if (known) {
    const same = known.info.axes.length === list.length && known.info.axes.every((a, i) => a.size === list[i]!.size);
    if (!same)
      throw new ModelError(
        'model-parameter',
        `parameter ${full} was declared as [${known.info.axes.map((a) => a.size)}] and now as [${list.map((a) => a.size)}] (${currentRegion()}): give one of them another scope`,
      );
    return known.tensor;
  }
  const type = { dtype: 'f32' as const, axes: permutation.map((i) => list[i]!) };
  const t = new Tensor(make(parameter, [], { name: full, type }));
  trace.parameters.set(full, {
    info: { name: full, axes: list, permutation, init: options.init, trainable: options.trainable ?? true },
    tensor: t,
  });
  return t;
}
