// With Vite and NiiVue: `npm install t3dc @niivue/niivue`; the artifact lies under public/model, with its weights.
import { Niivue, NVImage } from '@niivue/niivue';
import { openInWorker } from 't3dc';
import { describe, identify, labelsTo, volumeOf } from 't3dc/niivue';

const progress = document.getElementById('progress');
const nv = new Niivue({ dragAndDropEnabled: false });
await nv.attachToCanvas(document.getElementById('canvas'));
const session = await openInWorker('/model', {
  onProgress: ({ stage, fraction }) => (progress.textContent = `${stage} ${Math.round(100 * fraction)} %`),
});
const weights = await (await fetch('/weights.safetensors')).arrayBuffer();
const model = await identify(session.manifest, weights);
await session.loadWeights(weights);
document.body.dataset.ready = session.device.kind;

document.getElementById('scan').onchange = async ({ target }) => {
  const image = await NVImage.loadFromFile({ file: target.files[0], name: target.files[0].name });
  nv.addVolume(image);
  const volume = await volumeOf(image);
  const segmentation = await session.tasks.segment(volume);
  await labelsTo(nv, image, segmentation, describe(segmentation, model, volume.source));
  progress.textContent = segmentation.classNames
    .map((name, i) => `${name}: ${segmentation.millilitres[i].toFixed(1)} mL`)
    .join(', ');
};
