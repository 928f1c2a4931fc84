import type { AttentionGradKernel, AttentionKernel } from '../ir.ts';
import type { WasmKernel } from '../targets.ts';
export function emitAttention(kernel: AttentionKernel | AttentionGradKernel): WasmKernel {
  throw new Error(kernel.name);
}
