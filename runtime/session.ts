// A session: an artifact on a device. Calls are serialised, since entries share the arenas.
import type { Artifact } from './artifact.ts';
import { matchWeights, type Rename, type WeightReport } from './checkpoint.ts';
import type { Device, DeviceInfo, OpTime, RunMode, RunSettings } from './device.ts';
import type { DownloadOptions } from './download.ts';
import { T3dcError, throwIfAborted } from './errors.ts';
import type { Entry, Manifest } from './manifest.ts';
import { checkInputs, fromBytes, type Inputs, type Outputs, portBytes } from './ports.ts';
import { meter, type Progress } from './progress.ts';
import { type Metadata, readSafetensors, toFloat32 } from './safetensors.ts';
import { checkDigest, checkIntegrity, NO_CACHE, readLocation } from './source.ts';
import { ParameterStore } from './store.ts';
import { type Batches, type TrainOptions, type TrainStep, train } from './train.ts';
import { hasOptimizerState, readTrainingState, writeTrainingState, writeWeights } from './training-state.ts';
import { type Windows, windows } from './windows.ts';

export interface CallOptions {
  readonly signal?: AbortSignal;
}

export interface SessionOptions {
  readonly seed?: number | bigint;
  readonly onNotice: (message: string) => void;
  /** How files of weights are fetched. */
  readonly download?: DownloadOptions;
  readonly onProgress?: (progress: Progress) => void;
  /** Another device after the first was lost; null where it cannot be had (a GPUDevice of the caller's). */
  readonly reopen?: () => Promise<Device>;
}

/** Bytes of a safetensors file, its path or its URL. */
export type WeightSource = Uint8Array | ArrayBuffer | string | URL;

export interface WeightOptions {
  readonly strict?: boolean;
  readonly rename?: Rename;
  readonly integrity?: string;
}

const NO_SETTINGS: RunSettings = {
  seed: 0,
  schedule: { kind: 'constant', warmup: 0, total: 0, power: 1 },
  lr: 0,
  accumulation: 1,
};

export class Session {
  readonly manifest: Manifest;
  /** Forward by entry name: `await session.entries.logits({ volume })`. */
  readonly entries: Readonly<Record<string, (inputs: Inputs, options?: CallOptions) => Promise<Outputs>>>;
  #device: Device;
  #store: ParameterStore;
  readonly #reopen: (() => Promise<Device>) | null;
  /** What gave the parameters their values, in order: after a lost device it is done again. */
  #origin: (() => Promise<unknown>)[] = [];
  /** Optimiser steps since. */
  #trained = 0;
  readonly #onNotice: (message: string) => void;
  readonly #download: DownloadOptions;
  readonly #onProgress: SessionOptions['onProgress'];
  #settings: RunSettings;
  /** Settings of the checkpoint that was loaded. */
  #resumed: RunSettings | null = null;
  #hasWeights: boolean;
  #closed = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(artifact: Artifact, device: Device, options: SessionOptions) {
    this.manifest = artifact.manifest;
    this.#device = device;
    this.#store = new ParameterStore(device, artifact.manifest);
    this.#reopen = options.reopen ?? null;
    this.#onNotice = options.onNotice;
    this.#download = options.download ?? NO_CACHE;
    this.#onProgress = options.onProgress;
    this.#settings = { ...NO_SETTINGS, seed: options.seed ?? 0 };
    this.#hasWeights = artifact.manifest.parameters.length === 0;
    this.entries = Object.fromEntries(
      Object.keys(artifact.manifest.entries).map((name) => [
        name,
        (inputs: Inputs, call?: CallOptions) => this.#forward(name, inputs, call),
      ]),
    );
  }

  get device(): DeviceInfo {
    return this.#device.info;
  }
  /** Optimiser steps done. */
  get step(): number {
    return this.#device.step;
  }

  /** Bytes that the session holds on its device now. */
  get allocatedBytes(): number {
    return this.#device.allocatedBytes;
  }

  /** Draws all parameters from the seed, clears optimiser state and sets the step to 0. */
  async initialise(seed: number | bigint = this.#settings.seed): Promise<void> {
    await this.exclusive(async () => this.#initialise(seed));
  }

  /**
   * Loads weights by their PyTorch names: bytes of a safetensors file, its path or its URL. Other projects' names are
   * those of `manifest.model.dialects`. Not strict: parameters that the file lacks keep their values (drawn from the seed
   * where none were there). `integrity`: SHA-256 of the file, which is verified; it is then taken from the cache without asking
   * the server. Throws T3dcError 'bad-checkpoint', 'weights-mismatch', 'aborted'.
   */
  async loadWeights(
    from: WeightSource,
    { signal, ...options }: WeightOptions & { readonly signal?: AbortSignal } = {},
  ): Promise<WeightReport> {
    const { report, tensors } = await this.#match(from, options, signal);
    const whole = tensors.size === this.manifest.parameters.length;
    return this.exclusive(async () => {
      throwIfAborted(signal);
      this.#put(tensors, whole);
      this.#from(this.#weightsOf(from, options, whole), whole);
      return report;
    });
  }

  /**
   * A safetensors file of all parameters, by checkpoint name and in checkpoint layout. `average`: their moving averages, where
   * the model was built with `ema` and was trained; `metadata` is added to the file's. Throws T3dcError 'no-weights', 'bad-option'.
   */
  weights(options: { readonly average?: boolean; readonly metadata?: Metadata } = {}): Promise<Uint8Array> {
    return this.exclusive(async () => {
      this.#needWeights();
      const arena = options.average ? this.#averages() : undefined;
      return writeWeights(this.manifest, this.#store, options.metadata, arena);
    });
  }

  /** Weights, optimiser state, step, seed and schedule: what `loadCheckpoint` continues from, bit for bit. */
  saveCheckpoint(): Promise<Uint8Array> {
    return this.exclusive(() => {
      this.#needWeights();
      const withState = this.manifest.arenas.some((a, i) => a.role === 'state' && this.#device.isAllocated(i));
      return writeTrainingState(this.manifest, this.#store, { step: this.step, settings: this.#settings }, withState);
    });
  }

  async loadCheckpoint(from: WeightSource): Promise<{ readonly step: number }> {
    const file = await this.#load(from);
    return this.exclusive(async () => {
      const step = await this.#resume(file);
      this.#from(this.#checkpointOf(from), true);
      return { step };
    });
  }

  /** Outputs and the gradients of the entry's loss by parameter name, in checkpoint layout. What is frozen has none. */
  async grads(
    name: string,
    inputs: Inputs,
    options: CallOptions = {},
  ): Promise<{ outputs: Outputs; grads: Record<string, Float32Array> }> {
    const entry = this.trainable(name);
    const data = checkInputs(name, entry.inputs, inputs);
    return this.#pure(async () => {
      throwIfAborted(options.signal);
      this.#needWeights();
      await this.#device.require(name, 'grad');
      this.#device.configure({ ...this.#settings, accumulation: 1 });
      this.writeInputs(entry, data);
      await this.#device.run(name, 'grad', 0);
      const outputs = await this.readOutputs(entry);
      const arena = this.#arena('gradients') ?? this.#arena('accumulator');
      if (arena === undefined)
        throw new T3dcError('bad-artifact', `${name} has a gradient program but no gradients arena`);
      const held = (entry.training?.groups ?? []).filter((g) => g.lr === 0).map((g) => new RegExp(g.match));
      const trainable = entry.parameters
        .map((i) => this.manifest.parameters[i]!)
        .filter((p) => p.trainable && !held.some((h) => h.test(p.name)));
      const grads: Record<string, Float32Array> = {};
      for (const [p, values] of await this.#store.read(trainable, arena)) grads[p.name] = values;
      return { outputs, grads };
    });
  }

  /** Trains; yields after each optimiser step (see TrainOptions). Stops when the batches end. */
  train(name: string, batches: Batches, options: TrainOptions = {}): AsyncGenerator<TrainStep, void, void> {
    return train(this, name, batches, options);
  }

  /** Milliseconds of each op of one run, on the inputs that were last given (zeros before). */
  profile(name: string, options: { readonly mode?: 'forward' | 'grad' } = {}): Promise<OpTime[]> {
    const mode = options.mode ?? 'forward';
    if (mode === 'grad') this.trainable(name);
    else this.entry(name);
    return this.exclusive(async () => {
      await this.#device.require(name, mode);
      this.#device.configure({ ...this.#settings, accumulation: 1 });
      return this.#device.profile(name, mode);
    });
  }

  /** Positions of sliding windows over a volume of any size, as MONAI lays them. */
  windows(size: readonly number[], roi: readonly number[], overlap: number | readonly number[]): Windows {
    return windows(this.#device.windowAxis, size, roi, overlap);
  }

  /** Releases everything; calls after it throw T3dcError 'closed'. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#device.close();
  }

  // ── For train.ts ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** @internal */
  get host(): Device {
    return this.#device;
  }
  /** @internal The arena of the loss scale, where this device keeps one; else -1. */
  get scaler(): number {
    return this.manifest.arenas.findIndex((a, i) => a.role === 'scalars' && this.#device.isAllocated(i));
  }
  /** @internal */
  get settings(): RunSettings {
    return this.#settings;
  }
  /** @internal */
  get resumed(): RunSettings | null {
    return this.#resumed;
  }
  /** @internal */
  notice(message: string): void {
    this.#onNotice(message);
  }

  /** @internal Runs when the calls before it are done. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#last.then(async () => {
      if (this.#closed) throw new T3dcError('closed', 'the session was closed', { hint: 'Open a new one.' });
      if (this.#device.lost) await this.#rebuild();
      return work();
    });
    this.#last = next.catch(() => {});
    return next;
  }

  /** Work that changes nothing: where the device is lost under it, it is done again on another. */
  #pure<T>(work: () => Promise<T>): Promise<T> {
    return this.exclusive(async () => {
      try {
        return await work();
      } catch (e) {
        if (!this.#device.lost || this.#closed) throw e;
        await this.#rebuild();
        return work();
      }
    });
  }

  /** Another device in the lost one's place, with the parameters that were loaded or drawn. What was trained since is gone:
   *  then the session has no weights until a checkpoint is loaded. Throws T3dcError 'device-lost', and what opening throws. */
  async #rebuild(): Promise<void> {
    if (!this.#reopen)
      throw new T3dcError('device-lost', 'the GPU device was lost', {
        hint: 'It was given to open(…): open a new session on a new device, or give a function that makes one.',
      });
    await this.#device.close();
    this.#device = await this.#reopen();
    this.#store = new ParameterStore(this.#device, this.manifest);
    await this.#device.allocate([]);
    this.#hasWeights = this.manifest.parameters.length === 0;
    const trained = this.#trained;
    this.#trained = 0;
    if (trained > 0) {
      this.#origin = [];
      throw new T3dcError('device-lost', `the GPU device was lost, and with it ${trained} steps of training`, {
        hint: 'The session was opened again on another: loadCheckpoint(…) the last one and go on.',
      });
    }
    this.#onNotice('the GPU device was lost; the session goes on, on another');
    const origin = this.#origin;
    for (const again of origin) await again();
    this.#origin = origin;
  }

  async #match(from: WeightSource, o: WeightOptions, signal?: AbortSignal) {
    return matchWeights(readSafetensors(await this.#load(from, o.integrity, signal)), this.manifest.parameters, {
      strict: o.strict ?? true,
      dialects: this.manifest.model.dialects,
      rename: o.rename,
    });
  }

  #put(tensors: ReturnType<typeof matchWeights>['tensors'], whole: boolean): void {
    if (!this.#hasWeights && !whole) this.#initialise(this.#settings.seed);
    for (const [p, tensor] of tensors) this.#store.write(p, toFloat32(tensor));
    this.#hasWeights = true;
  }

  async #resume(file: Uint8Array): Promise<number> {
    if (hasOptimizerState(file)) await this.#requireState();
    const { step, settings } = readTrainingState(this.manifest, this.#store, file);
    this.#device.step = step;
    this.#settings = settings;
    this.#resumed = settings;
    this.#hasWeights = true;
    return step;
  }

  // Made in functions of their own, so that they keep where the parameters came from, not the parameters.
  #weightsOf(from: WeightSource, options: WeightOptions, whole: boolean): () => Promise<void> {
    return async () => this.#put((await this.#match(from, options)).tensors, whole);
  }
  #checkpointOf(from: WeightSource): () => Promise<number> {
    return async () => this.#resume(await this.#load(from));
  }

  async #load(from: WeightSource, integrity?: string, signal?: AbortSignal): Promise<Uint8Array> {
    const sha256 = checkDigest(integrity);
    const located = typeof from === 'string' || from instanceof URL;
    const onBytes = located ? meter('weights', this.#onProgress) : undefined;
    const file = located
      ? await readLocation(from, 'bad-checkpoint', { ...this.#download, sha256, signal, onBytes })
      : from instanceof ArrayBuffer
        ? new Uint8Array(from)
        : from;
    await checkIntegrity(located ? String(from) : 'the file of weights', file, sha256, 'bad-checkpoint');
    return file;
  }

  /** Notes where the parameters came from. */
  #from(again: () => Promise<unknown>, whole: boolean): void {
    this.#origin = whole ? [again] : [...this.#origin, again];
    this.#trained = 0;
  }

  /** @internal An optimiser step begins. */
  trained(): void {
    this.#trained++;
  }

  /** @internal Readies the device and remembers the settings. */
  async startTraining(name: string, settings: RunSettings): Promise<void> {
    await this.exclusive(async () => {
      await this.#device.require(name, 'train');
      if (!this.#hasWeights) {
        this.#onNotice(`no weights were loaded: all parameters are drawn from seed ${settings.seed}`);
        this.#initialise(settings.seed);
      }
      this.#settings = settings;
    });
  }

  /** An entry by name. Throws T3dcError 'no-entry'. */
  entry(name: string): Entry {
    const entry = this.manifest.entries[name];
    if (!entry)
      throw new T3dcError('no-entry', `the artifact has no entry ${name}`, {
        expected: Object.keys(this.manifest.entries).join(', '),
      });
    return entry;
  }

  /** An entry that has a loss and its gradients. Throws T3dcError 'no-entry', 'not-trainable'. */
  trainable(name: string): Entry {
    const entry = this.entry(name);
    if (entry.loss === null || entry.memory.grad === null) {
      const others = Object.entries(this.manifest.entries).flatMap(([n, e]) => (e.loss !== null ? [n] : []));
      throw new T3dcError('not-trainable', `${name} was built without gradients`, {
        hint: others.length
          ? `Entries with a loss: ${others.join(', ')}.`
          : 'Build the model with a loss and an optimiser.',
      });
    }
    return entry;
  }

  /** @internal */
  writeInputs(entry: Entry, data: readonly Uint8Array[]): void {
    entry.inputs.forEach((port, i) => {
      this.#device.write(port.place.arena, port.place.offset * 256, data[i]!);
    });
  }

  /** @internal */
  async readOutputs(entry: Entry, names?: readonly string[]): Promise<Outputs> {
    const ports = names ? entry.outputs.filter((p) => names.includes(p.name)) : entry.outputs;
    const data = await this.#device.read(ports.map((p) => ({ ...p.place, bytes: portBytes(p) })));
    return Object.fromEntries(ports.map((p, i) => [p.name, fromBytes(p, data[i]!)]));
  }

  async #forward(name: string, inputs: Inputs, options: CallOptions = {}): Promise<Outputs> {
    const entry = this.entry(name);
    const data = checkInputs(name, entry.inputs, inputs);
    return this.#pure(async () => {
      throwIfAborted(options.signal);
      this.#needWeights();
      await this.#device.require(name, 'forward');
      this.#device.configure({ ...this.#settings, accumulation: 1 });
      this.writeInputs(entry, data);
      await this.#device.run(name, 'forward', 0);
      return this.readOutputs(entry);
    });
  }

  #initialise(seed: number | bigint): void {
    this.#store.initialise(seed);
    this.manifest.arenas.forEach((a, i) => {
      if ((a.role === 'state' || a.role === 'scalars' || a.role === 'accumulator') && this.#device.isAllocated(i))
        this.#device.clear(i, 0, a.bytes);
    });
    this.#device.step = 0;
    this.#settings = { ...this.#settings, seed };
    this.#resumed = null;
    this.#hasWeights = true;
    this.#from(async () => this.#initialise(seed), true);
  }

  async #requireState(): Promise<void> {
    const mode: RunMode = 'train';
    for (const [name, entry] of Object.entries(this.manifest.entries))
      if (entry.training) await this.#device.require(name, mode);
  }

  /** The arena of the parameters' moving averages. */
  #averages(): number {
    const trainings = Object.values(this.manifest.entries).flatMap((e) => e.training ?? []);
    const arenas = trainings.flatMap((t) => t.states.filter((s) => s.name === t.average).map((s) => s.arena));
    if (arenas[0] === undefined)
      throw new T3dcError('bad-option', 'the artifact keeps no moving average of its weights', {
        hint: 'Build the model with an optimiser of ema(…).',
      });
    if (this.step === 0 || !this.#device.isAllocated(arenas[0]))
      throw new T3dcError('no-weights', 'there is no moving average before the first step', {
        hint: 'Train, or load a checkpoint of a training.',
      });
    return arenas[0];
  }

  #needWeights(): void {
    if (this.#hasWeights) return;
    throw new T3dcError('no-weights', 'the model has no weights yet', {
      hint: 'Call loadWeights(…), loadCheckpoint(…) or initialise(seed), or open with { seed }.',
    });
  }

  #arena(role: string): number | undefined {
    const i = this.manifest.arenas.findIndex((a) => a.role === role);
    return i < 0 ? undefined : i;
  }
}
