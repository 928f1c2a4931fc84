// `t3dc finetune segment`: a training of the entry `segment` as `t3dc train` does it, from weights that are named, or from scratch on purpose.
import { openArtifact } from '../runtime/index.ts';
import type { Context } from './command.ts';
import { needStart, tellGroups } from './finetune-plan.ts';
import type { TrainValues } from './train-plan.ts';
import { trainRun } from './train-run.ts';

const ENTRY = 'segment';
const COMMAND = 'finetune segment';

export async function finetuneSegment(
  artifact: string,
  values: TrainValues & { readonly 'from-scratch': boolean },
  context: Context,
): Promise<void> {
  if (!values.resume) needStart(values);
  const { manifest } = await openArtifact(artifact);
  tellGroups(manifest, ENTRY, context.out);
  if (values['from-scratch'])
    context.out.note(`from scratch: ${manifest.parameters.length} tensors drawn from the seed`);
  await trainRun(artifact, ENTRY, values, context, COMMAND);
}
