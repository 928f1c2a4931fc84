// One GPU device for all sessions of a worker: asked for when the first needs it, and again when it was lost.
import { requestDevice } from '../runtime/webgpu-adapter.ts';

export class SharedDevice {
  readonly #kinds = new Map<'hardware' | 'any', Promise<GPUDevice>>();

  /** Throws T3dcError 'no-device'. */
  async get(kind: 'hardware' | 'any'): Promise<GPUDevice> {
    // Hardware is any device, too.
    const hardware = await this.#kinds.get('hardware')?.catch(() => null);
    return hardware ?? this.#request(kind);
  }

  #request(kind: 'hardware' | 'any'): Promise<GPUDevice> {
    const known = this.#kinds.get(kind);
    if (known) return known;
    const device = requestDevice(kind);
    this.#kinds.set(kind, device);
    const forget = (): void => {
      if (this.#kinds.get(kind) === device) this.#kinds.delete(kind);
    };
    // A failure is told to the one who asked; the next may find an adapter.
    device.then((d) => d.lost.then(forget), forget);
    return device;
  }
}
