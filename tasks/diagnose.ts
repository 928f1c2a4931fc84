// What tells whether pre-training uses text and images together, or found a way around: the entry `diagnose` on batches whose images,
// or whose reports, were exchanged.
import { nullRow, type ReportRow } from '../data/report-tokens.ts';
import type { TextTokenizer } from '../data/tokens.ts';
import { type Session, T3dcError } from '../runtime/index.ts';
import { lesionErrors } from './lesion-delta.ts';
import type { LesionStore } from './lesion-store.ts';
import { type FrozenText, type PretrainBatch, textInputs } from './pretrain-batches.ts';
import type { PretrainContract } from './pretrain-contract.ts';

/** Means over the batches; null where the method has no such thing. */
export interface LeakDiagnostics {
  readonly batches: number;
  /** 1 / b: the accuracy of a guess. */
  readonly chance: number;
  readonly loss: number;
  readonly tcl: number | null;
  readonly tir: number | null;
  readonly accuracy: number | null;
  /** Each study's images replaced by another's of the batch: at chance or below, unless the loss is solved by the text alone. */
  readonly accuracyImagesShuffled: number | null;
  /** All reports empty: at chance, unless the loss is solved by the images alone. */
  readonly accuracyTextNull: number | null;
  /** |∂TCL/∂V| of image and text: 0 where the images were not used. */
  readonly gradTokens: number | null;
  /** The restoration shown another study's report. */
  readonly tirSwapped: number | null;
  /** TIR(swapped report) − TIR(own report), overall: about 0 where the restoration did not look at the report. */
  readonly deltaText: number | null;
  /** The same on lesions: mean difference on corrupted voxels of lesions, how far restored values are off there with the own report, and
   *  how many such voxels there were. Null where labels tell of none, or the artifact cannot restore. */
  readonly deltaTextLesions: number | null;
  readonly lesionError: number | null;
  readonly lesionVoxels: number | null;
}

export interface DiagnoseOptions {
  readonly tokenizer: TextTokenizer | null;
  readonly frozenText?: FrozenText;
  /** Lesions of the batches' studies. */
  readonly lesions?: LesionStore | null;
  /** Weights of the losses, for their sum. */
  readonly lambdas: { readonly tcl: number; readonly tir: number };
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** A difference of less than this part of TIR is none. */
export const LEAST_DELTA = 0.01;

/** Whether the restoration made use of the report, as far as `deltaText` tells; null where there is nothing to tell. */
export const usedText = ({ deltaText, tir }: LeakDiagnostics): boolean | null =>
  deltaText === null || tir === null ? null : deltaText > LEAST_DELTA * tir;

/** Runs `diagnose` (inputs as of `pretrain`). @throws T3dcError `no-entry`, `bad-option`, `aborted` */
export async function diagnoseLeaks(
  session: Session,
  contract: PretrainContract,
  batches: AsyncIterable<PretrainBatch> | Iterable<PretrainBatch>,
  total: number,
  options: DiagnoseOptions,
): Promise<LeakDiagnostics> {
  session.entry('diagnose');
  const of = async (inputs: PretrainBatch['inputs']): Promise<Readonly<Record<string, number>>> => {
    const out = await session.entries.diagnose!(inputs, { signal: options.signal });
    return Object.fromEntries(Object.entries(out).map(([name, v]) => [name, v[0]!]));
  };
  const sums: Record<string, number> = {};
  const add = (name: string, value: number): void => {
    sums[name] = (sums[name] ?? 0) + value;
  };
  const { batch, text, pairs, restored, tiles } = contract;
  const store = (session.manifest?.entries.restore && options.lesions) ?? null;
  let onLesions = { voxels: 0, own: 0, swapped: 0 };
  let done = 0;
  for await (const b of batches) {
    const own = await of(b.inputs);
    add('tir', own.tir!);
    add('tcl', own.tcl!);
    add('accuracy', own.accuracy!);
    add('gradTokens', own.grad_tokens!);
    if (pairs) {
      const shuffled = await of({ ...b.inputs, tiles: nextRow(b.inputs.tiles as Float32Array, batch) });
      add('imagesShuffled', shuffled.accuracy!);
      const empty = nullRow(options.tokenizer!, text!.length);
      add(
        'textNull',
        (
          await of(
            await withRows(
              b,
              b.rows.map(() => empty),
              contract,
              options,
            ),
          )
        ).accuracy!,
      );
    }
    if (text?.restores) {
      const swapped = await withRows(b, nextRows(b.rows), contract, options);
      add('tirSwapped', (await of(swapped)).tir!);
      if (store) {
        const more = await lesionErrors(session, contract, b, swapped, store, options.signal);
        onLesions = {
          voxels: onLesions.voxels + more.voxels,
          own: onLesions.own + more.own,
          swapped: onLesions.swapped + more.swapped,
        };
      }
    }
    done++;
    options.onProgress?.(done, total);
  }
  if (done === 0) throw new T3dcError('bad-option', 'there is no batch to diagnose', { expected: 'at least one' });
  const mean = (name: string): number => sums[name]! / done;
  const [tcl, tir] = [tiles > 0 ? mean('tcl') : null, restored > 0 ? mean('tir') : null];
  const tirSwapped = text?.restores ? mean('tirSwapped') : null;
  return {
    batches: done,
    chance: 1 / batch,
    loss: options.lambdas.tcl * (tcl ?? 0) + options.lambdas.tir * (tir ?? 0),
    tcl,
    tir,
    accuracy: tiles > 0 ? mean('accuracy') : null,
    accuracyImagesShuffled: pairs ? mean('imagesShuffled') : null,
    accuracyTextNull: pairs ? mean('textNull') : null,
    gradTokens: pairs ? mean('gradTokens') : null,
    tirSwapped,
    deltaText: tirSwapped === null ? null : tirSwapped - tir!,
    ...lesionFigures(store && text?.restores ? onLesions : null),
  };
}

function lesionFigures(
  sums: { readonly voxels: number; readonly own: number; readonly swapped: number } | null,
): Pick<LeakDiagnostics, 'deltaTextLesions' | 'lesionError' | 'lesionVoxels'> {
  if (!sums) return { deltaTextLesions: null, lesionError: null, lesionVoxels: null };
  const { voxels, own, swapped } = sums;
  if (voxels === 0) return { deltaTextLesions: null, lesionError: null, lesionVoxels: 0 };
  return { deltaTextLesions: (swapped - own) / voxels, lesionError: own / voxels, lesionVoxels: voxels };
}

/** Row b takes the place of row b − 1, the first that of the last. */
function nextRow(data: Float32Array, rows: number): Float32Array {
  const each = data.length / rows;
  const out = new Float32Array(data.length);
  out.set(data.subarray(each));
  out.set(data.subarray(0, each), data.length - each);
  return out;
}

const nextRows = (rows: readonly ReportRow[]): ReportRow[] => [...rows.slice(1), rows[0]!];

async function withRows(
  b: PretrainBatch,
  rows: readonly ReportRow[],
  contract: PretrainContract,
  { frozenText }: DiagnoseOptions,
): Promise<PretrainBatch['inputs']> {
  return { ...b.inputs, ...(await textInputs(rows, contract, frozenText)) };
}
