// index.d.ts: what a program that imports the artifact may rely on, written from two templates and the entries' ports.
import { readFileSync } from 'node:fs';
import { type DType, sizes, type TensorType } from '../dsl/types.ts';

export interface PortSignature {
  readonly name: string;
  readonly type: TensorType;
}

export interface EntrySignature {
  readonly name: string;
  readonly inputs: readonly PortSignature[];
  readonly outputs: readonly PortSignature[];
  /** Name of the output that is minimised. */
  readonly loss: string | null;
}

const ARRAYS: Readonly<Record<DType, string>> = {
  f32: 'Float32Array',
  f16: 'Float32Array',
  i32: 'Int32Array',
  u32: 'Uint32Array',
  bool: 'Uint8Array',
};

const template = (name: string): string => readFileSync(new URL(`./${name}.d.ts.template`, import.meta.url), 'utf8');

export function declarations(entries: readonly EntrySignature[], tasks: boolean): string {
  const losses = entries.filter((e) => e.loss).map((e) => JSON.stringify(e.name));
  return (
    template('index')
      .replace('/* ENTRIES */', entries.map(entry).join('\n'))
      .replaceAll('/* TRAINABLE */', losses.join(' | ') || 'never')
      .replace('/* TASKS */', tasks ? '  readonly tasks: Tasks;\n' : '') + (tasks ? `\n${template('tasks')}` : '')
  );
}

export const niftiDeclarations = (): string => template('nifti');

function entry(e: EntrySignature): string {
  const inputs = e.inputs.map((p) => member(p, (array) => `TensorInput<${array}>`));
  const outputs = e.outputs.map((p) => member(p, (array) => array));
  return `    ${JSON.stringify(e.name)}(inputs: {${inputs.join('')}
    }, options?: { readonly signal?: AbortSignal }): Promise<{${outputs.join('')}
    }>;`;
}

const member = (p: PortSignature, show: (array: string) => string): string => {
  const axes = p.type.axes.map((a, i) => `${a.name}=${sizes(p.type)[i]}`).join(' ');
  return `\n      /** ${p.type.dtype}[${axes}] */\n      ${JSON.stringify(p.name)}: ${show(ARRAYS[p.type.dtype])};`;
};
