// What the frozen layers of a text tower make of a report, computed once for each and kept: training then takes it as it is.
import type { ReportRow } from '../data/report-tokens.ts';
import { type Session, T3dcError } from '../runtime/index.ts';
import type { FrozenText } from './pretrain-batches.ts';

/** Rows that are kept, most: beyond them those used longest ago are computed again. */
const CACHE = 512 * 2 ** 20;

/** Through the entry `encodeText`, a batch of its own size at a time. @throws T3dcError `no-entry`, `bad-artifact` */
export function frozenText(session: Session, maxBytes = CACHE): FrozenText {
  const entry = session.entry('encodeText');
  const out = entry.outputs.find((p) => p.name === 'text_hidden');
  if (!out)
    throw new T3dcError('bad-artifact', 'encodeText does not hand over what its frozen layers made', {
      found: entry.outputs.map((p) => p.name).join(', '),
      expected: 'text_hidden',
      hint: 'Build encodeText and pretrain together, with textTrain a number.',
    });
  const takesSentences = entry.inputs.some((p) => p.name === 'sentence_ids');
  const [batch, length, width] = out.shape as [number, number, number];
  const kept = new Map<string, Float32Array>();
  const most = Math.max(batch, Math.floor(maxBytes / (4 * length * width)));
  return async (rows) => {
    const keys = rows.map((r) => `${r.ids.join()};${r.sentence.join()}`);
    const lacking = [...new Map(rows.map((r, n) => [keys[n]!, r] as const)).entries()].filter(([k]) => !kept.has(k));
    for (let from = 0; from < lacking.length; from += batch) {
      const some = lacking.slice(from, from + batch);
      const input_ids = new Int32Array(batch * length);
      const attention_mask = new Int32Array(batch * length);
      const sentence_ids = new Int32Array(batch * length);
      for (let b = 0; b < batch; b++) {
        // What fills up the last call is a repetition.
        const [, row] = some[Math.min(b, some.length - 1)] as [string, ReportRow];
        input_ids.set(row.ids, b * length);
        attention_mask.set(row.mask, b * length);
        sentence_ids.set(row.sentence, b * length);
      }
      const inputs = { input_ids, attention_mask, ...(takesSentences ? { sentence_ids } : {}) };
      const { text_hidden: hidden } = await session.entries.encodeText!(inputs);
      some.forEach(([key], b) => {
        kept.set(key, (hidden as Float32Array).slice(b * length * width, (b + 1) * length * width));
      });
    }
    const found = new Float32Array(rows.length * length * width);
    keys.forEach((key, n) => {
      const row = kept.get(key)!;
      found.set(row, n * length * width);
      kept.delete(key);
      kept.set(key, row);
    });
    for (const key of kept.keys()) {
      if (kept.size <= most) break;
      kept.delete(key);
    }
    return found;
  };
}
