// The model's parameters, gradients and optimiser state on a device, read and written in checkpoint layout.
import type { Device } from './device.ts';
import { initialValues } from './initialise.ts';
import { type Manifest, type Parameter, UNIT } from './manifest.ts';
import { elements, toCheckpoint, toStored } from './parameters.ts';

/** Read back at most this much at once. */
const CHUNK = 64 * 2 ** 20;

export class ParameterStore {
  readonly #device: Device;
  readonly #manifest: Manifest;

  constructor(device: Device, manifest: Manifest) {
    this.#device = device;
    this.#manifest = manifest;
  }

  /** Draws every parameter anew. */
  initialise(seed: number | bigint): void {
    for (const p of this.#manifest.parameters) {
      const values = new Float32Array(elements(p.shape));
      initialValues(p.init, p.name, seed, values);
      this.write(p, values);
    }
  }

  /** Writes values in checkpoint layout, shape p.shape, to the parameter or to its slice of another arena. */
  write(p: Parameter, values: Float32Array, arena: number = p.place.arena): void {
    const stored = new Uint32Array(values.length);
    toStored(p, new Uint32Array(values.buffer, values.byteOffset, values.length), stored);
    this.#device.write(arena, p.place.offset * UNIT, new Uint8Array(stored.buffer));
  }

  /** Values in checkpoint layout of these parameters, from their own arena or their slices of another. */
  async read(parameters: readonly Parameter[], arena?: number): Promise<Map<Parameter, Float32Array>> {
    const out = new Map<Parameter, Float32Array>();
    for (let from = 0; from < parameters.length; ) {
      let to = from;
      for (let size = 0; to < parameters.length && (to === from || size < CHUNK); to++)
        size += 4 * elements(parameters[to]!.shape);
      const part = parameters.slice(from, to);
      const data = await this.#device.read(
        part.map((p) => ({ arena: arena ?? p.place.arena, offset: p.place.offset, bytes: 4 * elements(p.shape) })),
      );
      part.forEach((p, i) => {
        const values = new Float32Array(elements(p.shape));
        const bytes = data[i]!;
        toCheckpoint(p, new Uint32Array(bytes.buffer, bytes.byteOffset, values.length), new Uint32Array(values.buffer));
        out.set(p, values);
      });
      from = to;
    }
    return out;
  }

  /** What an arena holds behind the parameters' slices (device scalars such as a loss scale); null when that is nothing. */
  async tail(arena: number): Promise<Uint8Array | null> {
    const place = this.#tailPlace(arena);
    if (!place) return null;
    const [data] = await this.#device.read([place]);
    return data!.some((b) => b !== 0) ? data! : null;
  }

  writeTail(arena: number, data: Uint8Array | null): void {
    const place = this.#tailPlace(arena);
    if (!place) return;
    if (data) this.#device.write(arena, place.offset * UNIT, data);
    else this.#device.clear(arena, place.offset * UNIT, place.bytes);
  }

  /** An arena's bytes; null where the device has no memory for it. */
  async whole(arena: number): Promise<Uint8Array | null> {
    if (!this.#device.isAllocated(arena)) return null;
    const [data] = await this.#device.read([{ arena, offset: 0, bytes: this.#manifest.arenas[arena]!.bytes }]);
    return data!;
  }

  /** null: zeros. Nothing where the device has no memory for it. */
  writeWhole(arena: number, data: Uint8Array | null): void {
    if (!this.#device.isAllocated(arena)) return;
    if (data) this.#device.write(arena, 0, data);
    else this.#device.clear(arena, 0, this.#manifest.arenas[arena]!.bytes);
  }

  #tailPlace(arena: number): { arena: number; offset: number; bytes: number } | null {
    // Only trainable parameters have a slice there; the frozen ones count their offsets in another arena.
    const trainable = this.#manifest.parameters.filter((p) => p.trainable);
    const end = trainable.reduce((n, p) => Math.max(n, p.place.offset + Math.ceil(p.place.bytes / UNIT)), 0);
    const bytes = this.#manifest.arenas[arena]!.bytes - end * UNIT;
    return bytes > 0 ? { arena, offset: end, bytes } : null;
  }
}
