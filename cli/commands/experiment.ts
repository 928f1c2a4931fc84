import { command } from '../command.ts';

export const experiment = command({
  name: 'experiment',
  summary: 'ask whether reports help: all arms of pre-training on the phantom, with seeds, tests and a report',
  description: [
    'Pre-trains the preset pico on pairs of the phantom “part” in every arm and with every seed, reads a linear probe of the kind ' +
      'of lesions, and compares (docs/results.md declares what with what). DIR receives a folder a run, results.json and ' +
      'report.html. An interruption loses the runs that were under way; --resume goes on.',
  ],
  positionals: [],
  options: {
    out: { kind: 'text', short: 'o', value: 'DIR', required: true, help: 'folder of the experiment' },
    small: { kind: 'flag', help: 'the small copy: t3d and its control, 3 seeds, 240 steps, minutes' },
    develop: {
      kind: 'flag',
      help: 'judge on the development studies of another phantom: for looking, never for results',
    },
    arms: { kind: 'text', value: 'LIST', help: 'these arms alone, separated by commas' },
    seeds: { kind: 'text', value: 'LIST', help: 'these seeds alone, separated by commas' },
    steps: { kind: 'integer', min: 1, value: 'N', help: 'steps of pre-training' },
    set: { kind: 'text', value: 'JSON', help: 'other fields of the declaration, as an object' },
    jobs: {
      kind: 'integer',
      min: 1,
      max: 64,
      default: 2,
      value: 'N',
      help: 'runs beside each other, a thread each',
    },
    device: { kind: 'choice', choices: ['wasm', 'webgpu'], default: 'wasm', help: 'where to train' },
    resume: { kind: 'flag', help: 'go on with DIR' },
    only: {
      kind: 'text',
      value: 'PART',
      help: 'this part alone, as t3d:0 or t3d:0:masks:5, in a folder that was begun',
    },
  },
  examples: [
    ['t3dc experiment -o runs/experiment', 'the declared one: about two hours on two cores'],
    ['t3dc experiment -o runs/experiment --resume', 'go on after an interruption'],
    ['t3dc experiment -o runs/small --small', 'whether it runs, in minutes'],
  ],
  async run(_, values, context) {
    const { runExperiment } = await import('../experiment/command.ts');
    await runExperiment(values, context);
  },
});
