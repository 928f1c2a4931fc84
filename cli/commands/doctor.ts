import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { command } from '../command.ts';
import { columns, showBytes } from '../units.ts';
import type { AdapterFacts, WebGpuFacts } from '../webgpu-probe.ts';

export const doctor = command({
  name: 'doctor',
  summary: 'what this machine offers, and what is missing',
  description: [
    'Looks at Node, WebAssembly and WebGPU and says what --device auto would choose and how to get what is missing.',
  ],
  positionals: [],
  options: {},
  examples: [
    ['t3dc doctor', 'a report for people'],
    ['t3dc doctor --json', 'the same for programs; useful in bug reports'],
  ],
  async run(_args, _values, { out }) {
    const { probeWebGpu } = await import('../webgpu-probe.ts');
    const wasm = wasmFacts();
    const webgpu = await probeWebGpu();
    const hardware = webgpu.adapters.find((a) => !a.software);
    const auto = hardware ? `webgpu on ${hardware.description}` : wasm.simd ? 'wasm' : 'nothing';
    const advice = advise(wasm, webgpu);
    const [major] = process.versions.node.split('.').map(Number);
    if (major! < 20) advice.unshift('Node 20 or later is needed: install a current one from nodejs.org.');
    const machine = {
      platform: process.platform,
      arch: process.arch,
      processors: availableParallelism(),
      memory: totalmem(),
    };

    const yes = (b: boolean) => (b ? 'yes' : 'no');
    out.lines(
      columns([
        ['Node', `${process.versions.node} (V8 ${process.versions.v8})`],
        [
          'machine',
          `${machine.platform} ${machine.arch}, ${machine.processors} processors, ${showBytes(machine.memory)}`,
        ],
        [
          'wasm',
          `SIMD ${yes(wasm.simd)}, relaxed SIMD ${yes(wasm.relaxed)}, threads ${yes(wasm.threads)}, memory up to ${showBytes(wasm.memory)}`,
        ],
        [
          'webgpu',
          webgpu.installed
            ? `package ${webgpu.version ?? '?'}, ${webgpu.adapters.length} adapters`
            : 'package not installed',
        ],
      ]),
    );
    for (const adapter of webgpu.adapters) out.lines(describeAdapter(adapter));
    if (webgpu.problem) out.line(`  ${webgpu.problem}`);
    out.line(`\n--device auto takes: ${auto}`);
    if (advice.length > 0) out.lines(['', ...advice]);
    out.json({ node: process.versions.node, v8: process.versions.v8, machine, wasm, webgpu, auto, advice });
  },
});

// Smallest modules that use the feature; source: the WebAssembly specification's binary format.
const SIMD = [1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];
const RELAXED = [1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11];
const ATOMICS = [1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 5, 4, 1, 3, 1, 1, 10, 11, 1, 9, 0, 65, 0, 254, 16, 2, 0, 26, 11];

interface WasmFacts {
  readonly simd: boolean;
  readonly relaxed: boolean;
  readonly threads: boolean;
  /** Bytes of the largest shared memory that can be declared. */
  readonly memory: number;
}

function wasmFacts(): WasmFacts {
  const takes = (body: number[]) => WebAssembly.validate(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, ...body]));
  const threads = takes(ATOMICS);
  return { simd: takes(SIMD), relaxed: takes(RELAXED), threads, memory: threads ? largestMemory() : 0 };
}

function largestMemory(): number {
  for (let pages = 65536; pages >= 4096; pages /= 2) {
    try {
      new WebAssembly.Memory({ initial: 1, maximum: pages, shared: true });
      return pages * 65536;
    } catch {}
  }
  return 0;
}

function describeAdapter(a: AdapterFacts): string[] {
  const l = a.limits;
  return [
    `  ${a.description}${a.software ? ' (software: slower than wasm here, for tests)' : ''}`,
    ...columns([
      [
        'buffers',
        `${showBytes(l.maxBufferSize!)}, bindings ${showBytes(l.maxStorageBufferBindingSize!)}, ${l.maxStorageBuffersPerShaderStage} per stage`,
      ],
      [
        'workgroups',
        `${l.maxComputeInvocationsPerWorkgroup} invocations, ${showBytes(l.maxComputeWorkgroupStorageSize!)}, ${l.maxComputeWorkgroupsPerDimension} per dimension`,
      ],
      [
        'subgroups',
        a.subgroups
          ? a.subgroups[0] === a.subgroups[1]
            ? `of ${a.subgroups[0]}`
            : `of ${a.subgroups.join(' to ')}`
          : 'none',
      ],
      ['features', a.features.filter((f) => KNOWN.test(f)).join(', ') || 'none that kernels use'],
    ]).map((line) => `    ${line}`),
  ];
}

/** Features that kernels have variants for, or that profiling uses. */
const KNOWN = /shader-f16|subgroup|timestamp|immediate/;

function advise(wasm: WasmFacts, webgpu: WebGpuFacts): string[] {
  const advice: string[] = [];
  if (!wasm.simd) advice.push('WebAssembly SIMD is missing: update Node or the browser.');
  else if (!wasm.relaxed)
    advice.push(
      'Relaxed SIMD is off, which costs about a third of the speed on wasm: start Node with --experimental-wasm-relaxed-simd.',
    );
  if (!webgpu.installed) advice.push('For GPUs: npm install webgpu (Dawn for Node).');
  else if (webgpu.adapters.length === 0) advice.push(...driverAdvice());
  return advice;
}

function driverAdvice(): string[] {
  const release = process.platform === 'linux' ? osRelease() : {};
  const head = 'No WebGPU adapter. It is needed only for a GPU: wasm does everything without one.';
  if (process.platform !== 'linux') return [head, "Install the graphics driver of the GPU's vendor."];
  if (release.VERSION_CODENAME === 'bookworm')
    return [
      head,
      "GPU: install its vendor's Vulkan driver. Software adapter for tests: Debian 12's own Mesa (22.3) is too old for Dawn; take",
      'it from bookworm-backports: apt-get install -t bookworm-backports mesa-vulkan-drivers (scripts/setup-vulkan.sh does it all).',
    ];
  return [
    head,
    "GPU: install its vendor's Vulkan driver. Software adapter for tests: Mesa 23.1 or later, package mesa-vulkan-drivers",
    '(scripts/setup-vulkan.sh installs it on Debian and Ubuntu).',
  ];
}

function osRelease(): Record<string, string> {
  try {
    const lines = readFileSync('/etc/os-release', 'utf8').split('\n');
    return Object.fromEntries(
      lines.map((l) => l.split('=')).flatMap(([k, v]) => (v ? [[k!, v.replace(/^"|"$/g, '')]] : [])),
    );
  } catch {
    return {};
  }
}
