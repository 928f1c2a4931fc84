// `t3dc pretrain`: a pre-training planned, executed and kept on disk.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { readBytes } from '../data/node.ts';
import { openArtifact, type Session } from '../runtime/index.ts';
import { frozenText } from '../tasks/frozen-text.ts';
import { LesionStore } from '../tasks/lesion-store.ts';
import { type BatchOptions, PretrainBatches } from '../tasks/pretrain-batches.ts';
import { pretrainContract } from '../tasks/pretrain-contract.ts';
import { type LeftOut, type PretrainPair, PretrainSet } from '../tasks/pretrain-set.ts';
import type { Context } from './command.ts';
import { CliError } from './errors.ts';
import { LesionLog, lesionIds } from './pretrain-lesions.ts';
import { pretrainPairs } from './pretrain-pairs.ts';
import { ENTRY, type PretrainPlan, type PretrainValues, planPretraining } from './pretrain-plan.ts';
import { keepTokenizer, loadPart, tokenizerOf, towerOf } from './pretrain-text.ts';
import { EXAMPLES, LEFT_OUT, Pretraining } from './pretraining.ts';
import { runConfig } from './run-config.ts';
import { RunFolder } from './run-folder.ts';
import { withSession } from './session.ts';
import { parseBytes } from './units.ts';

export async function pretrainRun(artifact: string, values: PretrainValues, context: Context): Promise<void> {
  const { out } = context;
  const cacheBytes = parseBytes('cache', values.cache);
  const { manifest } = await openArtifact(artifact);
  const contract = pretrainContract(manifest, ENTRY);
  const asked = planPretraining(artifact, manifest, values);
  const text = await tokenizerOf(
    asked.plan,
    contract,
    asked.checkpoint && values.tokenizer === undefined ? values.out : null,
  );
  const read = await pretrainPairs(asked.plan, { columns: asked.plan.columns }, out);
  const leftOut: LeftOut[] = [...read.leftOut];
  const options = {
    sections: asked.plan.sections,
    drop: asked.plan.drop,
    cacheBytes,
    onSkip: (left: LeftOut) => {
      leftOut.push(left);
      out.note(`left out ${left.name}: ${left.detail}`);
    },
    onNote: (note: string) => out.note(note),
  };
  const tokenizer = text?.tokenizer ?? null;
  const train = new PretrainSet(read.train, contract, tokenizer, options);
  const val = read.val.length > 0 ? new PretrainSet(read.val, contract, tokenizer, options) : null;
  const lesionStore = async (pairs: readonly PretrainPair[], set: PretrainSet, list: string) => {
    const { lesions } = asked.plan;
    const labelled = pairs.some((p) => p.loadLabel);
    if (!labelled && lesions !== null && lesions !== 'none')
      out.note('no pair has a label map: --lesions counts nothing');
    const ids = labelled ? await lesionIds(list, lesions) : [];
    return ids.length > 0 ? new LesionStore(set.pairs, contract, ids, options.onNote) : null;
  };
  const open = { device: values.device, threads: values.threads, seed: asked.checkpoint ? undefined : asked.plan.seed };
  await withSession(artifact, open, out, async (session) => {
    session.trainable(ENTRY);
    let hasText = asked.plan.hasTextWeights;
    if (asked.checkpoint) await session.loadCheckpoint(await readBytes(asked.checkpoint));
    else
      for (const path of [asked.plan.weights, asked.plan.textWeights])
        if (path) hasText = (await loadPart(session, path, out)) || hasText;
    const lesions = {
      train: await lesionStore(read.train, train, asked.plan.pairs),
      val: val && (await lesionStore(read.val, val, asked.plan.val ?? asked.plan.pairs)),
    };
    const lesionLog = lesions.train && new LesionLog(lesions.train, contract);
    const { augment, corrupt, fill } = asked.plan;
    const batchOptions: BatchOptions = {
      augment: augment === 'on',
      corrupt: { kind: corrupt, fill },
      ...(contract.text?.hidden ? { frozenText: frozenText(session) } : {}),
    };
    const { seed } = asked.plan;
    const batches = {
      train: new PretrainBatches(train, contract, seed, {
        ...batchOptions,
        ...(lesionLog && { onBatch: lesionLog.onBatch }),
      }),
      val: val && new PretrainBatches(val, contract, seed, batchOptions),
    };
    const plan = {
      ...settled(asked.plan, batches.train.perEpoch, session, out),
      pairsHash: read.hash,
      tokenizerHash: text?.hash ?? null,
      hasTextWeights: hasText,
    };
    const tower = text ? towerOf(manifest, plan) : null;
    if (contract.text?.hidden && !hasText)
      out.note('layers of the text tower are frozen that were never trained: give them by --text-weights');
    const config = runConfig('pretrain', ENTRY, manifest, plan, {
      training: { list: plan.pairs, pairs: train.pairs.length },
      validation: val ? { list: plan.val ?? plan.splits, pairs: val.pairs.length } : null,
      text: text && { tower, tokenizer: text.from, tokens: text.tokenizer.size },
    });
    const folder = await RunFolder.open(values.out, config, asked.checkpoint ? session.step : null);
    if (!asked.checkpoint)
      for (const name of [EXAMPLES, LEFT_OUT]) rmSync(join(folder.dir, name), { recursive: true, force: true });
    if (text) await keepTokenizer(text.from, folder.dir);
    const run = new Pretraining({
      session,
      contract,
      folder,
      config,
      sets: { train, val },
      batches,
      options: batchOptions,
      leftOut,
      lesions,
      lesionLog,
      context,
      cacheBytes,
    });
    run.tell(tower, text?.from ?? null);
    await run.go(values['save-every']);
  });
}

/** The plan with what follows from data and artifact. */
function settled(plan: PretrainPlan, perEpoch: number, session: Session, out: Context['out']): PretrainPlan {
  const can = session.manifest.entries.diagnose !== undefined;
  if (!can && plan.diagnoseEvery !== 0)
    out.note('the artifact has no entry diagnose: whether text and images are used is not measured');
  if (!can && plan.best !== null)
    throw new CliError('no-diagnose', 'validation needs the entry diagnose', {
      found: Object.keys(session.manifest.entries).join(', '),
      expected: 'an artifact built with it: --entries pretrain,diagnose,ground,restore',
    });
  const epoch = Math.max(1, Math.ceil(perEpoch / plan.accumulate));
  return { ...plan, diagnoseEvery: can ? (plan.diagnoseEvery ?? epoch) : 0 };
}
