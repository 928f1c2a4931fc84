import type { ContractKernel } from '../ir.ts';
import type { WasmKernel } from '../targets.ts';
export function emitContract(kernel: ContractKernel): WasmKernel {
  throw new Error(kernel.name);
}
