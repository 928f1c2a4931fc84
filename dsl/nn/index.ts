// Composites: ordinary functions over the primitives, none with a gradient of its own.
export { gelu, leakyRelu, logSoftmax, relu, sigmoid, softmax } from './activation.ts';
export { type AttentionOptions, attention } from './attention.ts';
export { type ConvOptions, conv3d, convolve3d, convTranspose3d } from './conv.ts';
export { dropout, stochasticDepth } from './dropout.ts';
export { type LinearOptions, linear } from './linear.ts';
export { crossEntropy, type DiceOptions, diceCELoss, diceLoss, l1, mse, oneHot } from './losses.ts';
export { instanceNorm, layerNorm, normalize } from './norm.ts';
export {
  relativePositionBias,
  type WindowGrid,
  windowCount,
  windowGrid,
  windowPartition,
  windowRegions,
  windowReverse,
  windowTokens,
} from './window.ts';
