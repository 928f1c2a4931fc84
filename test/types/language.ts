// Types of the language and the runtime: every line under @ts-expect-error must not compile (`npm run check`).
import { adamW, conv3d, f32, i32, linear, model, type Tensor } from '../../dsl/index.ts';
import { open, type Session } from '../../runtime/index.ts';

export const good = model({
  name: 'types',
  settings: { width: 4 },
  build: (s) => ({
    entries: {
      run: {
        inputs: { x: f32({ b: 1, c: s.width }) },
        loss: 'y',
        optimizer: adamW({ lr: 1e-3 }),
        run: ({ x }) => ({ y: linear(x!, 2).mean('b c') }),
      },
    },
  }),
});

// @ts-expect-error a model needs a name
model({ settings: {}, build: () => ({ entries: {} }) });
// @ts-expect-error sizes are numbers
f32({ b: 'one' });
// @ts-expect-error a kernel is needed
export const conv = (x: Tensor) => conv3d(x, 4, {});
// @ts-expect-error an optimiser has no such option
adamW({ lr: 1e-3, speed: 2 });
// @ts-expect-error an entry returns tensors by name
export const bad = { inputs: { x: i32({ b: 1 }) }, run: () => 3 } satisfies Parameters<typeof model>[0]['build'];

export async function runtime(session: Session): Promise<Float32Array> {
  // @ts-expect-error no such device
  await open('dist/x', { device: 'cuda' });
  // @ts-expect-error inputs are typed arrays
  await session.grads('run', { x: [1, 2, 3] });
  const { grads } = await session.grads('run', { x: new Float32Array(4) });
  return grads.weight!;
}
