// One DICOM file: its attributes by tag, over the package dicom-parser.

import type { DataSet, Element } from 'dicom-parser';
import { inflateSync } from 'fflate';
import { DataError } from '../errors.ts';
import { optionalPackage } from './optional.ts';

export type Parser = typeof import('dicom-parser');
export type { DataSet, Element };

export const PIXEL_DATA = 'x7fe00010';
const DEFLATED = '1.2.840.10008.1.2.1.99';

export const dicomParser = (): Promise<Parser> => optionalPackage<Parser>('dicom-parser', 'reading DICOM');

/** Whether the bytes begin as a DICOM file does: 128 of anything, then DICM. */
export const isDicom = (bytes: Uint8Array): boolean =>
  bytes.length >= 132 && bytes[128] === 0x44 && bytes[129] === 0x49 && bytes[130] === 0x43 && bytes[131] === 0x4d;

/**
 * The file's attributes; with `header`, those before its pixels.
 * @throws `dicom-not`, `dicom-damaged`, `dicom-package`
 */
export async function parseDicom(bytes: Uint8Array, name: string, header = false): Promise<DataSet> {
  if (!isDicom(bytes)) {
    throw new DataError('dicom-not', 'This is no DICOM file.', {
      found: `${name} without DICM at byte 128`,
      expected: 'a DICOM file with its preamble',
      fix: 'take the file as the scanner or the archive wrote it',
    });
  }
  const parser = await dicomParser();
  try {
    return parser.parseDicom(bytes, {
      ...(header && { untilTag: PIXEL_DATA }),
      inflater: inflated as never,
    });
  } catch (err) {
    const why = err instanceof Error ? err.message : ((err as { exception?: string }).exception ?? String(err));
    throw new DataError('dicom-damaged', 'The DICOM file cannot be read to its end.', {
      found: `${name}: ${why}`,
      expected: 'whole elements',
      fix: 'copy or export the file again',
    });
  }
}

/** Deflated data sets: the parser wants the bytes before `position` as they are, and the rest inflated. */
function inflated(bytes: Uint8Array, position: number): Uint8Array {
  const rest = inflateSync(bytes.subarray(position));
  const out = new Uint8Array(position + rest.length);
  out.set(bytes.subarray(0, position));
  out.set(rest, position);
  return out;
}

export const isDeflated = (set: DataSet): boolean => set.string('x00020010') === DEFLATED;

/** All values of a multi-valued text, trimmed; none where the element is absent or empty. */
export function texts(set: DataSet, tag: string): string[] {
  const element = set.elements[tag];
  if (!element || element.length === 0) return [];
  const utf8 = /192/.test(set.string('x00080005') ?? '');
  const bytes = set.byteArray.subarray(element.dataOffset, element.dataOffset + element.length);
  return new TextDecoder(utf8 ? 'utf-8' : 'windows-1252')
    .decode(bytes)
    .replace(/[\0 ]+$/, '')
    .split('\\')
    .map((s) => s.trim());
}

/** One text; undefined where it is absent or empty. */
export const text = (set: DataSet, tag: string): string | undefined => texts(set, tag).join('\\') || undefined;

/** Numbers of a DS or IS; undefined where there are not `count` finite ones. */
export function decimals(set: DataSet | undefined, tag: string, count: number): number[] | undefined {
  if (!set) return undefined;
  const values = texts(set, tag);
  const numbers = values.map((v) => (v === '' ? Number.NaN : Number(v)));
  return numbers.length === count && numbers.every(Number.isFinite) ? numbers : undefined;
}

export const decimal = (set: DataSet | undefined, tag: string): number | undefined => decimals(set, tag, 1)?.[0];

/** The items of a sequence. */
export const items = (set: DataSet | undefined, tag: string): DataSet[] =>
  (set?.elements[tag]?.items ?? []).flatMap((item) => item.dataSet ?? []);
