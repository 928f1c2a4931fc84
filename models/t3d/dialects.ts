// Names that other projects give to the same parameters. A dialect is an ordered list of rewrites of one name; the runtime
// applies them to every name of a file and counts what each one matched.

export interface Rewrite {
  /** Regular expression source, matched against the whole name as rewritten so far. */
  readonly match: string;
  readonly replace: string;
}

export interface Dialect {
  readonly name: string;
  /** Where it comes from, for the report. */
  readonly about: string;
  readonly rewrites: readonly Rewrite[];
}

/** In the order in which they are tried; data, so that it can travel in an artifact's manifest. */
export const dialects: readonly Dialect[] = [
  {
    name: 'data-parallel',
    about: 'torch.nn.DataParallel prefix `module.`',
    rewrites: [{ match: '^module\\.', replace: '' }],
  },
  {
    name: 'voco',
    about: 'VoCo: encoder under `swin_vit`, below `backbone.` or `student.` in pre-training files',
    rewrites: [
      { match: '^(?:backbone|student|model|net)\\.(?=swin_?vit|swinViT|encoder\\d|decoder\\d|out\\.)', replace: '' },
      { match: '^swin_?vit\\.', replace: 'swinViT.' },
    ],
  },
  {
    name: 'disruptive',
    about: "Disruptive autoencoders' files: the encoder under `encoder.`, stages one level deeper",
    rewrites: [{ match: '^encoder\\.(?:(patch_embed\\.)|(layers[1-4]\\.0\\.)0\\.)', replace: 'swinViT.$1$2' }],
  },
  {
    name: 'ssl',
    about: "MONAI's self-supervised files: the encoder alone, without the prefix `swinViT.`",
    rewrites: [{ match: '^(?=(?:patch_embed\\.proj|layers[1-4]c?\\.0)\\.)', replace: 'swinViT.' }],
  },
  {
    name: 'timm-mlp',
    about: 'MLP layers named `fc1` and `fc2`',
    rewrites: [{ match: '\\.mlp\\.fc([12])\\.', replace: '.mlp.linear$1.' }],
  },
];

export interface Renamed {
  readonly name: string;
  /** Names of the dialects that changed it. */
  readonly dialects: readonly string[];
}

/** This project's (MONAI's) name of a parameter, and the dialects that it went through. Names it does not know stay as they are. */
export function renameT3D(name: string): Renamed {
  let now = name;
  const used: string[] = [];
  for (const d of dialects) {
    const before = now;
    for (const r of d.rewrites) now = now.replace(new RegExp(r.match), r.replace);
    if (now !== before) used.push(d.name);
  }
  return { name: now, dialects: used };
}
