// The page's model: opened in a worker, given its weights, opened anew where it was lost.

import type { Manifest, Progress } from '../../runtime/index.ts';
import { segmentationContract } from '../../tasks/contract.ts';
import { identify, type ModelIdentity } from '../labels.ts';
import { openInWorker, type WorkerSession } from '../open-in-worker.ts';
import type { PageConfig } from './config.ts';
import type { ModelMemory } from './scan-memory.ts';

export type DeviceChoice = 'auto' | 'webgpu' | 'wasm';

export class Model {
  readonly session: WorkerSession;
  readonly classNames: readonly string[];
  /** Whether its labels can mean anything. */
  trained: boolean;
  /** Of the file of weights, without its ending. */
  weightsName: string;
  #weights: string;

  /** @throws T3dcError as openInWorker and loadWeights */
  static async open(
    config: PageConfig,
    device: DeviceChoice,
    onProgress: (progress: Progress) => void,
    onNotice: (message: string) => void,
  ): Promise<Model> {
    const session = await openInWorker(config.artifact, { device, onProgress, onNotice });
    try {
      const { weights } = config;
      if (weights) await session.loadWeights(weights.url, { integrity: weights.sha256 });
      else await session.initialise(0);
      return new Model(session, weights);
    } catch (e) {
      await session.close();
      throw e;
    }
  }

  private constructor(session: WorkerSession, weights: PageConfig['weights']) {
    this.session = session;
    this.classNames = segmentationContract(session.manifest as unknown as Manifest).classNames;
    this.trained = weights !== null;
    this.weightsName = weights?.name.replace(/\.safetensors$/, '') ?? 'weights';
    this.#weights = weights?.sha256 ?? '';
  }

  /** Whether it can learn here. */
  get trainable(): boolean {
    const { entries } = this.session.manifest;
    return entries.segment?.loss != null;
  }

  get memory(): ModelMemory {
    const { preprocess, patch, classes } = segmentationContract(this.session.manifest as unknown as Manifest);
    return { spacing: preprocess.spacing, patch, classes, own: this.session.allocatedBytes };
  }

  /** A file that the user has. */
  async load(file: File): Promise<void> {
    await this.session.loadWeights(await file.arrayBuffer());
    this.trained = true;
    this.weightsName = file.name.replace(/\.safetensors$/, '');
    this.#weights = '';
  }

  /** After steps of training: what was known of its weights is not so any more. */
  changed(): void {
    this.trained = true;
    this.#weights = '';
  }

  async weights(): Promise<Uint8Array<ArrayBuffer>> {
    return (await this.session.weights()) as Uint8Array<ArrayBuffer>;
  }

  /** What its labels say that they were made by. */
  async identity(): Promise<ModelIdentity> {
    const { manifest } = this.session;
    const made = await identify(manifest as unknown as Manifest, this.#weights || (await this.weights()));
    this.#weights = made.weightsSha256;
    return made;
  }
}
