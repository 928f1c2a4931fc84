// A label map as a DICOM Segmentation object (PS3.3 A.51): one segment per class, binary frames of one bit a voxel, on the grid
// of the CT series that was segmented and with references to its images. Frames without a voxel are left out.
//
// Nothing is drawn and no clock is read: the UIDs follow from the content, so the same labels of the same series are the same
// object, byte for byte.

import { labelColour, type Rgb } from './canvas.ts';
import { type DataSet, type Element, encodeDicomFile, type Vr } from './dicom-encode.ts';
import { DataError } from './errors.ts';
import { type Code, segmentCodes } from './segment-codes.ts';
import { type FrameGrid, gridOnSeries, type SeriesGeometry, type SeriesInstance } from './series-grid.ts';
import { checkVolume, type Volume } from './volume.ts';

/** The series that was segmented, as far as its segmentation repeats it. */
export interface DicomSeries extends SeriesGeometry {
  readonly studyUid: string;
  readonly seriesUid: string;
  readonly frameOfReferenceUid: string;
  /** Of patient and study, by keyword; what is not there stays empty. */
  readonly attributes: Readonly<Partial<Record<CopiedKeyword, string>>>;
}

export interface DicomSegOptions {
  /** Class names in label order, background first. */
  readonly classNames: readonly string[];
  /** What made the labels, e.g. the model's name. */
  readonly algorithm: string;
  /** When, as YYYYMMDD and HHMMSS. Default: the date and time of the series, or else of the study. */
  readonly created?: { readonly date: string; readonly time: string };
  /** Default 300. */
  readonly seriesNumber?: number;
  /** Version of the software that made the labels. */
  readonly version: string;
}

/**
 * @param labels class ids on the grid of the series, in any order of axes
 * @throws `dicom-seg-grid`, `dicom-length`, `label-range`, `volume-shape`
 */
export async function writeDicomSeg(
  labels: Volume,
  series: DicomSeries,
  options: DicomSegOptions,
): Promise<Uint8Array> {
  checkVolume(labels);
  const grid = gridOnSeries(labels, series);
  const frames = binaryFrames(labels, grid, options.classNames.length);
  const known = series.attributes;
  // There must be one; a series without its name or its patient's often has none.
  const date = options.created?.date || known.SeriesDate || known.StudyDate || '19000101';
  const time = options.created?.time || known.SeriesTime || known.StudyTime || '000000';
  const { instances: _, ...identity } = series;
  const content = JSON.stringify([identity, grid.planes, grid.spacing, options, await sha256(frames.bits)]);
  const uid = (part: string) => contentUid(content, part);
  const used = new Map(
    grid.planes.flatMap((p) => (p.instance ? [[p.instance.sopInstanceUid, p.instance] as const] : [])),
  );
  const { classNames, algorithm, version, seriesNumber = 300 } = options;
  const dataSet: DataSet = [
    ...copied(known),
    [0x00080005, 'CS', 'ISO_IR 192'],
    [0x00080008, 'CS', 'DERIVED\\PRIMARY'],
    [0x00080016, 'UI', SEGMENTATION_STORAGE],
    [0x00080018, 'UI', await uid('instance')],
    [0x00080021, 'DA', date],
    [0x00080023, 'DA', date],
    [0x00080031, 'TM', time],
    [0x00080033, 'TM', time],
    [0x00080060, 'CS', 'SEG'],
    [0x00080070, 'LO', 't3dc'],
    [0x0008103e, 'LO', `Segmentation: ${algorithm}`.slice(0, 64)],
    [0x00081090, 'LO', 't3dc'],
    [
      0x00081115,
      'SQ',
      [
        [
          [0x0008114a, 'SQ', [...used.values()].map((i) => reference({ ...i, frame: undefined }))],
          [0x0020000e, 'UI', series.seriesUid],
        ],
      ],
    ],
    [0x00181000, 'LO', 'none'],
    [0x00181020, 'LO', version],
    [0x0020000d, 'UI', series.studyUid],
    [0x0020000e, 'UI', await uid('series')],
    [0x00200011, 'IS', seriesNumber],
    [0x00200013, 'IS', 1],
    [0x00200052, 'UI', series.frameOfReferenceUid],
    ...dimensions(await uid('dimensions')),
    [0x00280002, 'US', 1],
    [0x00280004, 'CS', 'MONOCHROME2'],
    [0x00280008, 'IS', frames.list.length],
    [0x00280010, 'US', grid.rows],
    [0x00280011, 'US', grid.columns],
    [0x00280100, 'US', 1],
    [0x00280101, 'US', 1],
    [0x00280102, 'US', 0],
    [0x00280103, 'US', 0],
    [0x00282110, 'CS', '00'],
    [0x00620001, 'CS', 'BINARY'],
    [0x00620002, 'SQ', classNames.slice(1).map((name, i) => segment(name, i + 1, algorithm))],
    [0x00620013, 'CS', 'NO'],
    [0x00700080, 'CS', 'SEGMENTATION'],
    [0x00700081, 'LO', ''],
    [0x00700084, 'PN', ''],
    [0x52009229, 'SQ', [sharedGroups(series, grid)]],
    [0x52009230, 'SQ', frameGroups(frames.list, grid)],
    [0x7fe00010, 'OB', frames.bits],
  ];
  return encodeDicomFile(dataSet, { uid: await contentUid('t3dc', 'implementation'), version: 'T3DC' });
}

const SEGMENTATION_STORAGE = '1.2.840.10008.5.1.4.1.1.66.4';

/** Attributes that a segmentation has in common with the series. Those marked 2 are there even when they are empty. */
const COPIED = {
  StudyDate: [0x00080020, 'DA', 2],
  SeriesDate: [0x00080021, 'DA', 0],
  StudyTime: [0x00080030, 'TM', 2],
  SeriesTime: [0x00080031, 'TM', 0],
  AccessionNumber: [0x00080050, 'SH', 2],
  ReferringPhysicianName: [0x00080090, 'PN', 2],
  StudyDescription: [0x00081030, 'LO', 3],
  PatientName: [0x00100010, 'PN', 2],
  PatientID: [0x00100020, 'LO', 2],
  PatientBirthDate: [0x00100030, 'DA', 2],
  PatientSex: [0x00100040, 'CS', 2],
  PatientAge: [0x00101010, 'AS', 3],
  StudyID: [0x00200010, 'SH', 2],
  PositionReferenceIndicator: [0x00201040, 'LO', 2],
} as const satisfies Record<string, readonly [number, Vr, 0 | 2 | 3]>;

export type CopiedKeyword = keyof typeof COPIED;

/** Where they stand in a file of the series. */
export const TAGS = Object.fromEntries(Object.entries(COPIED).map(([keyword, [tag]]) => [keyword, tag])) as Readonly<
  Record<CopiedKeyword, number>
>;

function copied(attributes: DicomSeries['attributes']): Element[] {
  const out: Element[] = [];
  for (const [keyword, [tag, vr, type]] of Object.entries(COPIED)) {
    const value = attributes[keyword as CopiedKeyword];
    if (type === 2 || (type === 3 && value)) out.push([tag, vr, value ?? '']);
  }
  return out;
}

interface Frame {
  readonly segment: number;
  readonly plane: number;
}

/** Frames that hold a voxel, by segment and plane, and their bits one after the other, the first pixel lowest in its byte. */
function binaryFrames(labels: Volume, grid: FrameGrid, classes: number): { list: Frame[]; bits: Uint8Array } {
  const planes = grid.planes.length;
  const filled = new Uint8Array(classes * planes);
  const visit = (each: (label: number, plane: number, pixel: number) => void): void => {
    for (let n = 0; n < planes; n++)
      for (let r = 0, pixel = 0; r < grid.rows; r++)
        for (let c = 0, at = grid.origin + n * grid.step[0] + r * grid.step[1]; c < grid.columns; c++, pixel++) {
          const label = labels.data[at]!;
          if (label !== 0) each(label, n, pixel);
          at += grid.step[2];
        }
  };
  visit((label, plane) => {
    if (!(Number.isInteger(label) && label > 0 && label < classes)) {
      throw new DataError('label-range', 'A label is not a class of this segmentation.', {
        found: `${label} in plane ${plane}`,
        expected: `whole numbers from 0 to ${classes - 1}`,
        fix: 'name every class in classNames',
      });
    }
    filled[label * planes + plane] = 1;
  });
  const list: Frame[] = [];
  const frameOf = new Int32Array(filled.length);
  filled.forEach((f, n) => {
    if (f === 1) frameOf[n] = list.push({ segment: Math.floor(n / planes), plane: n % planes }) - 1;
  });
  // An object has at least one frame.
  if (list.length === 0) list.push({ segment: 1, plane: 0 });
  const pixels = grid.rows * grid.columns;
  const bits = new Uint8Array(Math.ceil((list.length * pixels) / 8));
  visit((label, plane, pixel) => {
    const bit = frameOf[label * planes + plane]! * pixels + pixel;
    bits[Math.floor(bit / 8)]! |= 1 << (bit % 8);
  });
  return { list, bits };
}

const SEGMENT_NUMBER = 0x0062000b;
const POSITION = 0x00200032;

/** Frames are ordered by segment, then by position. */
const dimensions = (organization: string): Element[] => [
  [0x00209221, 'SQ', [[[0x00209164, 'UI', organization]]]],
  [
    0x00209222,
    'SQ',
    [
      [
        [0x00209164, 'UI', organization],
        [0x00209165, 'AT', SEGMENT_NUMBER],
        [0x00209167, 'AT', 0x0062000a],
      ],
      [
        [0x00209164, 'UI', organization],
        [0x00209165, 'AT', POSITION],
        [0x00209167, 'AT', 0x00209113],
      ],
    ],
  ],
];

const sharedGroups = (series: DicomSeries, grid: FrameGrid): DataSet => [
  [0x00209116, 'SQ', [[[0x00200037, 'DS', series.orientation]]]],
  [
    0x00289110,
    'SQ',
    [
      [
        [0x00180050, 'DS', grid.spacing[2]],
        [0x00180088, 'DS', grid.spacing[2]],
        [0x00280030, 'DS', grid.spacing.slice(0, 2)],
      ],
    ],
  ],
];

function frameGroups(frames: readonly Frame[], grid: FrameGrid): DataSet[] {
  const order = [...new Set(frames.map((f) => f.plane))].sort((a, b) => a - b);
  const rank = new Map(order.map((plane, n) => [plane, n + 1]));
  return frames.map(({ segment: number, plane }) => {
    const { position, instance } = grid.planes[plane]!;
    const source: DataSet[] = instance
      ? [
          [
            [0x00082112, 'SQ', [[...reference(instance), coded(0x0040a170, SOURCE), [0x0028135a, 'CS', 'YES']]]],
            coded(0x00089215, SEGMENTATION),
          ],
        ]
      : [];
    return [
      [0x00089124, 'SQ', source],
      [0x00209111, 'SQ', [[[0x00209157, 'UL', [number, rank.get(plane)!]]]]],
      [0x00209113, 'SQ', [[[POSITION, 'DS', position]]]],
      [0x0062000a, 'SQ', [[[SEGMENT_NUMBER, 'US', number]]]],
    ];
  });
}

const SOURCE: Code = { value: '121322', scheme: 'DCM', meaning: 'Source image for image processing operation' };
const SEGMENTATION: Code = { value: '113076', scheme: 'DCM', meaning: 'Segmentation' };

const reference = (i: SeriesInstance): DataSet => [
  [0x00081150, 'UI', i.sopClassUid],
  [0x00081155, 'UI', i.sopInstanceUid],
  ...(i.frame === undefined ? [] : [[0x00081160, 'IS', i.frame] as const]),
];

/** A code sequence of one item. */
const coded = (tag: number, { value, scheme, meaning }: Code, ...more: Element[]): Element => [
  tag,
  'SQ',
  [[[0x00080100, 'SH', value], [0x00080102, 'SH', scheme], [0x00080104, 'LO', meaning.slice(0, 64)], ...more]],
];

function segment(name: string, number: number, algorithm: string): DataSet {
  const { category, type, side } = segmentCodes(name);
  return [
    coded(0x00620003, category),
    [0x00620004, 'US', number],
    [0x00620005, 'LO', name.slice(0, 64)],
    [0x00620008, 'CS', 'AUTOMATIC'],
    [0x00620009, 'LO', algorithm.slice(0, 64)],
    [0x0062000d, 'US', cieLab(labelColour(number))],
    coded(0x0062000f, type, ...(side ? [coded(0x00620011, side)] : [])),
  ];
}

/** sRGB to CIELab (D65) as DICOM's three 16-bit numbers. */
function cieLab(rgb: Rgb): number[] {
  const [r, g, b] = rgb.map((v) => (v <= 10.31475 ? v / 3294.6 : ((v / 255 + 0.055) / 1.055) ** 2.4)) as [
    number,
    number,
    number,
  ];
  const f = (t: number) => (t > 216 / 24389 ? Math.cbrt(t) : (t * (24389 / 27) + 16) / 116);
  const x = f((0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047);
  const y = f(0.2126729 * r + 0.7151522 * g + 0.072175 * b);
  const z = f((0.0193339 * r + 0.119192 * g + 0.9503041 * b) / 1.08883);
  const lab = [(116 * y - 16) / 100, (500 * (x - y) + 128) / 255, (200 * (y - z) + 128) / 255];
  return lab.map((v) => Math.round(65535 * Math.min(1, Math.max(0, v))));
}

const sha256 = async (bytes: Uint8Array): Promise<string> =>
  Array.from(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>)), (b) =>
    b.toString(16).padStart(2, '0'),
  ).join('');

/** A UID under 2.25, the root of those made from a UUID: here one of version 8, from the hash of a content. */
async function contentUid(content: string, part: string): Promise<string> {
  const hex = (await sha256(new TextEncoder().encode(`${part}\n${content}`))).slice(0, 32);
  const uuid = `${hex.slice(0, 12)}8${hex.slice(13, 16)}${'89ab'[Number.parseInt(hex[16]!, 16) % 4]}${hex.slice(17)}`;
  return `2.25.${BigInt(`0x${uuid}`)}`;
}
