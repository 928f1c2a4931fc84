// Every error of the runtime is tagged: `code` for programs; what was found, what was expected and what to do for people.

/** Codes that the runtime throws. */
export type ErrorCode =
  | 'bad-artifact' // unreadable, truncated, altered, or of another format version
  | 'bad-checkpoint' // a safetensors file that breaks the format's rules
  | 'weights-mismatch' // a checkpoint that does not fit the model
  | 'no-weights' // run before loadWeights or initialise
  | 'bad-input' // names, shapes or dtypes of inputs
  | 'bad-option'
  | 'no-entry'
  | 'not-trainable'
  | 'no-device' // no WebGPU where it was asked for
  | 'limits' // the device is too small for the plan
  | 'out-of-memory'
  | 'no-wasm-features'
  | 'device-lost'
  | 'device-error' // validation or internal error reported by the GPU, or a trap in wasm
  | 'non-finite-loss'
  | 'aborted'
  | 'closed';

export interface ErrorDetail {
  readonly found?: unknown;
  readonly expected?: unknown;
  /** What to do about it. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** An error with a code; the message already holds found, expected and hint. */
export class T3dcError extends Error {
  override readonly name = 'T3dcError';
  readonly code: ErrorCode;
  readonly found: unknown;
  readonly expected: unknown;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}) {
    const parts = [message];
    if (detail.found !== undefined) parts.push(`found ${show(detail.found)}`);
    if (detail.expected !== undefined) parts.push(`expected ${show(detail.expected)}`);
    const text = parts.join('; ');
    super(
      detail.hint ? `${text}. ${detail.hint}` : text,
      detail.cause === undefined ? undefined : { cause: detail.cause },
    );
    this.code = code;
    this.found = detail.found;
    this.expected = detail.expected;
    this.hint = detail.hint;
  }
}

function show(value: unknown): string {
  if (typeof value === 'string') return value;
  try {
    const text = JSON.stringify(value);
    return text === undefined ? String(value) : text;
  } catch {
    return String(value);
  }
}

/** `162 MiB (169,869,312 bytes)`, the form used wherever memory is spoken of. */
export function bytes(n: number): string {
  const exact = `${n.toLocaleString('en-US')} bytes`;
  if (n < 1 << 20) return exact;
  return n < 2 ** 30 ? `${(n / 2 ** 20).toFixed(1)} MiB (${exact})` : `${(n / 2 ** 30).toFixed(2)} GiB (${exact})`;
}

/** Throws T3dcError 'aborted'. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new T3dcError('aborted', 'the call was aborted', { cause: signal.reason });
}

/** The message of anything thrown. */
export const messageOf = (e: unknown): string => (e instanceof Error ? e.message : String(e));
