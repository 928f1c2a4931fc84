// Slices as series: what one reconstruction is. A DICOM series may hold several stacks (a scout before the scan, phases or
// acquisitions one after the other); they are taken apart here.

import type { DicomSlice } from './slice.ts';

/** One stack of slices of one series. */
export interface ScanSeries {
  /** Its UID; `UID#2` and so on for the further stacks of a series. */
  readonly id: string;
  readonly seriesUid: string;
  readonly studyUid: string;
  readonly patient: string | undefined;
  readonly number: number | undefined;
  readonly description: string;
  readonly slices: readonly DicomSlice[];
}

/** In order of study, series number and UID, whatever the order of the files. */
export function seriesOf(slices: readonly DicomSlice[]): ScanSeries[] {
  const whole = grouped(slices, (s) => `${s.studyUid}\n${s.seriesUid}`);
  const all = whole.flatMap((own) => {
    const stacks = grouped(own, layout).flatMap(apart);
    return stacks.map((stack, n): ScanSeries => {
      const first = stack[0]!;
      const { seriesUid, studyUid, patient, description } = first;
      const id = n === 0 ? seriesUid : `${seriesUid}#${n + 1}`;
      return { id, seriesUid, studyUid, patient, number: first.seriesNumber, description, slices: stack };
    });
  });
  return all.sort(
    (a, b) => compare(a.studyUid, b.studyUid) || (a.number ?? 0) - (b.number ?? 0) || compare(a.id, b.id),
  );
}

/** Slices of one stack share these. */
function layout(s: DicomSlice): string {
  const round = (v: number): string => (Math.round(v * 1e3) / 1e3 || 0).toFixed(3);
  return [
    s.imageType.includes('LOCALIZER'),
    s.pixels.rows,
    s.pixels.columns,
    s.orientation?.map(round).join(','),
    s.spacing?.map(round).join(','),
  ].join('|');
}

/** What may tell stacks at the same places from one another, in order of trust. */
const APART: readonly ((s: DicomSlice) => string | number | undefined)[] = [
  (s) => s.temporal,
  (s) => s.acquisition,
  (s) => s.kernel,
  (s) => s.imageType.join('\\'),
  (s) => s.thickness,
];

/** A stack as it is, or as several where places repeat and one attribute takes the repetitions apart. */
function apart(slices: readonly DicomSlice[]): (readonly DicomSlice[])[] {
  const files = new Set(slices.map((s) => `${s.sopInstanceUid}:${s.frame}`)).size;
  if (!repeats(slices) || files === 1) return [slices];
  for (const attribute of APART) {
    const parts = grouped(slices, (s) => String(attribute(s)));
    if (parts.length > 1 && parts.every((p) => p.length > 1 && !repeats(p))) return parts;
  }
  return [slices];
}

/** Whether two different images lie at one place. */
function repeats(slices: readonly DicomSlice[]): boolean {
  const at = new Map<string, string>();
  for (const s of slices) {
    if (!s.position) continue;
    const place = s.position.map((v) => v.toFixed(2)).join();
    const image = `${s.sopInstanceUid}:${s.frame}`;
    if (at.has(place) && at.get(place) !== image) return true;
    at.set(place, image);
  }
  return false;
}

/** Groups in order of their keys, the slices of each by instance number, file and frame. */
function grouped(slices: readonly DicomSlice[], key: (s: DicomSlice) => string): DicomSlice[][] {
  const groups = new Map<string, DicomSlice[]>();
  for (const s of slices) {
    const k = key(s);
    const group = groups.get(k);
    if (group) group.push(s);
    else groups.set(k, [s]);
  }
  const inOrder = (a: DicomSlice, b: DicomSlice) =>
    (a.instanceNumber ?? 0) - (b.instanceNumber ?? 0) || compare(a.file, b.file) || a.frame - b.frame;
  const lists = [...groups.values()].map((g) => g.sort(inOrder));
  return lists.sort((a, b) => inOrder(a[0]!, b[0]!));
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
