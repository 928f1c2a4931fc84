// NiiVue's adapter against the packages themselves, 0.69 and 1.0: their own loaders read the phantom and the labels. What
// draws needs a browser and is not touched.
import { NVImage } from '@niivue/niivue';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { diagonalAffine, isDataError } from '../../data/index.ts';
import { describe, NOTICE } from '../../viewer/labels.ts';
import { labelsTo, type Niivue1, type NiivueImage, volumeOf } from '../../viewer/niivue.ts';
import { AFFINES, CLASS_NAMES, huOf, misplaced, reading, SIZE, segmented } from '../viewer-phantom.ts';

// NiiVue 1.0 looks for a navigator, which Node 20 has not; without a canvas it loads images and draws none.
Object.assign(globalThis, { window: globalThis });
if (!globalThis.navigator) Object.assign(globalThis, { navigator: { userAgent: 'node' } });
console.warn = () => {};
const { default: NiiVue1 } = await import('niivue-1');

type New = InstanceType<typeof NiiVue1>;
const fresh = () => new NiiVue1({}) as New & Niivue1<New['volumes'][number]>;
/** NiiVue 0.69's viewer, as far as labels are added: its own needs a canvas. */
const old = () => {
  const volumes: NVImage[] = [];
  return { volumes, addVolume: (image: NVImage) => void volumes.push(image) };
};
const model = { name: 'abdomen', version: '1', artifactSha256: 'a'.repeat(64), weightsSha256: 'b'.repeat(64) };
const map = describe({ classNames: CLASS_NAMES }, model);

const TYPES = {
  int8: [256, Int8Array],
  uint8: [2, Uint8Array],
  int16: [4, Int16Array],
  uint16: [512, Uint16Array],
  int32: [8, Int32Array],
  uint32: [768, Uint32Array],
  float32: [16, Float32Array],
  float64: [64, Float64Array],
  int64: [1024, BigInt64Array],
} as const;

/** A NIfTI-1 file of the phantom. */
function file(
  affine: readonly number[],
  type: keyof typeof TYPES,
  {
    slope = 0,
    inter = 0,
    frames = 1,
    units = 2,
  }: { slope?: number; inter?: number; frames?: number; units?: number } = {},
): File {
  const [code, Type] = TYPES[type];
  const stored = Array.from(huOf(affine), (v) => Math.round((v - inter) / (slope || 1)));
  const all = Array.from({ length: frames }, () => stored).flat();
  const data = Type === BigInt64Array ? BigInt64Array.from(all, BigInt) : (Type as Float64ArrayConstructor).from(all);
  const bytes = new ArrayBuffer(352 + data.byteLength);
  const view = new DataView(bytes);
  const floats = (at: number, values: readonly number[]) => {
    for (const [i, v] of values.entries()) view.setFloat32(at + 4 * i, v, true);
  };
  view.setInt32(0, 348, true);
  for (const [i, n] of [frames > 1 ? 4 : 3, ...SIZE, frames, 1, 1, 1].entries()) view.setInt16(40 + 2 * i, n, true);
  view.setInt16(70, code, true);
  view.setInt16(72, Type.BYTES_PER_ELEMENT * 8, true);
  floats(76, [2, 2, 2, 2]);
  floats(108, [352, slope, inter]);
  view.setUint8(123, units);
  view.setInt16(254, 1, true);
  floats(280, affine.slice(0, 12));
  new Uint8Array(bytes, 344, 3).set([110, 43, 49]);
  new Uint8Array(bytes, 352).set(new Uint8Array(data.buffer));
  return new File([bytes], `${type}.nii`);
}

const load069 = (from: File) => NVImage.loadFromFile({ file: from, name: from.name });
async function load1(from: File): Promise<{ nv: ReturnType<typeof fresh>; image: NiivueImage }> {
  const nv = fresh();
  await nv.addVolume({ url: from, name: from.name, opacity: 1 });
  return { nv, image: nv.volumes[0]! };
}
/** Of an NVImage, x fastest: the voxel at a point of the world, by its own header. */
function placed({ img, hdr }: NiivueImage) {
  const rows = hdr!.affine.flat();
  const turned = rows.map((_, i) => rows[(i & ~3) + [2, 1, 0, 3][i & 3]!]!);
  return reading(img!, [hdr!.dims[3]!, hdr!.dims[2]!, hdr!.dims[1]!], turned);
}

// int32 and float64 on every grid; the other types on one.
const cases = [
  ...Object.entries(AFFINES).flatMap(([name, affine]) => [
    { name, affine, type: 'int32' as const },
    { name, affine, type: 'float64' as const },
  ]),
  ...(['int16', 'uint32', 'float32'] as const).map((type) => ({ name: 'oblique', affine: AFFINES.oblique!, type })),
];
for (const { name, affine, type } of cases) {
  const scaling = type === 'uint32' ? { slope: 2, inter: -1000 } : {};
  test(`0.69, ${type}, ${name}: in and out, every label at its place`, async () => {
    const image = await load069(file(affine, type, scaling));
    const before = image.img!.slice();
    const volume = await volumeOf(image);
    const result = segmented(volume);
    assert.is(misplaced(affine, reading(result.labels.data, volume.dims, volume.affine)), 0);
    const nv = old();
    const drawing = nv.volumes.length;
    const overlay = await labelsTo(nv, image, result, map);
    assert.is(nv.volumes.length, drawing + 1);
    assert.is(nv.volumes[0], overlay);
    assert.is(misplaced(affine, placed(overlay)), 0);
    assert.equal(image.img, before, "the viewer's own voxels stay");
  });
  test(`1.0, ${type}, ${name}: in and out, every label at its place`, async () => {
    const { nv, image } = await load1(file(affine, type, scaling));
    const volume = await volumeOf(image);
    const overlay = await labelsTo(nv, image, segmented(volume), map);
    assert.is(nv.volumes.length, 2);
    assert.is(misplaced(affine, placed(overlay)), 0);
  });
}

test('0.69 loses the last voxel of int32, uint32 and int64; it is taken from its neighbour, and noted', async () => {
  for (const type of ['int32', 'uint32', 'int64'] as const) {
    const scaling = type === 'uint32' ? { slope: 1, inter: -1000 } : {};
    // uint32: air is stored as 0, so that nothing is lost
    const affine = AFFINES.straight!;
    const image = await load069(file(affine, type, type === 'uint32' ? { slope: 1, inter: -1024 } : scaling));
    assert.instance(image.img, Float64Array);
    assert.is(image.img!.at(-1), 0, `${type}: NiiVue has mended this; then the adapter's mending can go`);
    const volume = await volumeOf(image);
    assert.is(volume.data.at(-1), -1000, type);
    assert.match(volume.notes.join(), /last voxel/);
  }
  const kept = await volumeOf(await load069(file(AFFINES.straight!, 'float64')));
  assert.equal(kept.notes, []);
  const { image } = await load1(file(AFFINES.straight!, 'int32'));
  assert.instance(image.img, Int32Array);
  assert.equal((await volumeOf(image)).notes, [], '1.0 keeps it');
  assert.is((await volumeOf(image)).data, image.img, 'and nothing is copied');
});

test('names, colours, opacity, notice and codes are on the overlay', async () => {
  const affine = AFFINES.oblique!;
  const image = await load069(file(affine, 'int16'));
  const result = segmented(await volumeOf(image));
  const { nv, image: image1 } = await load1(file(affine, 'int16'));
  for (const overlay of [
    await labelsTo(old(), image, result, map, { opacity: 0.25 }),
    await labelsTo(nv, image1, segmented(await volumeOf(image1)), map, { opacity: 0.25 }),
  ]) {
    assert.equal(overlay.colormapLabel!.labels, CLASS_NAMES);
    assert.equal([...overlay.colormapLabel!.lut.slice(0, 8)], [0, 0, 0, 0, ...map.labels[0]!.colour, 255]);
    assert.is(overlay.opacity, 0.25);
    assert.match(overlay.name, NOTICE);
    assert.match(overlay.hdr!.description, NOTICE);
    assert.is(overlay.hdr!.intent_code, 1002);
    assert.is(overlay.t3dc.labels[0]!.type.value, '10200004');
    assert.is(overlay.t3dc.labels[0]!.weightsSha256, 'b'.repeat(64));
  }
});

test('a file in metres comes in millimetres, and its labels lie on it', async () => {
  const metres = AFFINES.straight!.map((v, i) => (i < 12 ? v / 1000 : v));
  const image = await load069(file(metres, 'int16', { units: 1 }));
  const volume = await volumeOf(image);
  assert.ok(Math.abs(volume.affine[2]! - 2) < 1e-4, `${volume.affine}`);
  const overlay = await labelsTo(old(), image, segmented(volume), map);
  assert.equal(overlay.hdr!.affine, image.hdr!.affine);
});

test('4D, colour and what is not loaded are refused', async () => {
  const rejects = async (image: NiivueImage, code: string) => {
    const err = await volumeOf(image).then(
      () => null,
      (e) => e,
    );
    assert.ok(isDataError(err, code), String(err));
  };
  await rejects(await load069(file(AFFINES.straight!, 'int16', { frames: 2 })), 'viewer-dims');
  await rejects((await load1(file(AFFINES.straight!, 'int16', { frames: 2 }))).image, 'viewer-dims');
  await rejects(new NVImage(), 'viewer-not-loaded');
  const image = await load069(file(AFFINES.straight!, 'uint8'));
  image.hdr!.datatypeCode = 128;
  await rejects(image, 'viewer-dims');
});

test('labels of another image are not drawn on this one', async () => {
  const image = await load069(file(AFFINES.straight!, 'int16'));
  const other = await load069(file(diagonalAffine([2, 2, 2]), 'int16'));
  const result = segmented(await volumeOf(other));
  const nv = old();
  const err = await labelsTo(nv, image, result, map).catch((e) => e);
  assert.ok(isDataError(err, 'viewer-grid'), String(err));
  assert.is(nv.volumes.length, 0);
});

test.run();
