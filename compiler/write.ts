// Writing an artifact: a folder, or one .t3dc file (a zip). Complete or not at all.
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { zipSync } from 'fflate';
import type { Built } from './build.ts';

export function writeArtifact(built: Pick<Built, 'files'>, to: string): void {
  const target = resolve(to);
  mkdirSync(dirname(target), { recursive: true });
  const partial = `${target}.partial-${process.pid}`;
  try {
    if (to.endsWith('.t3dc')) writeFileSync(partial, zipArtifact(built));
    else {
      for (const [path, data] of built.files) {
        const file = join(partial, path);
        mkdirSync(dirname(file), { recursive: true });
        writeFileSync(file, data);
      }
    }
    rmSync(target, { recursive: true, force: true });
    renameSync(partial, target);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

/** The same bytes for the same files: sorted names, one fixed date. */
export function zipArtifact(built: Pick<Built, 'files'>): Uint8Array {
  const sorted = [...built.files].sort(([a], [b]) => (a < b ? -1 : 1));
  return zipSync(Object.fromEntries(sorted), { level: 9, mtime: new Date(1980, 0, 1) });
}
