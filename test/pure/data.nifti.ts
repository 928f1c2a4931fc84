import { gzipSync } from 'fflate';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { distance, multiply } from '../../data/affine.ts';
import { diagonalAffine, isDataError, readNifti, type Volume, type VoxelArray, writeNifti } from '../../data/index.ts';
import { rotationOf } from '../../data/nifti-header.ts';

const ARRAYS = [Uint8Array, Int8Array, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array];

function sample(make: new (n: number) => VoxelArray = Int16Array): Volume {
  const data = new make(5 * 4 * 3);
  for (let i = 0; i < data.length; i++) data[i] = (i * 37) % 101;
  return { data, dims: [5, 4, 3], affine: diagonalAffine([1.5, 2, 3], [-10, 20, 30]) };
}

const refuses = (bytes: Uint8Array, code: string, options = {}) => {
  try {
    readNifti(bytes, options);
  } catch (err) {
    assert.ok(isDataError(err), String(err));
    assert.is(err.code, code);
    assert.match(err.message, /do:/);
    return;
  }
  assert.unreachable(`expected ${code}`);
};

/** The uncompressed file of `sample`, with a change made to its bytes. */
function altered(change: (view: DataView, bytes: Uint8Array) => void, volume = sample()): Uint8Array {
  const bytes = writeNifti(volume, { gzip: false });
  change(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), bytes);
  return bytes;
}

test('every numeric type is written and read back exactly, gzipped or not', () => {
  for (const make of ARRAYS) {
    const volume = sample(make as never);
    for (const gzip of [true, false]) {
      const back = readNifti(writeNifti(volume, { gzip }));
      assert.is(back.data.constructor, make);
      assert.equal([...back.data], [...volume.data]);
      assert.equal(back.dims, volume.dims);
      assert.ok(distance(back.affine, volume.affine) < 1e-6);
    }
  }
});

test('a Node Buffer within a larger one is read as it is', () => {
  const volume = sample();
  const file = writeNifti(volume, { gzip: false });
  const pool = Buffer.alloc(file.length + 64);
  pool.set(file, 24);
  const back = readNifti(pool.subarray(24, 24 + file.length));
  assert.equal([...back.data], [...volume.data]);
});

test('the file stores x fastest', () => {
  const bytes = writeNifti(sample(Uint8Array), { gzip: false });
  const stored = bytes.subarray(352);
  const volume = sample(Uint8Array);
  for (let i = 0; i < 5; i++)
    for (let j = 0; j < 4; j++)
      for (let k = 0; k < 3; k++) {
        assert.is(stored[i + 5 * (j + 4 * k)], volume.data[(i * 4 + j) * 3 + k]);
      }
});

test('equal volumes give equal bytes', () => {
  assert.equal(writeNifti(sample()), writeNifti(sample()));
});

test('big-endian files, also scaled', () => {
  const little = altered(() => {});
  const big = little.slice();
  // Swap the fields that the reader uses, and the voxels.
  const swap = (at: number, size: number) => big.subarray(at, at + size).reverse();
  swap(0, 4);
  for (let i = 0; i < 8; i++) swap(40 + 2 * i, 2);
  for (const at of [68, 70, 72, 74, 120, 252, 254]) swap(at, 2);
  for (const at of [56, 60, 64, 108, 112, 116, 124, 128, 132, 136]) swap(at, 4);
  for (let at = 76; at < 108; at += 4) swap(at, 4);
  for (let at = 256; at < 328; at += 4) swap(at, 4);
  for (let at = 352; at < big.length; at += 2) swap(at, 2);
  const [a, b] = [readNifti(little), readNifti(big)];
  assert.equal([...b.data], [...a.data]);
  assert.equal(b.affine, a.affine);
});

test('slope and intercept are applied; 0 and NaN mean none', () => {
  const with_ = (slope: number, inter: number) =>
    readNifti(
      altered((v) => {
        v.setFloat32(112, slope, true);
        v.setFloat32(116, inter, true);
      }),
    );
  const raw = sample().data;
  const scaled = with_(2, -1024);
  assert.is(scaled.data.constructor, Float32Array);
  assert.equal(
    [...scaled.data],
    [...raw].map((v) => v * 2 - 1024),
  );
  for (const [slope, inter] of [
    [0, 5],
    [Number.NaN, Number.NaN],
    [1, 0],
  ] as const) {
    assert.is(with_(slope, inter).data.constructor, Int16Array);
  }
});

test('sform is preferred to qform; qform alone gives the same affine; neither gives the centred grid', () => {
  const rotation = rotationOf(
    ...([0.8, 0.2, -0.4, Math.sqrt(1 - 0.64 - 0.04 - 0.16)] as [number, number, number, number]),
  );
  const turn = [...rotation.slice(0, 3), 0, ...rotation.slice(3, 6), 0, ...rotation.slice(6, 9), 0, 0, 0, 0, 1];
  for (const mirror of [1, -1]) {
    const affine = multiply(turn, diagonalAffine([1.5, 2, 3 * mirror], [4, 5, 6]));
    const volume = { ...sample(), affine };
    const bytes = writeNifti(volume, { gzip: false });
    assert.ok(distance(readNifti(bytes).affine, affine) < 1e-5);
    const qformOnly = altered((v) => v.setInt16(254, 0, true), volume);
    assert.ok(distance(readNifti(qformOnly).affine, affine) < 1e-5);
    assert.is(readNifti(qformOnly).header?.affineSource, 'qform');
  }
  const bare = readNifti(
    altered((v) => {
      v.setInt16(252, 0, true);
      v.setInt16(254, 0, true);
    }),
  );
  assert.equal(bare.affine.slice(0, 12), [-1.5, 0, 0, 3, 0, 2, 0, -3, 0, 0, 3, -3]);
  assert.is(bare.header?.affineSource, 'none');
});

test('a sheared affine is kept in sform and not claimed in qform', () => {
  const affine = [2, 0.5, 0, 1, 0, 2, 0, 2, 0, 0, 2, 3, 0, 0, 0, 1];
  const bytes = writeNifti({ ...sample(), affine }, { gzip: false });
  assert.is(new DataView(bytes.buffer).getInt16(252, true), 0);
  assert.ok(distance(readNifti(bytes).affine, affine) < 1e-6);
});

test('metres become millimetres; form code, description and extensions survive', () => {
  const metres = readNifti(altered((v) => v.setUint8(123, 1)));
  assert.ok(Math.abs(metres.affine[0]! - 1500) < 1e-3);
  const header = {
    description: 'a CT',
    formCode: 2,
    units: 10,
    extensions: [{ code: 6, bytes: new Uint8Array([1, 2, 3, 4, 5]) }],
  };
  const back = readNifti(writeNifti({ ...sample(), header })).header!;
  assert.is(back.description, 'a CT');
  assert.is(back.formCode, 2);
  assert.is(back.units, 10);
  assert.is(back.extensions![0]!.code, 6);
  assert.equal([...back.extensions![0]!.bytes.subarray(0, 5)], [1, 2, 3, 4, 5]);
});

test('one volume of a 4D file is read, several are refused', () => {
  const four = (n: number) =>
    altered((v) => {
      v.setInt16(40, 4, true);
      v.setInt16(48, n, true);
    });
  assert.equal(readNifti(four(1)).dims, [5, 4, 3]);
  refuses(four(2), 'nifti-dims');
});

test('int64 is read where it is exact', () => {
  const volume = sample(Float64Array);
  const big = (value: bigint) =>
    altered((v) => {
      v.setInt16(70, 1024, true);
      for (let i = 0; i < 60; i++) v.setBigInt64(352 + 8 * i, value, true);
    }, volume);
  assert.is(readNifti(big(-7n)).data[0], -7);
  refuses(big(2n ** 60n + 1n), 'nifti-inexact');
});

test('damaged files are refused, each by its own code', () => {
  const whole = writeNifti(sample(), { gzip: false });
  const zipped = writeNifti(sample());
  refuses(whole.subarray(0, 100), 'nifti-truncated');
  refuses(whole.subarray(0, whole.length - 1), 'nifti-truncated');
  refuses(new Uint8Array(600), 'nifti-not');
  refuses(
    altered((v) => v.setInt16(42, -5, true)),
    'nifti-dims',
  );
  refuses(
    altered((v) => v.setInt16(44, 0, true)),
    'nifti-dims',
  );
  refuses(
    altered((v) => v.setInt16(40, 9, true)),
    'nifti-dims',
  );
  refuses(
    altered((v) => v.setInt16(70, 32, true)),
    'nifti-dtype',
  );
  refuses(
    altered((v) => v.setInt16(72, 64, true)),
    'nifti-dtype',
  );
  refuses(
    altered((v) => v.setFloat32(108, -8, true)),
    'nifti-offset',
  );
  refuses(
    altered((v) => v.setFloat32(108, Number.NaN, true)),
    'nifti-offset',
  );
  refuses(
    altered((v) => v.setFloat32(280, Number.NaN, true)),
    'nifti-affine',
  );
  refuses(
    altered((_, b) => b.set([0x6e, 0x69, 0x31], 344)),
    'nifti-pair',
  );
  refuses(whole, 'nifti-too-large', { maxBytes: 100 });
  const extended = { ...sample(), header: { extensions: [{ code: 0, bytes: new Uint8Array(8) }] } };
  refuses(
    altered((v) => v.setInt32(352, 4096, true), extended),
    'nifti-extension',
  );
  for (const length of [5, 17, 60, zipped.length - 9, zipped.length - 1])
    refuses(zipped.subarray(0, length), 'gzip-truncated');
  const flipped = zipped.slice();
  flipped[zipped.length - 6]! ^= 1;
  refuses(flipped, 'gzip-corrupt');
});

test('a gzip bomb is stopped near the size that its own header declares', () => {
  const file = new Uint8Array(64 * 2 ** 20);
  file.set(writeNifti(sample(), { gzip: false }));
  const bomb = gzipSync(file, { level: 1 });
  try {
    readNifti(bomb);
    assert.unreachable();
  } catch (err) {
    assert.ok(isDataError(err, 'gzip-bomb'), String(err));
    // One step of 16 KiB past the mebibyte of slack, at deflate's greatest ratio.
    const inflated = Number(/at least (\d+) bytes/.exec(err.message)![1]);
    assert.ok(inflated < 18 * 2 ** 20, `${inflated} bytes`);
  }
  // And a header that declares too much is refused before anything is inflated.
  const huge = altered((v) => [42, 44, 46].forEach((at) => void v.setInt16(at, 30000, true)));
  refuses(gzipSync(huge), 'nifti-too-large');
});

test('gzip members may follow one another', () => {
  const whole = writeNifti(sample(), { gzip: false });
  const parts = [gzipSync(whole.subarray(0, 400)), gzipSync(whole.subarray(400))];
  const joined = new Uint8Array(parts[0]!.length + parts[1]!.length);
  joined.set(parts[0]!);
  joined.set(parts[1]!, parts[0]!.length);
  assert.equal([...readNifti(joined).data], [...sample().data]);
});

test.run();
