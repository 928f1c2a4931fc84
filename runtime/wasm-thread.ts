// A wasm thread as a module: what wasm-threads.ts has as text, for a worker that the caller's own script makes. The first
// message is the thread's start; thread 0 takes runs by the later ones.

export interface ThreadStart {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly s: number;
  readonly t: number;
  readonly generation: number;
}

interface Program {
  run(s: number, entry: number, mode: number, microstep: number): void;
  worker(s: number, t: number, generation: number): void;
}

/** Whether a worker's first message asks it to be a thread. */
export const isThreadStart = (message: unknown): message is ThreadStart =>
  (message as Partial<ThreadStart> | null)?.module instanceof WebAssembly.Module;

/** Follows `start`; `listen` takes what later messages go to. */
export async function runThread(
  { module, memory, s, t, generation }: ThreadStart,
  post: (message: unknown) => void,
  listen: (on: (message: unknown) => void) => void,
): Promise<void> {
  try {
    const env = {
      memory,
      now: () => performance.now(),
      abort() {
        throw new Error('program.wasm aborted');
      },
    };
    const program = (await WebAssembly.instantiate(module, { env })).exports as unknown as Program;
    const failed = (e: unknown): void => post({ error: String((e as Error | null)?.stack ?? e) });
    if (t === 0)
      listen((message) => {
        const run = message as { entry: number; mode: number; microstep: number };
        try {
          program.run(s, run.entry, run.mode, run.microstep);
          post({ done: true });
        } catch (e) {
          failed(e);
        }
      });
    post({ ready: true });
    if (t === 0) return;
    try {
      program.worker(s, t, generation);
    } catch (e) {
      failed(e);
    }
  } catch (e) {
    post({ error: String(e) });
  }
}
