// Errors of the WebGPU emitter.

/** code: `wgsl-unsupported` (the kernel asks for what no variant can do) or `wgsl-internal` (a broken rule of the IR). */
export class WgslError extends Error {
  readonly code: 'wgsl-unsupported' | 'wgsl-internal';
  constructor(code: 'wgsl-unsupported' | 'wgsl-internal', message: string) {
    super(message);
    this.name = 'WgslError';
    this.code = code;
  }
}
