// Splits on disk (Node only).
import { readJson } from './files.ts';
import { type Split, splitsFrom } from './splits.ts';

/** What `t3dc data split` writes, or nnU-Net's splits_final.json. @throws `file-missing`, `file-json`, `splits-json`, `split-overlap` */
export async function readSplits(path: string): Promise<Split[]> {
  return splitsFrom(await readJson(path), path);
}
