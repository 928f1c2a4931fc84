// A tiny artifact written by hand: y = x·wᵀ + b, mean squared error, SGD with momentum. It stands in for the compiler's
// output in the runtime's tests. Axes: n rows, i inputs, o outputs; w is stored as [i, o], its checkpoint is [o, i].
import { readFile } from 'node:fs/promises';
import asc from 'assemblyscript/asc';
import {
  type Dispatch,
  FORMAT,
  type KernelInfo,
  type Manifest,
  type Place,
  type Port,
} from '../../runtime/manifest.ts';
import { packManifest, unpackManifest } from '../../runtime/manifest-pack.ts';
import { sha256 } from '../../runtime/sha256.ts';

export const N = 64;
export const I = 16;
export const O = 8;

const scheduler = new URL('../../runtime/scheduler/', import.meta.url);

// Arenas
const [PARAMETERS, GRADIENTS, ACCUMULATOR, MOMENTUM, ACTIVATIONS, CONSTANTS, , GRAD_SCRATCH] = [0, 1, 2, 3, 4, 5, 6, 7];
const W = 0; // units of 256 bytes: w is I*O*4 = 512 bytes
const B = 2;
const PARAMETER_WORDS = (3 * 256) / 4;
const [X, TARGET, Y, LOSS] = [0, 16, 24, 40];
const DY: readonly [number, number] = [GRAD_SCRATCH, 1];
const place = (arena: number, offset: number, bytes: number): Place => ({ arena, offset, bytes });
const port = (name: string, axes: string[], shape: number[], offset: number): Port => ({
  name,
  axes,
  shape,
  dtype: 'f32',
  place: place(ACTIVATIONS, offset, 4 * shape.reduce((a, b) => a * b, 1)),
});

const KERNELS = `
function k0(p: usize, t: u32, nt: u32): void { // y = x w + b
  const x = <usize>load<u32>(p), w = <usize>load<u32>(p, 4), b = <usize>load<u32>(p, 8), y = <usize>load<u32>(p, 12);
  const n = load<u32>(p, 24), ni = load<u32>(p, 28), no = load<u32>(p, 32);
  for (let r = t * n / nt, end = (t + 1) * n / nt; r < end; r++)
    for (let o: u32 = 0; o < no; o++) {
      let s = load<f32>(b + (o << 2));
      for (let i: u32 = 0; i < ni; i++) s += load<f32>(x + ((r * ni + i) << 2)) * load<f32>(w + ((i * no + o) << 2));
      store<f32>(y + ((r * no + o) << 2), s);
    }
}
function k1(p: usize, t: u32, nt: u32): void { // loss = mean((y - target)²), dy; the divisor comes from the constants
  if (t != 0) return;
  const y = <usize>load<u32>(p), target = <usize>load<u32>(p, 4), c = <usize>load<u32>(p, 8), loss = <usize>load<u32>(p, 12), dy = <usize>load<u32>(p, 16);
  const n = load<u32>(p, 28);
  const scale = load<f32>(c);
  let s: f32 = 0;
  for (let i: u32 = 0; i < n; i++) {
    const d = load<f32>(y + (i << 2)) - load<f32>(target + (i << 2));
    s += d * d;
    store<f32>(dy + (i << 2), 2 * d * scale);
  }
  store<f32>(loss, s * scale);
}
function k2(p: usize, t: u32, nt: u32): void { // dw, db
  const x = <usize>load<u32>(p), dy = <usize>load<u32>(p, 4), dw = <usize>load<u32>(p, 8), db = <usize>load<u32>(p, 12);
  const n = load<u32>(p, 24), ni = load<u32>(p, 28), no = load<u32>(p, 32);
  for (let i = t * ni / nt, end = (t + 1) * ni / nt; i < end; i++)
    for (let o: u32 = 0; o < no; o++) {
      let s: f32 = 0;
      for (let r: u32 = 0; r < n; r++) s += load<f32>(x + ((r * ni + i) << 2)) * load<f32>(dy + ((r * no + o) << 2));
      store<f32>(dw + ((i * no + o) << 2), s);
    }
  if (t == 0) for (let o: u32 = 0; o < no; o++) {
    let s: f32 = 0;
    for (let r: u32 = 0; r < n; r++) s += load<f32>(dy + ((r * no + o) << 2));
    store<f32>(db + (o << 2), s);
  }
}
function k3(p: usize, t: u32, nt: u32): void { // accumulate
  const g = <usize>load<u32>(p), a = <usize>load<u32>(p, 4), step = <usize>load<u32>(p, 8), n = load<u32>(p, 16);
  const first = load<u32>(step, 12) == 0;
  for (let i = t * n / nt, end = (t + 1) * n / nt; i < end; i++) {
    const v = load<f32>(g + (i << 2));
    store<f32>(a + (i << 2), first ? v : load<f32>(a + (i << 2)) + v);
  }
}
function k4(p: usize, t: u32, nt: u32): void { // SGD with momentum 0.9
  const w = <usize>load<u32>(p), a = <usize>load<u32>(p, 4), m = <usize>load<u32>(p, 8), step = <usize>load<u32>(p, 12), n = load<u32>(p, 20);
  const lr = load<f32>(step, 16), accumulation = load<f32>(step, 20);
  for (let i = t * n / nt, end = (t + 1) * n / nt; i < end; i++) {
    const v: f32 = 0.9 * load<f32>(m + (i << 2)) + load<f32>(a + (i << 2)) / accumulation;
    store<f32>(m + (i << 2), v);
    store<f32>(w + (i << 2), load<f32>(w + (i << 2)) - lr * v);
  }
}
function k5(p: usize, t: u32, nt: u32): void { // traps
  if (t == nt - 1) unreachable();
}
export function kernel(id: u32, p: usize, t: u32, nt: u32): void {
  switch (id) {
    case 0: k0(p, t, nt); break;
    case 1: k1(p, t, nt); break;
    case 2: k2(p, t, nt); break;
    case 3: k3(p, t, nt); break;
    case 4: k4(p, t, nt); break;
    default: k5(p, t, nt); break;
  }
}
`;

type Buf = readonly [arena: number, offset: number];
const op = (f: number, bufs: readonly Buf[], params: readonly number[]): number[] => [
  1,
  f,
  bufs.length,
  params.length,
  ...bufs.flat(),
  ...params,
];
const a = (offset: number): Buf => [ACTIVATIONS, offset];
const linear = op(0, [a(X), [PARAMETERS, W], [PARAMETERS, B], a(Y)], [N, I, O]);
const grad = [
  linear,
  op(1, [a(Y), a(TARGET), [CONSTANTS, 0], a(LOSS), DY], [N * O]),
  op(2, [a(X), DY, [GRADIENTS, W], [GRADIENTS, B]], [N, I, O]),
  op(
    3,
    [
      [GRADIENTS, 0],
      [ACCUMULATOR, 0],
    ],
    [PARAMETER_WORDS],
  ),
];
const update = [
  op(
    4,
    [
      [PARAMETERS, 0],
      [ACCUMULATOR, 0],
      [MOMENTUM, 0],
    ],
    [PARAMETER_WORDS],
  ),
];
const trap = [op(5, [], [])];
const dispatches = (first: number, count: number): number[][] => [[2, first, count]];

/** Entries in the table's order: linear, fit, trap. webgpu: dispatch 0 linear; 1 … 3 loss, gradients, accumulation; 4 update. */
function table(): number[] {
  const none: number[][] = [];
  const entries = [
    [[linear], none, none, dispatches(0, 1), none, none],
    [grad.slice(0, 2), grad, update, dispatches(0, 2), [...dispatches(0, 1), ...dispatches(1, 3)], dispatches(4, 1)],
    [trap, none, none, none, none, none],
  ];
  const words: number[] = [FORMAT, entries.length, ...new Array<number>(6 * entries.length).fill(0)];
  entries.forEach((sections, e) => {
    sections.forEach((ops, k) => {
      if (ops.length === 0) return;
      words[2 + 6 * e + k] = words.length;
      words.push(ops.length, ...ops.flat());
    });
  });
  return words;
}

async function compileProgram(relaxed: boolean): Promise<Uint8Array> {
  const program = `${KERNELS}\nexport const TABLE: usize = memory.data<u32>([${table().join(', ')}]);\n`;
  let binary: Uint8Array | null = null;
  const { error, stderr } = await asc.main(
    // prettier-ignore
    [
      'index.ts',
      '-o',
      'program.wasm',
      '-O3',
      '--runtime',
      'stub',
      '--noAssert',
      '--importMemory',
      '--sharedMemory',
      '--initialMemory',
      '1',
      '--maximumMemory',
      '65536',
      '--use',
      'abort=',
      '--enable',
      relaxed ? 'simd,threads,relaxed-simd' : 'simd,threads',
    ],
    {
      readFile: async (name: string) => {
        const file = name.replaceAll('\\', '/');
        if (file === 'program.ts') return program;
        return readFile(new URL(file, scheduler), 'utf8').catch(() => null);
      },
      writeFile: (_name: string, contents: Uint8Array | string) => {
        if (typeof contents !== 'string') binary = contents;
      },
      listFiles: () => [],
    },
  );
  if (error || !binary) throw new Error(`asc: ${error?.message}\n${stderr.toString()}`);
  return binary;
}

const HEAD = `struct Params { w: array<vec4<u32>, 4> }
@group(0) @binding(0) var<uniform> params: Params;
`;
const storage = (...names: string[]): string =>
  names
    .map(
      (n, i) =>
        `@group(0) @binding(${i + 1}) var<storage, ${n.startsWith('step') ? 'read' : 'read_write'}> ${n}: array<${n.startsWith('step') ? 'u32' : 'f32'}>;\n`,
    )
    .join('');
const WGSL: Record<string, string> = {
  linear: `${HEAD}${storage('x', 'w', 'b', 'y')}
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let row = params.w[0].x + id.x;
  if (id.x >= params.w[0].y) { return; }
  for (var o = 0u; o < ${O}u; o++) {
    var s = b[o];
    for (var i = 0u; i < ${I}u; i++) { s += x[row * ${I}u + i] * w[i * ${O}u + o]; }
    y[row * ${O}u + o] = s;
  }
}`,
  mse: `${HEAD}${storage('y', 'label', 'c', 'loss', 'dy')}
@compute @workgroup_size(1) fn main() {
  var s = 0.0;
  for (var i = 0u; i < ${N * O}u; i++) {
    let d = y[i] - label[i];
    s += d * d;
    dy[i] = 2.0 * d * c[0];
  }
  loss[0] = s * c[0];
}`,
  linearGrad: `${HEAD}${storage('x', 'dy', 'dw', 'db')}
@compute @workgroup_size(${O}) fn main(@builtin(local_invocation_id) l: vec3<u32>, @builtin(workgroup_id) g: vec3<u32>) {
  let o = l.x;
  let i = g.x;
  var s = 0.0;
  var t = 0.0;
  for (var r = 0u; r < ${N}u; r++) {
    s += x[r * ${I}u + i] * dy[r * ${O}u + o];
    t += dy[r * ${O}u + o];
  }
  dw[i * ${O}u + o] = s;
  if (i == 0u) { db[o] = t; }
}`,
  accumulate: `${HEAD}${storage('g', 'acc', 'step')}
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (step[3] == 0u) { acc[id.x] = g[id.x]; } else { acc[id.x] += g[id.x]; }
}`,
  sgd: `${HEAD}${storage('w', 'acc', 'm', 'step')}
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let v = 0.9 * m[id.x] + acc[id.x] / bitcast<f32>(step[5]);
  m[id.x] = v;
  w[id.x] -= bitcast<f32>(step[4]) * v;
}`,
};

const kernelInfo = (name: string, bindings: number, usesStep: boolean, extra = ''): KernelInfo => ({
  name,
  region: name,
  kind: 'map',
  flops: 1000,
  bytes: 4000,
  usesStep,
  bindings: new Array<'read_write'>(bindings).fill('read_write'),
  variants: [
    // Never chosen: no device has this subgroup size. Its file is not even there.
    { id: `odd${extra}`, file: 'kernels/none.wgsl', constants: [], features: ['subgroups'], subgroupSize: 3 },
    { id: 'default', file: `kernels/${name}.wgsl`, constants: [], features: [] },
  ],
});
const binding = ([arena, offset]: Buf, bytes: number): [number, number, number] => [arena, offset, bytes];
const [wide, rows] = [PARAMETER_WORDS * 4, N * O * 4];
const dispatch = (
  kernel: number,
  label: string,
  bindings: [number, number, number][],
  params: number[],
  grid: [number, number, number],
): Dispatch => ({
  kernel,
  label,
  bindings,
  params,
  grids: [grid, grid],
});

function manifestOf(files: Manifest['files']): Manifest {
  const x = port('x', ['n', 'i'], [N, I], X);
  const target = port('target', ['n', 'o'], [N, O], TARGET);
  const y = port('y', ['n', 'o'], [N, O], Y);
  const loss = port('loss', [], [], LOSS);
  const plan = { peak: 41 * 256, allocated: 41 * 256, tensors: [], ops: [], repeats: [], again: null };
  const flops = { forward: 2 * N * I * O, grad: 4 * N * I * O };
  const fit = {
    optimizer: 'sgd',
    states: [{ name: 'momentum', arena: MOMENTUM }],
    lr: 0.1,
    settings: { momentum: 0.9 },
  };
  return {
    format: FORMAT,
    generator: 'test/device/fixture.ts',
    model: {
      name: 'linear',
      settings: {},
      dialects: [{ name: 'old names', about: 'before', rewrites: [{ match: '^fc\\.', replace: 'linear.' }] }],
    },
    precision: 'f32',
    graphHash: '0'.repeat(64),
    parameters: [
      {
        name: 'linear.weight',
        shape: [O, I],
        permutation: [1, 0],
        init: { kind: 'uniform', low: -0.25, high: 0.25 },
        trainable: true,
        place: place(PARAMETERS, W, I * O * 4),
      },
      {
        name: 'linear.bias',
        shape: [O],
        permutation: [0],
        init: { kind: 'constant', value: 0.5 },
        trainable: true,
        place: place(PARAMETERS, B, O * 4),
        aliases: ['linear.b'],
      },
    ],
    arenas: [
      { name: 'parameters', role: 'parameters', bytes: wide, sections: ['forward', 'grad', 'update'] },
      { name: 'gradients', role: 'gradients', bytes: wide, sections: ['grad'] },
      { name: 'accumulator', role: 'accumulator', bytes: wide, sections: ['grad', 'update'] },
      { name: 'momentum', role: 'state', bytes: wide, sections: ['update'] },
      { name: 'activations', role: 'activations', bytes: 41 * 256, sections: ['forward', 'grad'] },
      { name: 'constants', role: 'constants', bytes: 256, sections: ['forward', 'grad'], file: 'constants.bin' },
      // used by one section each: they share memory
      { name: 'forward.0', role: 'activations', bytes: 512, sections: ['forward'] },
      { name: 'grad.0', role: 'activations', bytes: 256 + N * O * 4, sections: ['grad'] },
    ],
    entries: {
      linear: {
        index: 0,
        inputs: [x],
        outputs: [y],
        loss: null,
        parameters: [0, 1],
        training: null,
        memory: { forward: plan, grad: null, webgpu: null },
        flops,
      },
      fit: {
        index: 1,
        inputs: [x, target],
        outputs: [loss, y],
        loss: 'loss',
        parameters: [0, 1],
        training: { ...fit, schedule: { kind: 'warmupCosine', warmup: 2, total: 20, power: 1 } },
        memory: { forward: plan, grad: plan, webgpu: null },
        flops,
      },
      trap: {
        index: 2,
        inputs: [],
        outputs: [],
        loss: null,
        parameters: [],
        training: null,
        memory: { forward: plan, grad: null, webgpu: null },
        flops,
      },
    },
    kernels: [
      kernelInfo('linear', 4, false),
      kernelInfo('mse', 5, false),
      kernelInfo('linearGrad', 4, false),
      kernelInfo('accumulate', 2, true),
      kernelInfo('sgd', 3, true),
    ],
    dispatches: [
      dispatch(
        0,
        'linear',
        [binding(a(X), N * I * 4), binding([PARAMETERS, W], 512), binding([PARAMETERS, B], 32), binding(a(Y), rows)],
        [0, N],
        [1, 1, 1],
      ),
      dispatch(
        1,
        'mse',
        [
          binding(a(Y), rows),
          binding(a(TARGET), rows),
          binding([CONSTANTS, 0], 4),
          binding(a(LOSS), 4),
          binding(DY, rows),
        ],
        [0, 1],
        [1, 1, 1],
      ),
      dispatch(
        2,
        'linear.grad',
        [binding(a(X), N * I * 4), binding(DY, rows), binding([GRADIENTS, W], 512), binding([GRADIENTS, B], 32)],
        [0, I],
        [I, 1, 1],
      ),
      dispatch(3, 'accumulate', [binding([GRADIENTS, 0], wide), binding([ACCUMULATOR, 0], wide)], [0, 1], [3, 1, 1]),
      dispatch(
        4,
        'sgd',
        [binding([PARAMETERS, 0], wide), binding([ACCUMULATOR, 0], wide), binding([MOMENTUM, 0], wide)],
        [0, 1],
        [3, 1, 1],
      ),
    ],
    wasm: { scratchBytesPerThread: 1000, functions: ['linear', 'mse', 'linearGrad', 'accumulate', 'sgd', 'trap'] },
    requires: { maxBufferSize: 41 * 256, maxStorageBufferBindingSize: 4096, maxStorageBuffersPerShaderStage: 5 },
    memory: { promise: null, training: { webgpu: 0, wasm: 0 }, inference: { webgpu: 0, wasm: 0 } },
    preprocess: null,
    files,
  };
}

/** The artifact's files by path. */
export async function buildFixture(options: { relaxed?: boolean } = {}): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  files.set('program.wasm', await compileProgram(false));
  if (options.relaxed) files.set('program.relaxed.wasm', await compileProgram(true));
  files.set('constants.bin', new Uint8Array(new Float32Array([1 / (N * O)]).buffer));
  for (const [name, code] of Object.entries(WGSL)) files.set(`kernels/${name}.wgsl`, new TextEncoder().encode(code));
  const hashes: Record<string, { sha256: string; bytes: number }> = {};
  for (const [name, data] of files) hashes[name] = { sha256: await sha256(data), bytes: data.byteLength };
  files.set('manifest.json', new TextEncoder().encode(JSON.stringify(packManifest(manifestOf(hashes)))));
  return files;
}

/** The same files with another manifest. */
export function withManifest(
  files: ReadonlyMap<string, Uint8Array>,
  change: (m: Manifest) => Manifest,
): Map<string, Uint8Array> {
  const manifest = unpackManifest(JSON.parse(new TextDecoder().decode(files.get('manifest.json'))));
  return new Map(files).set('manifest.json', new TextEncoder().encode(JSON.stringify(packManifest(change(manifest)))));
}

/** x in [-1, 1] and target = x·wᵀ + 1 for a fixed w; batch k differs from batch k + 1. */
export function batch(k: number): { x: Float32Array; target: Float32Array } {
  const x = Float32Array.from({ length: N * I }, (_, j) => Math.sin(1.7 * j + k) * Math.cos(0.3 * j * (k + 1)));
  const target = new Float32Array(N * O);
  for (let r = 0; r < N; r++)
    for (let o = 0; o < O; o++) {
      let s = 1;
      for (let i = 0; i < I; i++) s += x[r * I + i]! * Math.cos(o + 2 * i);
      target[r * O + o] = s;
    }
  return { x, target };
}

/** One training step in float64: the reference. Parameters in checkpoint layout [o, i]; returns the mean loss. */
export class Reference {
  readonly #vw = new Float64Array(I * O);
  readonly #vb = new Float64Array(O);
  readonly w: Float64Array;
  readonly b: Float64Array;
  constructor(w: ArrayLike<number>, b: ArrayLike<number>) {
    this.w = Float64Array.from(w);
    this.b = Float64Array.from(b);
  }
  forward(x: Float32Array): Float64Array {
    const y = new Float64Array(N * O);
    for (let r = 0; r < N; r++)
      for (let o = 0; o < O; o++) {
        let s = this.b[o]!;
        for (let i = 0; i < I; i++) s += x[r * I + i]! * this.w[o * I + i]!;
        y[r * O + o] = s;
      }
    return y;
  }
  grads({ x, target }: { x: Float32Array; target: Float32Array }): {
    loss: number;
    dw: Float64Array;
    db: Float64Array;
  } {
    const y = this.forward(x);
    const [dw, db] = [new Float64Array(O * I), new Float64Array(O)];
    let loss = 0;
    for (let r = 0; r < N; r++)
      for (let o = 0; o < O; o++) {
        const d = y[r * O + o]! - target[r * O + o]!;
        loss += (d * d) / (N * O);
        const g = (2 * d) / (N * O);
        db[o]! += g;
        for (let i = 0; i < I; i++) dw[o * I + i]! += g * x[r * I + i]!;
      }
    return { loss, dw, db };
  }
  step(batches: readonly { x: Float32Array; target: Float32Array }[], lr: number): number {
    const all = batches.map((b) => this.grads(b));
    const update = (p: Float64Array, v: Float64Array, g: (j: number) => number): void => {
      for (let j = 0; j < p.length; j++) {
        v[j] = 0.9 * v[j]! + g(j);
        p[j]! -= lr * v[j]!;
      }
    };
    update(this.w, this.#vw, (j) => all.reduce((s, a) => s + a.dw[j]!, 0) / all.length);
    update(this.b, this.#vb, (j) => all.reduce((s, a) => s + a.db[j]!, 0) / all.length);
    return all.reduce((s, a) => s + a.loss, 0) / all.length;
  }
}
