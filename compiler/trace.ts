// Trace: from a model's functions to graphs. Each entry becomes named roots over inputs and parameters.

import { ModelError } from '../dsl/errors.ts';
import { make, resetNodes, type Value } from '../dsl/graph.ts';
import type { EntrySpec, ModelSpec, ParameterGroup, ScheduleSpec } from '../dsl/model.ts';
import { input } from '../dsl/ops/leaf.ts';
import type { Optimizer } from '../dsl/optim.ts';
import { type ParameterInfo, tracing } from '../dsl/scope.ts';
import { resetRandomIds, Tensor } from '../dsl/tensor.ts';
import type { TensorType } from '../dsl/types.ts';

export interface TracedEntry {
  readonly name: string;
  readonly inputs: readonly { readonly name: string; readonly value: Value; readonly type: TensorType }[];
  readonly outputs: Readonly<Record<string, Value>>;
  readonly loss: string | null;
  readonly optimizer: Optimizer | null;
  readonly schedule: ScheduleSpec;
  readonly clip: number | null;
  readonly groups: readonly ParameterGroup[];
  readonly guard: boolean;
}

export interface TracedModel {
  readonly name: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly preprocess: Readonly<Record<string, unknown>> | null;
  readonly entries: readonly TracedEntry[];
  readonly parameters: ReadonlyMap<string, { info: ParameterInfo; value: Value }>;
}

export function trace<S extends object>(spec: ModelSpec<S>, settings: S, only?: readonly string[]): TracedModel {
  resetNodes();
  resetRandomIds();
  const built = spec.build(settings);
  const names = Object.keys(built.entries);
  for (const n of only ?? []) {
    if (!names.includes(n))
      throw new ModelError('model-entry', `model ${spec.name} has no entry '${n}'; it has: ${names.join(', ')}`);
  }
  const parameters: Parameters<typeof tracing>[0]['parameters'] = new Map();
  const chosen = only ?? built.defaultEntries ?? names;
  const entries = names.filter((n) => chosen.includes(n)).map((n) => traceEntry(n, built.entries[n]!, parameters));
  return {
    name: spec.name,
    settings: settings as Record<string, unknown>,
    preprocess: built.preprocess ?? null,
    entries,
    parameters: new Map([...parameters].map(([k, v]) => [k, { info: v.info, value: v.tensor.value }])),
  };
}

function traceEntry(
  name: string,
  spec: EntrySpec,
  parameters: Parameters<typeof tracing>[0]['parameters'],
): TracedEntry {
  const inputs = Object.entries(spec.inputs).map(([n, s]) => {
    const type: TensorType = { dtype: s.dtype, axes: Object.entries(s.axes).map(([a, size]) => ({ name: a, size })) };
    return { name: n, type, value: make(input, [], { name: n, type }) };
  });
  const outputs = tracing({ parameters }, () =>
    spec.run(Object.fromEntries(inputs.map((i) => [i.name, new Tensor(i.value)]))),
  );
  if (spec.loss !== undefined) {
    const loss = outputs[spec.loss];
    if (!loss)
      throw new ModelError(
        'model-loss',
        `entry '${name}': its loss '${spec.loss}' is not among its outputs: ${Object.keys(outputs).join(', ')}`,
      );
    if (loss.axes.length > 0)
      throw new ModelError(
        'model-loss',
        `entry '${name}': its loss is ${loss}, not a scalar: reduce it (mean over all axes)`,
      );
  }
  return {
    name,
    inputs,
    outputs: Object.fromEntries(Object.entries(outputs).map(([n, t]) => [n, t.value])),
    loss: spec.loss ?? null,
    optimizer: spec.loss ? (spec.optimizer ?? null) : null,
    schedule: spec.schedule ?? { kind: 'constant' },
    clip: spec.clip ?? null,
    groups: checkGroups(name, spec.groups ?? []),
    guard: spec.guard ?? false,
  };
}

function checkGroups(entry: string, groups: readonly ParameterGroup[]): readonly ParameterGroup[] {
  for (const g of groups) {
    for (const key of ['lr', 'weightDecay'] as const)
      if (!((g[key] ?? 1) >= 0 && Number.isFinite(g[key] ?? 1)))
        throw new ModelError(
          'model-groups',
          `entry '${entry}': the group '${g.match}' has ${key} ${g[key]}; a factor is a finite number from 0 on`,
        );
    try {
      new RegExp(g.match);
    } catch (e) {
      throw new ModelError(
        'model-groups',
        `entry '${entry}': the group '${g.match}' is no regular expression: ${(e as Error).message}`,
      );
    }
  }
  return groups;
}
