// A scan from files that were dropped: one NIfTI file, or the files of a DICOM study, of which the best CT series is taken.
// Sizes are read first, and what would not fit is refused before it is allocated.

import { spacingOf } from '../../data/affine.ts';
import { chooseSeries } from '../../data/dicom/choose.ts';
import { isDicom, parseDicom } from '../../data/dicom/file.ts';
import { type ScanSeries, seriesOf } from '../../data/dicom/series.ts';
import { type DicomSlice, dicomSlices } from '../../data/dicom/slice.ts';
import { seriesVolume } from '../../data/dicom/volume.ts';
import { isGzip } from '../../data/gunzip.ts';
import { DataError, type Dims, type Volume } from '../../data/index.ts';
import { readNifti } from '../../data/nifti.ts';
import { parseHeader } from '../../data/nifti-header.ts';
import type { NamedFile, ReadScan } from './files.ts';
import { type MemoryNeed, type ModelMemory, memoryNeed } from './scan-memory.ts';

type Read = Omit<ReadScan, 'nifti' | 'dims' | 'spacing' | 'truth'> & { readonly volume: Volume };
type OnProgress = (done: number, total: number) => void;

/** Headers of DICOM files are rarely longer. */
const HEAD = 256 * 1024;
const NIFTI = /\.nii(\.gz)?$/i;

/** @throws DataError `scan-too-large`, `scan-none`, `scan-several`, and all of readNifti and seriesVolume */
export async function readScan(
  files: readonly NamedFile[],
  model: ModelMemory,
  limit: number,
  onProgress: OnProgress,
): Promise<Read> {
  const shown = files.filter(({ path }) => !path.split('/').some((part) => part.startsWith('.')));
  const volumes = shown.filter(({ file }) => NIFTI.test(file.name));
  if (volumes.length > 1)
    throw new DataError('scan-several', 'These are several scans.', {
      found: volumes.map((v) => v.file.name).join(', '),
      expected: 'one NIfTI file, or one folder of DICOM files',
      fix: 'drop one of them',
    });
  const fit = (dims: Dims, spacing: readonly number[], voxelBytes: 2 | 4): MemoryNeed =>
    checked(memoryNeed({ dims, spacing, voxelBytes }, model, limit), dims);
  if (volumes.length === 1) return nifti(volumes[0]!.file, fit);
  return dicom(shown, fit, onProgress);
}

type Fit = (dims: Dims, spacing: readonly number[], voxelBytes: 2 | 4) => MemoryNeed;

async function nifti(file: File, fit: Fit): Promise<Read> {
  const { dims, affine, bytesPerVoxel, scale } = parseHeader(await head(file, 544));
  const need = fit(dims, spacingOf(affine), bytesPerVoxel > 2 || scale ? 4 : 2);
  const volume = readNifti(new Uint8Array(await file.arrayBuffer()), { name: file.name });
  return { name: file.name.replace(NIFTI, ''), volume, notes: [], memory: need };
}

async function dicom(files: readonly NamedFile[], fit: Fit, onProgress: OnProgress): Promise<Read> {
  const byPath = new Map(files.map((f) => [f.path, f.file]));
  const slices: DicomSlice[] = [];
  let others = 0;
  for (const [n, { file, path }] of files.entries()) {
    onProgress(n, 2 * files.length);
    const bytes = new Uint8Array(await file.slice(0, HEAD).arrayBuffer());
    if (!isDicom(bytes)) others++;
    else slices.push(...(await dicomSlices(bytes, path).catch(async () => dicomSlices(await whole(file), path))));
  }
  const choices = chooseSeries(seriesOf(slices));
  if (choices.length === 0)
    throw new DataError('scan-none', 'There is no scan in this.', {
      found: others === 1 ? 'a file that is neither NIfTI nor DICOM' : `${others} files, none of them NIfTI or DICOM`,
      expected: 'one .nii or .nii.gz file, or a folder of DICOM files',
      fix: 'drop the file or the folder as the scanner or the archive wrote it',
    });
  if (choices.length > 1)
    throw new DataError('scan-several', 'This folder holds several studies.', {
      found: `${choices.length} studies`,
      expected: 'one',
      fix: "drop one study's folder",
    });
  const { chosen, verdicts } = choices[0]!;
  if (!chosen)
    throw new DataError('scan-none', 'No series of this study can be taken.', {
      found: verdicts
        .slice(0, 4)
        .map((v) => `${nameOf(v.series)}: ${v.reasons.join(', ')}`)
        .join('; '),
      expected: 'a CT series with its place in the patient',
      fix: 'choose another study',
    });
  const { rows, columns } = chosen.slices[0]!.pixels;
  const spacing = chosen.slices[0]!.spacing ?? [1, 1];
  const whole16 = chosen.slices.every((s) => Number.isInteger(s.slope) && Number.isInteger(s.intercept));
  const need = fit(
    [columns, rows, chosen.slices.length],
    [spacing[1]!, spacing[0]!, thickness(chosen)],
    whole16 ? 2 : 4,
  );
  let read = 0;
  const made = await seriesVolume(chosen, async (path) => {
    onProgress(chosen.slices.length + read++, 2 * chosen.slices.length);
    return parseDicom(await whole(byPath.get(path)!), path);
  });
  const passed = verdicts.filter((v) => v.decision === 'not chosen').length;
  return {
    name: nameOf(chosen),
    volume: made.volume,
    notes: [...(passed > 0 ? [`the best of ${passed + 1} series was taken`] : []), ...made.notes],
    memory: need,
  };
}

const nameOf = ({ description, number }: ScanSeries): string => description || `Series ${number ?? ''}`.trim();

/** mm between slices, as their places say. */
function thickness({ slices }: ScanSeries): number {
  const [a, b] = [slices[0]!.position, slices[1]?.position];
  return a && b ? Math.hypot(...a.map((v, i) => v - b[i]!)) || 1 : 1;
}

function checked(need: MemoryNeed, dims: Dims): MemoryNeed {
  if (need.bytes <= need.limit) return need;
  const gigabytes = (n: number): string => `${(n / 2 ** 30).toFixed(1)} GB`;
  const [first, second] = need.parts;
  throw new DataError('scan-too-large', 'This scan is too large for a page on this computer.', {
    found: `${dims.join(' × ')} voxels, about ${gigabytes(need.bytes)} at the peak (${first![0]} ${gigabytes(first![1])}, ${second![0]} ${gigabytes(second![1])})`,
    expected: `at most ${gigabytes(need.limit)}`,
    fix: 'use the command line, which needs less (t3dc segment), or a part of the scan',
  });
}

/** The first bytes of a file, unpacked where it is gzipped, without reading the rest. */
async function head(file: File, length: number): Promise<Uint8Array> {
  const start = new Uint8Array(await file.slice(0, length).arrayBuffer());
  if (!isGzip(start)) return start;
  const reader = file.stream().pipeThrough(new DecompressionStream('gzip')).getReader();
  const out = new Uint8Array(length);
  let at = 0;
  while (at < length) {
    const part = await reader.read().catch((e) => {
      throw new DataError('gzip-corrupt', 'The file cannot be unpacked.', {
        found: `${file.name}: ${(e as Error).message}`,
        fix: 'copy or download the file again',
      });
    });
    if (part.done) break;
    const some = part.value.subarray(0, length - at);
    out.set(some, at);
    at += some.length;
  }
  reader.cancel().catch(() => {}); // what follows is not wanted
  return out.subarray(0, at);
}

const whole = async (file: File): Promise<Uint8Array> => new Uint8Array(await file.arrayBuffer());
