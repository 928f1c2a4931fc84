// Retrieval on WebGPU: what an index keeps of studies and reports, how they are normalised and compared, and the scores of findings are
// those of wasm, entry by entry, whether sentences look for their place or features are pooled.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { build } from '../../compiler/index.ts';
import { type EntrySpec, model } from '../../dsl/index.ts';
import t3d from '../../models/t3d/index.ts';
import { type Inputs, open, type Session } from '../../runtime/index.ts';
import { B, inputsOf, PARTS, settingsOf } from '../retrieve-model.ts';

const METHODS = ['t3d', 'fullclip'] as const;

/** Of each method its parts, under the method's name, and one head on studies. */
const every = model({
  name: 'retrieve',
  settings: { ...settingsOf('t3d'), findings: 3 },
  build: (own) => {
    const entries: Record<string, EntrySpec> = { scores: t3d.build(own).entries.scores! };
    for (const method of METHODS) {
      const all = t3d.build(settingsOf(method)).entries;
      for (const name of PARTS) entries[`${method} ${name}`] = all[name]!;
    }
    return { entries };
  },
});

type Found = Readonly<Record<string, Float32Array>>;
const sessions: Session[] = [];
test.before(async () => {
  const built = await build(every, {});
  for (const device of ['wasm', 'webgpu'] as const)
    sessions.push(await open(built.files, { device, threads: 1, onNotice: () => {} }));
  const [wasm, webgpu] = sessions;
  await wasm!.initialise(5);
  await webgpu!.loadWeights(await wasm!.weights());
});
test.after(async () => {
  for (const s of sessions) await s.close();
});

/** The entry on both; relative L2 of each output within the bound. @returns wasm's, which the next entry takes on both */
async function agree(name: string, all: Inputs): Promise<Found> {
  const [wasm, webgpu] = sessions;
  const ports = wasm!.manifest.entries[name]!.inputs;
  const inputs = Object.fromEntries(ports.map((p) => [p.name, all[p.name]!]));
  const [a, b] = [(await wasm!.entries[name]!(inputs)) as Found, (await webgpu!.entries[name]!(inputs)) as Found];
  assert.equal(Object.keys(b), Object.keys(a), name);
  for (const [output, expected] of Object.entries(a)) {
    const norm = Math.hypot(...expected);
    const off = Math.hypot(...expected.map((v, i) => v - b[output]![i]!));
    assert.ok(norm > 0 && off <= 1e-4 * norm, `${name}: ${output} is off by ${off / norm}`);
  }
  return a;
}

for (const method of METHODS)
  test(`${method}: embedStudy, embedReport, contrastMoments, scorePairs`, async () => {
    const inputs = inputsOf(method);
    const study = await agree(`${method} embedStudy`, inputs);
    const report = await agree(`${method} embedReport`, inputs);
    // The last pair of the batch is padding, as an index's last batch has it.
    const present = Float32Array.from({ length: B }, (_, i) => (i < B - 1 ? 1 : 0));
    const m = await agree(`${method} contrastMoments`, { ...study, ...report, present });
    const variance = (of: string): Float32Array => m[`${of}_spread`]!.map((v) => v / m[`${of}_count`]![0]!);
    const { scores } = await agree(`${method} scorePairs`, {
      ...study,
      ...report,
      study_mean: m.study_mean!,
      study_variance: variance('study'),
      text_mean: m.text_mean!,
      text_variance: variance('text'),
    });
    assert.ok(Math.max(...scores!) - Math.min(...scores!) > 0.1, `scores ${scores}`);
  });

test('scores of findings', async () => {
  const { scores } = await agree('scores', inputsOf('t3d'));
  assert.ok(scores!.length === 3 * B && scores!.every((p) => p > 0 && p < 1));
});

test.run();
