import { command } from '../command.ts';
import { UsageError } from '../errors.ts';
import { parseSize, parseSpacing, showTime } from '../units.ts';

export const dataPhantom = command({
  name: 'data phantom',
  summary: 'write a synthetic set of CTs with labels and reports',
  description: [
    'Draws body CTs (lungs, liver, spleen, kidneys, spine, aorta, with lesions) from a seed, and reports that tell the lesions in ' +
      'varied wording. Writes DIR/images, DIR/labels, DIR/reports, DIR/pairs.jsonl, DIR/lesions.csv (a lesion a row) and ' +
      'DIR/dataset.json. The same seed gives the same bytes everywhere.',
  ],
  positionals: [],
  options: {
    out: { kind: 'text', short: 'o', value: 'DIR', required: true, help: 'where to write' },
    cases: { kind: 'integer', min: 1, max: 100000, default: 8, value: 'N', help: 'patients' },
    size: { kind: 'text', value: 'DxHxW', default: '96', help: 'voxels along right, anterior, superior' },
    spacing: { kind: 'text', value: 'MM', help: 'mm per voxel, one or three (default: 384 mm over the first axis)' },
    seed: { kind: 'integer', min: 0, default: 0, value: 'S', help: 'seed of the set' },
    first: { kind: 'integer', min: 0, default: 0, value: 'I', help: 'number of the first patient' },
    classes: {
      kind: 'choice',
      choices: ['all', 'organs'],
      default: 'all',
      help: 'all: each kidney and the aorta too; organs: liver, spleen, kidneys, lungs, spine',
    },
    lesions: { kind: 'integer', min: 0, max: 20, default: 3, value: 'N', help: 'most lesions of one patient' },
    'lesion-class': { kind: 'flag', help: 'give lesions a label of their own' },
    'second-language': { kind: 'number', min: 0, max: 1, default: 0.1, value: 'P', help: 'share of reports in German' },
  },
  examples: [
    ['t3dc data phantom -o data/phantom --cases 16 --size 64', '16 patients of 64³ voxels of 6 mm'],
    ['t3dc data phantom -o data/test --cases 4 --size 64 --first 1000', 'four other patients of the same set'],
    ['t3dc data phantom -o data/fine --cases 2 --size 256x256x160 --spacing 1.5x1.5x2 --seed 7', 'two fine ones'],
  ],
  async run(_args, values, { out, signal }) {
    const { writePhantomSet } = await import('../../data/node.ts');
    const size = parseSize('size', values.size);
    const spacing = values.spacing === undefined ? undefined : parseSpacing('spacing', values.spacing);
    if (size.some((n) => n < 16))
      throw new UsageError('bad-value', '--size is too small for a phantom', {
        found: values.size,
        expected: 'at least 16 along every axis',
      });
    const started = performance.now();
    const bar = out.progress('phantom', values.cases);
    const names = await writePhantomSet(values.out, {
      seed: values.seed,
      first: values.first,
      count: values.cases,
      size,
      spacing,
      classes: values.classes,
      maxLesions: values.lesions,
      lesionClass: values['lesion-class'],
      secondLanguage: values['second-language'],
      onProgress: (done) => bar.update(done),
      signal,
    });
    bar.end();
    const ms = performance.now() - started;
    out.line(`${names.length} cases of ${size.join(' × ')} voxels in ${values.out} (${showTime(ms)})`);
    out.json({ dir: values.out, cases: names, size, ms });
  },
});
