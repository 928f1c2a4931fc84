// The WebGPU target: WGSL for every kernel of the IR.
//
// emitWgsl(kernel, options) gives the variants of one kernel, preferred first; header(kernel) is the comment that the
// artifact writer puts above a kernel's code, kept apart so that equal code is stored once.
import type { Kernel } from '../ir.ts';
import type { EmitWgsl } from '../targets.ts';
import { emitAttention } from './attention.ts';
import { emitAttentionGrad } from './attention-grad.ts';
import { emitContract } from './contract.ts';
import { emitMap } from './map.ts';
import { emitReduce } from './reduce.ts';

export { WgslError } from './errors.ts';
export { mergeCode } from './merge.ts';
export { alternatives } from './schedules.ts';

/** Errors: `wgsl-unsupported` when no variant can compute the kernel, with what would. */
export const emitWgsl: EmitWgsl = (kernel, options) => {
  const emitted = emitKind(kernel, options);
  const portable = emitted.variants.at(-1)!;
  if (!portable.code.includes('atomicOr(')) return emitted;
  // Where halves are written one by one, a variant that binds them as f16 stands before the one that must use atomics.
  const native = emitKind(kernel, { ...options, halves: true }).variants.at(-1)!;
  const variants = [...emitted.variants.slice(0, -1), { ...native, id: `${portable.id}-f16` }, portable];
  return { ...emitted, variants };
};

const emitKind: EmitWgsl = (kernel, options) => {
  switch (kernel.kind) {
    case 'map':
      return emitMap(kernel, options);
    case 'reduce':
      return emitReduce(kernel, options);
    case 'contract':
      return emitContract(kernel, options);
    case 'attention':
      return emitAttention(kernel, options);
    case 'attentionGrad':
      return emitAttentionGrad(kernel, options);
  }
};

/** Name, region, ops, model lines and buffers of a kernel, as WGSL comments. */
export function header(kernel: Kernel): string {
  const lines = [`// ${kernel.name}`, ...(kernel.lines.length ? [`// model: ${kernel.lines.join(', ')}`] : [])];
  return `${lines.join('\n')}\n`;
}
