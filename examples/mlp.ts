// A multilayer perceptron: the smallest whole model. Copy it to start one of your own.
//
//   t3dc build examples/mlp.ts -o dist/mlp            every setting below can be changed: --set hidden=[64,64]
//
// A model is settings and entries. An entry is a function on tensors with named axes; it becomes one program of the artifact.
// Entries share parameters by name, so `classify` runs what `train` trained.
import { adamW, crossEntropy, dropout, f32, gelu, i32, linear, model, scope, type Tensor } from '../dsl/index.ts';

export interface Settings {
  /** Numbers that describe one sample. */
  readonly features: number;
  /** Widths of the hidden layers. */
  readonly hidden: readonly number[];
  readonly classes: number;
  readonly dropout: number;
  readonly batch: number;
  readonly lr: number;
}

/** x [b c] -> logits [b c=classes]. Parameters: `layers.0.weight`, `layers.0.bias`, …, `head.weight`, `head.bias`. */
function network(x: Tensor<'b c'>, s: Settings, training: boolean): Tensor<'b c'> {
  let y = x;
  s.hidden.forEach((width, i) => {
    y = gelu(scope(`layers.${i}`, () => linear(y, width)));
    if (training) y = dropout(y, s.dropout);
  });
  return scope('head', () => linear(y, s.classes));
}

export default model<Settings>({
  name: 'mlp',
  settings: { features: 2, hidden: [32, 32], classes: 2, dropout: 0, batch: 64, lr: 1e-2 },
  build(s) {
    const x = f32({ b: s.batch, c: s.features });
    return {
      entries: {
        /** x [b c] -> probabilities' logits [b c], and the most likely class [b] */
        classify: {
          inputs: { x },
          run({ x }) {
            const logits = network(x, s, false);
            return { logits, labels: logits.argmax('c') };
          },
        },
        /** x [b c], labels [b] -> loss, and the share of samples classified correctly */
        train: {
          inputs: { x, labels: i32({ b: s.batch }) },
          loss: 'loss',
          optimizer: adamW({ lr: s.lr, weightDecay: 1e-4 }),
          run({ x, labels }) {
            const logits = network(x, s, true);
            const correct = logits.argmax('c').eq(labels).cast('f32');
            return { loss: crossEntropy(logits, labels), accuracy: correct.mean('b') };
          },
        },
      },
    };
  },
});
