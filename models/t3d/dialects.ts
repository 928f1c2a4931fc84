// Names that other projects give to T3D's parameters, which are MONAI's. A leading `module.` is dropped for every model.
import type { Dialect } from '../../dsl/index.ts';

/** In the order in which they are tried; data, so that it can travel in an artifact's manifest. */
export const dialects: readonly Dialect[] = [
  {
    name: 'monai',
    about:
      "MONAI's own names, which are ours; an artifact without the decoder or the encoder leaves them out (encodeImage, encodeText)",
    rewrites: [],
    optional: [
      '^(?:encoder(?:[1-4]|10)|decoder[1-5]|out)\\.',
      '^swinViT\\.',
      '^text\\.',
      '^(?:contrast|rotation)\\.',
      '^restore\\.',
      '^classify\\.',
    ],
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
  {
    name: 'hugging-face',
    about:
      'BERT and RoBERTa files of Hugging Face: the text tower without the prefix `text.`; old ones with `gamma` and `beta`',
    rewrites: [
      {
        match: '^(?:(?:bert|roberta|model|text_model)\\.)?(?=embeddings\\.|encoder\\.layer\\.\\d|pooler\\.)',
        replace: 'text.',
      },
      { match: '^(text\\..*LayerNorm\\.)gamma$', replace: '$1weight' },
      { match: '^(text\\..*LayerNorm\\.)beta$', replace: '$1bias' },
    ],
    optional: ['^text\\.pooler\\.', '^(?:cls|lm_head|classifier|qa_outputs)\\.'],
  },
];
