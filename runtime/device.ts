// What a session needs of a device; the wasm and the WebGPU device implement it.
import type { Place } from './manifest.ts';
import type { WindowAxis } from './windows.ts';

export type RunMode = 'forward' | 'grad' | 'train';
export type SectionKind = 'forward' | 'grad' | 'update';

/** What a run of a mode walks. */
export const SECTIONS_OF: Readonly<Record<RunMode, readonly SectionKind[]>> = {
  forward: ['forward'],
  grad: ['grad'],
  train: ['grad', 'update'],
};

export interface DeviceInfo {
  readonly kind: 'wasm' | 'webgpu';
  /** `wasm (relaxed SIMD), 2 threads` or the adapter's description. */
  readonly description: string;
  readonly threads?: number;
  /** A software WebGPU adapter. */
  readonly software?: boolean;
  readonly features?: readonly string[];
}

/** Settings of the scheduler; see runtime/manifest.ts Schedule. */
export interface RunSettings {
  readonly seed: number | bigint;
  readonly schedule: { readonly kind: string; readonly warmup: number; readonly total: number; readonly power: number };
  readonly lr: number;
  readonly accumulation: number;
}

export interface OpTime {
  readonly label: string;
  readonly kind: string;
  /** WebGPU: the variant that ran. */
  readonly variant?: string;
  readonly ms: number;
  /** 0 where the artifact does not say. */
  readonly flops: number;
  readonly bytes: number;
}

export interface Device {
  readonly info: DeviceInfo;
  /** The scheduler's window enumeration. */
  readonly windowAxis: WindowAxis;
  /** The GPU is gone, and all that was on it: every further call rejects with 'device-lost'. */
  readonly lost: boolean;
  /** Bytes that are allocated now, for all purposes. */
  readonly allocatedBytes: number;
  /** Allocates the parameters, and the arenas of these sections; cheap when that is done. */
  allocate(sections: readonly SectionKind[]): Promise<void>;
  /** Allocates, and compiles the kernels that a mode of an entry uses; cheap when that is done. */
  require(entry: string, mode: RunMode): Promise<void>;
  configure(settings: RunSettings): void;
  /** Optimiser steps done. */
  step: number;
  /** This run's learning rate. Valid after `run`. */
  readonly lr: number;
  /** Whether an arena has memory by now. */
  isAllocated(arena: number): boolean;
  /** Copies bytes to an arena. The source may be reused when the promise resolves. */
  write(arena: number, byteOffset: number, data: Uint8Array): void;
  /** Fills a range with zeros. */
  clear(arena: number, byteOffset: number, byteLength: number): void;
  /** Copies out what the runs so far leave at these places. Multiples of 4 bytes. */
  read(places: readonly Place[]): Promise<Uint8Array[]>;
  /** Runs a section on the inputs that were written. Resolves when new inputs may be written. The last microstep of a
   *  training run updates and advances `step`. */
  run(entry: string, mode: RunMode, microstep: number): Promise<void>;
  /** Runs once with a clock around each op. */
  profile(entry: string, mode: RunMode): Promise<OpTime[]>;
  close(): Promise<void>;
}
