// Sets of phantoms on disk (Node only): images, labels, reports, and lists of them.

import { join } from 'node:path';
import { writeFileAtomic, writeVolume } from './files.ts';
import { type PhantomOptions, phantom, phantomClasses } from './phantom.ts';
import { PART_LABELS, PART_SPACING, phantomPart } from './phantom-part.ts';
import type { Volume } from './volume.ts';

interface SetOptions {
  readonly count: number;
  /** Number of the first patient, so that a second set of the same seed is of other patients. Default 0. */
  readonly first?: number;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export interface PhantomSetOptions extends Omit<PhantomOptions, 'index'>, SetOptions {}
export interface PartSetOptions extends SetOptions {
  readonly seed: number;
}

/**
 * Writes DIR/images/NAME.nii.gz, DIR/labels/NAME.nii.gz and DIR/reports/NAME.txt; pairs.jsonl (image, label and report of each
 * patient) and lesions.csv (a lesion a row); and, last of all, dataset.json, which lists the pairs, the label names and the truth
 * of every patient: lesions, voxels, and what each sentence of the report states. Returns the names.
 */
export async function writePhantomSet(dir: string, options: PhantomSetOptions): Promise<string[]> {
  const { count, first, onProgress, signal, ...rest } = options;
  return writeSet(dir, { count, first, onProgress, signal }, 'phantom', {
    description: 'Synthetic body CT, t3dc',
    settings: rest,
    classes: phantomClasses(rest),
    patient: (index) => {
      const { image, label, truth } = phantom({ ...rest, index });
      return { image, label, text: truth.report.text, truth, lesions: truth.lesions };
    },
  });
}

/** The same of the phantom `part`. A lesion's place is that of its nearest voxel; the truth has it in full. */
export async function writePartSet(dir: string, options: PartSetOptions): Promise<string[]> {
  const { seed, ...set } = options;
  return writeSet(dir, set, 'part', {
    description: 'Synthetic study of four stations, t3dc',
    settings: { preset: 'part', seed },
    classes: PART_LABELS,
    patient: (index) => {
      const { image, label, report, truth } = phantomPart({ seed, index });
      const lesions = truth.organs.flatMap(({ organ, lesion }): Row[] => {
        if (!lesion) return [];
        const [, side, name] = /^(?:(left|right) )?(.*)$/.exec(organ)!;
        return [
          {
            kind: lesion.kind,
            organ: name!,
            side: side ?? null,
            centre: lesion.centre.map(Math.round),
            diameterMm: Math.round(lesion.radius * 2 * PART_SPACING * 10) / 10,
            voxels: lesion.voxels,
          },
        ];
      });
      return { image, label, text: report.text, truth: { ...truth, report }, lesions };
    },
  });
}

/** A lesion as lesions.csv tells it. */
interface Row {
  readonly kind: string;
  readonly organ: string;
  readonly side: string | null;
  /** Voxel [d, h, w]. */
  readonly centre: readonly number[];
  readonly diameterMm: number;
  readonly voxels: number;
}

interface Source {
  readonly description: string;
  /** What the set was drawn with. */
  readonly settings: object;
  /** Label names by id. */
  readonly classes: readonly string[];
  readonly patient: (index: number) => {
    readonly image: Volume;
    readonly label: Volume;
    readonly text: string;
    readonly truth: unknown;
    readonly lesions: readonly Row[];
  };
}

async function writeSet(dir: string, options: SetOptions, called: string, source: Source): Promise<string[]> {
  const { count, first = 0, onProgress, signal } = options;
  const names: string[] = [];
  const training = [];
  const pairs: string[] = [];
  const lesions = ['name,lesion,kind,organ,side,d,h,w,diameter_mm,voxels'];
  for (let n = 0; n < count; n++) {
    signal?.throwIfAborted();
    const made = source.patient(first + n);
    const name = `${called}_${String(first + n).padStart(4, '0')}`;
    const image = `images/${name}.nii.gz`;
    const label = `labels/${name}.nii.gz`;
    await writeVolume(join(dir, image), made.image);
    await writeVolume(join(dir, label), made.label);
    const report = `reports/${name}.txt`;
    await writeFileAtomic(join(dir, report), made.text);
    pairs.push(JSON.stringify({ patient: name, image, label, report }));
    made.lesions.forEach((l, i) => {
      lesions.push([name, i, l.kind, l.organ, l.side ?? '', ...l.centre, l.diameterMm, l.voxels].join(','));
    });
    training.push({ name, image, label, report, truth: made.truth });
    names.push(name);
    onProgress?.(n + 1, count);
  }
  const json = {
    name: called,
    description: source.description,
    phantom: source.settings,
    first,
    labels: Object.fromEntries(source.classes.map((name, id) => [String(id), name])),
    numTraining: count,
    training,
  };
  await writeFileAtomic(join(dir, 'pairs.jsonl'), `${pairs.join('\n')}\n`);
  await writeFileAtomic(join(dir, 'lesions.csv'), `${lesions.join('\n')}\n`);
  await writeFileAtomic(join(dir, 'dataset.json'), `${JSON.stringify(json, null, 1)}\n`);
  return names;
}
