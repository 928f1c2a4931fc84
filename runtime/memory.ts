// What a session allocates, told before it is opened: the figures that a build promises (`--memory`) and that the devices keep.
import { ALL_SECTIONS, arenaUse } from './arenas.ts';
import type { SectionKind } from './device.ts';
import { type Allocation, type Manifest, UNIT } from './manifest.ts';

/** Read back at most this much at once. */
export const STAGING_CHUNK = 64 * 2 ** 20;
/** Smallest staging buffer. */
export const STAGING_LEAST = 4096;
/** Threads of the wasm target at most, unless a caller asks for more. */
export const MOST_THREADS = 8;
/** A dispatch's parameter block. */
export const PARAM_STRIDE = 256;

const up = (n: number, unit: number): number => Math.ceil(n / unit) * unit;
/** Staging buffers come in powers of two, so that one serves many sizes. */
export const stagingSize = (bytes: number): number =>
  Math.max(STAGING_LEAST, 2 ** Math.ceil(Math.log2(Math.min(bytes, STAGING_CHUNK))));

/** The nth scratch arena of every section is one buffer: their sizes. */
export function sharedSlots(manifest: Pick<Manifest, 'arenas'>, shared: readonly (readonly number[])[]): number[] {
  const slots: number[] = [];
  for (const list of shared)
    list.forEach((arena, n) => {
      slots[n] = Math.max(slots[n] ?? 0, manifest.arenas[arena]!.bytes);
    });
  return slots;
}

/** Bytes of a target's arenas. */
export function arenaBytes(
  manifest: Pick<Manifest, 'arenas'>,
  target: 'webgpu' | 'wasm',
  sections: ReadonlySet<SectionKind> = ALL_SECTIONS,
): number {
  const { kept, shared } = arenaUse(manifest, sections, target);
  if (target === 'wasm') {
    const sum = (list: readonly number[]): number => list.reduce((s, i) => s + up(manifest.arenas[i]!.bytes, UNIT), 0);
    return sum(kept) + Math.max(0, ...shared.map(sum));
  }
  const buffer = (bytes: number): number => up(Math.max(bytes, 4), UNIT);
  return (
    kept.reduce((s, i) => s + buffer(manifest.arenas[i]!.bytes), 0) +
    sharedSlots(manifest, shared).reduce((s, b) => s + buffer(b), 0)
  );
}

/** Bytes that a session holds which has used these sections and read its weights. `programEnd`: where program.wasm's data and
 *  session block end. */
export function allocation(
  manifest: Pick<Manifest, 'arenas' | 'dispatches' | 'parameters' | 'entries' | 'wasm'>,
  programEnd: number,
  sections: ReadonlySet<SectionKind> = ALL_SECTIONS,
): Allocation {
  const outputs = Object.values(manifest.entries).map((e) => e.outputs.reduce((s, o) => s + o.place.bytes, 0));
  const weights = manifest.parameters.reduce((s, p) => s + p.place.bytes, 0);
  const losses = sections.has('grad') ? 3 * STAGING_LEAST : 0;
  const blocks = Math.max(1, manifest.dispatches.length) * PARAM_STRIDE;
  const scratch = MOST_THREADS * up(manifest.wasm.scratchBytesPerThread, UNIT);
  return {
    webgpu:
      arenaBytes(manifest, 'webgpu', sections) + stagingSize(Math.max(4, weights, ...outputs)) + losses + blocks + 64,
    wasm: up(programEnd + scratch + arenaBytes(manifest, 'wasm', sections), 65536),
  };
}
