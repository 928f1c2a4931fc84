import type { BenchGpu } from '../../bench/device.ts';
import type { TunedKernel, TuningTable } from '../../compiler/index.ts';
import type { SettingsOptions } from '../../compiler/settings.ts';
import type { ModelSpec } from '../../dsl/model.ts';
import { command } from '../command.ts';
import { UsageError } from '../errors.ts';
import { columns, parseNames, parseSize } from '../units.ts';

export const tune = command({
  name: 'tune',
  summary: "measure which schedules of a model's kernels are fastest on this GPU",
  description: [
    'For each kernel shape a few schedules are compiled here, checked against float64 and against each other, and timed in turns. ' +
      'What does not compile, is wrong, or gives other bits when it is run again is discarded; what is not at least 5 % faster ' +
      'than the choice without tuning is not taken.',
    'The result is kept in a folder, a file per adapter, after every kernel: a run that was stopped goes on where it was. Builds ' +
      'read it only where they are told to (t3dc build --tuning store), so that a build does not depend on the machine. Opening ' +
      'an artifact never measures anything.',
    'Without MODEL: the cases of t3dc bench.',
  ],
  positionals: [
    {
      name: 'MODEL',
      help: "a model's name or file, as for t3dc build, or an artifact of a shipped model",
      optional: true,
    },
  ],
  options: {
    device: {
      kind: 'choice',
      choices: ['auto', 'webgpu'],
      default: 'auto',
      help: 'auto takes a hardware adapter alone; webgpu a software one too',
    },
    preset: { kind: 'text', value: 'P', help: 'a preset of the model' },
    set: { kind: 'pairs', value: 'KEY=VALUE …', help: 'settings of the model, over the preset' },
    size: { kind: 'text', value: 'N|DxHxW', help: 'voxels of a patch' },
    batch: { kind: 'integer', min: 1, value: 'N', help: 'samples of a batch' },
    entries: { kind: 'text', value: 'a,b', help: 'tune the kernels of these entries alone' },
    precision: { kind: 'choice', choices: ['f32', 'f16'], default: 'f32', help: 'as for t3dc build' },
    filter: { kind: 'text', value: 'TEXT', help: 'kernels (without MODEL: cases) whose name has this in it' },
    share: {
      kind: 'number',
      min: 0,
      max: 1,
      default: 0.95,
      value: 'S',
      help: 'tune the kernels that do this share of the work',
    },
    most: { kind: 'integer', min: 2, default: 6, value: 'N', help: 'schedules of a kernel at most' },
    store: {
      kind: 'text',
      value: 'DIR',
      help: 'folder of the results (default $T3DC_TUNING, else ~/.t3dc/tuning)',
    },
    experimental: {
      kind: 'flag',
      help: 'with what Dawn has behind flags (subgroup matrices, f16 on NVIDIA), as t3dc bench opens a GPU: another adapter',
    },
    again: { kind: 'flag', help: 'measure what was measured before too' },
  },
  examples: [
    ['t3dc tune t3d --preset base', 'the kernels of a model'],
    ['t3dc tune --filter conv3d --device webgpu', 'the convolutions of t3dc bench, on a software adapter too'],
    ['t3dc tune t3d --store tuned', 'results in a folder of their own, for t3dc build t3d --tuning tuned'],
  ],
  async run({ MODEL }, values, { out, signal }) {
    const size = values.size === undefined ? undefined : parseSize('size', values.size);
    const entries = values.entries === undefined ? undefined : parseNames('entries', values.entries);
    const gpu = await openGpu(values.device === 'webgpu', values.experimental);
    let lost: string | null = null;
    void gpu.device.lost.then(({ message }) => {
      lost = message;
    });
    try {
      const { adapterKey } = await import('../../runtime/adapter-key.ts');
      const { describe } = await import('../../runtime/webgpu-adapter.ts');
      const { addToStore, defaultStore, readStore, storeFile } = await import('../../bench/tune/store.ts');
      const { programsOf, tuningJobs } = await import('../../bench/tune/kernels.ts');
      const { tuneKernel } = await import('../../bench/tune/tune.ts');
      const adapter = adapterKey(gpu.info, gpu.device);
      const store = values.store ?? defaultStore();
      let table = readStore(store, adapter, describe(gpu.info));
      out.note(`adapter: ${adapter}`);
      if (gpu.software) out.note(`${describe(gpu.info)} is a software adapter: its times say nothing of a GPU`);
      const { preset, set, batch, precision } = values;
      const given = { settings: { preset, set, size, batch }, entries, precision };
      const subject =
        MODEL === undefined ? { ...given, spec: await casesModel(values.filter) } : await subjectOf(MODEL, given);
      const programs = programsOf(subject.spec, {
        ...subject.settings,
        entries: subject.entries,
        precision: subject.precision,
      });
      const all = tuningJobs(programs, values.share);
      const jobs =
        MODEL === undefined || values.filter === undefined ? all : all.filter((j) => j.what.includes(values.filter!));
      if (jobs.length === 0)
        throw new UsageError('bad-value', 'there is no kernel to tune', {
          found: `${all.length} kernels with schedules`,
          expected: 'at least one',
          hint: 'Give a larger --share or another --filter.',
        });
      const open = values.again ? jobs : jobs.filter((j) => !table.kernels[j.hash]);
      if (open.length < jobs.length)
        out.note(
          `${jobs.length - open.length} of ${jobs.length} kernels were measured before; --again measures them too`,
        );
      const failed: { what: string; why: string }[] = [];
      const bar = out.progress('tune', jobs.length, jobs.length - open.length);
      try {
        for (const [n, job] of open.entries()) {
          bar.update(jobs.length - open.length + n, job.what);
          const result = await tuneKernel({ ...gpu, lost: () => lost }, job, { most: values.most, signal });
          if ('failed' in result) {
            failed.push({ what: job.what, why: result.failed });
            out.note(`${job.what}: not tuned: ${result.failed}`);
            continue;
          }
          table = await addToStore(store, table, job.hash, result.tuned);
          for (const [id, why] of Object.entries(result.tuned.discarded))
            out.note(`${job.what}: ${id} discarded: ${why}`);
        }
        bar.update(jobs.length);
      } finally {
        bar.end();
        if (signal.aborted)
          out.note(`what was measured is kept in ${storeFile(store, adapter)}; run the command again to go on`);
      }
      out.lines(report(table, jobs));
      out.line();
      out.line(`${storeFile(store, adapter)}: ${Object.keys(table.kernels).length} kernels`);
      out.line('t3dc build --tuning store (or this folder) builds artifacts that have them.');
      out.json({
        adapter,
        description: table.description,
        store: storeFile(store, adapter),
        kernels: jobs.flatMap((j) => {
          const tuned = table.kernels[j.hash];
          return tuned ? [{ hash: j.hash, uses: j.uses, share: j.share, ...tuned }] : [];
        }),
        failed,
      });
    } finally {
      gpu.close();
    }
  },
});

/** As `open` opens it by itself, so that the adapter is the one that artifacts meet; timestamps in full. Throws T3dcError
 *  `no-device`. */
async function openGpu(software: boolean, experimental: boolean): Promise<BenchGpu> {
  const { openBenchGpu } = await import('../../bench/device.ts');
  const own = ['disable-dawn-features=timestamp_quantization'];
  const gpu = await (experimental ? openBenchGpu(software) : openBenchGpu(software, own));
  if (gpu) return gpu;
  const { T3dcError } = await import('../../runtime/index.ts');
  throw new T3dcError('no-device', `no ${software ? '' : 'hardware '}WebGPU adapter was found`, {
    hint: software ? 'See t3dc doctor.' : 'See t3dc doctor; --device webgpu takes a software adapter too.',
  });
}

interface Subject {
  readonly spec: ModelSpec<object>;
  readonly settings: SettingsOptions;
  readonly entries: readonly string[] | undefined;
  readonly precision: 'f32' | 'f16';
}

/** A model with what the command line sets; or the model that an artifact was built from, as it was built. */
async function subjectOf(name: string, given: Omit<Subject, 'spec'>): Promise<Subject> {
  const { existsSync } = await import('node:fs');
  const { join } = await import('node:path');
  const { loadModel } = await import('../../compiler/index.ts');
  if (!name.endsWith('.t3dc') && !existsSync(join(name, 'manifest.json')))
    return { spec: await loadModel(name), ...given };
  const { openArtifact } = await import('../../runtime/index.ts');
  const { model, entries, precision } = (await openArtifact(name)).manifest;
  // An artifact holds compiled kernels alone: what else they could be is known from the model.
  const spec = await loadModel(model.name).catch(() => {
    throw new UsageError('bad-value', `the model of this artifact, ${model.name}, is none of this package`, {
      found: name,
      expected: 'an artifact of a shipped model, or a model file with the settings it was built with',
      hint: "Give the model's file in place of the artifact; t3dc inspect --json tells the settings.",
    });
  });
  return {
    spec,
    settings: { ...given.settings, preset: undefined, set: { ...model.settings, ...given.settings.set } },
    entries: given.entries ?? Object.keys(entries),
    precision,
  };
}

async function casesModel(filter: string | undefined): Promise<ModelSpec<object>> {
  const { CASES } = await import('../../bench/kernels/list.ts');
  const { modelOf } = await import('../../bench/kernels/measure.ts');
  const cases = filter === undefined ? CASES : CASES.filter((c) => c.id.includes(filter));
  if (cases.length === 0)
    throw new UsageError('bad-value', '--filter matches no case', {
      found: filter,
      expected: `part of a name such as ${CASES.slice(0, 3)
        .map((c) => c.id)
        .join(', ')}`,
    });
  return modelOf(cases);
}

/** A line per kernel: what the heuristic takes, and what was faster. */
function report(
  table: TuningTable,
  jobs: readonly { hash: string; what: string; uses: number; share: number }[],
): string[] {
  const rows = jobs.flatMap((j) => {
    const t = table.kernels[j.hash];
    return t ? [[`  ${j.what}`, `${j.uses}`, `${(100 * j.share).toFixed(1)} %`, ...cells(t)]] : [];
  });
  const faster = jobs.filter((j) => table.kernels[j.hash] && isFaster(table.kernels[j.hash]!)).length;
  return [
    ...columns([['  kernel', 'uses', 'work', 'heuristic', 'ms', 'taken', 'ms', 'faster'], ...rows], '.rr.r.rr'),
    '',
    `${faster} of ${rows.length} kernels have a schedule that is faster here than the heuristic's`,
  ];
}

const isFaster = (t: TunedKernel): boolean => t.schedule !== t.heuristic;

function cells(t: TunedKernel): string[] {
  const [before, after] = [t.ms[t.heuristic]!, t.ms[t.schedule]!];
  return isFaster(t)
    ? [t.heuristic, `${before}`, t.schedule, `${after}`, `${(before / after).toFixed(2)}×`]
    : [t.heuristic, `${before}`, '–', '', ''];
}
