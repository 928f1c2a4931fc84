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
    'The preset part is another phantom, made to ask whether reports help an encoder: 112 × 28 × 28 voxels of 6 mm with eight organs, ' +
      'lesions as the only label, and kinds that differ in structure alone. docs/phantom.md describes it.',
  ],
  positionals: [],
  options: {
    out: { kind: 'text', short: 'o', value: 'DIR', required: true, help: 'where to write' },
    cases: { kind: 'integer', min: 1, max: 100000, default: 8, value: 'N', help: 'patients' },
    preset: { kind: 'choice', choices: ['body', 'part'], default: 'body', help: 'which phantom' },
    size: { kind: 'text', value: 'DxHxW', help: 'voxels along right, anterior, superior (default 96)' },
    spacing: { kind: 'text', value: 'MM', help: 'mm per voxel, one or three (default: 384 mm over the first axis)' },
    seed: { kind: 'integer', min: 0, default: 0, value: 'S', help: 'seed of the set' },
    first: { kind: 'integer', min: 0, default: 0, value: 'I', help: 'number of the first patient' },
    classes: {
      kind: 'choice',
      choices: ['all', 'organs'],
      help: 'all (default): each kidney and the aorta too; organs: liver, spleen, kidneys, lungs, spine',
    },
    lesions: { kind: 'integer', min: 0, max: 20, value: 'N', help: 'most lesions of one patient (default 3)' },
    'lesion-class': { kind: 'flag', help: 'give lesions a label of their own' },
    'second-language': {
      kind: 'number',
      min: 0,
      max: 1,
      value: 'P',
      help: 'share of reports in German (default 0.1)',
    },
  },
  examples: [
    ['t3dc data phantom -o data/phantom --cases 16 --size 64', '16 patients of 64³ voxels of 6 mm'],
    ['t3dc data phantom -o data/test --cases 4 --size 64 --first 1000', 'four other patients of the same set'],
    ['t3dc data phantom -o data/fine --cases 2 --size 256x256x160 --spacing 1.5x1.5x2 --seed 7', 'two fine ones'],
    ['t3dc data phantom --preset part -o data/part --cases 320 --seed 1', 'studies that ask whether reports help'],
  ],
  async run(_args, values, { out, signal }) {
    const { writePartSet, writePhantomSet } = await import('../../data/node.ts');
    const { PART_SIZE } = await import('../../data/index.ts');
    const part = values.preset === 'part';
    const size = part ? PART_SIZE : parseSize('size', values.size ?? '96');
    const spacing = values.spacing === undefined ? undefined : parseSpacing('spacing', values.spacing);
    if (part) refuseOptions(values);
    if (size.some((n) => n < 16))
      throw new UsageError('bad-value', '--size is too small for a phantom', {
        found: values.size,
        expected: 'at least 16 along every axis',
      });
    const started = performance.now();
    const bar = out.progress('phantom', values.cases);
    const set = {
      seed: values.seed,
      first: values.first,
      count: values.cases,
      onProgress: (done: number) => bar.update(done),
      signal,
    };
    const names = part
      ? await writePartSet(values.out, set)
      : await writePhantomSet(values.out, {
          ...set,
          size,
          spacing,
          classes: values.classes ?? 'all',
          maxLesions: values.lesions ?? 3,
          lesionClass: values['lesion-class'],
          secondLanguage: values['second-language'] ?? 0.1,
        });
    bar.end();
    const ms = performance.now() - started;
    out.line(`${names.length} cases of ${size.join(' × ')} voxels in ${values.out} (${showTime(ms)})`);
    out.json({ dir: values.out, cases: names, size, ms });
  },
});

/** The preset part is what it is: nothing of it can be set. @throws UsageError `bad-value` */
function refuseOptions(values: Readonly<Record<string, unknown>>): void {
  const given = ['size', 'spacing', 'classes', 'lesions', 'lesion-class', 'second-language'].filter(
    (name) => values[name] !== undefined && values[name] !== false,
  );
  if (given.length === 0) return;
  throw new UsageError('bad-value', 'The preset part has no such settings', {
    found: given.map((name) => `--${name}`).join(', '),
    expected: '--cases, --seed and --first alone',
    hint: 'Leave them out, or take --preset body.',
  });
}
