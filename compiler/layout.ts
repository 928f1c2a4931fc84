// Where everything lives: arenas for parameters, gradients and optimiser state (at equal offsets), one for the entries'
// inputs and outputs, and the activations' arenas that the memory plans fill.
import { byteLength } from '../dsl/types.ts';
import type { Arena, Place } from '../runtime/manifest.ts';
import type { Fitted } from './fit.ts';
import { align } from './lifetimes.ts';
import { SCALER, SCALER_TYPE } from './loss-scale.ts';
import type { CompiledEntry } from './pipeline.ts';
import { placeParameters } from './placement.ts';
import type { Plan } from './plan.ts';
import type { Program, ProgramTensor } from './program.ts';
import type { TracedModel } from './trace.ts';

const UNIT = 256;

export interface PlannedProgram {
  readonly program: Program;
  readonly plan: Plan;
  readonly again: Fitted['again'];
  /** Of one target alone, where the targets' programs differ. */
  readonly target?: 'webgpu' | 'wasm';
  readonly kind: 'forward' | 'grad' | 'update';
}

export interface Layout {
  readonly arenas: readonly Arena[];
  readonly parameters: ReadonlyMap<string, Place>;
  readonly states: ReadonlyMap<string, number>;
  /** Place of a port, by entry and name (outputs as `out:NAME`). */
  port(entry: string, name: string): Place;
  place(entry: string, p: PlannedProgram, t: ProgramTensor): Place;
}

export function layOut(
  m: TracedModel,
  entries: readonly CompiledEntry[],
  plans: readonly (PlannedProgram & { entry: string })[],
): Layout {
  const { places, trainable, frozen } = placeParameters(m);
  const arenas: Arena[] = [];
  const add = (a: Arena): number => arenas.push(a) - 1;
  const training = entries.some((e) => e.grad);
  const everywhere = ['forward', 'grad', 'update'] as const;
  const parameters = add({
    name: 'parameters',
    role: 'parameters',
    bytes: Math.max(trainable, UNIT),
    sections: everywhere,
  });
  const frozenArena =
    frozen > 0 ? add({ name: 'parameters.frozen', role: 'parameters', bytes: frozen, sections: everywhere }) : -1;
  const gradients = training
    ? add({ name: 'gradients', role: 'gradients', bytes: trainable, sections: ['grad', 'update'] })
    : -1;
  const states = new Map<string, number>();
  for (const e of entries)
    for (const s of e.entry.optimizer?.states ?? [])
      if (!states.has(s)) states.set(s, add({ name: s, role: 'state', bytes: trainable, sections: ['update'] }));

  const counting = plans.filter((p) =>
    p.program.tensors.some((t) => t.home.kind === 'arena' && t.home.name === SCALER),
  );
  const scaler =
    counting.length > 0 && training
      ? add({
          name: SCALER,
          role: 'scalars',
          bytes: byteLength(SCALER_TYPE),
          sections: ['grad', 'update'],
          ...(counting.every((p) => p.target === 'webgpu') ? { target: 'webgpu' } : {}),
        })
      : -1;

  // every entry's ports start at the same place: entries run one at a time
  const ports = new Map<string, Place>();
  let io = UNIT;
  const ioArena = arenas.length;
  for (const e of entries) {
    let at = 0;
    for (const t of e.table.list) {
      if (t.home.kind !== 'port') continue;
      const bytes = byteLength(t.type);
      ports.set(`${e.entry.name}/${t.home.name}`, { arena: ioArena, offset: at / UNIT, bytes });
      at += align(bytes);
    }
    io = Math.max(io, at);
  }
  add({ name: 'io', role: 'activations', bytes: io, sections: ['forward', 'grad'] });

  const firstArena = new Map<string, number>();
  const scratch = (p: PlannedProgram): string => (p.target === 'webgpu' ? `${p.kind}.webgpu` : p.kind);
  for (const name of new Set(plans.map(scratch))) {
    const mine = plans.filter((p) => scratch(p) === name);
    const { kind, target } = mine[0]!;
    const count = Math.max(0, ...mine.map((p) => p.plan.arenas.length));
    firstArena.set(name, arenas.length);
    for (let i = 0; i < count; i++)
      add({
        name: `${name}.${i}`,
        role: 'activations',
        bytes: Math.max(...mine.map((p) => p.plan.arenas[i] ?? 0)),
        sections: [kind],
        ...(target ? { target } : {}),
      });
  }

  const whole = (arena: number): Place => ({ arena, offset: 0, bytes: trainable });
  const port = (entry: string, name: string): Place => {
    const p = ports.get(`${entry}/${name}`);
    if (!p) throw new Error(`layout: no port ${name} in ${entry}`);
    return p;
  };
  const parameterPlace = (name: string): Place => {
    const p = places.get(name)!;
    return { arena: p.frozen ? frozenArena : parameters, offset: p.offset / UNIT, bytes: p.bytes };
  };
  return {
    arenas,
    parameters: new Map([...places.keys()].map((n) => [n, parameterPlace(n)])),
    states,
    port,
    place(entry, program, t) {
      const h = t.home;
      switch (h.kind) {
        case 'temp': {
          const p = program.plan.places.get(t.id)!;
          return {
            arena: firstArena.get(scratch(program))! + p.arena,
            offset: p.offset / UNIT,
            bytes: byteLength(t.type),
          };
        }
        case 'port':
          return port(entry, h.name);
        case 'parameter':
          return parameterPlace(h.name);
        case 'gradient':
          return { ...parameterPlace(h.name), arena: gradients };
        case 'arena':
          if (h.name === SCALER) return { arena: scaler, offset: 0, bytes: byteLength(SCALER_TYPE) };
          return whole(
            h.name === 'parameters'
              ? parameters
              : h.name === 'gradients'
                ? gradients
                : states.get(h.name.replace('state.', ''))!,
          );
      }
    },
  };
}
