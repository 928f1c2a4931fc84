// A residual 3D U-Net: the backbone of the preset `pico`, for experiments that two cores can do. Its first level halves the volume.
import { concat, conv3d, convTranspose3d, instanceNorm, leakyRelu, scope, type Tensor } from '../../dsl/index.ts';

const AXES = ['d', 'h', 'w'] as const;

const conv = (name: string, x: Tensor, width: number, stride = 1, kernel = 3): Tensor =>
  instanceNorm(scope(name, () => conv3d(x, width, { kernel, stride, padding: (kernel - 1) / 2, bias: false })));

function residual(x: Tensor, width: number, stride: number): Tensor {
  const y = conv('conv2', leakyRelu(conv('conv1', x, width, stride)), width);
  const same = stride === 1 && x.size('c') === width;
  return leakyRelu(y.add(same ? x : conv('conv3', x, width, stride, stride === 1 ? 1 : 3)));
}

/** volume [b d h w c] -> a map a level, each halved (rounded up) and of the given width. */
export function unetEncoder(volume: Tensor, channels: readonly number[]): Tensor[] {
  const maps: Tensor[] = [];
  scope('encoder', () => {
    channels.forEach((width, i) => {
      maps.push(scope(`${i}`, () => residual(maps[i - 1] ?? volume, width, 2)));
    });
  });
  return maps;
}

/** The maps -> features [b d h w c], c the first level's width. `like`: the volume. */
export function unetDecoder(maps: readonly Tensor[], channels: readonly number[], like: Tensor): Tensor {
  /** Doubled, and cut to a size that may be odd. */
  const up = (x: Tensor, width: number, to: Tensor): Tensor => {
    let y = scope('up', () => convTranspose3d(x, width, { kernel: 2 }));
    for (const a of AXES) y = y.slice(a, 0, to.size(a));
    return y;
  };
  return scope('decoder', () => {
    let y = maps[maps.length - 1]!;
    for (let i = channels.length - 2; i >= 0; i--)
      y = scope(`${i}`, () => residual(concat([up(y, channels[i]!, maps[i]!), maps[i]!], 'c'), channels[i]!, 1));
    return scope('full', () => leakyRelu(up(y, channels[0]!, like)));
  });
}
