// `npm start`: builds T3D, draws a small set of synthetic CTs, trains segmentation on it for three to four minutes and segments
// a patient that it has not seen. Every step is a t3dc command, printed before it runs, so that it can be repeated by hand.
import { rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { dice, meanOf } from '../data/index.ts';
import { readVolume } from '../data/node.ts';
import { ORGAN_LABELS } from '../data/phantom.ts';
import { lossEntry } from '../tasks/contract.ts';
import { segmentationContract } from '../tasks/index.ts';
import { parseArguments } from './arguments.ts';
import { describe, EXIT, exitCodeOf, showError } from './errors.ts';
import { Output } from './output.ts';
import { withSession } from './session.ts';
import { Failed, t3dc } from './steps.ts';
import { showTime } from './units.ts';

/** Training may take this long; with it the whole demonstration stays below six minutes on two slow cores. */
const BUDGET_MS = 270_000;
/** More steps are not needed; with fewer the organs are not learned. */
const MOST = 120;
const LEAST = 80;
/** The first calls run code that is not optimised yet. */
const TRIALS = 3;

const OPTIONS = {
  out: { kind: 'text', short: 'o', value: 'DIR', default: 'dist/demo', help: 'where everything is written' },
  steps: {
    kind: 'integer',
    min: 1,
    value: 'N',
    help: 'training steps (default: what fits into four and a half minutes)',
  },
  seed: {
    kind: 'integer',
    min: 0,
    default: 7,
    value: 'N',
    help: 'of the patients, the first weights and the order of training',
  },
  device: { kind: 'choice', choices: ['auto', 'webgpu', 'wasm'], default: 'auto', help: 'as in t3dc train' },
} as const;

/** Runs the demonstration; returns the exit code. Never throws. */
export async function demo(words: readonly string[]): Promise<number> {
  const started = performance.now();
  const out = new Output(false);
  try {
    const { values } = parseArguments('demo', [], OPTIONS, words);
    const dir = values.out;
    const at = (...parts: string[]) => join(dir, ...parts);
    const [artifact, run, seen, unseen] = [at('t3d'), at('run'), at('train'), at('unseen')];
    for (const old of [artifact, run, seen, unseen]) rmSync(old, { recursive: true, force: true });

    out.line('1. Compile the model: its kernels, gradients and optimiser, for WebGPU and WebAssembly.');
    await t3dc(...DEMO_BUILD, '-o', artifact);
    out.line('\n2. Draw 24 synthetic patients to learn from, and another one.');
    const phantom = [
      'data',
      'phantom',
      '--size',
      '64',
      '--spacing',
      '4.8x4.8x3.2',
      '--classes',
      'organs',
      '--seed',
      String(values.seed),
    ];
    await t3dc(...phantom, '--cases', '24', '-o', seen);
    await t3dc(...phantom, '--cases', '1', '--first', '1000', '-o', unseen);

    const { steps, on } = values.steps
      ? { steps: values.steps, on: values.device }
      : await planSteps(artifact, values.device, out);
    out.line(`\n3. Train for ${steps} steps.`);
    const device = ['--device', on];
    const length = ['--steps', String(steps), '--warmup', '4', '--seed', String(values.seed)];
    const training = [...length, '--crops', 'uniform', '--augment', 'off', ...device];
    await t3dc('train', artifact, 'segment', '--data', seen, '-o', run, ...training);

    out.line('\n4. Segment the patient that was not seen, and compare with the truth.');
    const scan = at('unseen', 'images', 'phantom_1000.nii.gz');
    const truth = at('unseen', 'labels', 'phantom_1000.nii.gz');
    const result = at('segmentation.nii.gz');
    const files = ['--in', scan, '--out', result, '--truth', truth, '--picture', at('segmentation.png')];
    await t3dc('segment', artifact, '--weights', join(run, 'weights.safetensors'), ...files, ...device);

    const score = dice((await readVolume(result)).data, (await readVolume(truth)).data, ORGAN_LABELS.length);
    const { mean } = meanOf(score.dice.slice(1));
    out.line(`\nmean Dice ${mean.toFixed(2)} over ${ORGAN_LABELS.slice(1).join(', ')}`);
    out.line(`Look at ${at('segmentation.png')}. Done in ${showTime(performance.now() - started)}.`);
    return EXIT.ok;
  } catch (err) {
    if (err instanceof Failed) return err.exitCode;
    out.error(showError(describe(err)));
    return exitCodeOf(err, new AbortController().signal);
  }
}

// Anisotropic working voxels spread the body over the whole 64³ patch. Nine voxels of ten are background, the spleen is one of
// 150: in so short a training plain cross-entropy would first teach the small organs to vanish. So classes count by one over the
// root of their share, and the background has no Dice of its own.
const SETTINGS = [
  `outChannels=${ORGAN_LABELS.length}`,
  `classNames=${ORGAN_LABELS.join(',')}`,
  'spacing=4.8,3.6,3.2',
  'lr=6e-3',
  'weightCE=1,4,11,10,5,7',
  'diceBackground=false',
];

/** Words of the command that builds its model; `-o` is still to come. */
export const DEMO_BUILD = ['build', 't3d', '--preset', 'nano', '--entries', 'logits,segment', '--set', ...SETTINGS];

/**
 * Measures a step without training and says how many fit, and on which device: what follows need not look for a GPU again. The
 * number alone decides the result, not the time.
 */
async function planSteps(
  artifact: string,
  device: 'auto' | 'webgpu' | 'wasm',
  out: Output,
): Promise<{ steps: number; on: 'webgpu' | 'wasm' }> {
  return withSession(artifact, { device, seed: 0 }, out, async (session) => {
    const contract = segmentationContract(session.manifest);
    const entry = lossEntry(session, contract, 'segment');
    const voxels = contract.patch.reduce((a, b) => a * b, 1);
    const volume = Float32Array.from({ length: voxels }, (_, i) => (i % 251) / 250);
    const label = Int32Array.from({ length: voxels }, (_, i) => i % contract.classes);
    let ms = Number.POSITIVE_INFINITY;
    for (let trial = 0; trial < TRIALS; trial++) {
      const start = performance.now();
      await session.grads('segment', { [entry.volume]: volume, [entry.label]: label });
      ms = Math.min(ms, performance.now() - start);
    }
    const fitting = Math.floor(BUDGET_MS / ms / 10) * 10;
    const steps = Math.min(MOST, Math.max(LEAST, fitting));
    out.line(
      `\nA step takes ${showTime(ms)} here (${session.device.description}, ${availableParallelism()} processors): ` +
        `${steps} steps, about ${showTime(steps * ms)}.`,
    );
    return { steps, on: session.device.kind };
  });
}
