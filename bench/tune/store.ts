// Where measured schedules are kept: a folder with a file per adapter, written after every kernel.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { parseTable, TUNING_FORMAT, type TunedKernel, type TuningTable } from '../../compiler/tuning.ts';
import { writeFileAtomic } from '../../data/node.ts';

/** $T3DC_TUNING, else ~/.t3dc/tuning. */
export const defaultStore = (): string => process.env.T3DC_TUNING || join(homedir(), '.t3dc', 'tuning');

/** `mesa-software-1a2b3c4d.json` */
export function storeFile(folder: string, adapter: string): string {
  const name = adapter
    .split(' ')[0]!
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-');
  return join(folder, `${name}-${createHash('sha256').update(adapter).digest('hex').slice(0, 8)}.json`);
}

/** The adapter's table, empty where nothing was measured. Throws TuningError. */
export function readStore(folder: string, adapter: string, description: string): TuningTable {
  const file = storeFile(folder, adapter);
  const known = existsSync(file) ? parseTable(readFileSync(file, 'utf8'), file) : null;
  return { format: TUNING_FORMAT, adapter, description, kernels: known?.kernels ?? {} };
}

/** Adds a kernel; the file is whole at any time. */
export async function addToStore(
  folder: string,
  table: TuningTable,
  hash: string,
  tuned: TunedKernel,
): Promise<TuningTable> {
  const kernels = Object.entries({ ...table.kernels, [hash]: tuned }).sort(([a], [b]) => (a < b ? -1 : 1));
  const next = { ...table, kernels: Object.fromEntries(kernels) };
  await writeFileAtomic(storeFile(folder, table.adapter), tableText(next));
  return next;
}

/** A kernel a line, so that two tables compare. */
export function tableText({ format, adapter, description, kernels }: TuningTable): string {
  const rows = Object.entries(kernels).map(([hash, k]) => `  ${JSON.stringify(hash)}: ${JSON.stringify(k)}`);
  const head = [`"format": ${format}`, `"adapter": ${JSON.stringify(adapter)}`];
  return `{\n ${[...head, `"description": ${JSON.stringify(description)}`].join(',\n ')},\n "kernels": {\n${rows.join(',\n')}\n }\n}\n`;
}
