// Reading buffers back: copies into staging buffers that are kept and used again.
import type { Place } from './manifest.ts';
import { UNIT } from './manifest.ts';
import { STAGING_CHUNK as CHUNK, stagingSize } from './memory.ts';

interface Copy {
  readonly from: GPUBuffer;
  readonly offset: number;
  readonly into: Uint8Array;
}

export class Readback {
  readonly #device: GPUDevice;
  readonly #free: GPUBuffer[] = [];

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Encodes the first 64 MiB of copies at once, so that later runs do not disturb them; `settle` runs before each wait for the
   *  GPU. */
  read(
    places: readonly Place[],
    arenas: readonly (GPUBuffer | undefined)[],
    settle: () => Promise<void>,
  ): Promise<Uint8Array[]> {
    const out = places.map((p) => new Uint8Array(p.bytes));
    const groups: Copy[][] = [];
    let size = 0;
    places.forEach((p, i) => {
      for (let at = 0; at < p.bytes; at += CHUNK) {
        const into = out[i]!.subarray(at, Math.min(at + CHUNK, p.bytes));
        if (groups.length === 0 || size + into.length > CHUNK) {
          groups.push([]);
          size = 0;
        }
        groups.at(-1)!.push({ from: arenas[p.arena]!, offset: p.offset * UNIT + at, into });
        size += into.length;
      }
    });
    // One after the other, through one staging buffer. (Only weights take several, and nothing runs beside them.)
    const [first, ...rest] = groups;
    let work = first ? this.#copy(first, settle) : Promise.resolve();
    for (const g of rest) work = work.then(() => this.#copy(g, settle));
    return work.then(() => out);
  }

  /** Bytes of the staging buffers that are kept. */
  get bytes(): number {
    return this.#free.reduce((n, b) => n + b.size, 0);
  }

  destroy(): void {
    for (const b of this.#free) b.destroy();
    this.#free.length = 0;
  }

  async #copy(copies: readonly Copy[], settle: () => Promise<void>): Promise<void> {
    const total = copies.reduce((n, c) => n + c.into.length, 0);
    const staging = this.#take(total);
    const encoder = this.#device.createCommandEncoder({ label: 'read back' });
    let at = 0;
    for (const c of copies) {
      encoder.copyBufferToBuffer(c.from, c.offset, staging, at, c.into.length);
      at += c.into.length;
    }
    this.#device.queue.submit([encoder.finish()]);
    try {
      await settle();
      await staging.mapAsync(1, 0, total); // READ
    } catch (e) {
      staging.destroy();
      throw e;
    }
    const mapped = new Uint8Array(staging.getMappedRange(0, total));
    at = 0;
    for (const c of copies) {
      c.into.set(mapped.subarray(at, at + c.into.length));
      at += c.into.length;
    }
    staging.unmap();
    this.#free.push(staging);
  }

  #take(size: number): GPUBuffer {
    const i = this.#free.findIndex((b) => b.size >= size);
    if (i >= 0) return this.#free.splice(i, 1)[0]!;
    // The free ones are all too small: this one takes their place.
    this.destroy();
    return this.#device.createBuffer({
      label: 'staging',
      size: stagingSize(size),
      usage: 0x1 | 0x8, // MAP_READ | COPY_DST
    });
  }
}
