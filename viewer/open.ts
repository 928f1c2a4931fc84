// A model on this thread: the runtime's session with the tasks.
import { type ArtifactSource, type OpenOptions, open as openSession, type Session } from '../runtime/index.ts';
import { meter } from '../runtime/progress.ts';
import { type SegmentationTasks, segmentationTasks } from '../tasks/index.ts';
import { spawn } from './spawn.ts';

/** A session on this thread: all of ModelSession, and the runtime's own members. */
export type LocalSession = Session & { readonly tasks: SegmentationTasks };

/**
 * Opens an artifact (folder, .t3dc file or URL, or bytes) on this thread. For a page that has a GPUDevice: `device` takes it,
 * checks it against the plan before anything is allocated, and its frames are kept (`frameBudgetMs`). A page that has none
 * should rather use `openInWorker`.
 * Throws T3dcError: 'bad-artifact', 'no-device', 'limits', 'out-of-memory', 'no-wasm-features', 'bad-option', 'device-error', 'aborted'.
 */
export async function open(from: ArtifactSource, options: OpenOptions = {}): Promise<LocalSession> {
  // The package's file and no Blob, which a page's security policy may forbid. (Node makes its threads otherwise.)
  const session = await openSession(from, { threadWorker: spawn, ...options });
  return Object.assign(session, { tasks: reporting(segmentationTasks(session), options.onProgress) });
}

/** `segment` tells the session's onProgress of its windows, too. */
function reporting(tasks: SegmentationTasks, onProgress: OpenOptions['onProgress']): SegmentationTasks {
  if (!onProgress) return tasks;
  return {
    ...tasks,
    segment(volume, options = {}) {
      const report = meter('run', onProgress);
      return tasks.segment(volume, {
        ...options,
        onProgress(done, total) {
          report(done, total);
          options.onProgress?.(done, total);
        },
      });
    },
  };
}
