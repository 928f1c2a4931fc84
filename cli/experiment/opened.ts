// An artifact of the experiment: the preset pico with some entries, built once and shared by runs.
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { build } from '../../compiler/index.ts';
import { writeFileAtomic } from '../../data/node.ts';
import t3d from '../../models/t3d/index.ts';
import { open, type Session } from '../../runtime/index.ts';

export interface RunOptions {
  /** Of artifacts that runs share. */
  readonly cache: string;
  readonly device: 'wasm' | 'webgpu';
  readonly threads: number;
  readonly signal?: AbortSignal;
}

/** A session on it. */
export async function opened(
  name: string,
  entries: readonly string[],
  set: Record<string, unknown>,
  seed: number,
  o: RunOptions,
): Promise<Session> {
  const path = join(o.cache, name);
  if (!existsSync(join(path, 'manifest.json'))) {
    mkdirSync(path, { recursive: true });
    const built = await build(t3d, {
      preset: 'pico',
      entries,
      set,
      targets: [o.device === 'wasm' ? 'wasm' : 'webgpu', 'wasm'],
    });
    for (const [file, bytes] of [...built.files].sort(([a], [b]) =>
      a === 'manifest.json' ? 1 : b === 'manifest.json' ? -1 : 0,
    ))
      await writeFileAtomic(join(path, file), bytes);
  }
  return open(path, { device: o.device, threads: o.threads, seed, onNotice: () => {} });
}
