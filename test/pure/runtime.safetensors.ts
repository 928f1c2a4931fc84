import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { T3dcError } from '../../runtime/errors.ts';
import { readSafetensors, toFloat32, writeSafetensors } from '../../runtime/safetensors.ts';

/** A file from a literal header and data. */
function file(header: string, data: Uint8Array | number = new Uint8Array(0)): Uint8Array {
  const body = typeof data === 'number' ? new Uint8Array(data) : data;
  const text = new TextEncoder().encode(header);
  const out = new Uint8Array(8 + text.length + body.length);
  new DataView(out.buffer).setBigUint64(0, BigInt(text.length), true);
  out.set(text, 8);
  out.set(body, 8 + text.length);
  return out;
}
const refused = (bytes: Uint8Array, text: RegExp): void => {
  try {
    readSafetensors(bytes);
  } catch (e) {
    assert.instance(e, T3dcError);
    assert.is((e as T3dcError).code, 'bad-checkpoint');
    assert.match((e as T3dcError).message, text);
    return;
  }
  assert.unreachable(`accepted: expected ${text}`);
};

test('what is written is read back, aligned to 8 bytes', () => {
  const a = Float32Array.from([1, -2, Math.fround(0.1), 4, 5, 6]);
  const b = Int32Array.from([7, -8, 9]);
  const bytes = writeSafetensors(
    [
      { name: 'layer.b', shape: [3], data: b },
      { name: 'layer.a', shape: [2, 3], data: a },
      { name: 'empty', shape: [0, 4], data: new Float32Array(0) },
      { name: 'scalar', shape: [], data: Float32Array.of(3) },
    ],
    { step: '12', name: 'ü"' },
  );
  assert.is(Number(new DataView(bytes.buffer).getBigUint64(0, true)) % 8, 0);
  const { metadata, tensors } = readSafetensors(bytes);
  assert.equal(metadata, { step: '12', name: 'ü"' });
  assert.equal([...tensors.keys()].sort(), ['empty', 'layer.a', 'layer.b', 'scalar']);
  assert.equal(tensors.get('layer.a')!.shape, [2, 3]);
  assert.equal(toFloat32(tensors.get('layer.a')!), a);
  assert.equal([...toFloat32(tensors.get('layer.b')!)], [7, -8, 9]);
  assert.equal(toFloat32(tensors.get('scalar')!), Float32Array.of(3));
});

test('a file at any byte offset of its buffer is read', () => {
  const bytes = writeSafetensors([{ name: 'a', shape: [2], data: Float32Array.of(1, 2) }]);
  const shifted = new Uint8Array(bytes.length + 3);
  shifted.set(bytes, 3);
  assert.equal([...toFloat32(readSafetensors(shifted.subarray(3)).tensors.get('a')!)], [1, 2]);
});

test('every dtype converts', () => {
  const one = (dtype: string, shape: string, data: Uint8Array): number[] => [
    ...toFloat32(
      readSafetensors(
        file(`{"t":{"dtype":"${dtype}","shape":${shape},"data_offsets":[0,${data.length}]}}`, data),
      ).tensors.get('t')!,
    ),
  ];
  const bytesOf = (a: ArrayBufferView): Uint8Array => new Uint8Array(a.buffer, a.byteOffset, a.byteLength);
  assert.equal(one('F16', '[6]', bytesOf(Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00, 0x8000))), [
    1,
    -2,
    2 ** -24,
    65504,
    Number.POSITIVE_INFINITY,
    -0,
  ]);
  assert.ok(Number.isNaN(one('F16', '[1]', bytesOf(Uint16Array.of(0x7e00)))[0]));
  assert.equal(one('BF16', '[2]', bytesOf(Uint16Array.of(0x3f80, 0xc040))), [1, -3]);
  assert.equal(one('F64', '[2]', bytesOf(Float64Array.of(0.5, -1e300))), [0.5, Number.NEGATIVE_INFINITY]);
  assert.equal(one('I64', '[2]', bytesOf(BigInt64Array.of(-5n, 7n))), [-5, 7]);
  assert.equal(one('U8', '[2]', Uint8Array.of(0, 255)), [0, 255]);
  assert.equal(one('I8', '[1]', Uint8Array.of(0xff)), [-1]);
  assert.equal(one('I16', '[1]', bytesOf(Int16Array.of(-300))), [-300]);
  assert.equal(one('BOOL', '[2]', Uint8Array.of(0, 1)), [0, 1]);
});

test('broken files are refused with what is wrong', () => {
  const t = (offsets: string, shape = '[1]', dtype = 'F32'): string =>
    `{"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}}`;
  refused(new Uint8Array(7), /too short/);
  refused(file('{"a":1', 0).subarray(0, 10), /ends beyond the file/);
  refused(new Uint8Array([0, 0, 0, 0, 0, 0, 0, 1]), /too long/);
  refused(file(' {}'), /does not start with/);
  refused(file('{"a":1}'), /not an object/);
  refused(file('{"a":'), /not JSON/);
  refused(file(`{"a":${t('[0,4]')}}`, 3), /do not cover/);
  refused(file(`{"a":${t('[0,4]')}}`, 8), /do not cover/);
  refused(file(`{"a":${t('[0,4]')},"b":${t('[2,6]')}}`, 6), /overlap or leave a gap/);
  refused(file(`{"a":${t('[0,4]')},"b":${t('[8,12]')}}`, 12), /overlap or leave a gap/);
  refused(file(`{"a":${t('[4,0]')}}`, 4), /does not fit its shape/);
  refused(file(`{"a":${t('[0,4]', '[2]')}}`, 4), /does not fit its shape/);
  refused(file(`{"a":${t('[0,4]', '[-1]')}}`, 4), /no valid shape/);
  refused(file(`{"a":${t('[0,4]', '[1]', 'F33')}}`, 4), /unknown dtype/);
  refused(file(`{"a":${t('[0,4]')},"\\u0061":${t('[4,8]')}}`, 8), /twice/);
  refused(file('{"__metadata__":{"a":1}}'), /not a string/);
});

test.run();
