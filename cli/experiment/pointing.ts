// Pointing: does a sentence that tells of a lesion look at it? The token with the largest weight, over the whole study, lies on the
// lesion or does not.

import { settingsOf } from './arms.ts';
import type { Declaration } from './declaration.ts';
import { opened, type RunOptions } from './opened.ts';
import { STATIONS, type Studies, TILE, TILE_VOXELS } from './studies.ts';

export interface Pointing {
  /** Sentences that tell of a lesion. */
  readonly sentences: number;
  /** Part of them whose largest weight lies on their lesion. */
  readonly hits: number;
  /** … on any lesion of that kind in the study. */
  readonly sameKind: number;
  /** … in the station of their lesion. */
  readonly station: number;
  /** What a token drawn at random would hit. */
  readonly chance: number;
}

/** A token counts as on a lesion where its cell's middle is nearer to the lesion's centre than its radius and half a cell. */
export async function pointing(
  weights: Uint8Array,
  arm: 't3d' | 't3d-shuffled',
  seed: number,
  studies: Studies,
  d: Declaration,
  o: RunOptions,
): Promise<Pointing> {
  const batch = d.batch;
  const set = settingsOf(arm, d, studies.vocabulary);
  const session = await opened('ground', ['ground'], set, seed, o);
  let [sentences, hits, sameKind, station, chance] = [0, 0, 0, 0, 0];
  try {
    await session.loadWeights(weights, { strict: false });
    const list = studies.judged;
    for (let from = 0; from + batch <= list.length; from += batch) {
      const part = list.slice(from, from + batch);
      const tiles = new Float32Array(batch * STATIONS * TILE_VOXELS);
      for (const [i, s] of part.entries()) tiles.set(s.volume, i * STATIONS * TILE_VOXELS);
      const rows = (pick: (s: (typeof part)[number]) => Int32Array): Int32Array => {
        const out = new Int32Array(batch * d.textTokens);
        for (const [i, s] of part.entries()) out.set(pick(s), i * d.textTokens);
        return out;
      };
      const out = await session.entries.ground!({
        tiles,
        input_ids: rows((s) => s.ids),
        attention_mask: rows((s) => s.mask),
        sentence_ids: rows((s) => s.sentence),
      });
      const a = out.attention as Float32Array; // [b s k n]
      const n = a.length / (batch * d.sentences * STATIONS);
      const cells = Math.round(Math.cbrt(n));
      const cell = TILE / cells;
      const middle = (t: number): [number, number, number] => {
        const [k, rest] = [Math.floor(t / n), t % n];
        const at = [Math.floor(rest / cells ** 2), Math.floor(rest / cells) % cells, rest % cells];
        return [k * TILE + (at[0]! + 0.5) * cell - 0.5, (at[1]! + 0.5) * cell - 0.5, (at[2]! + 0.5) * cell - 0.5];
      };
      part.forEach((s, i) => {
        s.statements.forEach((statement, row) => {
          if (statement.about !== 'lesion') return;
          const own = s.truth.organs[statement.organ]!;
          const on = (t: number, l: { centre: readonly number[]; radius: number }): boolean =>
            Math.hypot(...middle(t).map((v, axis) => v - l.centre[axis]!)) <= l.radius + cell / 2;
          const from = (i * d.sentences + row) * STATIONS * n;
          let best = 0;
          for (let t = 1; t < STATIONS * n; t++) if (a[from + t]! > a[from + best]!) best = t;
          sentences++;
          if (on(best, own.lesion!)) hits++;
          if (Math.floor(best / n) === own.station) station++;
          const alike = s.truth.organs.flatMap((x) => (x.lesion?.kind === statement.kind ? [x.lesion] : []));
          if (alike.some((l) => on(best, l))) sameKind++;
          let cover = 0;
          for (let t = 0; t < STATIONS * n; t++) if (on(t, own.lesion!)) cover++;
          chance += cover / (STATIONS * n);
        });
      });
    }
  } finally {
    await session.close();
  }
  return {
    sentences,
    hits: hits / sentences,
    sameKind: sameKind / sentences,
    station: station / sentences,
    chance: chance / sentences,
  };
}
