// The artifact's table of contents, `manifest.json` (written more tightly: manifest-pack.ts). Everything the runtime knows about a model stands here and in the
// generated program (program.wasm); nothing of the compiler is needed.

export const FORMAT = 2;
/** Arena offsets are in units of this many bytes, so that nothing overflows past 2 GiB. */
export const UNIT = 256;

/** How another project's parameter names become the model's. */
export interface Dialect {
  readonly name: string;
  /** Where it comes from. */
  readonly about: string;
  /** Applied in order: a regular expression over the whole name, and its replacement. */
  readonly rewrites: readonly { readonly match: string; readonly replace: string }[];
  /** Groups of names, as regular expressions on what the rewrites left, that a file may hold and an artifact lack as a whole:
   *  heads that are not wanted, or parts of the model that its entries do not use. They are left out, and that is reported. */
  readonly optional?: readonly string[];
}

export interface Manifest {
  readonly format: typeof FORMAT;
  readonly generator: string;
  readonly model: {
    readonly name: string;
    readonly settings: Readonly<Record<string, unknown>>;
    /** Other projects' names of the parameters. */
    readonly dialects: readonly Dialect[];
  };
  /** What the WebGPU programs store between kernels; the wasm ones are f32. */
  readonly precision: 'f32' | 'f16';
  /** SHA-256 of the printed graph. */
  readonly graphHash: string;
  readonly parameters: readonly Parameter[];
  readonly arenas: readonly Arena[];
  readonly entries: Readonly<Record<string, Entry>>;
  /** WebGPU kernels, deduplicated by code. */
  readonly kernels: readonly KernelInfo[];
  /** WebGPU dispatches of all entries; the command stream names them by index. */
  readonly dispatches: readonly Dispatch[];
  readonly wasm: {
    readonly scratchBytesPerThread: number;
    /** Functions in the kernel switch, for `inspect` and profiles: index = the table's function number. */
    readonly functions: readonly string[];
  };
  /** What the plan needs of a WebGPU device. */
  readonly requires: {
    readonly maxBufferSize: number;
    readonly maxStorageBufferBindingSize: number;
    readonly maxStorageBuffersPerShaderStage: number;
  };
  /** Bytes that a session allocates, in training and in inference alone; `promise`: what the build was told to stay under. */
  readonly memory: { readonly promise: number | null; readonly training: Allocation; readonly inference: Allocation };
  /** The data contract (spacing, orientation, intensity window, patch, overlap, classes); opaque to the runtime's core. */
  readonly preprocess: Readonly<Record<string, unknown>> | null;
  /** SHA-256 of every other file of the artifact, by relative path. */
  readonly files: Readonly<Record<string, { readonly sha256: string; readonly bytes: number }>>;
}

export interface Allocation {
  /** Arenas, parameter blocks, the step block, and the staging buffers of a step and of reading all weights. */
  readonly webgpu: number;
  /** The WebAssembly memory with 8 threads, at most. */
  readonly wasm: number;
}

export type ArenaRole =
  | 'parameters'
  | 'gradients'
  /** Accumulated gradients over microsteps. */
  | 'accumulator'
  /** One per optimiser state tensor family (m, v, momentum). */
  | 'state'
  | 'constants'
  /** Scalars that kernels keep from step to step: the loss scale. */
  | 'scalars'
  /** Inputs, outputs and everything transient. */
  | 'activations';

export interface Arena {
  readonly name: string;
  readonly role: ArenaRole;
  readonly bytes: number;
  /** Entries whose programs use it; an arena only training uses is not allocated for inference. */
  readonly sections: readonly ('forward' | 'grad' | 'update')[];
  /** Where the targets' programs differ (f16): whose it is. */
  readonly target?: 'webgpu' | 'wasm';
  /** For role `constants`: the initial contents' file in the artifact (little-endian), if any. */
  readonly file?: string;
}

export interface Place {
  readonly arena: number;
  /** In units of 256 bytes. */
  readonly offset: number;
  readonly bytes: number;
}

export interface Parameter {
  /** The checkpoint's name, as in PyTorch. */
  readonly name: string;
  /** Shape in the checkpoint. */
  readonly shape: readonly number[];
  /** stored axis i is checkpoint axis permutation[i]. Stored row-major. */
  readonly permutation: readonly number[];
  readonly init: Init;
  readonly trainable: boolean;
  /** In the arena `parameters`; gradients and states lie at the same offset of their arenas. */
  readonly place: Place;
  /** Other names accepted on import. */
  readonly aliases?: readonly string[];
}

/** Initialisers, drawn from threefry(seed, fnv1a(name)) at the checkpoint layout's linear index. */
export type Init =
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'uniform'; readonly low: number; readonly high: number }
  | { readonly kind: 'normal'; readonly mean: number; readonly std: number }
  /** Normal, cut at ±2 std by resampling counters (PyTorch's trunc_normal_ with a = -2, b = 2 absolute, std < 1). */
  | { readonly kind: 'truncatedNormal'; readonly std: number; readonly low: number; readonly high: number };

export interface Port {
  readonly name: string;
  readonly axes: readonly string[];
  readonly shape: readonly number[];
  readonly dtype: 'f32' | 'f16' | 'i32' | 'u32' | 'bool';
  readonly place: Place;
  /** Of an input whose values are places in a table: its rows. Values are whole numbers from 0 and below this. */
  readonly below?: number;
}

export interface Entry {
  /** Position in the program's table. */
  readonly index: number;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  /** Name of the scalar output that training minimises, or null. */
  readonly loss: string | null;
  /** Parameters this entry reads, by index. */
  readonly parameters: readonly number[];
  readonly training: Training | null;
  readonly memory: {
    readonly forward: MemoryPlan;
    readonly grad: MemoryPlan | null;
    /** The WebGPU programs' own plans, where they store f16 or compute by slabs. */
    readonly webgpu: { readonly forward: MemoryPlan; readonly grad: MemoryPlan | null } | null;
  };
  readonly flops: { readonly forward: number; readonly grad: number };
}

export interface Training {
  readonly optimizer: string;
  /** Names of state tensors, one arena each: ['exp_avg', 'exp_avg_sq']. */
  readonly states: readonly { readonly name: string; readonly arena: number }[];
  readonly lr: number;
  readonly schedule: Schedule;
  readonly settings: Readonly<Record<string, number>>;
  /** The state that is a moving average of the parameters. */
  readonly average?: string;
  /** Global norm that gradients are clipped to. */
  readonly clip?: number;
  /** Factors of learning rate and weight decay for the parameters whose names match. */
  readonly groups?: readonly { readonly match: string; readonly lr?: number; readonly weightDecay?: number }[];
  /** A step whose gradients are not all finite is skipped and counted, in f32 too. */
  readonly guard?: true;
}

/** lr factor at optimiser step s (0-based), T total, W warm-up steps. */
export interface Schedule {
  /** constant: 1; warmupCosine (MONAI WarmupCosineSchedule): s < W ? s / max(1,W) : max(0, ½(1 + cos(π·(s-W)/max(1,T-W))));
   *  warmupLinear: …: (T-s)/max(1,T-W); polynomial: (1 - s/T)^power. */
  readonly kind: 'constant' | 'warmupCosine' | 'warmupLinear' | 'polynomial';
  readonly warmup: number;
  readonly total: number;
  readonly power: number;
}
export const SCHEDULE_KINDS = ['constant', 'warmupCosine', 'warmupLinear', 'polynomial'] as const;

export interface MemoryPlan {
  /** Bytes of transient memory at the peak, and what the plan allocates for it. */
  readonly peak: number;
  readonly allocated: number;
  /** Live intervals, for the picture: tensor label, bytes, first and last op, arena, offset (units). */
  readonly tensors: readonly {
    readonly label: string;
    readonly bytes: number;
    readonly first: number;
    readonly last: number;
    readonly arena: number;
    readonly offset: number;
  }[];
  readonly ops: readonly string[];
  /** Ops that run once for every tile: `count` of them from `first` on. */
  readonly repeats: readonly { readonly first: number; readonly count: number; readonly times: number }[];
  /** What runs again so that less is kept: kernels, operations, and the KiB that would be alive at each kernel without. */
  readonly again: { readonly kernels: number; readonly flops: number; readonly without: readonly number[] } | null;
}

export interface KernelInfo {
  readonly name: string;
  readonly region: string;
  readonly kind: string;
  readonly flops: number;
  readonly bytes: number;
  readonly usesStep: boolean;
  /** Access per storage binding, in order. */
  readonly bindings: readonly ('read' | 'read_write')[];
  /** Preferred first; the last needs WebGPU's defaults alone. A variant may stand twice: for some adapters, and for all. */
  readonly variants: readonly {
    readonly id: string;
    /** Keys (adapter-key.ts) of the adapters that it is for, where it was measured to be the fastest; absent: for all. */
    readonly adapters?: readonly string[];
    /** Shared by kernels that differ in numbers only. */
    readonly file: string;
    /** Values of the file's pipeline-overridable constants N0, N1, … for this kernel. */
    readonly constants: readonly number[];
    readonly features: readonly string[];
    /** Exactly this size (the adapter's smallest and largest). */
    readonly subgroupSize?: number;
    /** One of the adapter's subgroupMatrixConfigs. */
    readonly subgroupMatrix?: SubgroupMatrix;
    readonly workgroupStorage?: number;
    readonly invocations?: number;
  }[];
}

/** Matrices of a subgroup: M × K times K × N. */
export interface SubgroupMatrix {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

export interface Dispatch {
  readonly kernel: number;
  readonly label: string;
  /** [arena, offset in units, bytes] per storage binding. */
  readonly bindings: readonly (readonly [number, number, number])[];
  /** Words of the uniform parameter block (binding 0), without the zeros at the end. */
  readonly params: readonly number[];
  /** Workgroups per variant. */
  readonly grids: readonly (readonly [number, number, number])[];
}

// ── The program's table (generated into program.wasm; read by runtime/scheduler) ──────────────────────────────────
// u32 words:  [0] = FORMAT, [1] = number of entries, then per entry 6 words: the word offsets of its sections
//   wasm.forward, wasm.grad, wasm.update, webgpu.forward, webgpu.grad, webgpu.update      (0 = no such section)
// Section: [number of ops, op, op, …]. Ops:
//   OP_KERNEL   (wasm):   1, function, nBufs, nParams, nBufs × (arena, offset in units), nParams × word
//   OP_DISPATCH (webgpu): 2, first dispatch, count
//   OP_REPEAT   3, times, ops: the ops that follow run `times` times, `tile` of the step block counting from 0. None inside another.
// `grad` is forward + backward, leaving gradients (and outputs such as the loss) in place; with accumulation its last
// ops add into the accumulator (first microstep overwrites: the kernel selects on step.microstep). `update` clips and updates.
export const OP_KERNEL = 1;
export const OP_DISPATCH = 2;
export const OP_REPEAT = 3;

// ── The WebGPU command stream (scheduler → host, walked in one call) ───────────────────────────────────────────────
//   CMD_STEP      1                     upload the step block (16 words, follows inline); once, and before each round of a repeat
//   CMD_DISPATCH  2, first, count       dispatch these
export const CMD_STEP = 1;
export const CMD_DISPATCH = 2;
