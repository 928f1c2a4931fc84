// VTK.js's adapter against vtk.js's own image data.
import vtkDataArray from '@kitware/vtk.js/Common/Core/DataArray.js';
import vtkImageData from '@kitware/vtk.js/Common/DataModel/ImageData.js';
import vtkPiecewiseFunction from '@kitware/vtk.js/Common/DataModel/PiecewiseFunction.js';
import vtkColorTransferFunction from '@kitware/vtk.js/Rendering/Core/ColorTransferFunction.js';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isDataError } from '../../data/index.ts';
import { describe } from '../../viewer/labels.ts';
import { colour, labelsTo, type VtkImage, volumeOf } from '../../viewer/vtk.ts';
import { AFFINES, CLASS_NAMES, huOf, lps, misplaced, parts, SIZE, segmented } from '../viewer-phantom.ts';

const model = { name: 'abdomen', version: '1', artifactSha256: 'a'.repeat(64), weightsSha256: 'b'.repeat(64) };
const map = describe({ classNames: CLASS_NAMES }, model);
const vtk = { vtkImageData, vtkDataArray };

/** The phantom as vtk.js has it, in LPS or RAS; `start`: the extent's. */
function imageOf(
  affine: readonly number[],
  space: 'RAS' | 'LPS',
  Type: Int16ArrayConstructor | Int32ArrayConstructor | Float64ArrayConstructor,
  start = [0, 0, 0],
) {
  const { direction, spacing, origin } = parts(space === 'LPS' ? lps(affine) : affine);
  const image = vtkImageData.newInstance();
  image.setSpacing(spacing);
  image.setDirection(...(direction as Parameters<typeof image.setDirection>));
  image.setExtent(
    start[0]!,
    start[0]! + SIZE[0] - 1,
    start[1]!,
    start[1]! + SIZE[1] - 1,
    start[2]!,
    start[2]! + SIZE[2] - 1,
  );
  // Index `start` lies where the phantom's first voxel does.
  const first = (r: number) => start.reduce((sum, s, axis) => sum + s * spacing[axis]! * direction[axis * 3 + r]!, 0);
  image.setOrigin([origin[0] - first(0), origin[1] - first(1), origin[2] - first(2)]);
  image
    .getPointData()
    .setScalars(vtkDataArray.newInstance({ name: 'ct', values: Type.from(huOf(affine)), numberOfComponents: 1 }));
  return image;
}

/** By vtk.js's own worldToIndex. */
const placed =
  (image: ReturnType<typeof imageOf>, space: 'RAS' | 'LPS') => (world: readonly [number, number, number]) => {
    const [x, y, z] = world;
    const at = image.worldToIndex(space === 'LPS' ? [-x, -y, z] : [x, y, z]) as unknown as number[];
    const extent = image.getExtent();
    const [i, j, k] = [0, 1, 2].map((axis) => Math.round(at[axis]!) - extent[2 * axis]!) as [number, number, number];
    if ([i, j, k].some((v, axis) => v < 0 || v >= SIZE[axis]!)) return -1;
    return (image.getPointData().getScalars().getData() as Uint8Array)[i + SIZE[0] * (j + SIZE[1] * k)]!;
  };

for (const [name, affine] of Object.entries(AFFINES)) {
  for (const [space, Type] of [
    ['LPS', Int32Array],
    ['RAS', Float64Array],
  ] as const) {
    test(`${name}, ${space}, ${Type.name}: in and out, every label at its place`, async () => {
      const image = imageOf(affine, space, Type);
      const result = segmented(await volumeOf(image, { space }));
      const overlay = labelsTo(vtk, image, result, map, { space });
      assert.is(misplaced(affine, placed(overlay, space)), 0);
      assert.is(overlay.getPointData().getScalars().getName(), map.title);
      assert.is(image.getPointData().getScalars().getName(), 'ct', 'the image stays');
    });
  }
}

test('an extent that does not begin at 0', async () => {
  const affine = AFFINES.oblique!;
  const image = imageOf(affine, 'LPS', Int16Array, [3, -2, 7]);
  const volume = await volumeOf(image);
  assert.is(volume.data, image.getPointData().getScalars().getData(), 'nothing is copied');
  const overlay = labelsTo(vtk, image, segmented(volume), map);
  assert.equal(overlay.getExtent(), image.getExtent());
  assert.is(misplaced(affine, placed(overlay, 'LPS')), 0);
});

test('colours', () => {
  const [colours, opacities] = [vtkColorTransferFunction.newInstance(), vtkPiecewiseFunction.newInstance()];
  colour(colours, opacities, map, 0.4);
  const rgb = [0, 0, 0] as [number, number, number];
  colours.getColor(2, rgb);
  assert.equal(
    rgb.map((v) => Math.round(v * 255)),
    [...map.labels[1]!.colour],
  );
  assert.equal(
    // The types forget the argument.
    [0, 1, 3].map((v) => Math.round((opacities.getValue as (x: number) => number)(v) * 10)),
    [0, 4, 4],
  );
});

test('what is no CT volume is refused; stored values are scaled', async () => {
  const rejects = async (run: () => Promise<unknown>, code: string) => {
    const err = await run().then(
      () => null,
      (e) => e,
    );
    assert.ok(isDataError(err, code), String(err));
  };
  const image: VtkImage = imageOf(AFFINES.straight!, 'LPS', Int16Array);
  await rejects(() => volumeOf(image, { modality: 'MR' }), 'viewer-modality');
  await rejects(() => volumeOf(vtkImageData.newInstance()), 'viewer-not-loaded');
  const rgb = imageOf(AFFINES.straight!, 'LPS', Int16Array);
  const values = new Uint8Array(SIZE[0] * SIZE[1] * SIZE[2] * 3);
  rgb.getPointData().setScalars(vtkDataArray.newInstance({ name: 'rgb', values, numberOfComponents: 3 }));
  await rejects(() => volumeOf(rgb), 'viewer-dims');
  const scaled = await volumeOf(image, { slope: 2, inter: 5 });
  assert.is(scaled.data[0], -1995);
});

test.run();
