// Pre-training of a tiny T3D (a U-Net and a BERT of one layer) against the same network in PyTorch and float64
// (test/reference/pretrain.py): losses and every gradient, by each method; and with a text tower whose layers are frozen.
import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import { build } from '../compiler/index.ts';
import { type EntrySpec, model } from '../dsl/index.ts';
import t3d, { type Settings } from '../models/t3d/index.ts';
import type { PretrainSettings } from '../models/t3d/pretrain-settings.ts';
import { type Inputs, type OpenOptions, open, type Session } from '../runtime/index.ts';
import { classes, uniform } from './counters.ts';
import { compareGolden, loadGolden, type TensorGolden } from './golden.ts';
import { weightsFor } from './parity.ts';

interface Case {
  readonly settings: Partial<PretrainSettings> & Pick<PretrainSettings, 'tiles' | 'restored'>;
  readonly textScope: Settings['textScope'];
  readonly values: Readonly<Record<string, number>>;
  /** The norm of the contrast's gradient by the images' tokens. */
  readonly slope: number | null;
  /** Of all parameters. */
  readonly names: readonly string[];
  readonly gradientNorm: number;
  /** `all`: of all parameters in the order of `names`. */
  readonly gradients: Readonly<Record<string, TensorGolden>>;
}
interface NetworkGolden {
  readonly seed: number;
  readonly config: Readonly<Record<string, number>> & { readonly channels: readonly number[] };
  readonly integers: {
    readonly lengths: readonly number[];
    readonly sentence_ids: readonly (readonly number[])[];
    readonly pair_mask: readonly (readonly number[])[];
    readonly rotation: readonly (readonly number[])[];
    readonly counter_lengths: readonly (readonly number[])[];
    readonly counter_sentence_ids: readonly (readonly (readonly number[])[])[];
    readonly restored_tile: readonly (readonly number[])[];
    readonly asked_sentence: readonly (readonly number[])[];
  };
  readonly cases: Readonly<Record<string, Case>>;
}

const golden = loadGolden<NetworkGolden>('pretrain/network');
const { seed, config, integers } = golden;
const B = config.batch!;
const T = config.tokens!;
const N = config.size!;
const BOUND = 1e-4;

/** The settings of a case, over the model's own. */
function settingsOf(c: Case): Settings {
  return {
    ...t3d.settings,
    backbone: 'unet',
    channels: config.channels,
    size: [N, N, N],
    batch: B,
    textTokens: T,
    textScope: c.textScope,
    text: {
      ...t3d.settings.text,
      vocabSize: config.vocab_size!,
      hiddenSize: config.hidden_size!,
      layers: config.num_hidden_layers!,
      heads: config.num_attention_heads!,
      intermediateSize: config.intermediate_size!,
      maxPositions: config.max_position_embeddings!,
      typeVocabSize: config.type_vocab_size!,
    },
    pretrain: {
      ...t3d.settings.pretrain,
      restoreHeads: config.restoreHeads!,
      // One more than any report has.
      sentences: 4,
      // Tiles by twos, where there are as many, so that the loop runs over batches.
      tileBatch: c.settings.tiles,
      ...c.settings,
    },
    lr: 1e-3,
    schedule: 'constant',
    warmup: 0,
  };
}

/** Cases, and how many layers of their text tower are frozen. */
const FROZEN = [
  { name: 't3d', layers: 0 },
  { name: 't3d', layers: config.num_hidden_layers! },
  { name: 't3d-sentence', layers: config.num_hidden_layers! },
];

/** The entry `pretrain` of each case, under the case's name, and of frozen towers, with what makes their features: one artifact. */
const every = model({
  name: 'pretrain',
  settings: {},
  build: () => {
    const entries: Record<string, EntrySpec> = {};
    for (const [name, c] of Object.entries(golden.cases)) entries[name] = t3d.build(settingsOf(c)).entries.pretrain!;
    entries.diagnose = t3d.build(settingsOf(golden.cases.t3d!)).entries.diagnose!;
    for (const { name, layers } of FROZEN) {
      const frozen = t3d.build({ ...settingsOf(golden.cases[name]!), textTrain: layers }).entries;
      entries[`${name} frozen ${layers}`] = frozen.pretrain!;
      entries[`${name} text ${layers}`] = frozen.encodeText!;
    }
    return { entries };
  },
});

/** Every input that some method has; an entry is given its own. */
function inputsOf(c: Case): Inputs {
  const voxels = N ** 3;
  const { tiles, restored } = c.settings;
  const draw = (name: string, n: number): Float32Array => uniform(seed, name, n * voxels, 0.5, 0.5);
  const mask = Int32Array.from({ length: B * T }, (_, i) => (i % T < integers.lengths[Math.floor(i / T)]! ? 1 : 0));
  const corrupt = classes(seed, 'corrupt_mask', B * restored * voxels, 3).map((v) => (v === 0 ? 1 : 0));
  const clean = draw('tiles_clean', B * restored);
  const noise = draw('noise', B * restored);
  const lengths = integers.counter_lengths.flat();
  const counter = Int32Array.from({ length: lengths.length * T }, (_, i) =>
    i % T < lengths[Math.floor(i / T)]! ? 1 : 0,
  );
  return {
    tiles_b: draw('tiles_b', B * tiles),
    counter_ids: classes(seed, 'counter_ids', counter.length, config.vocab_size! - 2).map((v, i) =>
      counter[i] ? v + 2 : 0,
    ),
    counter_mask: counter,
    counter_sentence_ids: Int32Array.from(integers.counter_sentence_ids.flat(2)),
    restored_tile: Int32Array.from(integers.restored_tile.flat()),
    asked_sentence: Int32Array.from(integers.asked_sentence.flat()),
    tiles: draw('tiles', B * tiles),
    tiles_clean: clean,
    // Where the network says what is corrupted, it is given what to put there.
    tiles_corrupt: c.settings.mask === 'attended' ? noise : clean.map((v, i) => (corrupt[i] ? noise[i]! : v)),
    corrupt_mask: corrupt,
    input_ids: classes(seed, 'input_ids', B * T, config.vocab_size! - 2).map((v, i) => (mask[i] ? v + 2 : 0)),
    attention_mask: mask,
    sentence_ids: Int32Array.from(integers.sentence_ids.flat()),
    pair_mask: Int32Array.from(integers.pair_mask.flat()),
    rotation: Int32Array.from(integers.rotation.flat()),
  };
}

/** With `node test/run.mjs --t3d pretrain` every case on WebGPU too: a software adapter takes minutes to compile their shaders. */
const LARGE = process.env.T3DC_CURVES === 't3d';
const FEW = ['t3d', 'swinssl'];

export function pretrainTests(test: Test, device: 'webgpu' | 'wasm', options: OpenOptions = {}): void {
  const whole = device === 'wasm' || LARGE;
  let session: Session;
  let weights: Uint8Array;
  test.before(async () => {
    const built = await build(every, { targets: [device] });
    weights = weightsFor(built.manifest, seed);
    session = await open(built.files, { device, onNotice: () => {}, ...options });
  });
  test.before.each(async () => {
    await session.loadWeights(weights);
  });
  test.after(() => session?.close());

  const near = (what: string, found: ArrayLike<number>, expected: number): void =>
    assert.ok(
      Math.abs(found[0]! - expected) <= BOUND * Math.max(1, Math.abs(expected)),
      `${what}: ${found[0]} for ${expected}`,
    );
  const agrees = async (entry: string, c: Case, given: Inputs): Promise<void> => {
    const { outputs, grads } = await session.grads(entry, given);
    for (const [n, v] of Object.entries(c.values)) near(n, outputs[n] as Float32Array, v);
    assert.equal(Object.keys(grads).sort(), c.names);
    for (const [n, g] of Object.entries(c.gradients)) {
      const values = n === 'all' ? c.names.flatMap((p) => Array.from(grads[p]!)) : grads[n]!;
      // A key's bias has no gradient but for rounding: there four times PyTorch's own float32, as for the text tower (text-checks.ts).
      const floor = BOUND * c.gradientNorm;
      const pyTorch = ((g.torchFloat32 ?? 0) * g.norm) / Math.max(g.norm, floor);
      const found = compareGolden(g, values, { relL2: Math.max(BOUND, Math.min(4 * pyTorch, 1e-3)), floor });
      assert.ok(found.ok, `gradient of ${n}: ${found.message}`);
    }
  };
  const takenBy = (entry: string, all: Inputs): Inputs =>
    Object.fromEntries(
      session.manifest.entries[entry]!.inputs.filter((i) => i.name in all).map((i) => [i.name, all[i.name]!]),
    );

  for (const [name, c] of Object.entries(golden.cases)) {
    if (!whole && !FEW.includes(name)) continue;
    test(`${name}: losses and gradients to 1e-4, and steps lower the loss`, async () => {
      const inputs = takenBy(name, inputsOf(c));
      await agrees(name, c, inputs);
      const losses: number[] = [];
      for await (const step of session.train(name, [inputs, inputs, inputs])) losses.push(step.loss);
      near('loss of the first step', [losses[0]!], c.values.loss!);
      assert.ok(losses[1]! < losses[0]! && losses[2]! < losses[1]!, `two steps lower the loss: ${losses}`);
    });
  }

  test('diagnose: the losses, and how much the contrast depends on the images', async () => {
    const c = golden.cases.t3d!;
    const out = await session.entries.diagnose!(takenBy('diagnose', inputsOf(c)));
    for (const n of ['tcl', 'tir', 'accuracy']) near(n, out[n] as Float32Array, c.values[n]!);
    near('grad_tokens', out.grad_tokens as Float32Array, c.slope!);
  });

  for (const { name, layers } of whole ? FROZEN : []) {
    test(`${name}: with ${layers} frozen layers, from text_hidden, the same loss and gradients of what is trained`, async () => {
      const c = golden.cases[name]!;
      const all = inputsOf(c);
      const [entry, text] = [`${name} frozen ${layers}`, `${name} text ${layers}`];
      const { text_hidden } = await session.entries[text]!(takenBy(text, all));
      assert.not.ok(session.manifest.entries[entry]!.inputs.some((i) => i.name === 'input_ids'));
      const given = { ...takenBy(entry, all), text_hidden: text_hidden as Float32Array };
      const { outputs, grads } = await session.grads(entry, given);
      for (const [n, v] of Object.entries(c.values)) near(n, outputs[n] as Float32Array, v);
      const trained = (n: string): boolean => !n.startsWith('text.') || (layers === 0 && n.startsWith('text.encoder.'));
      assert.equal(Object.keys(grads).sort(), c.names.filter(trained));
      const joint = (await session.grads(name, takenBy(name, all))).grads;
      for (const [n, g] of Object.entries(grads)) {
        const error = Math.hypot(...g.map((v, i) => v - joint[n]![i]!));
        const bound = BOUND * Math.max(Math.hypot(...g), BOUND * c.gradientNorm);
        assert.ok(error <= bound, `gradient of ${n}: ${error} apart, at most ${bound}`);
      }
    });
  }
}
