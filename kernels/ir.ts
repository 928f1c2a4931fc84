// Fused kernels: what the compiler hands to the emitters of both targets. A kernel is one dispatch.
//
// Contract:
// - Every buffer index is linear, in elements, relative to the start of its tensor.
// - Outputs are written row-major over the output's shape, every element exactly once (poisoned buffers stay poisoned
//   nowhere).
// - Results must not depend on the number of threads or the order of workgroups: reduction trees come from shapes.
// - On WebGPU a dispatch may be split along the outermost output axis ("slab"): emitted code reads two words from the
//   dispatch's parameters for that: see kernels/wgsl.ts.
import type { DType } from '../dsl/types.ts';
import type { Expr } from './expr.ts';
import type { Int } from './int.ts';

export interface Buf {
  /** Id of the tensor in the program; equal ids are one binding. */
  readonly tensor: number;
  readonly dtype: DType;
  /** Elements. */
  readonly size: number;
  readonly access: 'read' | 'write' | 'readwrite';
  /** For the comment at the head of the emitted kernel, `x f32[b=1 d=64 …]`. */
  readonly label: string;
}

export interface LoopVar {
  readonly name: string;
  readonly size: number;
}

export interface KernelBase {
  /** Readable, unique within a program: `decoder1.conv1.forward`. */
  readonly name: string;
  /** Region path and ops and model lines this kernel implements; for headers and `--explain`. */
  readonly region: string;
  readonly ops: readonly string[];
  readonly lines: readonly string[];
  readonly bufs: readonly Buf[];
  /** Multiply-adds count 2. */
  readonly flops: number;
}

/** One write: bufs[buf][linear index of the output element] = value. */
export interface Store {
  readonly buf: number;
  readonly value: Expr;
}

/** Elementwise: for every point of `vars` (row-major, outermost first), every store writes at the point's linear index. */
export interface MapKernel extends KernelBase {
  readonly kind: 'map';
  readonly vars: readonly LoopVar[];
  readonly stores: readonly Store[];
}

export type ReduceOp = 'sum' | 'max' | 'min' | 'argmax';

/**
 * out[keep] = epilogue(op over red of value). `keep` and `red` are in row-major order of the reduced operand's own axes
 * where it has any. The tree is fixed by the shape: the emitter may split `red` but only as a function of sizes.
 * Stores index over `keep`. argmax: index of the first maximum along the single red var; acc is i32.
 */
export interface ReduceKernel extends KernelBase {
  readonly kind: 'reduce';
  readonly op: ReduceOp;
  readonly keep: readonly LoopVar[];
  readonly red: readonly LoopVar[];
  readonly value: Expr;
  readonly stores: readonly Store[];
}

/** One logical axis of a contract's operand: index = sum(coef * var) + offset, zero outside 0 … size-1. */
export interface Affine {
  readonly size: number;
  readonly terms: readonly { readonly var: string; readonly coef: number }[];
  readonly offset: number;
}

export interface Operand {
  readonly axes: readonly Affine[];
  /** The element at logical coordinates: an expression over variables `x0 … x{rank-1}` (one per axis; size-1 axes are absent). */
  readonly value: Expr;
}

/**
 * out[out vars] = epilogue(sum over k vars of a * b). Matmul, convolution, their gradients.
 * Roles of the variables, decided by the compiler:
 *   batch: in a, b and out; m: in a and out; n: in b and out; k: in a and b, not in out.
 * `out` lists the output's variables row-major. Stores index over `out`; in `stores` the variables are the out vars.
 */
export interface ContractKernel extends KernelBase {
  readonly kind: 'contract';
  /** What the classifier calls it: matmul, conv, convDataGrad, convWeightGrad, matmulGrad…, depthwise, generic. */
  readonly pattern: string;
  readonly vars: ReadonlyMap<string, number>;
  readonly out: readonly string[];
  readonly batch: readonly string[];
  readonly m: readonly string[];
  readonly n: readonly string[];
  readonly k: readonly string[];
  readonly a: Operand;
  readonly b: Operand;
  readonly stores: readonly Store[];
  /** Operands may be rounded to f16 before they are multiplied (`--precision f16`); products and sums stay f32. */
  readonly halves?: boolean;
}

/**
 * Fused attention over windows. With g windows, h heads, n queries, m keys, e channels:
 *   s[g,h,i,j] = scale * sum_e q[g,i,h,e] k[g,j,h,e] + bias[h,i,j] + (groups differ ? maskValue : 0)
 *   p = softmax_j(s);  o[g,i,h,e] = sum_j p v[g,j,h,e];  lse[g,h,i] = log sum_j exp s
 * q, k, v are expressions over variables `g i h e` (k and v use `j` in place of `i`), bias over `h i j`.
 * groups are i32 expressions: gq over `g i`, gk over `g j`.
 */
export interface AttentionShape {
  readonly g: number;
  readonly h: number;
  readonly n: number;
  readonly m: number;
  readonly e: number;
  readonly scale: number;
  readonly maskValue: number;
}
export interface AttentionOperands {
  readonly q: Expr;
  readonly k: Expr;
  readonly v: Expr;
  readonly bias: Expr | null;
  readonly gq: Expr | null;
  readonly gk: Expr | null;
}
/** Writes o as [g,n,h,e] (buf `o`) and lse as [g,h,n] (buf `lse`). */
export interface AttentionKernel extends KernelBase, AttentionOperands {
  readonly kind: 'attention';
  readonly shape: AttentionShape;
  readonly o: number;
  readonly lse: number;
}
/**
 * Gradients from do [g,n,h,e] (expression `dO` over `g i h e`), lse (expression over `g h i`) and
 * delta[g,h,i] = sum_e dO*o (expression). One kernel per `part`:
 *   dq -> [g,n,h,e];  dkv -> dk and dv, each [g,m,h,e];  dbias -> [groupsOf g, h, n, m] summed over g within a group.
 */
export interface AttentionGradKernel extends KernelBase, AttentionOperands {
  readonly kind: 'attentionGrad';
  readonly part: 'dq' | 'dkv' | 'dbias';
  readonly shape: AttentionShape;
  readonly dO: Expr;
  readonly lse: Expr;
  readonly delta: Expr;
  /** dq: [dq]; dkv: [dk, dv]; dbias: [dbias]. */
  readonly outs: readonly number[];
  /** dbias only: number of partial sums over g (the output's first axis); a later reduce adds them. */
  readonly parts: number;
}

export type Kernel = MapKernel | ReduceKernel | ContractKernel | AttentionKernel | AttentionGradKernel;

/** Variables x0…: how operands name their logical coordinates. */
export const axisVar = (i: number): string => `x${i}`;
export type { Int };
