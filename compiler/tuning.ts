// Tables of measured schedules: for an adapter and a kernel, the fastest of what `t3dc tune` tried. A build reads tables, emits
// what they name beside each kernel's own variants, and writes down for which adapters; the runtime only compares keys.
//
// Tables that ship stand in compiler/tuned, a file per adapter: measured, each of them. For an adapter without one the
// emitters' heuristics choose, always the same.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const TUNING_FORMAT = 1;

export interface TunedKernel {
  /** What it is, for people: `conv decoder1.conv1 …`. */
  readonly what: string;
  /** The variant that the heuristics choose on this adapter, and the one to take: the same where nothing was faster. */
  readonly heuristic: string;
  readonly schedule: string;
  /** Medians in milliseconds by id, of one dispatch (of a part of it, where the whole is long). */
  readonly ms: Readonly<Record<string, number>>;
  /** Ids that were tried and are not to be used, with the reason. */
  readonly discarded: Readonly<Record<string, string>>;
}

export interface TuningTable {
  readonly format: typeof TUNING_FORMAT;
  /** runtime/adapter-key.ts */
  readonly adapter: string;
  /** The adapter in its own words. */
  readonly description: string;
  /** By kernelHash. */
  readonly kernels: Readonly<Record<string, TunedKernel>>;
}

/** A table that cannot be used. Code `tuning-table`. */
export class TuningError extends Error {
  readonly code = 'tuning-table';
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

/** Checks a table's form. Throws TuningError with the file's name. */
export function parseTable(text: string, file: string): TuningTable {
  const fail = (what: string): never => {
    throw new TuningError(`${file}: ${what}`, 'Delete the file and run t3dc tune again.');
  };
  let table: TuningTable;
  try {
    table = JSON.parse(text) as TuningTable;
  } catch (e) {
    return fail(`is no JSON: ${(e as Error).message}`);
  }
  if (table?.format !== TUNING_FORMAT) fail(`has format ${table?.format}, expected ${TUNING_FORMAT}`);
  if (typeof table.adapter !== 'string' || typeof table.kernels !== 'object' || table.kernels === null)
    fail('has no adapter or no kernels');
  for (const [hash, k] of Object.entries(table.kernels))
    if (!/^[0-9a-f]{16}$/.test(hash) || typeof k?.schedule !== 'string' || typeof k.heuristic !== 'string')
      fail(`kernel ${hash} has no schedule`);
  return table;
}

/** All tables of a folder, by name; none where there is no such folder. Throws TuningError. */
export function readTables(folder: string): TuningTable[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw e;
  }
  return names
    .filter((n) => n.endsWith('.json'))
    .sort()
    .map((n) => parseTable(readFileSync(join(folder, n), 'utf8'), join(folder, n)));
}

/** What is shipped with the compiler. */
export const shippedTables = (): TuningTable[] => readTables(fileURLToPath(new URL('./tuned', import.meta.url)));

export interface Preference {
  readonly schedule: string;
  /** Keys of the adapters that prefer it, sorted. */
  readonly adapters: readonly string[];
}

/** The schedules that adapters prefer to their heuristic for this kernel; a later table overrides an earlier one. */
export function preferences(tables: readonly TuningTable[], hash: string): Preference[] {
  const byAdapter = new Map<string, TunedKernel>();
  for (const t of tables) if (t.kernels[hash]) byAdapter.set(t.adapter, t.kernels[hash]);
  const bySchedule = new Map<string, string[]>();
  for (const [adapter, { schedule, heuristic }] of byAdapter)
    if (schedule !== heuristic) bySchedule.set(schedule, [...(bySchedule.get(schedule) ?? []), adapter]);
  return [...bySchedule]
    .map(([schedule, adapters]) => ({ schedule, adapters: adapters.sort() }))
    .sort((a, b) => (a.schedule < b.schedule ? -1 : 1));
}
