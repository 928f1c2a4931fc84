// The model that `t3dc serve` shows when none is named: what `npm start` trained, or the same one, built here and not trained.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DEMO_BUILD } from '../demo.ts';
import { EXIT } from '../errors.ts';
import { main } from '../main.ts';
import { Output } from '../output.ts';
import { Failed } from '../steps.ts';

const FOLDER = join('dist', 'demo');

/** @throws Failed, where it cannot be built */
export async function demonstration(
  weights: string | undefined,
  out: Output,
): Promise<{ readonly artifact: string; readonly weights: string | undefined }> {
  const artifact = join(FOLDER, 't3d');
  if (!existsSync(join(artifact, 'manifest.json'))) {
    out.note(`no artifact was named and ${artifact} is not there: it is built now, which takes a minute`);
    // Its words are no result of ours: those alone stand on stdout.
    const code = await main([...DEMO_BUILD, '-o', artifact], new Output(false, process.stderr, process.stderr));
    if (code !== EXIT.ok) throw new Failed(code);
  }
  const trained = join(FOLDER, 'run', 'weights.safetensors');
  if (weights !== undefined) return { artifact, weights };
  if (existsSync(trained)) return { artifact, weights: trained };
  out.note('the model has no weights yet: train it in the page, or in five minutes by npm start');
  return { artifact, weights: undefined };
}
