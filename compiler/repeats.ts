// Loops over tiles as a plan sees them: first each by itself, then as the kernels that run again and again.
import type { Buf } from '../kernels/ir.ts';
import { lifetimes, peakOf, profile } from './lifetimes.ts';
import type { Program, ProgramKernel, ProgramTensor, Repeat, Step, Tiles } from './program.ts';
import { type Limits, recompute } from './recompute.ts';

export const hasTiles = (program: Program<Step>): boolean => program.kernels.some((k) => k.kind === 'tiles');

/** Each loop with what it drops and computes again inside the limits, and a temporary as large as what it holds at its peak. */
export function fitTiles(program: Program<Step>, limits: Limits): Program<Step> {
  if (!hasTiles(program)) return program;
  const tensors = [...program.tensors];
  const beside = profile(lifetimes(program), program.kernels.length);
  const kernels = program.kernels.map((k, i): Step => {
    if (k.kind !== 'tiles') return k;
    const inner = limits.budget === undefined ? limits : { ...limits, budget: Math.max(0, limits.budget - beside[i]!) };
    return fitted(k, tensors, inner);
  });
  return { ...program, kernels, tensors };
}

/** Appends to `tensors` what the loop needs more. */
function fitted(k: Tiles, tensors: ProgramTensor[], limits: Limits): Tiles {
  const outside = new Map(k.bufs.map((b, i) => [k.tensors[i]!, b.access]));
  // What lies outside is not the loop's to drop; its results change from tile to tile.
  const seen = tensors.map((t): ProgramTensor => {
    const access = outside.get(t.id);
    if (access === undefined || t.home.kind !== 'temp') return t;
    return { ...t, home: { kind: access === 'read' ? 'port' : 'arena', name: t.label } };
  });
  const { program } = recompute({ name: k.name, kernels: k.inner, tensors: seen }, limits);
  const added = program.tensors.filter((t) => t.id >= seen.length);
  const ids = new Map(added.map((t, n) => [t.id, tensors.length + n]));
  for (const t of added) tensors.push({ ...t, id: ids.get(t.id)! });
  const inner = program.kernels.map((x) => withTensors(x, ids));
  const bytes = Math.max(4, peakOf(program));
  const label = `tiles of ${k.name}`;
  const workspace: Buf = { tensor: tensors.length, dtype: 'u32', size: bytes / 4, access: 'write', label };
  tensors.push({
    id: workspace.tensor,
    type: { dtype: 'u32', axes: [{ name: 'tiles', size: bytes / 4 }] },
    label,
    home: { kind: 'temp' },
  });
  return {
    ...k,
    inner,
    bufs: [...k.bufs, workspace],
    tensors: [...k.tensors, workspace.tensor],
    flops: k.count * inner.reduce((s, x) => s + x.flops, 0),
  };
}

const withTensors = (k: ProgramKernel, ids: ReadonlyMap<number, number>): ProgramKernel => ({
  ...k,
  bufs: k.bufs.map((b) => ({ ...b, tensor: ids.get(b.tensor) ?? b.tensor })),
});

/** Loops as the kernels that they run. Tensors that a loop touches may have been given others in the meantime. */
export function flatten(program: Program<Step>): Program {
  const repeats: Repeat[] = [];
  const kernels: ProgramKernel[] = [];
  for (const k of program.kernels) {
    if (k.kind !== 'tiles') {
      kernels.push(k);
      continue;
    }
    const now = new Map(k.tensors.map((t, n) => [t, k.bufs[n]!.tensor]));
    repeats.push({ first: kernels.length, count: k.inner.length, times: k.count });
    // A kernel that runs again elsewhere has its code over other tensors.
    kernels.push(...k.inner.map((x) => ({ ...withTensors(x, now), of: x.of ?? x })));
  }
  return { name: program.name, kernels, tensors: program.tensors, ...(repeats.length ? { repeats } : {}) };
}
