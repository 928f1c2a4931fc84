// T3D: the model of this project. Entries: `logits` and `predict` for inference, `segment` for training; `encodeImage` and
// `encodeText` give the features of the two towers.
import { adamW, diceCELoss, f32, i32, model, region, scope } from '../../dsl/index.ts';
import { dialects } from './dialects.ts';
import { check, checkTrainable, DEFAULTS, PRESETS, preprocess, type Settings } from './settings.ts';
import { textPool, textTransformer } from './text.ts';
import { checkText } from './text-settings.ts';
import { channelsLast, encode, swinUNETR } from './vision.ts';

export type { Settings } from './settings.ts';

export default model<Settings>({
  name: 't3d',
  settings: DEFAULTS,
  presets: PRESETS,
  dialects,
  build(s) {
    check(s);
    const [d, h, w] = s.size;
    const volume = f32({ b: s.batch, c: s.inChannels, d, h, w });
    const label = i32({ b: s.batch, c: 1, d, h, w });
    const tokens = { b: s.batch, t: s.textTokens };
    return {
      preprocess: { ...preprocess(s) },
      defaultEntries: ['logits', 'predict', 'segment'],
      entries: {
        /** volume [b c d h w], 0..1 -> logits [b k d h w] */
        logits: {
          inputs: { volume },
          run: ({ volume: x }) =>
            region('t3d', () => ({ logits: swinUNETR(x!, s, false).rename({ c: 'k' }).permute('b k d h w') })),
        },
        /** volume [b c d h w], 0..1 -> labels [b d h w]: the class of the largest logit, the lowest on a tie */
        predict: {
          inputs: { volume },
          run: ({ volume: x }) => region('t3d', () => ({ labels: swinUNETR(x!, s, false).argmax('c') })),
        },
        /** volume [b c d h w], 0..1 -> tokens [b n c], the normalised map at 1/16 (c = 8 f, n in the order d h w), and their mean
         *  pooled [b c] */
        encodeImage: {
          inputs: { volume },
          run: ({ volume: x }) =>
            region('t3d', () => {
              const v = encode(channelsLast(x!), s, false)[3]!.merge('d h w', 'n');
              return { tokens: v, pooled: v.mean('n') };
            }),
        },
        /** input_ids and attention_mask [b t] (1 for tokens, 0 for padding) -> last_hidden_state [b t c], pooled [b c] */
        encodeText: {
          inputs: { input_ids: i32(tokens), attention_mask: i32(tokens) },
          run({ input_ids: ids, attention_mask: mask }) {
            checkText(s.text, s.textTokens);
            return scope('text', () => {
              const x = textTransformer(ids!, mask!, s.text);
              return { last_hidden_state: x, pooled: textPool(x, mask!, s.text) };
            });
          },
        },
        /** volume [b c d h w] and label [b 1 d h w], class indices -> loss: Dice + cross-entropy (MONAI's DiceCELoss) */
        segment: {
          inputs: { volume, label },
          loss: 'loss',
          optimizer: adamW({ lr: s.lr, weightDecay: s.weightDecay }),
          schedule: { kind: s.schedule, warmup: s.warmup, total: s.steps },
          ...(s.clip > 0 ? { clip: s.clip } : {}),
          run({ volume: x, label: y }) {
            checkTrainable(s);
            return region('t3d', () => ({
              loss: diceCELoss(swinUNETR(x!, s, true), y!.squeeze('c'), {
                batch: s.diceBatch,
                includeBackground: s.diceBackground,
                lambdaDice: s.lambdaDice,
                lambdaCE: s.lambdaCE,
                weightCE: s.weightCE,
              }),
            }));
          },
        },
      },
    };
  },
});
