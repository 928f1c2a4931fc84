// Named tensors between safetensors files and an entry's inputs and outputs.
import type { Manifest, TensorData } from '../runtime/index.ts';
import { type StoredTensor, toFloat32, type WriteTensor, writeSafetensors } from '../runtime/safetensors.ts';
import { CliError } from './errors.ts';

type Port = Manifest['entries'][string]['inputs'][number];

const INTEGERS = /^([IU](8|16|32|64)|BOOL)$/;

/** A stored tensor as an input. Any float type is taken for f32 and f16; integers for i32 and u32. @throws CliError `bad-input` */
export function inputFrom(port: Port, stored: StoredTensor): { data: TensorData; shape: readonly number[] } {
  const { dtype, shape } = stored;
  if (port.dtype === 'f32' || port.dtype === 'f16') return { data: toFloat32(stored), shape };
  if (!INTEGERS.test(dtype))
    throw new CliError('bad-input', `${port.name} is stored with the wrong type`, {
      found: dtype,
      expected: `an integer type for ${port.name} ${port.dtype}`,
      hint: 'Store it as I32.',
    });
  return { data: integers(port, stored), shape };
}

/** A safetensors file of outputs by name, and of gradients as grad.NAME. */
export function outputFile(
  ports: readonly Port[],
  outputs: Readonly<Record<string, TensorData>>,
  grads?: { readonly values: Readonly<Record<string, Float32Array>>; readonly parameters: Manifest['parameters'] },
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  const tensors: WriteTensor[] = ports.map((p) => ({ name: p.name, shape: p.shape, data: storable(outputs[p.name]!) }));
  for (const p of grads?.parameters ?? []) {
    const data = grads!.values[p.name];
    if (data) tensors.push({ name: `grad.${p.name}`, shape: p.shape, data });
  }
  return writeSafetensors(tensors, metadata);
}

function integers(port: Port, { dtype, data, shape }: StoredTensor): TensorData {
  const n = shape.reduce((a, b) => a * b, 1);
  const out = port.dtype === 'i32' ? new Int32Array(n) : port.dtype === 'u32' ? new Uint32Array(n) : new Uint8Array(n);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const read: Record<string, (i: number) => number> = {
    I8: (i) => view.getInt8(i),
    U8: (i) => view.getUint8(i),
    BOOL: (i) => view.getUint8(i),
    I16: (i) => view.getInt16(2 * i, true),
    U16: (i) => view.getUint16(2 * i, true),
    I32: (i) => view.getInt32(4 * i, true),
    U32: (i) => view.getUint32(4 * i, true),
    I64: (i) => Number(view.getBigInt64(8 * i, true)),
    U64: (i) => Number(view.getBigUint64(8 * i, true)),
  };
  const at = read[dtype]!;
  for (let i = 0; i < n; i++) {
    const value = at(i);
    out[i] = value;
    if (out[i] !== value)
      throw new CliError('bad-input', `${port.name} holds a value that ${port.dtype} does not`, {
        found: `${value} at ${i}`,
        expected: `${port.dtype}`,
        hint: 'Check the tensor.',
      });
  }
  return out;
}

/** u32 goes as i32 of the same bits: PyTorch's safetensors reads no u32 everywhere. */
const storable = (data: TensorData): Float32Array | Int32Array | Uint8Array =>
  data instanceof Uint32Array ? new Int32Array(data.buffer, data.byteOffset, data.length) : data;
