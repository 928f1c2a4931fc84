import { join } from 'node:path';
import type { TuningTable } from '../../compiler/index.ts';
import type { Manifest } from '../../runtime/manifest.ts';
import { command } from '../command.ts';
import { CliError } from '../errors.ts';
import type { Output } from '../output.ts';
import { columns, parseBytes, parseNames, parseSize, showBytes, showCount, showFlops, showTime } from '../units.ts';

export const build = command({
  name: 'build',
  summary: 'compile a model into an artifact',
  description: [
    'MODEL is a model of this package (t3d) or a file whose default export is one (./my-model.ts). The artifact needs nothing ' +
      'of the compiler: it runs on WebGPU (Node, browsers) and on WebAssembly alone.',
  ],
  positionals: [{ name: 'MODEL', help: "a model's name, or its file" }],
  options: {
    out: { kind: 'text', short: 'o', value: 'DIR', help: 'folder, or a file ending in .t3dc (default dist/NAME)' },
    preset: { kind: 'text', value: 'P', help: 'a preset of the model' },
    set: { kind: 'pairs', value: 'KEY=VALUE …', help: 'settings of the model, over the preset' },
    size: { kind: 'text', value: 'N|DxHxW', help: 'voxels of a patch' },
    batch: { kind: 'integer', min: 1, value: 'N', help: 'samples of a batch' },
    text: {
      kind: 'text',
      value: 'FOLDER',
      help: "take the text tower's settings from this Hugging Face folder's config.json (BERT, RoBERTa)",
    },
    entries: { kind: 'text', value: 'a,b', help: 'compile these entries alone' },
    precision: {
      kind: 'choice',
      choices: ['f32', 'f16'],
      default: 'f32',
      help: 'f16: on WebGPU values are stored as halves between kernels, and the loss is scaled; wasm stays f32',
    },
    memory: {
      kind: 'text',
      value: '4GiB',
      help: 'a promise over all that a session allocates: recompute rather than keep, and refuse to build where nothing fits',
    },
    slabs: {
      kind: 'flag',
      help:
        'on WebGPU, compute large tensors slab by slab instead of keeping them whole: as far as --memory asks for it, else ' +
        'for the fewest bytes; the same bits, more work; wasm keeps them whole',
    },
    'max-binding': {
      kind: 'text',
      value: 'BYTES',
      help: 'largest storage binding that kernels may ask for; longer tensors are cut (default 128MiB, which every adapter has)',
    },
    tuning: {
      kind: 'text',
      default: 'shipped',
      value: 'WHICH',
      help: "measured schedules to take: shipped (t3dc's own tables alone, so that builds do not depend on the machine), none, store (what t3dc tune kept, too), or the DIR of such a store",
    },
    explain: { kind: 'flag', help: 'print what every pass did' },
  },
  examples: [
    ['t3dc build t3d --preset nano -o dist/t3d', 'the smallest T3D, 64³'],
    [
      't3dc build t3d --preset base --set outChannels=8 lr=1e-3 --memory 2.5GiB',
      'for 8 classes, trained inside 2.5 GiB',
    ],
    [
      't3dc build t3d --preset base --size 160x256x256 --precision f16 --slabs --memory 3GiB',
      'for whole volumes of that size at once: no windows, no seams',
    ],
    [
      't3dc build t3d --entries encodeText --text models/RadBERT --set textTokens=64 -o dist/text',
      'a text tower for those weights; t3dc run dist/text encodeText --weights models/RadBERT/model.safetensors',
    ],
    ['t3dc build examples/unet.ts -o unet.t3dc --entries logits', 'another model, inference alone, as one file'],
  ],
  async run({ MODEL }, values, { out, signal }) {
    const size = values.size === undefined ? undefined : parseSize('size', values.size);
    const memory = values.memory === undefined ? undefined : parseBytes('memory', values.memory);
    const binding = values['max-binding'];
    const limits = binding === undefined ? {} : { maxStorageBufferBindingSize: parseBytes('max-binding', binding) };
    const entries = values.entries === undefined ? undefined : parseNames('entries', values.entries);
    const compiler = await import('../../compiler/index.ts');
    const tuning = await tables(values.tuning);
    const spec = await compiler.loadModel(MODEL);
    const given = values.text === undefined ? undefined : { text: await textTower(values.text) };
    const built = await compiler.build(spec, {
      preset: values.preset,
      given,
      set: values.set,
      size,
      batch: values.batch,
      entries,
      memory,
      precision: values.precision,
      slabs: values.slabs,
      limits,
      tuning,
      log: values.explain ? (pass, lines) => explain(out, pass, lines) : undefined,
    });
    signal.throwIfAborted();
    const where = values.out ?? `dist/${built.manifest.model.name}`;
    await compiler.writeArtifact(built, where);
    const bytes = Array.from(built.files.values(), (f) => f.byteLength).reduce((a, b) => a + b, 0);
    const kernels = [...built.files.keys()].filter((f) => f.endsWith('.wgsl')).length;
    out.lines(summary(built.manifest));
    out.line();
    const ms = Object.values(built.ms).reduce((a, b) => a + b, 0);
    out.line(`${where}: ${built.files.size} files, ${kernels} WGSL kernels, ${showBytes(bytes)}, in ${showTime(ms)}`);
    out.line(
      `  ${Object.entries(built.ms)
        .map(([pass, t]) => `${pass} ${showTime(t)}`)
        .join(', ')}`,
    );
    out.json({ artifact: where, ...facts(built.manifest), files: built.files.size, bytes, ms: built.ms });
  },
});

/** Settings of the text tower, from a folder's config.json. @throws CliError, ModelError */
async function textTower(folder: string): Promise<object> {
  const { readJson } = await import('../../data/node.ts');
  const { textSettings } = await import('../../models/t3d/text-settings.ts');
  const path = join(folder, 'config.json');
  let config: unknown;
  try {
    config = await readJson(path);
  } catch (e) {
    throw new CliError('bad-input', `--text ${folder}: its config.json cannot be read`, {
      found: String(e instanceof Error ? e.message : e).split('\n')[0]!,
      expected: 'a folder with config.json and model.safetensors, as Hugging Face stores a BERT or RoBERTa',
      hint: 'Download the model with its files, or check the path.',
    });
  }
  return textSettings(config);
}

/** Tables of measured schedules. @throws TuningError */
async function tables(which: string): Promise<TuningTable[]> {
  const { readTables, shippedTables, TuningError } = await import('../../compiler/index.ts');
  if (which === 'none') return [];
  if (which === 'shipped') return shippedTables();
  const folder = which === 'store' ? (await import('../../bench/tune/store.ts')).defaultStore() : which;
  const found = readTables(folder);
  if (found.length === 0)
    throw new TuningError(
      `${folder} holds no table of measured schedules`,
      'Run t3dc tune, or build without --tuning.',
    );
  return [...shippedTables(), ...found];
}

function explain(out: Output, pass: string, lines: readonly string[]): void {
  out.line(`── ${pass}`);
  out.lines(lines.map((l) => `   ${l}`));
  out.json({ pass, lines });
}

/** Entries, parameters, work and memory of an artifact, as lines. */
export function summary(m: Manifest): string[] {
  const count = m.parameters.reduce((n, p) => n + elements(p.shape), 0);
  const port = (p: { name: string; dtype: string; axes: readonly string[]; shape: readonly number[] }) =>
    `${p.name} ${p.dtype}[${p.axes.map((a, i) => `${a}=${p.shape[i]}`).join(' ')}]`;
  const rows = Object.entries(m.entries).map(([name, e]) => {
    const plans = e.memory.webgpu ?? e.memory;
    return [
      name,
      showFlops(e.flops.forward),
      e.training ? showFlops(e.flops.grad) : '–',
      showBytes(plans.forward.allocated),
      plans.grad ? showBytes(plans.grad.allocated) : '–',
    ];
  });
  const signatures = Object.entries(m.entries).map(
    ([name, e]) => `  ${name}: ${e.inputs.map(port).join(', ')} → ${e.outputs.map(port).join(', ')}`,
  );
  const resident = m.arenas.filter((a) => a.role !== 'activations').map((a) => `${a.name} ${showBytes(a.bytes)}`);
  return [
    `${m.model.name}: ${showCount(count)} parameters in ${m.parameters.length} tensors`,
    ...signatures,
    '',
    ...columns([['entry', 'forward', 'training', 'memory', 'training'], ...rows], '.rrrr').map((l) => `  ${l}`),
    ...(Object.values(m.entries).some((e) => e.memory.webgpu)
      ? [`  (memory of the WebGPU programs${m.precision === 'f16' ? ', which store f16' : ''})`]
      : []),
    `  beside it: ${resident.join(', ')}`,
    `  in all, ${total(m)}`,
  ];
}

/** What a session allocates, with the promise. */
function total({ memory, entries }: Manifest): string {
  const both = ({ webgpu, wasm }: Manifest['memory']['training']): string =>
    `${showBytes(webgpu)} on WebGPU, ${showBytes(wasm)} on wasm`;
  const trains = Object.values(entries).some((e) => e.training);
  const kept = memory.promise === null ? '' : `; ${showBytes(memory.promise)} were promised`;
  return `${trains ? `to train ${both(memory.training)}; ` : ''}to infer ${both(memory.inference)}${kept}`;
}

/** The same for programs. */
export function facts(m: Manifest): Record<string, unknown> {
  return {
    model: m.model.name,
    graphHash: m.graphHash,
    precision: m.precision,
    parameters: m.parameters.reduce((n, p) => n + elements(p.shape), 0),
    tensors: m.parameters.length,
    entries: Object.fromEntries(
      Object.entries(m.entries).map(([name, e]) => [
        name,
        {
          inputs: e.inputs.map(({ name: n, dtype, axes, shape }) => ({ name: n, dtype, axes, shape })),
          outputs: e.outputs.map(({ name: n, dtype, axes, shape }) => ({ name: n, dtype, axes, shape })),
          flops: e.flops,
          memory: allocatedBy(e.memory),
          ...(e.memory.webgpu ? { memoryWebGpu: allocatedBy(e.memory.webgpu) } : {}),
          optimizer: e.training?.optimizer ?? null,
        },
      ]),
    ),
    memory: m.memory,
    arenas: m.arenas.map(({ name, role, bytes }) => ({ name, role, bytes })),
    kernels: m.kernels.length,
  };
}

const allocatedBy = (p: { forward: { allocated: number }; grad: { allocated: number } | null }) => ({
  forward: p.forward.allocated,
  grad: p.grad?.allocated ?? null,
});

const elements = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
