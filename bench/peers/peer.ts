// What every program is to the run: something that opens a case, and answers a call with its milliseconds.
import type { PeerCase, Tensor } from './cases.ts';
import type { PeerName, Program } from './schema.ts';

/** A program, or a case of it, that cannot be had here; the message is the reason that the table gives. */
export class Absent extends Error {}

export interface Runner {
  readonly note?: string;
  /** One whole call, in milliseconds. */
  run(): Promise<number>;
  /** The last call's result in PyTorch's order; of training, the losses of all calls so far. */
  output(): Promise<Float32Array>;
  close(): Promise<void>;
}

export interface Peer {
  readonly name: PeerName;
  /** Whether it stores halves. */
  readonly half: boolean;
  readonly kinds: readonly PeerCase['kind'][];
  /** Installs what it needs and says what it is. @throws Absent */
  describe(): Promise<Omit<Program, 'peer'>>;
  /** @throws Absent */
  open(c: PeerCase, inputs: Readonly<Record<string, Tensor>>): Promise<Runner>;
  /** Ends its processes. */
  close(): Promise<void>;
}

/** What the run was told. */
export interface Settings {
  readonly threads: number;
  /** Run whole networks through software WebGPU adapters too: minutes a call. */
  readonly softwareModel: boolean;
  /** A Python that has PyTorch, in place of one that is installed. */
  readonly python?: string;
}

/** Values of memory order `b d h w c`, put in `b c d h w`. */
export function channelsFirst(x: Float32Array, channels: number): Float32Array {
  const voxels = x.length / channels;
  const out = new Float32Array(x.length);
  for (let v = 0; v < voxels; v++) for (let c = 0; c < channels; c++) out[c * voxels + v] = x[v * channels + c]!;
  return out;
}

export function channelsLast(x: ArrayLike<number>, channels: number): Float32Array {
  const voxels = x.length / channels;
  const out = new Float32Array(x.length);
  for (let c = 0; c < channels; c++) for (let v = 0; v < voxels; v++) out[v * channels + c] = x[c * voxels + v]!;
  return out;
}
