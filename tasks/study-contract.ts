// How an entry takes whole studies: read from its input tiles [b k c d h w] and the model's settings.
import { type Dims, type Preprocess, preprocessFrom } from '../data/index.ts';
import { type Manifest, T3dcError } from '../runtime/index.ts';

export interface StudyContract {
  readonly entry: string;
  readonly preprocess: Preprocess;
  /** Studies of a call. */
  readonly batch: number;
  /** Tiles of a study. */
  readonly tiles: number;
  /** Voxels of a tile. */
  readonly size: Dims;
  /** `whole`: tile by tile at the working spacing; `small`: downsampled to one tile; `crop`: one tile of it. */
  readonly takes: 'whole' | 'small' | 'crop';
}

/** Methods of pre-training that do not see whole studies. */
const TAKES: Readonly<Record<string, StudyContract['takes']>> = { clip: 'small', clipcrop: 'crop' };

/** @param asPretrained studies are cut as the method of pre-training cuts them; else tile by tile
 *  @throws T3dcError `no-entry`, `bad-artifact`; DataError `preprocess-invalid` */
export function studyContract(manifest: Manifest, entry: string, asPretrained = false): StudyContract {
  const found = manifest.entries[entry];
  if (!found)
    throw new T3dcError('no-entry', `the artifact has no entry ${entry}`, {
      found: Object.keys(manifest.entries).join(', '),
      expected: `${entry}, which takes whole studies`,
      hint: `Build the model with it: --entries …,${entry}.`,
    });
  const tiles = found.inputs.find((p) => p.name === 'tiles');
  const bad = (what: string, expected: string): T3dcError =>
    new T3dcError('bad-artifact', `the entry ${entry} takes no studies of CT`, {
      found: what,
      expected,
      hint: 'Build it from models/t3d.',
    });
  if (tiles?.shape.length !== 6)
    throw bad(
      found.inputs.map((p) => `${p.name}[${p.axes.join(' ')}]`).join(', '),
      'an input tiles [b k c d h w] of one channel',
    );
  const [batch, k, channels, d, h, w] = tiles.shape as [number, number, number, number, number, number];
  if (channels !== 1) throw bad(`${channels} channels`, 'one channel');
  if (!manifest.preprocess) throw bad('no data contract', 'orientation, spacing, window and foreground');
  const { pretrain } = manifest.model.settings as { readonly pretrain?: { readonly method?: string } };
  return {
    entry,
    preprocess: preprocessFrom(manifest.preprocess),
    batch,
    tiles: k,
    size: [d, h, w],
    takes: (asPretrained && TAKES[pretrain?.method ?? '']) || 'whole',
  };
}
