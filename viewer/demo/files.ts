// What the page and its worker for files say to each other: reading scans and labels, drawing the sample, writing files.

import type { Dims, Volume } from '../../data/index.ts';
import type { SentError } from '../messages.ts';
import type { ModelMemory } from './scan-memory.ts';

export interface NamedFile {
  readonly file: File;
  /** With the folders that it was dropped in. */
  readonly path: string;
}

/** A scan, read. */
export interface ReadScan {
  readonly name: string;
  /** An uncompressed NIfTI file of it in HU, as int16 or float32: what the viewer takes. */
  readonly nifti: ArrayBuffer;
  readonly dims: Dims;
  readonly spacing: readonly number[];
  readonly notes: readonly string[];
  /** What it needs at its peak, of what is allowed. */
  readonly memory: { readonly bytes: number; readonly limit: number };
  /** The sample brings its truth with it. */
  readonly truth?: Volume;
}

export interface Tasks {
  read: {
    readonly take: { readonly files: readonly NamedFile[]; readonly model: ModelMemory; readonly limit: number };
    readonly give: ReadScan;
  };
  sample: {
    readonly take: { readonly classes: 'all' | 'organs'; readonly truth: boolean };
    readonly give: ReadScan;
  };
  /** In the viewer's order, x fastest. */
  labels: { readonly take: { readonly file: File; readonly classes: number }; readonly give: Volume };
  /** From the viewer's order to a .nii.gz in the scan's own. */
  save: {
    readonly take: { readonly labels: Volume; readonly description: string };
    readonly give: Uint8Array<ArrayBuffer>;
  };
}

export type Request = {
  [K in keyof Tasks]: { readonly id: number; readonly task: K; readonly take: Tasks[K]['take'] };
}[keyof Tasks];

export type Reply =
  | { readonly id: number; readonly done: number; readonly total: number }
  | { readonly id: number; readonly give: unknown }
  | { readonly id: number; readonly error: SentError };
