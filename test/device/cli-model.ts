// A U-Net small enough to go through every command in seconds, with a data contract.
import { adamW, diceCELoss, ema, f32, i32, model } from '../../dsl/index.ts';
import { unet } from '../../examples/unet.ts';

const SIZE = [32, 32, 32] as const;
const CLASSES = 6;

export default model({
  name: 'cli-unet',
  settings: { channels: [4, 8], batch: 1, ema: 0 },
  build(s) {
    const settings = { ...s, inChannels: 1, classes: CLASSES, size: SIZE, lr: 1e-2, warmup: 1, steps: 10 };
    const [d, h, w] = SIZE;
    const optimizer = adamW({ lr: settings.lr, weightDecay: 1e-5 });
    const volume = f32({ b: s.batch, c: 1, d, h, w });
    return {
      preprocess: {
        orientation: 'RAS',
        spacing: [5, 5, 5],
        window: [-175, 250],
        foreground: { above: -500, margin: 3 },
        thickSlices: { above: 5, action: 'refuse' },
        patch: SIZE,
        overlap: 0.5,
        classes: CLASSES,
        classNames: ['background', 'liver', 'spleen', 'kidneys', 'lungs', 'spine'],
      },
      entries: {
        logits: {
          inputs: { volume },
          run: ({ volume: x }) => ({ logits: unet(x!, settings).rename({ c: 'k' }).permute('b k d h w') }),
        },
        segment: {
          inputs: { volume, label: i32({ b: s.batch, c: 1, d, h, w }) },
          loss: 'loss',
          optimizer: s.ema > 0 ? ema(optimizer, s.ema) : optimizer,
          schedule: { kind: 'warmupCosine', warmup: settings.warmup, total: settings.steps },
          run: ({ volume: x, label: y }) => ({ loss: diceCELoss(unet(x!, settings), y!.squeeze('c')) }),
        },
      },
    };
  },
});
