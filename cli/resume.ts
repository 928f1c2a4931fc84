// A run that is begun, or gone on with: whether the folder allows it, and what a resumed run asked for.
import type { Manifest } from '../runtime/index.ts';
import { CliError, UsageError } from './errors.ts';
import { RunFolder } from './run-folder.ts';

/**
 * @returns the plan that the run in the folder was begun with, where it is gone on with, and its checkpoint; both null for a new run
 * @throws UsageError; CliError `no-run`, `run-exists`, `run-artifact`
 */
export function resumed<P extends { readonly artifact: string; readonly graphHash: string }>(
  command: string,
  artifact: string,
  manifest: Manifest,
  v: { readonly out: string; readonly resume: boolean; readonly overwrite: boolean },
): { base: P | null; checkpoint: string | null } {
  const old = RunFolder.planOf<P>(v.out, command);
  const checkpoint = RunFolder.checkpointOf(v.out);
  if (v.resume && v.overwrite) throw new UsageError('bad-value', '--resume and --overwrite exclude each other');
  if (v.resume && (!old || !checkpoint))
    throw new CliError('no-run', 'there is no run to resume', {
      found: old ? `${v.out} without a checkpoint` : v.out,
      expected: `a folder that t3dc ${command} wrote`,
      hint: 'Check -o, or start the run without --resume.',
    });
  if (!v.resume && (old || checkpoint) && !v.overwrite)
    throw new CliError('run-exists', 'there is a run in this folder', {
      found: v.out,
      expected: 'a new folder',
      hint: 'Go on with it by --resume, start again by --overwrite, or choose another -o.',
    });
  if (!v.resume) return { base: null, checkpoint: null };
  if (old!.graphHash !== manifest.graphHash)
    throw new CliError('run-artifact', 'the run was started with another artifact', {
      found: `graph ${manifest.graphHash.slice(0, 12)} of ${artifact}`,
      expected: `graph ${old!.graphHash.slice(0, 12)} of ${old!.artifact}`,
      hint: 'Resume with the artifact that it was started with, or start a new run with --weights.',
    });
  return { base: old, checkpoint };
}
