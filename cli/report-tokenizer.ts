// The tokenizer of a command on reports: the one that is named, or that lies beside the weights, as t3dc pretrain leaves it.

import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { readBytes, readJson } from '../data/node.ts';
import { TextTokenizer } from '../data/tokens.ts';
import type { TextContract } from '../tasks/pretrain-contract.ts';
import { CliError, UsageError } from './errors.ts';
import { configBeside, vocabularyOf } from './pretrain-text.ts';
import { hashOf } from './retrieval-index.ts';

export interface ReportTokenizer {
  readonly tokenizer: TextTokenizer;
  /** Path of its tokenizer.json. */
  readonly path: string;
  readonly hash: string;
}

const FILE = 'tokenizer.json';

/** @throws UsageError `missing-argument`; CliError `tokenizer-mismatch`; DataError `tokenizer-json`, `file-missing`, `file-json` */
export async function reportTokenizer(
  given: string | undefined,
  weights: string,
  text: TextContract,
): Promise<ReportTokenizer> {
  const beside = join(dirname(weights), FILE);
  const hasBeside = (await stat(beside).catch(() => null))?.isFile() ?? false;
  if (given === undefined && !hasBeside)
    throw new UsageError('missing-argument', 'no tokenizer lies beside the weights', {
      found: `no ${beside}`,
      expected: '--tokenizer FILE|FOLDER, the one that the weights were trained with',
    });
  const isFolder = given !== undefined && ((await stat(given).catch(() => null))?.isDirectory() ?? false);
  const path = given === undefined ? beside : isFolder ? join(given, FILE) : given;
  const json = await readJson(path);
  const tokenizer = new TextTokenizer(json, await configBeside(path));
  const mismatch = (found: string, expected: string): CliError =>
    new CliError('tokenizer-mismatch', 'this tokenizer is not that of the text tower', {
      found,
      expected,
      hint: 'Give the tokenizer.json that the weights were trained with: t3dc pretrain keeps it in its run.',
    });
  if (tokenizer.size > text.vocabulary)
    throw mismatch(`${tokenizer.size} tokens in ${path}`, `at most ${text.vocabulary}, the tower's words`);
  if (tokenizer.padId !== text.padId)
    throw mismatch(`padding is token ${tokenizer.padId} in ${path}`, `token ${text.padId}`);
  if (hasBeside && path !== beside && vocabularyOf(await readJson(beside)) !== vocabularyOf(json))
    throw mismatch(`other tokens in ${path}`, `those of ${beside}`);
  return { tokenizer, path, hash: hashOf(await readBytes(path)) };
}
