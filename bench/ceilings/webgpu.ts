// What a WebGPU device reaches: multiply-adds in f32, f16 and each subgroup-matrix configuration, copying, workgroup memory,
// and the launch of an empty dispatch. As CubeCL's probes: independent chains, primed buffers, warmed up until the time stops
// falling; of several probes the best.
import { isSoftware } from '../../runtime/webgpu-adapter.ts';
import type { Ceiling } from '../schema.ts';
import { plateau } from './plateau.ts';

/** A probe runs about this long. */
const TARGET_MS = 30;
const COPY_BYTES = 96 * 2 ** 20;

interface Probe {
  readonly how: string;
  readonly code: string;
  readonly workgroups: number;
  /** Operations or bytes of one invocation and round, times invocations. */
  readonly perRound: number;
}

/** Throws nothing for a feature that is missing: its ceiling is left out. */
export async function webgpuCeilings(device: GPUDevice, info: GPUAdapterInfo | null): Promise<Ceiling[]> {
  const timer = new Timer(device);
  const groups = isSoftware(info) ? 64 : 8192;
  try {
    const out: Ceiling[] = [];
    const best = async (name: string, unit: Ceiling['unit'], probes: readonly Probe[]): Promise<void> => {
      let top: { value: number; how: string } | null = null;
      for (const p of probes) {
        const value = await timer.rate(p);
        if (!top || value > top.value) top = { value, how: p.how };
      }
      if (top) out.push({ name, unit, ...top });
    };
    await best('f32 FMA', 'GFLOP/s', fmaProbes('f32', groups));
    if (device.features.has('shader-f16')) await best('f16 FMA', 'GFLOP/s', fmaProbes('f16', groups));
    for (const c of matrixConfigs(device, info))
      await best(`subgroup matrix ${c.componentType}→${c.resultComponentType} ${c.M}×${c.N}×${c.K}`, 'GFLOP/s', [
        matrixProbe(c, groups, info),
      ]);
    await best('workgroup memory', 'GB/s', [workgroupProbe(groups)]);
    out.push(await timer.copy());
    out.push(await timer.launch());
    return out;
  } finally {
    timer.close();
  }
}

const WORKGROUP = 64;

/** n independent chains of scalars or of vec4s, unrolled so that the loop does not show. */
function fmaProbes(type: 'f32' | 'f16', groups: number): Probe[] {
  const suffix = type === 'f32' ? 'f' : 'h';
  const make = (n: number, width: 1 | 4, unroll: number): Probe => {
    const t = width === 1 ? type : `vec4<${type}>`;
    const names = Array.from({ length: n }, (_, i) => `c${i}`);
    const round = names.map((c) => `${c} = fma(${c}, a, b);`).join(' ');
    const sum = names.join(' + ');
    return {
      how: `${n} chains of ${width === 1 ? 'scalars' : 'vec4'}`,
      workgroups: groups,
      perRound: 2 * n * width * unroll * WORKGROUP * groups,
      code: `${type === 'f16' ? 'enable f16;\n' : ''}
@group(0) @binding(0) var<uniform> rounds: vec4<u32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let a = ${t}(0.75${suffix});
  let b = ${t}(${type}(id.x & 7u) * 0.125${suffix});
  ${names.map((c, i) => `var ${c} = ${t}(${i}.0${suffix});`).join(' ')}
  for (var i = 0u; i < rounds.x; i++) {
    ${Array.from({ length: unroll }, () => round).join('\n    ')}
  }
  let s = ${sum};
  out[id.x & 1023u] = f32(s${width === 4 ? '.x + s.y + s.z + s.w' : ''});
}
`,
    };
  };
  return [make(12, 1, 8), make(8, 1, 8), make(8, 4, 4), make(4, 4, 8)];
}

export interface MatrixConfig {
  readonly componentType: 'f32' | 'f16' | 'u8' | 'i8' | 'u32' | 'i32';
  readonly resultComponentType: 'f32' | 'f16' | 'u32' | 'i32';
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** Configurations over floats that the device offers. */
export function matrixConfigs(device: GPUDevice, info: GPUAdapterInfo | null): MatrixConfig[] {
  if (!device.features.has('chromium-experimental-subgroup-matrix' as GPUFeatureName)) return [];
  const configs = (info as { subgroupMatrixConfigs?: Iterable<MatrixConfig> } | null)?.subgroupMatrixConfigs ?? [];
  const f16 = device.features.has('shader-f16');
  return [...configs].filter((c) => c.componentType === 'f32' || (c.componentType === 'f16' && f16));
}

/** Independent products of matrices that stay in registers. */
export function matrixProbe(c: MatrixConfig, groups: number, info: GPUAdapterInfo | null): Probe {
  const subgroup = (info as { subgroupMaxSize?: number } | null)?.subgroupMaxSize || 32;
  const chains = 4;
  const { componentType: t, resultComponentType: r, M, N, K } = c;
  const names = Array.from({ length: chains }, (_, i) => `c${i}`);
  const half = t === 'f16' || r === 'f16' ? 'enable f16;\n' : '';
  const data = Math.max(M * K, K * N);
  return {
    how: `${chains} products in registers, workgroups of one subgroup of ${subgroup}`,
    workgroups: groups,
    perRound: 2 * M * N * K * chains * groups,
    code: `${half}enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);
@group(0) @binding(0) var<uniform> rounds: vec4<u32>;
@group(0) @binding(1) var<storage, read_write> out: array<${r}>;
var<workgroup> tile: array<${t}, ${data}>;
@compute @workgroup_size(${subgroup})
fn main(@builtin(local_invocation_index) local: u32) {
  for (var i = local; i < ${data}u; i += ${subgroup}u) { tile[i] = ${t}(0.001); }
  workgroupBarrier();
  let a = subgroupMatrixLoad<subgroup_matrix_left<${t}, ${K}, ${M}>, row_major>(&tile, 0, ${K});
  let b = subgroupMatrixLoad<subgroup_matrix_right<${t}, ${N}, ${K}>, row_major>(&tile, 0, ${N});
  ${names.map((n) => `var ${n}: subgroup_matrix_result<${r}, ${N}, ${M}>;`).join('\n  ')}
  for (var i = 0u; i < rounds.x; i++) {
    ${names.map((n) => `${n} = subgroupMatrixMultiplyAccumulate(a, b, ${n});`).join('\n    ')}
  }
  ${names.map((n, i) => `subgroupMatrixStore<row_major>(&out, ${i * M * N}, ${n}, ${N});`).join('\n  ')}
}
`,
  };
}

/** Every invocation reads vec4s all over the workgroup's 8 KiB. */
function workgroupProbe(groups: number): Probe {
  const reads = 8;
  return {
    how: 'vec4 reads of 8 KiB',
    workgroups: groups,
    perRound: reads * 16 * WORKGROUP * groups,
    code: `
@group(0) @binding(0) var<uniform> rounds: vec4<u32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
var<workgroup> tile: array<vec4<f32>, 512>;
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(local_invocation_index) local: u32, @builtin(global_invocation_id) id: vec3<u32>) {
  for (var i = local; i < 512u; i += ${WORKGROUP}u) { tile[i] = vec4<f32>(f32(i)); }
  workgroupBarrier();
  var s = vec4<f32>();
  var at = local;
  for (var i = 0u; i < rounds.x; i++) {
    ${Array.from({ length: reads }, (_, n) => `s += tile[(at + ${n * 64}u) & 511u];`).join('\n    ')}
    at += 1u;
  }
  out[id.x & 1023u] = s.x + s.y + s.z + s.w;
}
`,
  };
}

/** Runs probes and times them, by timestamps where the device has them. */
class Timer {
  private readonly device: GPUDevice;
  private readonly rounds: GPUBuffer;
  private readonly out: GPUBuffer;
  private readonly made: GPUBuffer[] = [];

  constructor(device: GPUDevice) {
    this.device = device;
    this.rounds = this.buffer(16, 0x40 | 0x8);
    this.out = this.buffer(1 << 16, 0x80);
  }

  close(): void {
    for (const b of this.made) b.destroy();
  }

  private buffer(size: number, usage: number): GPUBuffer {
    const b = this.device.createBuffer({ size, usage });
    this.made.push(b);
    return b;
  }

  /** `perRound` a second, in units of 10⁹. */
  async rate(p: Probe): Promise<number> {
    const pipeline = await this.pipeline(p.code);
    const group = this.device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [this.rounds, this.out].map((buffer, binding) => ({ binding, resource: { buffer } })),
    });
    const run = (n: number): Promise<number> => {
      this.device.queue.writeBuffer(this.rounds, 0, new Uint32Array([n, 0, 0, 0]));
      return this.time((pass) => {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(p.workgroups);
      });
    };
    let n = 16;
    await run(n); // compiles
    for (let ms = await run(n); ms < TARGET_MS && n < 1 << 24; ms = await run(n))
      n = Math.ceil(n * Math.min(8, Math.max(1.5, (1.2 * TARGET_MS) / Math.max(ms, 0.01))));
    return (p.perRound * n) / (await plateau(() => run(n))) / 1e6;
  }

  /** Ordinary load-store loops: a vec4 of an invocation, and four; the best counts. */
  async copy(): Promise<Ceiling> {
    const bytes = Math.min(
      COPY_BYTES,
      this.device.limits.maxStorageBufferBindingSize,
      this.device.limits.maxBufferSize,
    );
    const vectors = Math.floor(bytes / 16);
    const [from, to] = [this.buffer(16 * vectors, 0x80 | 0x8), this.buffer(16 * vectors, 0x80)];
    let best = 0;
    let how = '';
    for (const each of [1, 4]) {
      const ms = await this.copyOnce(from, to, vectors, each);
      const value = (2 * 16 * vectors) / ms / 1e6;
      if (value <= best) continue;
      best = value;
      how = `${each === 1 ? 'vec4' : `${each} vec4`} load and store of ${Math.round((16 * vectors) / 2 ** 20)} MiB, read and written bytes`;
    }
    return { name: 'copy', unit: 'GB/s', value: best, how };
  }

  private async copyOnce(from: GPUBuffer, to: GPUBuffer, vectors: number, each: number): Promise<number> {
    const move =
      each === 1
        ? 'b[i] = a[i];'
        : `for (var n = 0u; n < ${each}u; n++) { b[i + n * ${WORKGROUP}u] = a[i + n * ${WORKGROUP}u]; }`;
    const pipeline = await this.pipeline(`
@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> b: array<vec4<f32>>;
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (wg.y * n.x + wg.x) * ${WORKGROUP * each}u + l;
  if (i + ${(each - 1) * WORKGROUP}u < ${vectors}u) { ${move} }
}
`);
    const group = this.device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [from, to].map((buffer, binding) => ({ binding, resource: { buffer } })),
    });
    const groups = Math.ceil(vectors / WORKGROUP / each);
    return plateau(() =>
      this.time((pass) => {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(Math.min(groups, 32768), Math.ceil(groups / 32768));
      }),
    );
  }

  async launch(): Promise<Ceiling> {
    const pipeline = await this.pipeline('@compute @workgroup_size(1) fn main() {}');
    const count = 1000;
    const ms = await plateau(() =>
      this.time((pass) => {
        pass.setPipeline(pipeline);
        for (let i = 0; i < count; i++) pass.dispatchWorkgroups(1);
      }),
    );
    return { name: 'launch', unit: 'µs', value: (1000 * ms) / count, how: `${count} empty dispatches in one pass` };
  }

  private async pipeline(code: string): Promise<GPUComputePipeline> {
    const module = this.device.createShaderModule({ code });
    return this.device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'main' } });
  }

  /** Milliseconds of one pass. */
  private async time(encode: (pass: GPUComputePassEncoder) => void): Promise<number> {
    const { device } = this;
    const exact = device.features.has('timestamp-query');
    const querySet = exact ? device.createQuerySet({ type: 'timestamp', count: 2 }) : null;
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass(
      querySet ? { timestampWrites: { querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 } } : {},
    );
    encode(pass);
    pass.end();
    if (!querySet) {
      const since = performance.now();
      device.queue.submit([encoder.finish()]);
      await device.queue.onSubmittedWorkDone();
      return performance.now() - since;
    }
    const resolved = device.createBuffer({ size: 16, usage: 0x200 | 0x4 });
    const staging = device.createBuffer({ size: 16, usage: 0x1 | 0x8 });
    encoder.resolveQuerySet(querySet, 0, 2, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, 16);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(1);
    const [from, to] = new BigUint64Array(staging.getMappedRange().slice(0)) as unknown as [bigint, bigint];
    staging.destroy();
    resolved.destroy();
    querySet.destroy();
    return Number(to - from) / 1e6;
  }
}
