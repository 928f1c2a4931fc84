// Opening an artifact and giving it weights, the same way for every command.
import type { Session } from '../runtime/index.ts';
import { CliError } from './errors.ts';
import type { Output } from './output.ts';
import type { WeightCounts } from './weight-counts.ts';

export interface OpenRequest {
  readonly device: 'auto' | 'webgpu' | 'wasm';
  readonly threads?: number;
  readonly seed?: number;
}

/** Subgroup matrices are experimental in Dawn, and f16 on NVIDIA is off by default there. */
const DAWN_FLAGS = ['enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia'];

/** Opens ARTIFACT, telling notices and the compiling of kernels. */
export async function openSession(artifact: string, request: OpenRequest, out: Output): Promise<Session> {
  const { open } = await import('../runtime/index.ts');
  let bar: ReturnType<Output['progress']> | undefined;
  const session = await open(artifact, {
    ...request,
    dawnFlags: DAWN_FLAGS,
    onNotice: (message) => out.note(message),
    onProgress: ({ done, total }) => {
      bar ??= out.progress('kernels', total);
      bar.update(done);
      if (done >= total) bar.end();
    },
  });
  bar?.end();
  return session;
}

/** Runs `work` and closes the session whatever happens. */
export async function withSession<T>(
  artifact: string,
  request: OpenRequest,
  out: Output,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await openSession(artifact, request, out);
  try {
    return await work(session);
  } finally {
    await session.close();
  }
}

/** Loads weights.safetensors, a published model's file, or the weights of a training checkpoint. Tells what was matched. */
export async function loadWeightsFile(session: Session, path: string, out: Output): Promise<WeightCounts> {
  const { readBytes } = await import('../data/node.ts');
  const { checkpointNames, showWeights, weightCounts } = await import('./weight-counts.ts');
  const file = await readBytes(path);
  const report = await session.loadWeights(file, checkpointNames(session.manifest, file));
  for (const line of showWeights(path, report, session.manifest)) out.note(line);
  return weightCounts(report, session.manifest);
}

/** @throws CliError `no-weights` when neither weights nor a seed were given to a model that has parameters */
export function needWeights(session: Session, weights: string | undefined, seed: number | undefined): void {
  if (weights !== undefined || seed !== undefined || session.manifest.parameters.length === 0) return;
  throw new CliError('no-weights', 'the model has no weights', {
    expected: '--weights or --seed',
    hint: 'Give --weights FILE.safetensors, or --seed S to draw them.',
  });
}
