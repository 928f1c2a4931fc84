// Text tower and tokenizer of a pre-training: which they are, and that they belong together.
import { createHash } from 'node:crypto';
import { copyFile, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { isDataError } from '../data/errors.ts';
import { readBytes, readJson } from '../data/node.ts';
import { TextTokenizer } from '../data/tokens.ts';
import type { Manifest, Session } from '../runtime/index.ts';
import type { PretrainContract } from '../tasks/pretrain-contract.ts';
import { CliError, UsageError } from './errors.ts';
import type { Output } from './output.ts';
import type { PretrainPlan } from './pretrain-plan.ts';

const FILES = ['tokenizer.json', 'tokenizer_config.json'] as const;
/** Towers are padded to a multiple of this many words. */
const PADDED_TO = 64;

export interface ChosenTokenizer {
  readonly tokenizer: TextTokenizer;
  readonly from: string;
  /** SHA-256 of the file. */
  readonly hash: string;
}

/** The tokenizer of the plan, held to the tower and to the weights; null where the method reads no reports. `run`: the folder of a run
 *  that goes on, whose own copy is taken. @throws UsageError `missing-argument`; CliError `tokenizer-mismatch`; DataError
 *  `tokenizer-json` */
export async function tokenizerOf(
  plan: PretrainPlan,
  contract: PretrainContract,
  run: string | null,
): Promise<ChosenTokenizer | null> {
  const { text } = contract;
  if (!text) return null;
  if (plan.tokenizer === null)
    throw new UsageError('missing-argument', `${contract.method} reads reports and needs --tokenizer FILE|FOLDER`, {
      hint: 'Take that of the text tower, or make one: t3dc data vocabulary PAIRS -o FOLDER.',
    });
  const given = run ?? plan.tokenizer;
  const from = (await isFolder(given)) ? join(given, FILES[0]) : given;
  const json = await readJson(from);
  const hash = createHash('sha256')
    .update(await readBytes(from))
    .digest('hex');
  const tokenizer = new TextTokenizer(json, await configBeside(from));
  const mismatch = (found: string, expected: string, hint: string): CliError =>
    new CliError('tokenizer-mismatch', 'this tokenizer is not that of the text tower', { found, expected, hint });
  const rebuild = 'Give the tokenizer of the tower, or build the artifact for this one: t3dc build t3d --text FOLDER.';
  if (tokenizer.size > text.vocabulary)
    throw mismatch(`${tokenizer.size} tokens in ${from}`, `at most ${text.vocabulary}, the tower's words`, rebuild);
  if (tokenizer.padId !== text.padId)
    throw mismatch(`padding is token ${tokenizer.padId}`, `token ${text.padId}`, rebuild);
  const weights = plan.textWeights ?? (await weightsWithTokenizer(plan.weights));
  if (plan.tokenizerHash !== null && plan.tokenizerHash !== hash)
    throw mismatch(
      `${from} of hash ${hash.slice(0, 12)}`,
      `the run's own, ${plan.tokenizerHash.slice(0, 12)}`,
      'Leave --tokenizer out: the run has its own.',
    );
  if (run !== null || weights === null) return { tokenizer, from, hash };
  const beside = join(dirname(weights), FILES[0]);
  const theirs = await readJson(beside).catch((e) => {
    if (isDataError(e, 'file-missing')) return null;
    throw e;
  });
  if (theirs !== null && vocabularyOf(theirs) !== vocabularyOf(json))
    throw mismatch(
      `the tokens of ${from} are not those of ${beside}`,
      'one vocabulary',
      'Give --tokenizer the file that lies beside the weights.',
    );
  if (theirs === null && text.vocabulary - tokenizer.size >= PADDED_TO)
    throw mismatch(
      `${tokenizer.size} tokens in ${from}`,
      `${text.vocabulary}, the words that ${weights} has rows for`,
      'Give the tokenizer with which these weights were trained.',
    );
  return { tokenizer, from, hash };
}

/** Copies the tokenizer into the run: its weights mean nothing without it. */
export async function keepTokenizer(from: string, dir: string): Promise<void> {
  if (resolve(dirname(from)) === resolve(dir)) return;
  await copyFile(from, join(dir, FILES[0]));
  const config = join(dirname(from), FILES[1]);
  if (await stat(config).catch(() => null)) await copyFile(config, join(dir, FILES[1]));
}

/** In words: `BERT, 2 layers, 128 wide, 2048 words; drawn from seed 0 and trained from nothing`. */
export function towerOf(manifest: Manifest, plan: PretrainPlan): string {
  const hasWeights = plan.hasTextWeights;
  const { text, textTrain } = manifest.model.settings as {
    readonly text: { positions: string; layers: number; hiddenSize: number; vocabSize: number };
    readonly textTrain: number;
  };
  const name = text.positions === 'roberta' ? 'RoBERTa' : 'BERT';
  const size = `${name}, ${text.layers} ${text.layers === 1 ? 'layer' : 'layers'}, ${text.hiddenSize} wide, ${text.vocabSize} words`;
  const given = plan.textWeights ?? plan.weights;
  const source = hasWeights && given ? `weights of ${basename(given)}` : `drawn from seed ${plan.seed}`;
  const frozen =
    textTrain === -1
      ? hasWeights
        ? 'trained on'
        : 'trained from nothing'
      : textTrain === text.layers
        ? 'frozen'
        : `embeddings and layers below ${textTrain} frozen, the others trained`;
  return `${size}; ${source}, ${frozen}`;
}

/** Loads what a file has of the model; what it lacks stays as it is, and is told. Whether it had any of the text tower. */
export async function loadPart(session: Session, path: string, out: Output): Promise<boolean> {
  const report = await session.loadWeights(await readBytes(path), { strict: false });
  out.note(`${path}: ${report.matched.length} of ${session.manifest.parameters.length} tensors loaded`);
  for (const d of report.dialects) out.note(`  ${d.tensors} by the names of ${d.name}`);
  const list = (names: readonly string[]) => names.slice(0, 4).join(', ') + (names.length > 4 ? ', …' : '');
  const left = [...report.missing, ...report.shapeMismatch.map((m) => m.name)];
  if (left.length > 0) out.note(`  not in it: ${list(left)} (${left.length})`);
  if (report.unexpected.length > 0) out.note(`  not used: ${list(report.unexpected)} (${report.unexpected.length})`);
  return report.matched.some((name) => name.startsWith('text.'));
}

/** Words and their numbers, whatever the order in which a file tells them. */
export function vocabularyOf(json: unknown): string {
  const vocab = (json as { model?: { vocab?: unknown } } | null)?.model?.vocab ?? null;
  if (vocab === null || typeof vocab !== 'object' || Array.isArray(vocab)) return JSON.stringify(vocab);
  return JSON.stringify(Object.entries(vocab).sort(([, a], [, b]) => Number(a) - Number(b)));
}

/** Weights count as the tower's where a tokenizer lies beside them: those of an earlier run. */
async function weightsWithTokenizer(weights: string | null): Promise<string | null> {
  if (weights === null) return null;
  return (await stat(join(dirname(weights), FILES[0])).catch(() => null)) ? weights : null;
}

/** tokenizer_config.json in the folder of a tokenizer, which older folders lack. */
export async function configBeside(tokenizer: string): Promise<unknown> {
  return readJson(join(dirname(tokenizer), FILES[1])).catch((e) => {
    if (isDataError(e, 'file-missing')) return {};
    throw e;
  });
}

const isFolder = async (path: string): Promise<boolean> => (await stat(path).catch(() => null))?.isDirectory() ?? false;
