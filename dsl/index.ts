// The language. A model file imports from here alone.
export { ModelError } from './errors.ts';
export {
  bool,
  type Dialect,
  type EntrySpec,
  f16,
  f32,
  type InputSpec,
  i32,
  type ModelSpec,
  model,
  type ParameterGroup,
  type ScheduleSpec,
  u32,
} from './model.ts';
export * from './nn/index.ts';
export { adamW, ema, type Optimizer, sgd } from './optim.ts';
export { type Init, param, region, scope } from './scope.ts';
export { concat, constant, einsum, gather, iota, rawContract, stepScalar, Tensor, uniform } from './tensor.ts';
export { overTiles } from './tiles.ts';
export type { Axis, DType, TensorType } from './types.ts';
