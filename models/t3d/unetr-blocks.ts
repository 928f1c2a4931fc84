// The convolutional blocks of UNETR's encoder and decoder. Convolutions have no bias, instance norms no parameters.
import { concat, conv3d, convTranspose3d, instanceNorm, leakyRelu, scope, type Tensor } from '../../dsl/index.ts';

/** MONAI's Convolution block holds its layer under `conv`. */
const conv = (name: string, x: Tensor, out: number, kernel: number): Tensor =>
  scope(name, () => scope('conv', () => conv3d(x, out, { kernel, bias: false })));

/** x [b d h w c] -> [b d h w out]: two 3×3×3 convolutions with a residual, through a 1×1×1 one where the width changes. */
export function residualBlock(x: Tensor, out: number, slope: number): Tensor {
  const first = leakyRelu(instanceNorm(conv('conv1', x, out, 3)), slope);
  const second = instanceNorm(conv('conv2', first, out, 3));
  const residual = x.size('c') === out ? x : instanceNorm(conv('conv3', x, out, 1));
  return leakyRelu(second.add(residual), slope);
}

/** MONAI's UnetrBasicBlock: a residual block under `layer`. */
export const basicBlock = (x: Tensor, out: number, slope: number): Tensor =>
  scope('layer', () => residualBlock(x, out, slope));

/** x [b d h w c], skip [b 2d 2h 2w out] -> [b 2d 2h 2w out]: doubled, joined with the skip, and a residual block. */
export function upBlock(x: Tensor, skip: Tensor, out: number, slope: number): Tensor {
  const up = scope('transp_conv', () => scope('conv', () => convTranspose3d(x, out, { kernel: 2, bias: false })));
  return scope('conv_block', () => residualBlock(concat([up, skip], 'c'), out, slope));
}

/** x [b d h w c] -> [b d h w out]: a 1×1×1 convolution with bias. */
export const outBlock = (x: Tensor, out: number): Tensor =>
  scope('conv', () => scope('conv', () => conv3d(x, out, { kernel: 1 })));
