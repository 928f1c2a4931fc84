// On Node: node segment.js MODEL WEIGHTS SCAN.nii.gz LABELS.nii.gz
import { readFile, writeFile } from 'node:fs/promises';
import { open } from 't3dc';
import { readNifti, writeNifti } from 't3dc/nifti';

const [model, weights, scan, labels] = process.argv.slice(2);
const session = await open(model);
await session.loadWeights(await readFile(weights));
const volume = readNifti(await readFile(scan), { name: scan });
const result = await session.tasks.segment(volume, {
  onProgress: (done, total) => process.stderr.write(`\r${done} of ${total} windows`),
});
await writeFile(labels, writeNifti(result.labels));
for (const [i, name] of result.classNames.entries()) console.log(`${name}: ${result.millilitres[i].toFixed(1)} mL`);
await session.close();
