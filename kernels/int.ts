// Index arithmetic is part of the language's meaning (views); kernels use the same.
export * from '../dsl/int.ts';
