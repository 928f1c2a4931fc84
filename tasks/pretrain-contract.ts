// What an artifact asks of pre-training's data: read from the inputs of its entry `pretrain` and from the model's settings.
import { type Dims, type Preprocess, preprocessFrom } from '../data/index.ts';
import { type Manifest, T3dcError } from '../runtime/index.ts';

type Port = Manifest['entries'][string]['inputs'][number];

/** How each method takes a study. `whole`: tile by tile; `small`: downsampled to one tile; `crop`: one native tile; `views`: two views
 *  of one native tile. */
const TAKES = {
  t3d: 'whole',
  't3d-shuffled': 'whole',
  fullclip: 'whole',
  clip: 'small',
  clipcrop: 'crop',
  contrast: 'views',
  swinssl: 'views',
  restore: 'crop',
} as const;

export interface PretrainContract {
  readonly method: keyof typeof TAKES;
  readonly takes: (typeof TAKES)[keyof typeof TAKES];
  readonly preprocess: Preprocess;
  /** Studies of a batch. */
  readonly batch: number;
  /** Voxels of a tile. */
  readonly size: Dims;
  /** Tiles of a study that are encoded; 0 where the method encodes none. */
  readonly tiles: number;
  /** Tiles of a study that are restored; 0: no restoration. */
  readonly restored: number;
  /** Null where the method reads no reports. */
  readonly text: TextContract | null;
  /** The tower's rows are compared with the studies. */
  readonly pairs: boolean;
  readonly sentenceIds: boolean;
  readonly rotation: boolean;
  /** Option `view`: a second augmented encoding of each study. */
  readonly view: boolean;
  /** False reports of each study. */
  readonly counterfactuals: number;
  /** The network says what is corrupted, by where a sentence looks. */
  readonly attended: boolean;
}

export interface TextContract {
  /** Tokens of a row. */
  readonly length: number;
  /** Most sentences of a row. */
  readonly sentences: number;
  /** Rows of the word embedding. */
  readonly vocabulary: number;
  readonly padId: number;
  /** Width of what the frozen layers hand over; null where the entry takes tokens itself. */
  readonly hidden: number | null;
  /** The restoration looks at the report. */
  readonly restores: boolean;
}

/** @throws T3dcError `bad-artifact`, `no-entry`; DataError `preprocess-invalid` */
export function pretrainContract(manifest: Manifest, entry = 'pretrain'): PretrainContract {
  const found = manifest.entries[entry];
  if (!found)
    throw new T3dcError('no-entry', `the artifact has no entry ${entry}`, {
      found: Object.keys(manifest.entries).join(', '),
      expected: 'the entry that pre-trains on pairs',
      hint: 'Build the model with it: --entries pretrain,diagnose,ground,restore.',
    });
  const settings = manifest.model.settings as {
    readonly pretrain?: { readonly method?: string; readonly sentences?: number; readonly restoreText?: boolean };
    readonly text?: { readonly vocabSize?: number; readonly padTokenId?: number };
  };
  const port = (name: string): Port | undefined => found.inputs.find((p) => p.name === name);
  const { tiles, tiles_corrupt: corrupt } = { tiles: port('tiles'), tiles_corrupt: port('tiles_corrupt') };
  const any = tiles ?? corrupt;
  const method = settings.pretrain?.method as keyof typeof TAKES | undefined;
  if (any?.shape.length !== 6 || method === undefined || !(method in TAKES))
    throw badArtifact(
      found.inputs.map((p) => `${p.name}[${p.axes.join(' ')}]`).join(', '),
      'inputs tiles [b k c d h w] or tiles_corrupt [b r c d h w], and a known pretrain.method in its settings',
    );
  const [batch, , channels, d, h, w] = any.shape as [number, number, number, number, number, number];
  if (channels !== 1) throw badArtifact(`${channels} channels`, 'one: CT');
  if (!manifest.preprocess) throw badArtifact('no data contract', 'orientation, spacing, window and foreground');
  const mask = port('attention_mask');
  const hidden = port('text_hidden');
  return {
    method,
    takes: TAKES[method],
    preprocess: preprocessFrom(manifest.preprocess),
    batch,
    size: [d, h, w],
    tiles: tiles?.shape[1] ?? 0,
    restored: corrupt?.shape[1] ?? 0,
    text: mask
      ? {
          length: mask.shape[1]!,
          sentences: settings.pretrain?.sentences ?? 1,
          vocabulary: settings.text?.vocabSize ?? 0,
          padId: settings.text?.padTokenId ?? 0,
          hidden: hidden ? hidden.shape[2]! : null,
          restores: corrupt !== undefined && settings.pretrain?.restoreText === true,
        }
      : null,
    pairs: port('pair_mask') !== undefined,
    sentenceIds: port('sentence_ids') !== undefined,
    rotation: port('rotation') !== undefined,
    view: port('tiles_b') !== undefined,
    counterfactuals: port('counter_mask')?.shape[1] ?? 0,
    attended: port('asked_sentence') !== undefined,
  };
}

/** What `diagnose` takes: the same without the options. */
export const measuredContract = (c: PretrainContract): PretrainContract => ({
  ...c,
  view: false,
  counterfactuals: 0,
  attended: false,
});

const badArtifact = (found: string, expected: string): T3dcError =>
  new T3dcError('bad-artifact', 'this artifact does not pre-train on pairs of CT and report', {
    found,
    expected,
    hint: 'Build it from models/t3d with its entry pretrain.',
  });
