// Inputs and outputs of entries: typed arrays outside, bytes in an arena inside.
import { T3dcError } from './errors.ts';
import { fromHalf, toHalf } from './half.ts';
import type { Port } from './manifest.ts';
import { elements } from './parameters.ts';

/** f32 and f16: Float32Array, i32: Int32Array, u32: Uint32Array, bool: Uint8Array of 0 and 1. */
export type TensorData = Float32Array | Int32Array | Uint32Array | Uint8Array;
/** Row-major values, alone or with their shape, which is then checked. */
export type TensorInput = TensorData | { readonly data: TensorData; readonly shape: readonly number[] };
export type Inputs = Readonly<Record<string, TensorInput>>;
export type Outputs = Record<string, TensorData>;

const ARRAYS = { f32: Float32Array, f16: Float32Array, i32: Int32Array, u32: Uint32Array, bool: Uint8Array } as const;

/** `volume f32[b=1 d=64 h=64 w=64 c=1]` */
export const showPort = (p: Port): string =>
  `${p.name} ${p.dtype}[${p.axes.map((a, i) => `${a}=${p.shape[i]}`).join(' ')}]`;

/** The bytes of every input, in the ports' order. Throws T3dcError 'bad-input'. */
export function checkInputs(entry: string, ports: readonly Port[], inputs: Inputs): Uint8Array[] {
  const signature = ports.map(showPort).join(', ');
  for (const name of Object.keys(inputs ?? {}))
    if (!ports.some((p) => p.name === name))
      throw new T3dcError('bad-input', `${entry} has no input ${name}`, {
        expected: signature,
        hint: 'Check the name.',
      });
  return ports.map((port) => {
    const input = inputs?.[port.name];
    if (input === undefined)
      throw new T3dcError('bad-input', `${entry} needs the input ${port.name}`, {
        found: Object.keys(inputs ?? {}).join(', ') || 'no inputs',
        expected: signature,
      });
    return toBytes(entry, port, input);
  });
}

function toBytes(entry: string, port: Port, input: TensorInput): Uint8Array {
  const data = ArrayBuffer.isView(input) ? input : input.data;
  if (!ArrayBuffer.isView(input) && input.shape.join() !== port.shape.join())
    throw new T3dcError('bad-input', `${entry}: ${port.name} has the wrong shape`, {
      found: `[${input.shape.join(', ')}]`,
      expected: showPort(port),
      hint: 'Crop, pad or resample to this shape, or build the artifact for another.',
    });
  const type = ARRAYS[port.dtype];
  const fits = data instanceof type || (port.dtype === 'bool' && data instanceof Uint32Array);
  if (!fits)
    throw new T3dcError('bad-input', `${entry}: ${port.name} has the wrong type`, {
      found: (data as object | undefined)?.constructor?.name ?? typeof data,
      expected: `${type.name} for ${showPort(port)}`,
    });
  const count = elements(port.shape);
  if (data.length !== count)
    throw new T3dcError('bad-input', `${entry}: ${port.name} has the wrong number of values`, {
      found: data.length,
      expected: `${count} for ${showPort(port)}`,
    });
  if (port.below !== undefined) checkIndices(entry, port, data, port.below);
  // bool is stored as a u32 of 0 or 1.
  if (port.dtype === 'f16') return halves(data as Float32Array);
  const words = port.dtype === 'bool' ? Uint32Array.from(data as Uint8Array, (v) => (v === 0 ? 0 : 1)) : data;
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

/** What is outside of its table would read another's memory. */
function checkIndices(entry: string, port: Port, data: TensorData, below: number): void {
  const at = data.findIndex((v) => v < 0 || v >= below);
  if (at < 0) return;
  throw new T3dcError('bad-input', `${entry}: ${port.name} names a row that its table does not have`, {
    found: `${data[at]} at ${at}`,
    expected: `0 to ${below - 1}`,
    hint: 'Are these tokens of another tokenizer than the weights?',
  });
}

/** Bytes that a port's values take, whole words. */
export const portBytes = (p: Port): number =>
  p.dtype === 'f16' ? 4 * Math.ceil(elements(p.shape) / 2) : 4 * elements(p.shape);

/** Two to a word, the last word filled up. */
function halves(values: Float32Array): Uint8Array {
  const out = new Uint16Array(2 * Math.ceil(values.length / 2));
  for (let i = 0; i < values.length; i++) out[i] = toHalf(values[i]!);
  return new Uint8Array(out.buffer);
}

/** An output's values from its bytes (a copy of its own). */
export function fromBytes(port: Port, data: Uint8Array): TensorData {
  const count = elements(port.shape);
  if (port.dtype === 'f16') return Float32Array.from(new Uint16Array(data.buffer, data.byteOffset, count), fromHalf);
  if (port.dtype === 'bool') return Uint8Array.from(new Uint32Array(data.buffer, data.byteOffset, count));
  return new ARRAYS[port.dtype](data.buffer as ArrayBuffer, data.byteOffset, count);
}
