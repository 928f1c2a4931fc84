// A volume as the files of a CT series.
import { type DataSet, encodeDicomFile } from '../data/dicom-encode.ts';
import type { Volume } from '../data/index.ts';

/** Slice k of a scan in axes R, A, S as an axial CT image. */
export function dicomSlice({ data, dims, affine }: Volume, k: number): Uint8Array {
  const [columns, rows, slices] = dims;
  const pixels = new Int16Array(columns * rows);
  // Columns run to the patient's left, rows to the back.
  for (let r = 0, at = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) pixels[at++] = data[((columns - 1 - c) * rows + rows - 1 - r) * slices + k]!;
  const last = [affine[0]! * (columns - 1) + affine[3]!, affine[5]! * (rows - 1) + affine[7]!];
  const uid = '1.2.826.0.1.3680043.8.498.9';
  const elements: DataSet = [
    [0x00080008, 'CS', 'ORIGINAL\\PRIMARY\\AXIAL'],
    [0x00080016, 'UI', '1.2.840.10008.5.1.4.1.1.2'],
    [0x00080018, 'UI', `${uid}.1.${k}`],
    [0x00080020, 'DA', '20200101'],
    [0x00080060, 'CS', 'CT'],
    [0x00100020, 'LO', 'phantom'],
    [0x00180050, 'DS', affine[10]!],
    [0x0020000d, 'UI', `${uid}.2`],
    [0x0020000e, 'UI', `${uid}.3`],
    [0x00200013, 'IS', k + 1],
    [0x00200032, 'DS', [-last[0]!, -last[1]!, affine[10]! * k + affine[11]!]],
    [0x00200037, 'DS', [1, 0, 0, 0, 1, 0]],
    [0x00200052, 'UI', `${uid}.4`],
    [0x00280002, 'US', 1],
    [0x00280004, 'CS', 'MONOCHROME2'],
    [0x00280010, 'US', rows],
    [0x00280011, 'US', columns],
    [0x00280030, 'DS', [affine[5]!, affine[0]!]],
    [0x00280100, 'US', 16],
    [0x00280101, 'US', 16],
    [0x00280102, 'US', 15],
    [0x00280103, 'US', 1],
    [0x00281052, 'DS', 0],
    [0x00281053, 'DS', 1],
    [0x7fe00010, 'OB', new Uint8Array(pixels.buffer)],
  ];
  return encodeDicomFile(elements, { uid: `${uid}.5`, version: 'TEST' });
}
