// Batches of pre-training: the inputs of each method, the same for the same key, sides and words together, reports of other patients in
// the control, and studies that cannot be read.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isFinding } from '../../data/counterfactual-words.ts';
import { DataError, type Dims, diagonalAffine, phantom, type Volume } from '../../data/index.ts';
import { TextTokenizer } from '../../data/tokens.ts';
import { tokenizerJson, trainWordPiece } from '../../data/wordpiece.ts';
import { PretrainBatches } from '../../tasks/pretrain-batches.ts';
import type { PretrainContract } from '../../tasks/pretrain-contract.ts';
import { type PretrainPair, PretrainSet, patientDerangement } from '../../tasks/pretrain-set.ts';

const SIZE: Dims = [8, 8, 8];
const made = Array.from({ length: 9 }, (_, index) =>
  phantom({ seed: 6, index, size: [24, 20, 18], spacing: [16, 16, 16] }),
);
const tokenizer = new TextTokenizer(
  tokenizerJson(
    trainWordPiece(
      made.map((m) => m.truth.report.text),
      300,
    ),
  ),
);
const pairsOf = (change: (n: number) => Partial<PretrainPair> = () => ({})): PretrainPair[] =>
  made.map(({ image, truth }, n) => ({
    name: `s${n}`,
    patient: `p${n}`,
    text: truth.report.text,
    load: async () => image,
    ...change(n),
  }));

const contract = (change: Partial<PretrainContract> = {}): PretrainContract => ({
  method: 't3d',
  takes: 'whole',
  preprocess: {
    orientation: 'RAS',
    spacing: [16, 16, 16],
    window: [-175, 250],
    foreground: { above: -500, margin: 3 },
    thickSlices: { above: 20, action: 'refuse' },
  },
  batch: 2,
  size: SIZE,
  tiles: 4,
  restored: 1,
  text: { length: 96, sentences: 6, vocabulary: tokenizer.size, padId: 0, hidden: null, restores: true },
  pairs: true,
  sentenceIds: true,
  rotation: false,
  view: false,
  counterfactuals: 0,
  attended: false,
  ...change,
});

const batches = (
  c: PretrainContract = contract(),
  pairs = pairsOf(),
  options: ConstructorParameters<typeof PretrainBatches>[3] = {},
): PretrainBatches => new PretrainBatches(new PretrainSet(pairs, c, c.text ? tokenizer : null), c, 0, options);

const KEY = { seed: 1, epoch: 0, index: 0 };

test('t3d: tiles, corrupted ones, tokens with their sentences, who may be told apart', async () => {
  const b = await batches().batch(KEY);
  const { tiles, tiles_corrupt, tiles_clean, corrupt_mask, input_ids, attention_mask, sentence_ids, pair_mask } =
    b.inputs;
  assert.is(Object.keys(b.inputs).length, 8);
  assert.is(tiles!.length, 2 * 4 * 512);
  assert.is(tiles_clean!.length, 2 * 512);
  assert.equal([...pair_mask!], [1, 1, 1, 1]);
  for (const v of tiles!) assert.ok(v >= 0 && v <= 1);
  let corrupted = 0;
  corrupt_mask!.forEach((m, n) => {
    corrupted += m;
    if (!m) assert.is(tiles_corrupt![n], tiles_clean![n]);
  });
  assert.ok(corrupted > 0.2 * 1024 && corrupted <= 0.3 * 1024);
  // What is restored is one of the tiles that are encoded.
  for (const slot of [0, 1]) {
    const clean = tiles_clean!.subarray(slot * 512, (slot + 1) * 512).join();
    const own = [0, 1, 2, 3].map((k) => tiles!.subarray((slot * 4 + k) * 512, (slot * 4 + k + 1) * 512).join());
    assert.ok(own.includes(clean));
  }
  b.items.forEach((item, slot) => {
    assert.is(item.report, item.pair);
    assert.ok(item.origins.length === 4 && item.allTiles > 4);
    const numbers = new Set(sentence_ids!.subarray(slot * 96, (slot + 1) * 96));
    assert.is(numbers.size, item.texts.length + 1);
    assert.ok(item.texts.length <= 6 && item.allSentences >= item.texts.length);
  });
  attention_mask!.forEach((m, n) => {
    if (!m) assert.is(input_ids![n], 0);
  });
});

test('a batch follows from seed, epoch and index; an epoch takes each pair once and drops the rest', async () => {
  const [a, b] = [batches(), batches()];
  assert.is(a.perEpoch, 4);
  const seen: number[] = [];
  for (let index = 3; index >= 0; index--) {
    const one = await a.batch({ ...KEY, index });
    assert.equal(await b.batch({ ...KEY, index }), one);
    seen.push(...one.items.map((i) => i.pair));
  }
  assert.is(new Set(seen).size, 8);
  assert.not.equal((await a.batch({ ...KEY, epoch: 1 })).items, (await a.batch(KEY)).items);
  assert.not.equal((await a.batch({ ...KEY, seed: 2 })).inputs.tiles, (await a.batch(KEY)).inputs.tiles);
  // A stream that begins later is the rest of one that began before.
  const from = async (step: number, n: number) => {
    const out: unknown[] = [];
    for await (const inputs of batches().from(step, 2, 5)) {
      out.push(inputs);
      if (out.length === n) return out;
    }
    return out;
  };
  assert.equal((await from(0, 8)).slice(4), await from(2, 4));
  // A small cache changes nothing.
  const c = contract();
  const set = new PretrainSet(pairsOf(), c, tokenizer, { cacheBytes: 1 });
  assert.equal(await new PretrainBatches(set, c, 0).batch(KEY), await a.batch(KEY));
});

test('each method has the inputs that it takes', async () => {
  const names = async (change: Partial<PretrainContract>) =>
    Object.keys((await batches(contract(change)).batch(KEY)).inputs).sort();
  const text = contract().text;
  const none = { restored: 0, text, sentenceIds: false };
  assert.equal(await names({ ...none, method: 'clip', takes: 'small', tiles: 1 }), [
    'attention_mask',
    'input_ids',
    'pair_mask',
    'tiles',
  ]);
  const bare = { text: null, pairs: false, sentenceIds: false };
  assert.equal(await names({ ...bare, method: 'restore', takes: 'crop', tiles: 0, restored: 3 }), [
    'corrupt_mask',
    'tiles_clean',
    'tiles_corrupt',
  ]);
  assert.equal(await names({ ...bare, method: 'swinssl', takes: 'views', tiles: 2, rotation: true, restored: 0 }), [
    'rotation',
    'tiles',
  ]);
});

test('two views of a crop differ; swinssl says how each was turned', async () => {
  const bare = { text: null, pairs: false, sentenceIds: false, tiles: 2, restored: 1, takes: 'views' as const };
  const { inputs } = await batches(contract({ ...bare, method: 'contrast' })).batch(KEY);
  assert.not.equal(inputs.tiles!.subarray(0, 512), inputs.tiles!.subarray(512, 1024));
  const turns = new Set<number>();
  const ssl = batches(contract({ ...bare, method: 'swinssl', rotation: true }));
  for (let index = 0; index < 4; index++)
    for (const t of (await ssl.batch({ ...KEY, index })).inputs.rotation!) turns.add(t);
  assert.ok([...turns].every((t) => t >= 0 && t < 4) && turns.size > 2, [...turns].join());
});

const sum = (values: Iterable<number>): number => [...values].reduce((a, b) => a + b, 0);

/** Bright on the patient's right (in RAS d grows to the right), dark on the left. */
const sided = (): Volume => {
  const dims: Dims = [8, 8, 8];
  const data = new Int16Array(512);
  for (let n = 0; n < 512; n++) data[n] = n >= 256 ? 200 : -100;
  return { data, dims, affine: diagonalAffine([16, 16, 16]) };
};

test('sides and words go together: mirrored where no side is named, words exchanged where one is, and never against them', async () => {
  const run = async (text: string) => {
    const c = contract({ tiles: 1, restored: 0, batch: 2 });
    const pairs = [0, 1].map((n) => ({
      name: `s${n}`,
      patient: `p${n}`,
      text: `${text} Case ${n}.`,
      load: async () => sided(),
    }));
    const all = batches(c, pairs);
    const seen = new Set<string>();
    for (let epoch = 0; epoch < 60; epoch++) {
      const { inputs, items } = await all.batch({ seed: 3, epoch, index: 0 });
      items.forEach((item, slot) => {
        const half = sum(inputs.tiles!.subarray(slot * 512, slot * 512 + 256));
        const other = sum(inputs.tiles!.subarray(slot * 512 + 256, (slot + 1) * 512));
        // A quarter turn leaves neither side brighter.
        if (Math.abs(half - other) > 20) seen.add(`${half < other ? 'as it was' : 'mirrored'}: ${item.texts[0]}`);
      });
    }
    return [...seen].sort();
  };
  const directional = ' Nodule in front.';
  assert.equal(await run(`Cyst of the kidney.${directional}`), [
    'as it was: Cyst of the kidney.',
    'mirrored: Cyst of the kidney.',
  ]);
  assert.equal(await run(`Cyst of the left kidney.${directional}`), [
    'as it was: Cyst of the left kidney.',
    'mirrored: Cyst of the right kidney.',
  ]);
  assert.equal(await run(`Nodule of the lingula.${directional}`), ['as it was: Nodule of the lingula.']);
});

test('another view of each study: changed by itself, its sides as the words say, and the rest of the batch as it was', async () => {
  const key = { seed: 3, epoch: 0, index: 0 };
  const plain = await batches(contract()).batch(key);
  const { inputs, items } = await batches(contract({ view: true })).batch(key);
  const { tiles_b, ...others } = inputs;
  assert.equal(others, plain.inputs);
  assert.equal(items, plain.items);
  assert.is(tiles_b!.length, inputs.tiles!.length);
  for (let tile = 0; tile < 8; tile++) {
    const of = (x: Float32Array | Int32Array) => x.subarray(tile * 512, (tile + 1) * 512);
    assert.not.equal(of(tiles_b!), of(inputs.tiles!));
  }
  assert.not.ok('tiles_b' in (await batches(contract({ view: true })).fixed(0, 0)).inputs);
  // Where a side is named, both views are mirrored or neither is.
  const c = contract({ tiles: 1, restored: 0, view: true });
  const pairs = [0, 1].map((n) => ({
    name: `s${n}`,
    patient: `p${n}`,
    text: `Cyst of the left kidney. Nodule in front. Case ${n}.`,
    load: async () => sided(),
  }));
  const all = batches(c, pairs);
  let mirrored = 0;
  for (let epoch = 0; epoch < 30; epoch++) {
    const b = (await all.batch({ seed: 3, epoch, index: 0 })).inputs;
    for (const slot of [0, 1]) {
      const rises = (x: Float32Array | Int32Array) =>
        sum(x.subarray(slot * 512, slot * 512 + 256)) < sum(x.subarray(slot * 512 + 256, (slot + 1) * 512));
      assert.is(rises(b.tiles!), rises(b.tiles_b!));
      if (!rises(b.tiles!)) mirrored++;
    }
  }
  assert.ok(mirrored > 0 && mirrored < 60);
});

test('false reports: rows with one sentence in other words, drawn by the key alone', async () => {
  const c = contract({ counterfactuals: 2, batch: 4 });
  const { inputs, rows } = await batches(c).batch(KEY);
  assert.equal(inputs, (await batches(c).batch(KEY)).inputs);
  const { counter_ids: ids, counter_mask: mask, counter_sentence_ids: sentences } = inputs;
  assert.equal([ids!.length, mask!.length, sentences!.length], [768, 768, 768]);
  let there = 0;
  for (let n = 0; n < 8; n++) {
    const of = (x: Float32Array | Int32Array) => x.subarray(n * 96, (n + 1) * 96);
    if (of(mask!).every((m) => m === 0)) {
      assert.ok(of(sentences!).every((s) => s === 0));
      continue;
    }
    there++;
    const own = rows[n >> 1]!;
    const said = (row: ArrayLike<number>, at: ArrayLike<number>, s: number) =>
      Array.from(row)
        .filter((_, t) => at[t] === s)
        .join();
    const differ = own.used.filter(
      (_, s) => said(of(ids!), of(sentences!), s + 1) !== said(own.ids, own.sentence, s + 1),
    );
    assert.is(differ.length, 1);
  }
  assert.ok(there >= 4, `${there} of 8`);
  assert.not.ok('counter_ids' in (await batches(c).fixed(0, 0)).inputs);
  const frozenText = async (list: readonly { ids: Int32Array }[]) => new Float32Array(list.length * 96 * 3);
  const text = { ...contract().text!, hidden: 3 };
  const frozen = (await batches(contract({ counterfactuals: 2, text }), pairsOf(), { frozenText }).batch(KEY)).inputs;
  assert.is(frozen.counter_hidden!.length, 2 * 2 * 96 * 3);
  assert.not.ok('counter_ids' in frozen);
});

test('attended: what is put in place of what the network corrupts, which tile it is, and which finding asks', async () => {
  const c = contract({ attended: true, restored: 2 });
  const { inputs, items } = await batches(c).batch(KEY);
  assert.not.ok('corrupt_mask' in inputs);
  const { tiles, tiles_clean, tiles_corrupt, restored_tile, asked_sentence } = inputs;
  for (let n = 0; n < 4; n++) {
    const k = restored_tile![n]!;
    const from = ((n >> 1) * 4 + k) * 512;
    assert.equal(tiles_clean!.subarray(n * 512, (n + 1) * 512), tiles!.subarray(from, from + 512));
    const texts = items[n >> 1]!.texts;
    const asks = texts[asked_sentence![n]!]!;
    assert.ok(isFinding(asks) || !texts.some(isFinding), asks);
    const { tile, origin } = items[n >> 1]!.restored[n % 2]!;
    assert.equal([tile, origin], [k, items[n >> 1]!.origins[k]]);
  }
  const noise = [...tiles_corrupt!];
  assert.ok(Math.abs(sum(noise) / noise.length - 0.5) < 0.05 && new Set(noise).size > 1000);
  // Measured on what the batch corrupts.
  assert.ok('corrupt_mask' in (await batches(c).fixed(0, 0)).inputs);
  assert.throws(
    () => batches(c, pairsOf(), { corrupt: { kind: 'cutout', fill: 'mean' } }),
    (e: Error & { code?: string }) => e.code === 'bad-option',
  );
});

test('without augmentation a batch shows the study as it is', async () => {
  const c = contract({ tiles: 1, restored: 0 });
  const pairs = pairsOf(() => ({ load: async () => sided() }));
  const all = batches(c, pairs, { augment: false });
  const { inputs } = await all.batch(KEY);
  assert.ok(Math.abs(inputs.tiles![0]! - 75 / 425) < 1e-6 && Math.abs(inputs.tiles![511]! - 375 / 425) < 1e-6);
  const fixed = await batches(c, pairs).fixed(1, 0);
  assert.equal(
    fixed.items.map((i) => i.pair),
    [2, 3],
  );
  assert.equal(fixed.inputs.tiles, inputs.tiles);
});

test('the control: every study has the report of another patient, the same every epoch', async () => {
  const pairs = pairsOf((n) => ({ patient: `p${Math.floor(n / 2)}` }));
  const all = batches(contract({ method: 't3d-shuffled' }), pairs);
  const partner = new Map<number, number>();
  for (let epoch = 0; epoch < 3; epoch++)
    for (let index = 0; index < 4; index++)
      for (const { pair, report } of (await all.batch({ seed: 1, epoch, index })).items) {
        assert.not.equal(pairs[pair]!.patient, pairs[report]!.patient);
        assert.is(partner.get(pair) ?? report, report);
        partner.set(pair, report);
      }
  const of = (seed: number) => patientDerangement(pairs, seed);
  assert.equal(of(4), of(4));
  assert.not.equal(of(4), of(5));
  assert.equal(
    [...of(4)].sort(),
    pairs.map((_, n) => n),
  );
  const groups = pairsOf((n) => ({ group: n < 4 ? 'g' : undefined }));
  patientDerangement(groups, 1).forEach((report, pair) => {
    assert.ok(!(pair < 4 && report < 4));
  });
  assert.throws(
    () =>
      patientDerangement(
        pairsOf((n) => ({ patient: n < 5 ? 'p' : `q${n}` })),
        0,
      ),
    (e: Error & { code?: string }) => e.code === 'shuffle-impossible',
  );
});

test('one patient twice, or the same findings, are not told apart', async () => {
  const twins = pairsOf((n) => ({ patient: n < 8 ? 'one' : 'two' }));
  const { inputs } = await batches(contract({ batch: 8, restored: 0 }), twins).fixed(0, 0);
  assert.equal(
    [...inputs.pair_mask!],
    Array.from({ length: 64 }, (_, n) => (n % 9 === 0 ? 1 : 0)),
  );
});

test('reports that say nothing and studies that cannot be read are left out, counted, and replaced always alike', async () => {
  const bad = pairsOf((n) =>
    n === 2
      ? { text: 'HISTORY: Cough.' }
      : n === 5
        ? { load: () => Promise.reject(new DataError('nifti-truncated', 'cut short', { fix: 'take it anew' })) }
        : {},
  );
  const c = contract();
  const run = async () => {
    const told: string[] = [];
    const set = new PretrainSet(bad, c, tokenizer, { onSkip: (left) => told.push(`${left.name} ${left.reason}`) });
    const all = new PretrainBatches(set, c, 0);
    assert.is(set.pairs.length, 8);
    const epoch = [];
    for (let index = 0; index < 4; index++) epoch.push(await all.batch({ ...KEY, index }));
    const places = epoch.map((b) => b.items.map((i) => set.pairs[i.pair]!.name));
    assert.ok(places.every((names) => new Set(names).size === 2 && !names.includes('s5') && !names.includes('s2')));
    assert.equal(told, ['s2 report-no-sentence', 's5 nifti-truncated']);
    assert.is(set.readable, 7);
    return epoch;
  };
  assert.equal(await run(), await run());
  const ours = pairsOf(() => ({ load: () => Promise.reject(new TypeError('a bug')) }));
  let thrown: unknown;
  await batches(c, ours)
    .batch(KEY)
    .catch((e) => {
      thrown = e;
    });
  assert.instance(thrown, TypeError);
  const none = pairsOf((n) =>
    n > 0 ? { load: () => Promise.reject(new DataError('file-missing', 'gone', { fix: 'look' })) } : {},
  );
  await batches(c, none)
    .batch(KEY)
    .then(
      () => assert.unreachable(),
      (e: Error & { code?: string }) => assert.is(e.code, 'bad-option'),
    );
});

test.run();
