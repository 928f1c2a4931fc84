// One Conv node as an ONNX file, encoded by hand: a peer's model without a peer's tool chain.
// Protocol buffers' wire format and onnx.proto's field numbers: https://onnx.ai/onnx/repo-docs/IR.html

const FLOAT = 1; // TensorProto.DataType
const INTS = 7; // AttributeProto.AttributeType

function varint(n: number): number[] {
  const out: number[] = [];
  for (; n > 127; n = Math.floor(n / 128)) out.push((n % 128) | 128);
  return [...out, n];
}

const join = (...parts: (Uint8Array | number[])[]): Uint8Array => Buffer.concat(parts.map((p) => Uint8Array.from(p)));
const int = (field: number, value: number) => join(varint(field << 3), varint(value));
const bytes = (field: number, value: Uint8Array) =>
  Buffer.concat([join(varint((field << 3) | 2), varint(value.length)), value]);
const text = (field: number, value: string) => bytes(field, new TextEncoder().encode(value));

const ints = (name: string, values: readonly number[]) =>
  join(text(1, name), ...values.map((v) => int(8, v)), int(20, INTS));

function port(name: string, shape: readonly number[]): Uint8Array {
  const dims = join(...shape.map((d) => bytes(1, int(1, d))));
  return join(text(1, name), bytes(2, bytes(1, join(int(1, FLOAT), bytes(2, dims)))));
}

/** y = conv3d(x, weight): x [1 ci d h w], weight [co ci k k k] (a constant of the file), stride 1, padding k/2. */
export function convModel(ci: number, co: number, k: number, size: number, weight: Float32Array): Uint8Array {
  const pad = Math.floor(k / 2);
  const node = join(
    text(1, 'x'),
    text(1, 'weight'),
    text(2, 'y'),
    text(4, 'Conv'),
    bytes(5, ints('kernel_shape', [k, k, k])),
    bytes(5, ints('pads', [pad, pad, pad, pad, pad, pad])),
  );
  const raw = new Uint8Array(weight.buffer, weight.byteOffset, weight.byteLength);
  const tensor = join(...[co, ci, k, k, k].map((d) => int(1, d)), int(2, FLOAT), text(8, 'weight'), bytes(9, raw));
  const graph = join(
    bytes(1, node),
    text(2, 'conv3d'),
    bytes(5, tensor),
    bytes(11, port('x', [1, ci, size, size, size])),
    bytes(12, port('y', [1, co, size, size, size])),
  );
  return join(int(1, 8), bytes(7, graph), bytes(8, int(2, 17))); // IR version 8, opset 17
}
