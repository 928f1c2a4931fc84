// Probabilities of a whole scan as NIfTI files, one per class, without holding them (Node only).
//
// Slabs come along the canonical R axis, which is the fastest in most files, while a file is written slowest axis first. So
// they are spooled to a file on the way, laid out such that a few planes of the finished file are a few contiguous reads, and
// each class is then assembled from it, some planes at a time.

import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { DataError } from './errors.ts';
import { writeAtomically } from './files.ts';
import { checkNiftiDims, littleEndianBytes, niftiHeader } from './nifti-write.ts';
import type { Placement } from './prepare.ts';
import type { ProbabilitySlab } from './segment-scan.ts';

/** How a probability is stored. NIfTI has no 16-bit float: `uint16` is steps of 1/65535, told by the file's scl_slope. */
export type ProbabilityType = 'uint16' | 'float32';

export interface FinishOptions {
  /** Files written of all. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

type Stored = Uint16Array | Float32Array;

/** A slab's rows in the spool: all classes, rows and columns of the box. */
interface SpooledSlab {
  readonly i: number;
  readonly j: number;
  readonly k: number;
  readonly rows: number;
  readonly columns: number;
  /** Byte in the spool. */
  readonly at: number;
}

/** Bytes of the planes that are assembled at a time. */
const ASSEMBLED = 32 * 2 ** 20;

export class ProbabilityFiles {
  readonly #dir: string;
  readonly #classNames: readonly string[];
  readonly #type: ProbabilityType;
  readonly #spoolPath: string;
  readonly #spool: number;
  readonly #spooled: SpooledSlab[] = [];
  #placement: Placement | null = null;
  #end = 0;

  private constructor(dir: string, classNames: readonly string[], type: ProbabilityType) {
    this.#dir = dir;
    this.#classNames = classNames;
    this.#type = type;
    this.#spoolPath = join(dir, `.probabilities.${process.pid}.part`);
    this.#spool = openSync(this.#spoolPath, 'w+');
  }

  /** Makes the folder and, in it, the spool: classes · voxels of the foreground · 2 (float32: 4) bytes until `finish`. */
  static async create(
    dir: string,
    classNames: readonly string[],
    type: ProbabilityType = 'uint16',
  ): Promise<ProbabilityFiles> {
    await mkdir(dir, { recursive: true });
    return new ProbabilityFiles(dir, classNames, type);
  }

  /** Takes the next slab; this is `segment`'s onProbabilities. */
  add({ box, values }: ProbabilitySlab, placement: Placement): void {
    this.#placement ??= placement;
    const [, rows, columns] = box.size;
    const classes = this.#classNames.length;
    const plane = rows * columns;
    const stored = this.#array(classes * plane);
    const scale = this.#type === 'uint16' ? 65535 : 1;
    const turned = slowAxis(placement) === 2;
    for (let c = 0; c < classes; c++)
      for (let j = 0; j < rows; j++)
        for (let k = 0; k < columns; k++) {
          const v = values[c * plane + j * columns + k]! * scale;
          stored[c * plane + (turned ? k * rows + j : j * columns + k)] = scale === 1 ? v : Math.round(v);
        }
    const bytes = bytesOf(stored);
    for (let done = 0; done < bytes.length; )
      done += writeSync(this.#spool, bytes, done, bytes.length - done, this.#end + done);
    this.#spooled.push({ i: box.start[0], j: box.start[1], k: box.start[2], rows, columns, at: this.#end });
    this.#end += bytes.length;
  }

  /** Writes NN-CLASS.nii.gz for every class, on the scan's grid, and removes the spool. Returns their paths. */
  async finish({ onProgress, signal }: FinishOptions = {}): Promise<string[]> {
    const placement = this.#placement!;
    checkNiftiDims(placement.input.dims);
    const paths: string[] = [];
    for (const [c, name] of this.#classNames.entries()) {
      const path = join(this.#dir, `${String(c).padStart(2, '0')}-${fileName(name)}.nii.gz`);
      const source = this.#file(c, name, placement, signal);
      await writeAtomically(path, (file) =>
        pipeline(source, createGzip({ level: 4 }), async (pieces: AsyncIterable<Uint8Array>) => {
          for await (const piece of pieces) await file.writeFile(piece); // goes on where the last one ended
        }),
      );
      paths.push(path);
      onProgress?.(c + 1, this.#classNames.length);
    }
    await this.discard();
    return paths;
  }

  /** Removes the spool; files that are finished stay. */
  async discard(): Promise<void> {
    try {
      closeSync(this.#spool);
    } catch {
      // closed before
    }
    await rm(this.#spoolPath, { force: true });
  }

  /** One class's file, uncompressed. */
  *#file(c: number, name: string, placement: Placement, signal: AbortSignal | undefined): Generator<Uint8Array> {
    const { input } = placement;
    const [n0, n1, n2] = input.dims;
    const header = { ...input.header, description: `probability of ${name}` };
    const slope = this.#type === 'uint16' ? 1 / 65535 : 1;
    yield niftiHeader({ ...input, header }, this.#array(0), slope);
    const size = this.#array(0).BYTES_PER_ELEMENT;
    const step = Math.max(1, Math.floor(ASSEMBLED / (n0 * n1 * size)));
    for (let z = 0; z < n2; z += step) {
      signal?.throwIfAborted();
      yield littleEndianBytes(this.#planes(c, placement, z, Math.min(n2, z + step)));
    }
  }

  /** Planes from z0 up to z1 of one class, in the file's order of axes. */
  #planes(c: number, placement: Placement, z0: number, z1: number): Stored {
    const { input, orientation, canonical } = placement;
    const [n0, n1, n2] = input.dims;
    const planes = this.#array((z1 - z0) * n0 * n1);
    if (c === 0) planes.fill(this.#type === 'uint16' ? 65535 : 1); // what is not the patient
    const inFile = [1, n0, n0 * n1];
    const stride = orientation.axes.map((a, o) => (orientation.flips[o] ? -inFile[a]! : inFile[a]!));
    let base = -z0 * n0 * n1;
    for (let o = 0; o < 3; o++) if (orientation.flips[o]) base -= (canonical.dims[o]! - 1) * stride[o]!;
    const [s0, s1, s2] = stride as [number, number, number];
    const slow = slowAxis(placement);
    // The same planes counted along the canonical axis.
    const [from, to] = orientation.flips[slow] ? [n2 - z1, n2 - z0] : [z0, z1];
    for (const r of this.#spooled) {
      const first = [r.i, r.j, r.k];
      const count = [1, r.rows, r.columns];
      const start = Math.max(from, first[slow]!);
      const length = Math.min(to, first[slow]! + count[slow]!) - start;
      if (length <= 0) continue;
      const plane = r.rows * r.columns;
      const skipped = slow === 0 ? 0 : (start - first[slow]!) * (plane / count[slow]!);
      const part = this.#read(r.at, c * plane + skipped, slow === 0 ? plane : length * (plane / count[slow]!));
      first[slow] = start;
      count[slow] = length;
      const origin = base + first[0]! * s0 + first[1]! * s1 + first[2]! * s2;
      // [j, k] in the spool, or [k, j] where k is the file's slowest axis.
      const [outer, inner, so, si] = slow === 2 ? [count[2]!, count[1]!, s2, s1] : [count[1]!, count[2]!, s1, s2];
      for (let a = 0, at = 0; a < outer; a++)
        for (let b = 0, into = origin + a * so; b < inner; b++, into += si) planes[into] = part[at++]!;
    }
    return planes;
  }

  #read(record: number, skipped: number, length: number): Stored {
    const part = this.#array(length);
    const bytes = bytesOf(part);
    const at = record + skipped * part.BYTES_PER_ELEMENT;
    for (let done = 0; done < bytes.length; ) {
      const n = readSync(this.#spool, bytes, done, bytes.length - done, at + done);
      if (n === 0) {
        throw new DataError('file-truncated', 'The spool of probabilities ends early.', {
          found: `${this.#spoolPath} ends at byte ${at + done}`,
          expected: `${this.#end} bytes`,
          fix: 'leave the files in that folder alone while segmenting, and run it again',
        });
      }
      done += n;
    }
    return part;
  }

  #array(length: number): Stored {
    return this.#type === 'uint16' ? new Uint16Array(length) : new Float32Array(length);
  }
}

/** The canonical axis that a file of this scan has slowest. */
const slowAxis = (placement: Placement): number => placement.orientation.axes.indexOf(2);

const bytesOf = (array: Stored): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

const fileName = (name: string): string => name.trim().replace(/[^\p{L}\p{N}]+/gu, '-') || 'class';
