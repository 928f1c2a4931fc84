// The text tower before any image: it matches impressions to findings, on reports that have no study here.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { phantomPart, stream } from '../../data/index.ts';
import { writeFileAtomic } from '../../data/node.ts';
import { readSafetensors, toFloat32, writeSafetensors } from '../../runtime/safetensors.ts';
import { pause } from '../../tasks/pause.ts';
import { joined, shuffled } from './arms.ts';
import type { Declaration } from './declaration.ts';
import { opened, type RunOptions } from './opened.ts';
import { type Row, rowOf, type Studies } from './studies.ts';

/** Findings and impression of one report. */
interface Sections {
  readonly findings: Row;
  readonly impression: Row;
}

/** The tower's weights, named as in pre-training; made once a seed, the same for all arms. Null where it starts as it is drawn. */
export async function textWeights(
  seed: number,
  studies: Studies,
  d: Declaration,
  o: RunOptions,
): Promise<Uint8Array | null> {
  if (d.text.steps === 0) return null;
  const path = join(o.cache, `text-${seed}.safetensors`);
  if (existsSync(path)) return readFileSync(path);
  const corpus = corpusOf(studies, d);
  const session = await opened('sections', ['matchSections'], sectionSettings(studies.vocabulary, d), seed, o);
  try {
    const batches = (function* () {
      for (let step = 0; step < d.text.steps; step++) yield batchOf(corpus, seed, step, d);
    })();
    const log: string[] = [];
    for await (const s of session.train('matchSections', batches, {
      steps: d.text.steps,
      seed,
      outputs: ['accuracy'],
      signal: o.signal,
    })) {
      await pause();
      log.push(JSON.stringify({ step: s.step, loss: s.loss, accuracy: (s.outputs.accuracy as Float32Array)[0] }));
    }
    await writeFileAtomic(join(o.cache, `text-${seed}.jsonl`), `${log.join('\n')}\n`);
    const { tensors } = readSafetensors(await session.weights());
    const tower = [...tensors]
      .filter(([name]) => name.startsWith('text.'))
      .map(([name, t]) => ({ name, shape: t.shape, data: toFloat32(t) }));
    const bytes = writeSafetensors(tower);
    await writeFileAtomic(path, bytes);
    return bytes;
  } finally {
    await session.close();
  }
}

const sectionSettings = (vocabulary: number, d: Declaration): Record<string, unknown> => ({
  batch: d.text.batch,
  textTokens: d.textTokens,
  text: { vocabSize: vocabulary, layers: d.textLayers },
  lr: d.text.lr,
  weightDecay: d.weightDecay,
  warmup: d.warmup,
  steps: d.text.steps,
  pretrain: { sentences: d.sentences, temperature: d.temperature },
});

/** Reports with an impression, of studies of the same phantom that no arm sees. */
function corpusOf(studies: Studies, d: Declaration): Sections[] {
  const { train, development, test } = d.studies;
  return Array.from({ length: d.text.reports }, (_, i) =>
    phantomPart({ seed: d.phantom, index: train + development + test + i }),
  )
    .filter((s) => s.report.impression.length > 0)
    .map(({ report }) => ({
      findings: rowOf(report.sentences, studies.tokenizer, d),
      impression: rowOf(report.impression, studies.tokenizer, d),
    }));
}

function batchOf(corpus: readonly Sections[], seed: number, step: number, d: Declaration) {
  const chosen = shuffled(corpus.length, stream(seed, 44, step)).slice(0, d.text.batch);
  const b = d.text.batch;
  const rows = (pick: (s: Sections) => Int32Array): Int32Array => joined(chosen.map((n) => pick(corpus[n]!)));
  return {
    input_ids: rows((s) => s.findings.ids),
    attention_mask: rows((s) => s.findings.mask),
    sentence_ids: rows((s) => s.findings.sentence),
    impression_ids: rows((s) => s.impression.ids),
    impression_mask: rows((s) => s.impression.mask),
    impression_sentence_ids: rows((s) => s.impression.sentence),
    pair_mask: new Int32Array(b * b).fill(1),
  };
}
