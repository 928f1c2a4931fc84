// What the emitters return. WGSL and AssemblyScript each get one function per kernel kind; the compiler calls
// emitWgsl / emitWasm only.
import type { Kernel } from './ir.ts';

/** A dispatch's parameters (WGSL): a uniform block of u32 words, written once at load. Word 0: first outermost index of the
 *  slab; word 1: number of outermost indices; word 2 + i: the element offset at which binding i's window starts. */
export const PARAM_WORDS = 16;

/** A configuration of subgroup matrices as GPUAdapterInfo.subgroupMatrixConfigs names it: M × K times K × N. */
export interface SubgroupMatrix {
  readonly componentType: 'f16' | 'f32';
  readonly resultComponentType: 'f32';
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

export interface WgslVariant {
  /** Stable id: `default`, `subgroup8`, or a schedule's, such as `tiled-12x8-2-16` */
  readonly id: string;
  readonly code: string;
  readonly requires: {
    readonly features: readonly string[];
    /** Exactly this subgroup size (min = max), when set. */
    readonly subgroupSize?: number;
    readonly subgroupMatrix?: SubgroupMatrix;
    readonly workgroupStorage?: number;
    readonly invocations?: number;
  };
  /** Workgroups for a slab of `count` outermost indices. Each number may pass 65,535 only if emitWgsl folded it: it must not. */
  grid(count: number): [number, number, number];
}

export interface WgslKernel {
  /** Preferred first; the last needs WebGPU's defaults alone. Same bindings for all: @group(0) @binding(0) is the uniform
   *  parameter block, @binding(1 + i) is kernel.bufs[i] (`read_write` unless the tensor lives in a read-only arena), and
   *  @binding(1 + bufs.length) is the step block (storage, read) when usesStep. */
  readonly variants: readonly WgslVariant[];
  /** Variants of the schedules that were asked for by id. An id that this kernel's emitter does not know gives none. */
  readonly scheduled?: readonly WgslVariant[];
  readonly usesStep: boolean;
  /** Size of the outermost output index that slabs cut (1 when it cannot be cut). */
  readonly outermost: number;
  /** Slabs start at multiples of this (1 when absent). */
  readonly slabMultiple?: number;
}

export interface WasmKernel {
  /** AssemblyScript source of `function NAME(p: usize, t: u32, nt: u32): void` (NAME is replaced) and its helpers. Identical
   *  sources are emitted once: every size, stride and constant that differs between shapes belongs in `params`. */
  readonly code: string;
  /** Words after the buffer pointers in the parameter block: p[0..bufs) are byte addresses, then the step block's address,
   *  then the scratch base, then these. f32 values by their bits. */
  readonly params: readonly number[];
  /** Scratch bytes per thread (thread t's scratch starts at scratch + t * its size rounded up to 256). */
  readonly scratch: number;
}

export type EmitWgsl = (
  kernel: Kernel,
  options: {
    readonly readOnly: ReadonlySet<number>;
    readonly maxFold: number;
    /** f16 tensors are bound as f16, in variants that need shader-f16. */
    readonly halves?: boolean;
    /** Ids of schedules to emit beside the kernel's own variants. */
    readonly schedules?: readonly string[];
  },
) => WgslKernel;
export type EmitWasm = (kernel: Kernel) => WasmKernel;
