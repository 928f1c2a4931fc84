import type { BenchCase, Pass } from '../../bench/kernels/cases.ts';
import type { BenchResult, CaseResult, Ceiling } from '../../bench/schema.ts';
import { command, DEVICE } from '../command.ts';
import { UsageError } from '../errors.ts';
import { version } from '../version.ts';

export const bench = command({
  name: 'bench',
  summary: 'measure kernels, or an entry, against what the device can do',
  description: [
    "First the device's own ceilings (multiply-adds, copying, workgroup memory, launches), by small kernels that do nothing else. " +
      'Then cases: time, rates, the share of the ceiling that binds, and the largest error against float64.',
    'Without ARTIFACT: the shapes that T3D contains and a general sweep (--filter takes some of them), or one by hand (--op). ' +
      'With ARTIFACT and ENTRY: whole calls and training steps, and their kernels by kind.',
  ],
  positionals: [
    { name: 'ARTIFACT', help: 'folder or .t3dc file that t3dc build wrote', optional: true },
    { name: 'ENTRY', help: 'its entry; see t3dc inspect', optional: true },
  ],
  options: {
    ...DEVICE,
    filter: { kind: 'text', value: 'TEXT', help: 'cases whose name has this in it, such as conv3d.weight' },
    op: {
      kind: 'choice',
      choices: ['conv3d', 'matmul', 'attention', 'instanceNorm', 'adamW', 'add', 'gelu', 'copy', 'sum'],
      help: 'one case by hand',
    },
    pass: { kind: 'choice', choices: ['forward', 'data', 'weight', 'backward'], default: 'forward', help: 'of --op' },
    ci: { kind: 'integer', min: 1, default: 48, value: 'N', help: 'input channels, channels, or channels of a head' },
    co: { kind: 'integer', min: 1, default: 48, value: 'N', help: 'output channels' },
    k: { kind: 'integer', min: 1, default: 3, value: 'N', help: "a convolution's kernel; a product's sum" },
    stride: { kind: 'integer', min: 1, default: 1, value: 'N', help: "a convolution's stride" },
    size: {
      kind: 'integer',
      min: 1,
      default: 32,
      value: 'N',
      help: 'voxels a side; rows and columns; tokens of a window',
    },
    heads: { kind: 'integer', min: 1, default: 3, value: 'N', help: 'of attention' },
    windows: { kind: 'integer', min: 1, default: 8, value: 'N', help: 'of attention' },
    time: { kind: 'number', min: 0, default: 1, value: 'S', help: 'seconds to measure a case for' },
    runs: { kind: 'integer', min: 1, default: 5, value: 'N', help: 'calls and steps of an entry' },
    precision: {
      kind: 'choice',
      choices: ['f32', 'f16'],
      default: 'f32',
      help: 'f16: cases whose contractions multiply halves on WebGPU, by subgroup matrices where there are any',
    },
    unchecked: { kind: 'flag', help: 'do not compute float64 references' },
    html: { kind: 'text', value: 'FILE', help: 'write a page with a roofline and the tables' },
    out: { kind: 'text', short: 'o', value: 'FILE', help: 'write the JSON to this file too' },
    compare: { kind: 'text', value: 'FILE', help: 'say how much faster or slower than in this JSON' },
  },
  examples: [
    ['t3dc bench --device wasm --filter conv3d --html bench.html', 'all convolutions, with a roofline'],
    [
      't3dc bench --op conv3d --pass weight --ci 48 --co 48 --k 3 --size 96 --device wasm --threads 2 --json',
      'one case by hand',
    ],
    ['t3dc bench dist/t3d segment --device webgpu --out after.json --compare before.json', 'a training step, compared'],
  ],
  async run({ ARTIFACT, ENTRY }, values, { out, signal }) {
    if (ARTIFACT !== undefined && ENTRY === undefined)
      throw new UsageError('missing-argument', 'bench needs ENTRY beside ARTIFACT', { hint: 'See t3dc inspect.' });
    const { readFile } = await import('node:fs/promises');
    const { compare, comparisonLines, ceilingLines, caseLines, benchPage } = await import('../bench-report.ts');
    const { remarks } = await import('../../bench/schema.ts');
    // Read before anything is measured: a wrong name should not cost minutes.
    const before =
      values.compare === undefined ? null : (JSON.parse(await readFile(values.compare, 'utf8')) as BenchResult);
    const { openBenchGpu } = await import('../../bench/device.ts');
    const { cpus, availableParallelism } = await import('node:os');
    const gpu =
      values.device === 'wasm' ? null : await openBenchGpu(values.device === 'webgpu').catch((e: Error) => notFound(e));
    if (!gpu && values.device === 'webgpu') await notFound(new Error('no WebGPU adapter was found'));
    const threads = gpu ? undefined : (values.threads ?? Math.min(8, availableParallelism()));
    try {
      out.note('measuring ceilings');
      const ceilings: Ceiling[] = gpu
        ? await (await import('../../bench/ceilings/webgpu.ts')).webgpuCeilings(gpu.device, gpu.info)
        : await (await import('../../bench/ceilings/wasm.ts')).wasmCeilings({
            threads: threads!,
            relaxed: await relaxed(),
          });
      out.lines(ceilingLines({ ceilings }));
      out.line();
      const open = gpu
        ? { device: gpu.device, onNotice: (m: string) => out.note(m) }
        : { device: 'wasm' as const, threads, onNotice: (m: string) => out.note(m) };
      const { description, results } = await measure(open, ceilings);
      const result: BenchResult = {
        t3dc: version(),
        device: {
          kind: gpu ? 'webgpu' : 'wasm',
          description,
          ...(threads === undefined ? {} : { threads }),
          ...(gpu ? { software: gpu.software } : {}),
          processor: cpus()[0]?.model ?? 'unknown',
          node: process.versions.node,
        },
        date: new Date().toISOString().slice(0, 10),
        ceilings,
        cases: results,
      };
      out.lines(caseLines(results));
      for (const r of remarks(results)) out.note(r);
      const compared = before ? compare(before, result) : [];
      if (before) out.lines(['', ...comparisonLines(compared)]);
      const { writeFileAtomic } = await import('../../data/node.ts');
      if (values.out !== undefined) await writeFileAtomic(values.out, `${JSON.stringify(result, null, 1)}\n`);
      if (values.html !== undefined) {
        await writeFileAtomic(values.html, benchPage(result, compared));
        out.line(`${values.html} written`);
      }
      out.json(result);
    } finally {
      gpu?.close();
    }

    async function measure(
      open: import('../../runtime/index.ts').OpenOptions,
      ceilings: readonly Ceiling[],
    ): Promise<{ description: string; results: CaseResult[] }> {
      if (ARTIFACT !== undefined) {
        const { open: openArtifact } = await import('../../runtime/index.ts');
        const { measureEntry } = await import('../../bench/entries.ts');
        const session = await openArtifact(ARTIFACT, { seed: 0, ...open });
        let bar: ReturnType<typeof out.progress> | undefined;
        try {
          const results = await measureEntry(session, ENTRY!, {
            ceilings,
            runs: values.runs,
            ...(gpu ? { device: gpu.device } : {}),
            signal,
            onRun: (what, done, total) => {
              bar ??= out.progress('bench', total);
              bar.update(done, what);
            },
          });
          return { description: session.device.description, results };
        } finally {
          bar?.end();
          await session.close();
        }
      }
      const cases = await chosen(values);
      const { measureCases } = await import('../../bench/kernels/measure.ts');
      const bar = out.progress('bench', cases.length);
      let description = '';
      const results = await measureCases(cases, {
        open,
        ceilings,
        time: 1000 * values.time,
        check: !values.unchecked,
        precision: values.precision,
        signal,
        onOpen: (d) => {
          description = d;
        },
        onCase: (r, done) => bar.update(done, r.id),
      });
      bar.end();
      return { description, results };
    }
  },
});

async function notFound(e: Error): Promise<never> {
  const { T3dcError } = await import('../../runtime/index.ts');
  if (e instanceof T3dcError) throw e;
  throw new T3dcError('no-device', e.message, { hint: 'See t3dc doctor, or bench --device wasm.' });
}

/** Whether the engine takes relaxed SIMD (the command turns it on). */
async function relaxed(): Promise<boolean> {
  const { relaxedSimd } = await import('../../bench/ceilings/wasm.ts');
  return relaxedSimd();
}

interface Chosen {
  readonly filter?: string;
  readonly op?: string;
  readonly pass: Pass;
  readonly ci: number;
  readonly co: number;
  readonly k: number;
  readonly stride: number;
  readonly size: number;
  readonly heads: number;
  readonly windows: number;
}

/** @throws UsageError `bad-value` for a filter without cases, or a pass that an operation has not */
async function chosen(v: Chosen): Promise<BenchCase[]> {
  const make = await import('../../bench/kernels/cases.ts');
  if (v.op === undefined) {
    const { CASES } = await import('../../bench/kernels/list.ts');
    const list = v.filter === undefined ? [...CASES] : CASES.filter((c) => c.id.includes(v.filter!));
    if (list.length === 0)
      throw new UsageError('bad-value', '--filter matches no case', {
        found: v.filter,
        expected: `part of a name such as ${CASES.slice(0, 3)
          .map((c) => c.id)
          .join(', ')}`,
      });
    return list;
  }
  const { pass, ci, co, k, size, stride, heads, windows } = v;
  const has = (...passes: Pass[]): void => {
    if (!passes.includes(pass))
      throw new UsageError('bad-value', `${v.op} has no pass ${pass}`, { expected: passes.join(', ') });
  };
  switch (v.op) {
    case 'conv3d':
      has('forward', 'data', 'weight');
      return [make.conv3d(pass as 'forward', { ci, co, k, size, stride })];
    case 'attention':
      has('forward', 'backward');
      return [make.attention(pass as 'forward', windows, heads, size, ci)];
    case 'instanceNorm':
      has('forward', 'backward');
      return [make.norm(pass as 'forward', ci, size)];
    case 'matmul':
      has('forward');
      return [make.matmul(size, co, k)];
    case 'adamW':
      has('forward');
      return [make.adamW(1024 * Math.ceil(size ** 3 / 1024))];
    case 'sum':
      has('forward');
      return [make.reduce('channels', ci, size)];
    default:
      has('forward');
      return [make.elementwise(v.op as 'add', ci, size)];
  }
}
