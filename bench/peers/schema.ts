// What the peers' run writes as JSON.
import type { Percentiles } from '../schema.ts';

export const KINDS = ['conv', 'gradients', 'model', 'step'] as const;
export type Kind = (typeof KINDS)[number];

/** One program on one device, as it is called in tables and by `--peers`. */
export const PEERS = [
  't3dc webgpu',
  't3dc webgpu f16',
  'onnxruntime-node webgpu',
  'tensorflow.js webgpu',
  'pytorch cuda',
  'pytorch cuda amp',
  't3dc wasm',
  'onnxruntime-web wasm',
  'onnxruntime-node cpu',
  'pytorch cpu',
] as const;
export type PeerName = (typeof PEERS)[number];

export interface PeerResult {
  readonly peer: PeerName;
  /** Whole calls: input up, kernels, output back. */
  readonly ms: Percentiles;
  /** Every timed call, in order. */
  readonly times: readonly number[];
  /** The first call took longer than the limit: it is the measurement, with what it compiled. */
  readonly cold: boolean;
  readonly gflops: number;
  /** Against the case's reference: |a - b| / |b|, L2, and the largest difference in units of the largest value. For steps: the
   *  worst relative difference of a loss. null for the reference itself. */
  readonly difference: { readonly relativeL2: number; readonly max: number } | null;
  /** The case's bound on `relativeL2`, wider where this peer stores halves. */
  readonly tolerance: number;
  /** Losses of a step's calls, the untimed first. */
  readonly losses?: readonly number[];
  /** What a reader must know of how this one was run. */
  readonly note?: string;
}

export interface PeerAbsent {
  readonly peer: PeerName;
  readonly reason: string;
}

export interface PeerCaseResult {
  /** The same for the same work everywhere: `conv3d.forward 48→48 k3 96³`. */
  readonly id: string;
  readonly kind: Kind;
  /** A multiply-add counts two. */
  readonly flops: number;
  /** Whose output the others are compared with. */
  readonly reference: PeerName | null;
  readonly rounds: number;
  readonly results: readonly PeerResult[];
  readonly absent: readonly PeerAbsent[];
}

export interface Program {
  readonly peer: PeerName;
  /** `PyTorch 2.13.0+cpu, MONAI 1.6.1` */
  readonly version: string;
  /** `mesa llvmpipe …`, `AVX512`, … where the program tells. */
  readonly device: string;
}

export interface PeersResult {
  readonly t3dc: string;
  readonly date: string;
  readonly machine: {
    readonly processor: string;
    readonly cores: number;
    readonly memoryGiB: number;
    readonly system: string;
    readonly node: string;
    /** Card and driver, by nvidia-smi. */
    readonly gpu: string | null;
  };
  /** Of every peer; the run is pinned to as many cores where the system can. */
  readonly threads: number;
  readonly pinned: boolean;
  readonly programs: readonly Program[];
  readonly cases: readonly PeerCaseResult[];
}
