// T3D: the model of this project. Entries: `logits` and `predict` for inference, `segment` for training.
import { adamW, diceCELoss, f32, i32, model, region } from '../../dsl/index.ts';
import { dialects } from './dialects.ts';
import { check, checkTrainable, DEFAULTS, PRESETS, preprocess, type Settings } from './settings.ts';
import { swinUNETR } from './vision.ts';

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
    return {
      preprocess: { ...preprocess(s) },
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
