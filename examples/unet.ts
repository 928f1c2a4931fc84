// A residual 3D U-Net for segmentation, small enough to train on two cores. Copy it for an architecture of your own.
//
//   t3dc build examples/unet.ts -o dist/unet          --set size=[64,64,64] --set classes=14
//
// Volumes come in as [b c d h w] and are worked on channels last, [b d h w c], which is the layout that kernels like.
import {
  adamW,
  concat,
  conv3d,
  convTranspose3d,
  diceCELoss,
  f32,
  i32,
  instanceNorm,
  leakyRelu,
  model,
  scope,
  type Tensor,
} from '../dsl/index.ts';

export interface Settings {
  readonly inChannels: number;
  /** Background included. */
  readonly classes: number;
  /** Width at each level; every level, the first included, halves the map. */
  readonly channels: readonly number[];
  /** Voxels of a patch, d h w. */
  readonly size: readonly [number, number, number];
  readonly batch: number;
  readonly lr: number;
  readonly warmup: number;
  readonly steps: number;
}

const AXES = ['d', 'h', 'w'] as const;
const spatial = (x: Tensor): number[] => AXES.map((a) => x.size(a));

/** 3×3×3 convolution and instance norm, which makes a bias pointless. */
const conv = (name: string, x: Tensor, width: number, stride = 1, kernel = 3): Tensor =>
  instanceNorm(scope(name, () => conv3d(x, width, { kernel, stride, bias: false })));

/** x [b d h w c] -> [b d/stride h/stride w/stride c=width]: two convolutions beside a shortcut. */
function residual(x: Tensor, width: number, stride: number): Tensor {
  const y = conv('conv2', leakyRelu(conv('conv1', x, width, stride)), width);
  const same = stride === 1 && x.size('c') === width;
  const shortcut = same ? x : conv('shortcut', x, width, stride, stride === 1 ? 1 : 3);
  return leakyRelu(y.add(shortcut));
}

/** Doubled along d, h and w, and cut to `like`, whose size may be odd. */
function upsample(x: Tensor, width: number, like: readonly number[]): Tensor {
  let y = convTranspose3d(x, width, { kernel: 2 });
  AXES.forEach((a, i) => {
    y = y.slice(a, 0, like[i]!);
  });
  return y;
}

/** volume [b c d h w] -> logits [b d h w c=classes] */
export function unet(volume: Tensor<'b c d h w'>, s: Settings): Tensor<'b d h w c'> {
  const x = volume.permute('b d h w c');
  const maps: Tensor[] = [];
  s.channels.forEach((width, i) => {
    maps.push(scope(`down.${i}`, () => residual(maps[i - 1] ?? x, width, 2)));
  });
  let y = maps[maps.length - 1]!;
  for (let i = s.channels.length - 2; i >= 0; i--) {
    const skip = maps[i]!;
    y = scope(`up.${i}`, () => {
      const bigger = scope('transposed', () => upsample(y, s.channels[i]!, spatial(skip)));
      return scope('residual', () => residual(concat([bigger, skip], 'c'), s.channels[i]!, 1));
    });
  }
  return scope('head', () => {
    const full = leakyRelu(scope('transposed', () => upsample(y, s.channels[0]!, s.size)));
    return scope('out', () => conv3d(full, s.classes, { kernel: 1 }));
  });
}

export default model<Settings>({
  name: 'unet',
  settings: {
    inChannels: 1,
    classes: 2,
    channels: [16, 32, 64],
    size: [28, 28, 28],
    batch: 1,
    lr: 1e-3,
    warmup: 20,
    steps: 600,
  },
  build(s) {
    const [d, h, w] = s.size;
    const volume = f32({ b: s.batch, c: s.inChannels, d, h, w });
    return {
      entries: {
        /** volume [b c d h w], 0..1 -> logits [b k d h w] */
        logits: {
          inputs: { volume },
          run: ({ volume }) => ({ logits: unet(volume, s).rename({ c: 'k' }).permute('b k d h w') }),
        },
        /** volume [b c d h w] and label [b 1 d h w], class indices -> loss: Dice + cross-entropy */
        segment: {
          inputs: { volume, label: i32({ b: s.batch, c: 1, d, h, w }) },
          loss: 'loss',
          optimizer: adamW({ lr: s.lr, weightDecay: 1e-5 }),
          schedule: { kind: 'warmupCosine', warmup: s.warmup, total: s.steps },
          run: ({ volume, label }) => ({ loss: diceCELoss(unet(volume, s), label.squeeze('c')) }),
        },
      },
    };
  },
});
