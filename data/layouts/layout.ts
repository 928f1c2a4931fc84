// What a folder layout is: how a known data set lies on disk, told as a list of studies.

import type { SeriesWishes, StudyChoice } from '../dicom/choose.ts';

/** One label map, or a map a class that are put together (`id` where a mask is above 0; the lower id keeps a voxel that two claim). */
export type StudyLabel = string | { readonly masks: readonly { readonly id: number; readonly path: string }[] };

export interface Study {
  /** Unique in the list, and safe as a file name. */
  readonly name: string;
  readonly patient: string;
  /** One examination; several reconstructions of it have one name here. */
  readonly study: string;
  /** Studies of one group stay together in splits: reconstructions of one scan. */
  readonly group?: string;
  /** A file, or the folder of a DICOM study. */
  readonly image: string;
  /** The series taken of a DICOM study. */
  readonly choice?: StudyChoice;
  readonly label?: StudyLabel;
  readonly report?: { readonly path: string } | { readonly text: string };
  /** HU = stored · slope + intercept, where the file's own values are not HU. */
  readonly rescale?: { readonly slope: number; readonly intercept: number };
  /** As the data set itself divides its studies. */
  readonly split?: 'train' | 'validation' | 'test';
  /** In which fold of splits_final.json it is validated on. */
  readonly fold?: number;
}

export interface DroppedStudy {
  readonly name: string;
  readonly where: string;
  readonly code: string;
  readonly reason: string;
}

export interface Listing {
  readonly studies: readonly Study[];
  readonly dropped: readonly DroppedStudy[];
  /** Names of the label ids, background first. */
  readonly classes?: readonly string[];
  /** Worth knowing. */
  readonly notes: readonly string[];
}

export interface ListOptions {
  readonly dicom?: SeriesWishes;
  readonly signal?: AbortSignal;
}

export interface Layout {
  readonly name: string;
  /** Why the folder is of this layout; null where it is not. */
  detect(dir: string): Promise<readonly string[] | null>;
  /** @throws `layout` where the folder is not as the layout has it, and what reading its tables throws */
  list(dir: string, options?: ListOptions): Promise<Listing>;
}
