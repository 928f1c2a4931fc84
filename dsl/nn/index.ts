// Composites: ordinary functions over the primitives, none with a gradient of its own.
export { gelu, leakyRelu, logSoftmax, relu, sigmoid, softmax } from './activation.ts';
export { attention, type AttentionOptions } from './attention.ts';
export { conv3d, type ConvOptions, convTranspose3d } from './conv.ts';
export { dropout, stochasticDepth } from './dropout.ts';
export { linear, type LinearOptions } from './linear.ts';
export { crossEntropy, diceCELoss, diceLoss, type DiceOptions, l1, mse, oneHot } from './losses.ts';
export { instanceNorm, layerNorm, normalize } from './norm.ts';
export { relativePositionBias, type WindowGrid, windowCount, windowGrid, windowPartition, windowRegions, windowReverse, windowTokens } from './window.ts';
