// `npm run pairs`: the whole way with reports. Synthetic pairs of study and report, pre-training on them, fine-tuning on the masks of
// a few, patients that were not seen segmented and judged. Small, to show that everything connects: nothing is claimed about quality.
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArguments } from './arguments.ts';
import { describe, EXIT, exitCodeOf, showError } from './errors.ts';
import { Output } from './output.ts';
import { Failed, t3dc } from './steps.ts';
import { showTime } from './units.ts';

const OPTIONS = {
  out: { kind: 'text', short: 'o', value: 'DIR', default: 'dist/pairs', help: 'where everything is written' },
  steps: {
    kind: 'integer',
    min: 1,
    default: 60,
    value: 'N',
    help: 'steps of pre-training; fine-tuning takes five times as many',
  },
  seed: { kind: 'integer', min: 0, default: 7, value: 'N', help: 'of the patients, the first weights and the order' },
  device: { kind: 'choice', choices: ['auto', 'webgpu', 'wasm'], default: 'auto', help: 'as in t3dc train' },
} as const;

/** Patients to pre-train on, how many of them have masks to learn from, and patients to be judged on. */
const [PAIRS, MASKS, UNSEEN] = [48, 16, 4];

/** Runs the demonstration; returns the exit code. Never throws. */
export async function demoPairs(words: readonly string[]): Promise<number> {
  const started = performance.now();
  const out = new Output(false);
  try {
    const { values } = parseArguments('pairs', [], OPTIONS, words);
    const dir = values.out;
    const at = (...parts: string[]) => join(dir, ...parts);
    rmSync(dir, { recursive: true, force: true });
    const seed = ['--seed', String(values.seed)];
    const device = ['--device', values.device];

    out.line(
      `1. Draw ${PAIRS} synthetic studies with reports, ${MASKS} with masks to learn from, and ${UNSEEN} others.`,
    );
    const phantom = ['data', 'phantom', '--preset', 'part', ...seed];
    await t3dc(...phantom, '--cases', String(PAIRS), '-o', at('pairs'));
    await t3dc(...phantom, '--cases', String(MASKS), '-o', at('masks'));
    await t3dc(...phantom, '--cases', String(UNSEEN), '--first', '1000', '-o', at('unseen'));

    out.line('\n2. A vocabulary from the reports, and the model: once for pre-training, once for segmentation.');
    await t3dc('data', 'vocabulary', at('pairs'), '-o', at('text'));
    const build = ['build', 't3d', '--preset', 'pico', '--text', at('text')];
    const pretrain = 'pretrain={"tileBatch":8,"restoreBatch":8,"sentences":16}';
    const entries = 'pretrain,diagnose,ground,restore';
    await t3dc(
      ...build,
      '--entries',
      entries,
      '--batch',
      '8',
      '--set',
      'textTokens=256',
      pretrain,
      '-o',
      at('pretrain'),
    );
    const classes = ['outChannels=2', 'classNames=background,lesion', 'weightCE=1,10', 'diceBackground=false'];
    await t3dc(...build, '--entries', 'logits,segment', '--batch', '4', '--set', ...classes, '-o', at('segment'));

    out.line(
      '\n3. Pre-train: every sentence of a report finds its place in the whole study, and corrupted tiles are restored.',
    );
    const steps = ['--steps', String(values.steps)];
    const source = ['--pairs', at('pairs'), '--tokenizer', at('text')];
    await t3dc('pretrain', at('pretrain'), ...source, ...steps, ...seed, ...device, '-o', at('run-pretrain'));

    out.line('\n4. Fine-tune on the masks.');
    const from = ['--weights', at('run-pretrain', 'weights.safetensors'), '--steps', String(5 * values.steps)];
    await t3dc(
      'train',
      at('segment'),
      'segment',
      '--data',
      at('masks'),
      ...from,
      ...seed,
      ...device,
      '-o',
      at('run-segment'),
    );

    out.line('\n5. Segment the patients that were not seen, and judge.');
    for (const name of readdirSync(at('unseen', 'images')).sort()) {
      const files = ['--in', at('unseen', 'images', name), '--out', at('predicted', name)];
      const weights = ['--weights', at('run-segment', 'weights.safetensors')];
      await t3dc('segment', at('segment'), ...weights, ...files, ...device);
    }
    const judged = ['--pred', at('predicted'), '--truth', at('unseen', 'labels'), '--images', at('unseen', 'images')];
    await t3dc('eval', 'segment', ...judged, '--lesions', 'lesion', '--tolerance', '6', '-o', at('eval'));

    const pages = [at('run-pretrain', 'report.html'), at('run-segment', 'report.html'), at('eval', 'report.html')];
    out.line(`\nLook at ${pages.join(', ')}. Done in ${showTime(performance.now() - started)}.`);
    return EXIT.ok;
  } catch (err) {
    if (err instanceof Failed) return err.exitCode;
    out.error(showError(describe(err)));
    return exitCodeOf(err, new AbortController().signal);
  }
}
