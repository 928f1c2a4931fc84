// Writes DIR/seg.dcm and DIR/labels.npy from DIR/series.json, for dicom_seg.py to check: npx tsx test/reference/dicom-seg.ts DIR
import { deepStrictEqual } from 'node:assert';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DicomSeries, reorient, stream, writeDicomSeg } from '../../data/index.ts';
import { seriesUnder } from '../../data/node.ts';

const dir = process.argv[2]!;
const told = JSON.parse(readFileSync(join(dir, 'series.json'), 'utf8')) as DicomSeries & { spacing: number[] };
const { rows, columns, orientation: o, spacing, instances } = told;
const frames = instances.length;
const s = stream(11);
const names = ['background', 'liver', 'right kidney', 'kidney_left', 'lungs', 'liver tumour', 'Wirbel Ä', 'spleen'];
// Blobs, so that some frames are full, some empty; spleen stays empty. [frame, row, column]
const labels = Uint8Array.from({ length: frames * rows * columns }, (_, at) => {
  const [k, r, c] = [Math.floor(at / (rows * columns)), Math.floor(at / columns) % rows, at % columns];
  if (k < 2 || s.uniform() < 0.2) return 0;
  return 1 + ((Math.floor(r / 6) + Math.floor(c / 5) + k) % 6);
});
// The same as a volume [d, h, w] = [column, row, frame] in RAS, then with its axes turned.
const data = new Uint8Array(labels.length);
for (let k = 0, at = 0; k < frames; k++)
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) data[(c * rows + r) * frames + k] = labels[at++]!;
const normal = [o[1]! * o[5]! - o[2]! * o[4]!, o[2]! * o[3]! - o[0]! * o[5]!, o[0]! * o[4]! - o[1]! * o[3]!];
const sign = [-1, -1, 1];
const affine = [0, 1, 2].flatMap((x) => [
  sign[x]! * o[x]! * spacing[1]!,
  sign[x]! * o[3 + x]! * spacing[0]!,
  sign[x]! * normal[x]! * spacing[2]!,
  sign[x]! * instances[0]!.position[x]!,
]);
const volume = { data, dims: [columns, rows, frames] as const, affine: [...affine, 0, 0, 0, 1] };
const series = await seriesUnder(volume, dir, null);
const turned = reorient(volume, { axes: [2, 0, 1], flips: [true, false, true] });
const { spacing: _, ...expected } = told;
const byUid = (a: { sopInstanceUid: string }, b: { sopInstanceUid: string }) =>
  a.sopInstanceUid < b.sopInstanceUid ? -1 : 1;
deepStrictEqual(series, { ...expected, instances: [...instances].sort(byUid) });
const options = { classNames: names, algorithm: 'reference test', version: '0' };
const file = await writeDicomSeg(turned, series, options);
const plain = await writeDicomSeg(volume, series, options);
if (Buffer.compare(file, plain) !== 0) throw new Error('the order of axes shows in the file');
writeFileSync(join(dir, 'seg.dcm'), file);
const header = `{'descr': '|u1', 'fortran_order': False, 'shape': (${frames}, ${rows}, ${columns}), }`.padEnd(117);
writeFileSync(
  join(dir, 'labels.npy'),
  Buffer.concat([Buffer.from('\x93NUMPY\x01\x00\x76\x00', 'latin1'), Buffer.from(`${header}\n`), labels]),
);
