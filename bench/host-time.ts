// What a call costs the host: the time between the start of a command encoder and the end of its submit, and that of writes to
// buffers. The runtime encodes without waiting in between, so that this is encoding and submission alone.

export class HostTime {
  /** Milliseconds since the last `take`. */
  private ms = 0;
  private since = Number.NaN;
  private readonly restore: () => void;

  /** Watches a device until `stop`. */
  constructor(device: GPUDevice) {
    const { queue } = device;
    const { createCommandEncoder } = device;
    const { submit, writeBuffer } = queue;
    device.createCommandEncoder = (descriptor) => {
      if (Number.isNaN(this.since)) this.since = performance.now();
      return createCommandEncoder.call(device, descriptor);
    };
    queue.submit = (buffers) => {
      const from = Number.isNaN(this.since) ? performance.now() : this.since;
      submit.call(queue, buffers);
      this.ms += performance.now() - from;
      this.since = Number.NaN;
      return undefined;
    };
    queue.writeBuffer = ((...args: Parameters<GPUQueue['writeBuffer']>) => {
      const from = performance.now();
      writeBuffer.apply(queue, args);
      this.ms += performance.now() - from;
      return undefined;
    }) as GPUQueue['writeBuffer'];
    this.restore = () =>
      Object.assign(device, { createCommandEncoder }) && Object.assign(queue, { submit, writeBuffer });
  }

  take(): number {
    const { ms } = this;
    this.ms = 0;
    return ms;
  }

  stop(): void {
    this.restore();
  }
}
