// A whole WGSL module from the body of its entry point: bindings, helpers, workgroup variables, the folded grid.
//
// Bindings: @group(0) @binding(0) the parameter block, @binding(1 + i) kernel.bufs[i], then the step block. See
// kernels/targets.ts for the parameter words. Activations share one GPUBuffer, so they bind read_write even when only
// read: WebGPU refuses one buffer bound read-only and read-write in a dispatch even for disjoint ranges.
import type { DType } from '../../dsl/types.ts';
import type { Kernel } from '../ir.ts';
import type { SubgroupMatrix, WgslVariant } from '../targets.ts';
import { WgslError } from './errors.ts';
import { helperSource } from './helpers.ts';
import { tidy } from './tidy.ts';
import { type BufferInfo, bindingType, storageType, Writer } from './writer.ts';

export interface EmitOptions {
  readonly readOnly: ReadonlySet<number>;
  readonly maxFold: number;
  /** Bind f16 tensors as f16: variants that need shader-f16. */
  readonly halves?: boolean;
  /** Ids of schedules that were measured to be faster somewhere (schedules.ts): emitted beside the kernel's own variants. */
  readonly schedules?: readonly string[];
}

export interface ModuleOptions {
  readonly id: string;
  readonly workgroup: number;
  /** Module-scope declarations (`var<workgroup> …`). */
  readonly declarations?: readonly string[];
  /** shader-f16 among them: f16 tensors are bound as f16. */
  readonly features?: readonly string[];
  readonly subgroupSize?: number;
  readonly subgroupMatrix?: SubgroupMatrix;
  readonly workgroupBytes?: number;
  /** Workgroups for a slab, before folding. */
  groups(count: number): number;
  /** Writes the body. It may run twice: first to learn which buffers can be bound as vec4. */
  body(w: Writer): void;
}

/** Names that every body may use. `group` counts workgroups over the folded grid; `first` and `count` are the slab. */
const PRELUDE = (maxFold: number): string[] => [
  `let group = i32(wg.y * ${maxFold}u + wg.x);`,
  'let first = i32(params[0].x);',
  'let count = i32(params[0].y);',
];

export const SUBGROUP_MATRIX = 'chromium-experimental-subgroup-matrix';

/** What a feature needs at the head of a module; directives stand before all else, `enable` before `diagnostic`. */
const DIRECTIVES: Readonly<Record<string, readonly string[]>> = {
  'shader-f16': ['enable f16;'],
  subgroups: ['enable subgroups;'],
  // Loop bounds that come from the parameter block are alike in all invocations, which the analysis cannot know.
  [SUBGROUP_MATRIX]: [
    'enable chromium_experimental_subgroup_matrix;',
    'diagnostic(off, chromium.subgroup_matrix_uniformity);',
  ],
};

export function buildVariant(
  kernel: Kernel,
  options: EmitOptions,
  m: ModuleOptions,
): { variant: WgslVariant; usesStep: boolean } {
  const features = [...new Set([...(m.features ?? []), ...(options.halves ? ['shader-f16'] : [])])];
  const native = (dtype: DType): boolean => dtype === 'f16' && features.includes('shader-f16');
  // Whether a buffer can be an array of vec4 is known when all its accesses have been written.
  let bufs: BufferInfo[] = kernel.bufs.map((b) => ({
    dtype: b.dtype,
    vec4: true,
    atomic: false,
    native: native(b.dtype),
  }));
  let w = write(bufs, m);
  while (w.bufs.some((b, i) => b.vec4 !== bufs[i]!.vec4 || b.atomic !== bufs[i]!.atomic)) {
    bufs = w.bufs.map((b) => ({ ...b }));
    w = write(bufs, m);
  }
  const used = usedBuffers(w, bufs.length);
  const lines: string[] = [];
  for (const f of features) lines.push(...DIRECTIVES[f]!);
  lines.push('@group(0) @binding(0) var<uniform> params: array<vec4<u32>, 4>;');
  kernel.bufs.forEach((b, i) => {
    const access = options.readOnly.has(b.tensor) && b.access === 'read' ? 'read' : 'read_write';
    const element = used[i] ? bindingType(bufs[i]!) : storageType(b.dtype);
    lines.push(`@group(0) @binding(${i + 1}) var<storage, ${access}> b${i}: array<${element}>;`);
  });
  if (w.usesStep) {
    lines.push(`@group(0) @binding(${kernel.bufs.length + 1}) var<storage, read> step: array<u32, 16>;`);
  }
  lines.push(...(m.declarations ?? []));
  const helpers = helperSource(w.helpers);
  if (helpers) lines.push(helpers);
  lines.push(...w.functions);
  const args = ['@builtin(workgroup_id) wg: vec3<u32>', '@builtin(local_invocation_index) local: u32'];
  if (features.includes('subgroups')) args.push('@builtin(subgroup_invocation_id) lane: u32');
  if (features.includes(SUBGROUP_MATRIX)) args.push('@builtin(subgroup_id) subgroup: u32');
  lines.push(
    `@compute @workgroup_size(${m.workgroup})`,
    `fn main(${args.join(', ')}) {`,
    ...[...PRELUDE(options.maxFold), ...(w.usesOnce ? ['let once = min(count, 1);'] : []), ...w.offsets()].map(
      (l) => `  ${l}`,
    ),
    // A binding that no statement uses would be missing from an automatic layout.
    ...kernel.bufs.flatMap((_, i) => (used[i] ? [] : [`  _ = &b${i};`])),
    w.text(),
    '}',
    '',
  );
  const variant: WgslVariant = {
    id: m.id,
    code: tidy(lines.join('\n')),
    requires: {
      features,
      ...(m.subgroupSize ? { subgroupSize: m.subgroupSize } : {}),
      ...(m.subgroupMatrix ? { subgroupMatrix: m.subgroupMatrix } : {}),
      ...(m.workgroupBytes ? { workgroupStorage: m.workgroupBytes } : {}),
      invocations: m.workgroup,
    },
    grid: (count) => fold(m.groups(count), options.maxFold, kernel.name),
  };
  return { variant, usesStep: w.usesStep };
}

function write(bufs: readonly BufferInfo[], m: ModuleOptions): Writer {
  const w = new Writer(bufs.map((b) => ({ ...b })));
  for (const name of ['group', 'first', 'count']) w.declare(name, 2 ** 31);
  m.body(w);
  return w;
}

const usedBuffers = (w: Writer, n: number): boolean[] => {
  const offsets = w.offsets().join(' ');
  return Array.from({ length: n }, (_, i) => offsets.includes(`let o${i} `));
};

function fold(groups: number, maxFold: number, name: string): [number, number, number] {
  if (groups <= maxFold) return [groups, 1, 1];
  const rows = Math.ceil(groups / maxFold);
  if (rows > maxFold)
    throw new WgslError('wgsl-unsupported', `${name}: ${groups} workgroups do not fit a grid of ${maxFold}²`);
  return [maxFold, rows, 1];
}
