// A data set made ready for training (Node only): every study read, prepared by one contract and stored in chunks, on threads; what was
// taken, how, and what was dropped and why stands in manifest.json. A run that was broken off goes on where it was.

import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { SeriesWishes, StudyChoice } from './dicom/choose.ts';
import { DataError, isDataError } from './errors.ts';
import { readBytes, readJson, writeFileAtomic } from './files.ts';
import { layoutOf } from './layouts/index.ts';
import type { DroppedStudy, Study } from './layouts/layout.ts';
import { type SampleThread, startThread } from './loader-threads.ts';
import type { Preprocess } from './prepare.ts';
import {
  type PrepareStorage,
  type PrepareStudyOptions,
  recordPath,
  type StudyJob,
  type StudyRecord,
} from './prepare-study.ts';

export interface PrepareSetOptions {
  readonly contract: Preprocess;
  readonly storage: PrepareStorage;
  /** A layout's name, or auto (the default). */
  readonly layout?: string;
  readonly dicom?: PrepareStudyOptions['dicom'] & SeriesWishes;
  /** Threads; each holds a study in memory. Default 1. */
  readonly jobs?: number;
  /** Go on in a folder that was begun with the same contract. Without it, such a folder is refused. */
  readonly resume?: boolean;
  readonly onProgress?: (done: number, total: number, name: string) => void;
  readonly onNote?: (note: string) => void;
  readonly onDropped?: (study: DroppedStudy) => void;
  readonly signal?: AbortSignal;
}

export interface PreparedStudy extends StudyRecord {
  readonly patient: string;
  readonly study: string;
  readonly group?: string;
  readonly report?: string;
  readonly split?: Study['split'];
  readonly fold?: number;
}

export interface PreparedSet {
  readonly format: 't3dc-prepared';
  readonly version: 1;
  readonly source: string;
  readonly layout: { readonly name: string; readonly reasons: readonly string[] };
  readonly contract: Preprocess;
  readonly storage: PrepareStorage;
  readonly classes?: readonly string[];
  readonly counts: {
    readonly found: number;
    readonly taken: number;
    readonly dropped: number;
    /** Dropped, by code. */
    readonly reasons: Readonly<Record<string, number>>;
  };
  readonly notes: readonly string[];
  readonly studies: readonly PreparedStudy[];
  readonly dropped: readonly DroppedStudy[];
}

/**
 * Writes DIR/images/NAME.ome.zarr, labels/NAME.ome.zarr, reports/NAME.txt, pairs.jsonl, dataset.json and manifest.json, and studies/
 * with a record a study. @returns the manifest and how many studies were there already
 *
 * @throws `prepared-exists`, `prepared-contract`, `prepared-empty`, and of `layoutOf`, the layouts, the file system; a study that
 *   cannot be used is dropped by name
 */
export async function prepareSet(
  source: string,
  out: string,
  options: PrepareSetOptions,
): Promise<{ readonly manifest: PreparedSet; readonly before: number }> {
  const { contract, storage, onNote } = options;
  const { layout, reasons } = await layoutOf(source, options.layout);
  const plan = { source: resolve(source), layout: layout.name, contract, storage, dicom: options.dicom ?? {} };
  await begin(out, plan, options.resume === true);
  onNote?.(`layout ${layout.name}: ${reasons.join(', ')}`);
  const listing = await layout.list(resolve(source), { dicom: options.dicom, signal: options.signal });
  for (const note of listing.notes) onNote?.(note);
  const jobs = jobsOf(listing.studies);
  const records = new Map<number, StudyRecord>();
  for (const [n, job] of jobs.entries()) {
    const record = options.resume ? await finished(out, job) : null;
    if (record) records.set(n, record);
  }
  const before = records.size;
  const dropped: DroppedStudy[] = [...listing.dropped];
  for (const d of dropped) options.onDropped?.(d);
  const failed = await prepareAll(out, jobs, records, options);
  dropped.push(...failed);
  const studies = await studiesOf(out, listing.studies, jobs, records);
  const counts: Record<string, number> = {};
  for (const d of dropped) counts[d.code] = (counts[d.code] ?? 0) + 1;
  const manifest: PreparedSet = {
    format: 't3dc-prepared',
    version: 1,
    source: plan.source,
    layout: { name: layout.name, reasons },
    contract,
    storage,
    ...(listing.classes && { classes: listing.classes }),
    counts: {
      found: listing.studies.length + listing.dropped.length,
      taken: studies.length,
      dropped: dropped.length,
      reasons: counts,
    },
    notes: listing.notes,
    studies,
    dropped,
  };
  await writeLists(out, manifest);
  if (studies.length > 0) return { manifest, before };
  throw new DataError('prepared-empty', 'No study could be used.', {
    found: dropped[0]
      ? `${dropped.length} dropped, the first ${dropped[0].name}: ${dropped[0].reason}`
      : `no study in ${source}`,
    expected: 'at least one',
    fix: `see ${join(out, 'manifest.json')}`,
  });
}

/** The folder is new, or was begun with the same plan. */
async function begin(out: string, plan: object, resume: boolean): Promise<void> {
  const path = join(out, 'prepare.json');
  const text = `${JSON.stringify(plan, null, 1)}\n`;
  const known = await readJson(path).catch((err) => {
    if (isDataError(err, 'file-missing')) return null;
    throw err;
  });
  if (known !== null && !resume) {
    throw new DataError('prepared-exists', 'A data set was prepared in this folder, or begun.', {
      found: out,
      expected: 'a new folder',
      fix: 'go on with it by --resume, or choose another',
    });
  }
  if (known !== null && JSON.stringify(known) !== JSON.stringify(JSON.parse(text))) {
    const fields = Object.keys(plan).filter(
      (k) => JSON.stringify((known as never)[k]) !== JSON.stringify((plan as never)[k]),
    );
    throw new DataError('prepared-contract', 'The folder was begun in another way.', {
      found: `another ${fields.join(', ')}`,
      expected: `what ${path} says`,
      fix: 'resume with the same options, or choose another folder',
    });
  }
  await writeFileAtomic(path, text);
  for (const part of ['images', 'labels', 'studies']) {
    await mkdir(join(out, part), { recursive: true });
    await removeDrafts(join(out, part));
  }
}

async function removeDrafts(dir: string): Promise<void> {
  for (const name of await readdir(dir))
    if (/^\..*\.part$/.test(name)) await rm(join(dir, name), { recursive: true, force: true });
}

/** Names as file names, each once whatever the case of its letters. */
function jobsOf(studies: readonly Study[]): StudyJob[] {
  const taken = new Set<string>();
  return studies.map(({ report: _, choice, ...study }) => {
    const base = study.name.replace(/[^\p{L}\d._-]+/gu, '_').replace(/^\.+/, '_') || '_';
    let file = base;
    for (let n = 2; taken.has(file.toLowerCase()); n++) file = `${base}_${n}`;
    taken.add(file.toLowerCase());
    return { ...study, ...(choice && { choice: slim(choice) }), file };
  });
}

/** Threads get a copy of the list: of a series that is not read, its slices are not needed. */
const slim = (choice: StudyChoice): StudyChoice => ({
  ...choice,
  verdicts: choice.verdicts.map((v) =>
    v.series === choice.chosen ? v : { ...v, series: { ...v.series, slices: [] } },
  ),
});

/** The record of a study that is there with its files. */
async function finished(out: string, job: StudyJob): Promise<StudyRecord | null> {
  try {
    const record = (await readJson(recordPath(out, job.file))) as StudyRecord;
    const needed = [record.image, ...(record.label ? [record.label] : [])];
    await Promise.all(needed.map((path) => stat(join(out, path, 'zarr.json'))));
    return record.name === job.name && record.source.image === job.image ? record : null;
  } catch (err) {
    if (isDataError(err) || (err as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw err;
  }
}

/** Fills `records`; returns what was dropped, in the order of the list. */
async function prepareAll(
  out: string,
  jobs: readonly StudyJob[],
  records: Map<number, StudyRecord>,
  options: PrepareSetOptions,
): Promise<DroppedStudy[]> {
  const { contract, storage, signal, onProgress } = options;
  const { uneven, tilt } = options.dicom ?? {};
  const dicom = { ...(uneven && { uneven }), ...(tilt && { tilt }) };
  const left = jobs.map((_, n) => n).filter((n) => !records.has(n));
  const failed = new Map<number, DroppedStudy>();
  let done = records.size;
  const module = new URL(
    import.meta.url.endsWith('.ts') ? './prepare-study.ts' : './prepare-study.js',
    import.meta.url,
  );
  const studyOptions: PrepareStudyOptions = { dir: resolve(out), jobs, contract, storage, dicom };
  const threads: SampleThread[] = [];
  const aborted = new Promise<never>((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  aborted.catch(() => {});
  const work = async (): Promise<void> => {
    const thread = startThread({ module, options: studyOptions }, true);
    threads.push(thread);
    thread.hold(true);
    for (let n = left.shift(); n !== undefined; n = left.shift()) {
      signal?.throwIfAborted();
      const { error, sample } = await thread.make({ seed: 0, epoch: 0, index: n, item: n });
      const job = jobs[n]!;
      if (!error) records.set(n, JSON.parse((sample as { record: string }).record));
      else if (isDataError(error)) {
        const study = { name: job.name, where: job.image, code: error.code, reason: inOneLine(error.message) };
        failed.set(n, study);
        options.onDropped?.(study);
      } else throw error; // a full disk, a bug: no matter of this study
      onProgress?.(++done, jobs.length, job.name);
    }
  };
  try {
    signal?.throwIfAborted();
    const width = Math.min(options.jobs ?? 1, left.length);
    await Promise.race([Promise.all(Array.from({ length: width }, work)), aborted]);
  } finally {
    left.length = 0;
    await Promise.all(threads.map((t) => t.close()));
    for (const part of ['images', 'labels', 'studies']) await removeDrafts(join(out, part));
  }
  return [...failed].sort(([a], [b]) => a - b).map(([, study]) => study);
}

const inOneLine = (message: string): string =>
  message
    .split('\n')
    .filter((line) => !/^ {2}do:/.test(line))
    .map((line) => line.trim())
    .join(' ');

/** What is taken, in the order of the list, with their reports written. */
async function studiesOf(
  out: string,
  studies: readonly Study[],
  jobs: readonly StudyJob[],
  records: ReadonlyMap<number, StudyRecord>,
): Promise<PreparedStudy[]> {
  const taken: PreparedStudy[] = [];
  for (const [n, record] of [...records].sort(([a], [b]) => a - b)) {
    const { patient, study, group, report, split, fold } = studies[n]!;
    const text = !report ? undefined : 'text' in report ? report.text : await readBytes(report.path);
    const path = text === undefined ? undefined : `reports/${jobs[n]!.file}.txt`;
    if (path !== undefined) await writeFileAtomic(join(out, path), text!);
    taken.push({
      ...record,
      ...{ patient, study },
      ...(group !== undefined && { group }),
      ...(path !== undefined && { report: path }),
      ...(split && { split }),
      ...(fold !== undefined && { fold }),
    });
  }
  return taken;
}

async function writeLists(out: string, manifest: PreparedSet): Promise<void> {
  const { studies, classes } = manifest;
  const pairs = studies.map(({ name, image, label, report, patient, study, group, split, fold }) =>
    JSON.stringify({ name, image, label, report, patient, study, group, split, fold }),
  );
  // What the set itself keeps for validation or test is trained on by nobody who does not ask for it; tests are often without labels.
  const part = (split: Study['split']) => studies.filter((s) => (s.split ?? 'train') === split);
  const listed = (split: Study['split']) => part(split).map(({ name, image, label }) => ({ name, image, label }));
  const [validation, test] = [listed('validation'), listed('test')];
  const dataset = {
    name: basename(manifest.source),
    description: `prepared by t3dc from the layout ${manifest.layout.name}`,
    modality: { '0': 'CT' },
    ...(classes && { labels: Object.fromEntries(classes.map((name, id) => [String(id), name])) }),
    numTraining: part('train').length,
    training: listed('train'),
    ...(validation.length > 0 && { validation }),
    ...(test.length > 0 && { numTest: test.length, test }),
  };
  await writeFileAtomic(join(out, 'pairs.jsonl'), pairs.map((line) => `${line}\n`).join(''));
  await writeFileAtomic(join(out, 'dataset.json'), `${JSON.stringify(dataset, null, 1)}\n`);
  await writeFileAtomic(join(out, 'manifest.json'), `${JSON.stringify(manifest, null, 1)}\n`);
}
