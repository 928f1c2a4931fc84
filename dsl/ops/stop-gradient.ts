// stopGradient: the identity, through which no gradient flows. Removed after differentiation.
import { defineOp, type Op } from '../graph.ts';

export const stopGradient: Op<null> = defineOp<null>({
  name: 'stopGradient',
  infer: ([t]) => [t!],
  gradient: () => [null],
  evaluate: ([x]) => [x!],
  print: () => '',
});
