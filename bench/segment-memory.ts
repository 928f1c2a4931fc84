// What segmenting a large scan holds, with a predictor that costs nothing: 512 × 512 × 400 voxels, windows of 64³.
//
//   node --expose-gc --import tsx bench/segment-memory.ts [--classes 14] [--resample linear|nearest] [--memory MiB]

import { parseArgs } from 'node:util';
import { ABDOMEN, type Dims, diagonalAffine, keepLargest, prepare, segmentScan } from '../data/index.ts';

const { values } = parseArgs({
  options: {
    classes: { type: 'string', default: '14' },
    resample: { type: 'string', default: 'linear' },
    memory: { type: 'string' },
  },
});
const classes = Number(values.classes);
const dims: Dims = [512, 512, 400];
const roi: Dims = [64, 64, 64];
const mebibytes = (n: number) => `${Math.round(n / 2 ** 20)} MiB`;
const seconds = (from: number) => `${((performance.now() - from) / 1000).toFixed(1)} s`;
/** Buffers are given back a little after the collection that frees them. */
const collect = async () => {
  for (let n = 0; n < 3; n++) {
    gc!();
    await new Promise((done) => setTimeout(done, 20));
  }
};

/** An elliptic body of periodic HU in air. */
function body(): Int16Array {
  const data = new Int16Array(dims[0] * dims[1] * dims[2]);
  for (let i = 0, at = 0; i < dims[0]; i++)
    for (let j = 0; j < dims[1]; j++) {
      const inside = ((i - 256) / 230) ** 2 + ((j - 256) / 170) ** 2 <= 1;
      for (let k = 0; k < dims[2]; k++, at++) data[at] = inside ? ((i * 7 + j * 13 + k * 5) % 400) - 150 : -1000;
    }
  return data;
}

const image = { data: body(), dims, affine: diagonalAffine([-0.8, -0.8, 1.5], [200, 200, -300]) };
console.log(`scan ${dims.join('×')}: ${mebibytes(image.data.byteLength)}`);
const prepared = prepare(image, undefined, ABDOMEN);
console.log(`prepared ${prepared.dims.join('×')}: ${mebibytes(prepared.image.byteLength)}`);
await collect();
const before = process.memoryUsage().arrayBuffers;
let most = 0;
const look = () => {
  most = Math.max(most, process.memoryUsage().arrayBuffers - before);
};
const logits = new Float32Array(classes * roi[0] * roi[1] * roi[2]);
const predict = (patch: Float32Array) => {
  look();
  for (let c = 0; c < classes; c++)
    for (let p = 0; p < patch.length; p++) logits[c * patch.length + p] = -Math.abs(patch[p]! * classes - c);
  return logits;
};
const started = performance.now();
const { labels, windows } = await segmentScan(prepared, predict, {
  roi,
  classes,
  resample: values.resample as 'linear' | 'nearest',
  maxBytes: values.memory === undefined ? undefined : Number(values.memory) * 2 ** 20,
});
look();
console.log(`segmented in ${windows} windows of ${classes} classes, ${values.resample}: ${seconds(started)}`);
console.log(
  `  held beside scan and prepared scan: ${mebibytes(most)}, of which labels ${mebibytes(labels.data.byteLength)}`,
);
const voxels = labels.data.length;
console.log(`  all logits would be ${mebibytes(4 * classes * voxels)} on the scan's grid`);
const cleaned = performance.now();
const { removed } = keepLargest(labels.data, dims);
console.log(`largest components: ${removed} voxels removed in ${seconds(cleaned)}`);
console.log(`most memory of the process: ${mebibytes(process.resourceUsage().maxRSS * 1024)}`);
