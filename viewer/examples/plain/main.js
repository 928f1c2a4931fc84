// Without a bundler: the package's dist/ lies beside this page as t3dc/, the artifact as model/, with its weights.
import { openInWorker } from './t3dc/index.js';
import { readNifti } from './t3dc/nifti.js';

const [scan, cancel, progress, volumes] = ['scan', 'cancel', 'progress', 'volumes'].map((id) =>
  document.getElementById(id),
);
const session = await openInWorker('model', {
  onProgress: ({ stage, fraction }) => (progress.textContent = `${stage} ${Math.round(100 * fraction)} %`),
});
await session.loadWeights('weights.safetensors');
document.body.dataset.ready = session.device.kind;

scan.onchange = async () => {
  const control = new AbortController();
  cancel.onclick = () => control.abort(new Error('cancelled'));
  cancel.disabled = false;
  try {
    const volume = readNifti(new Uint8Array(await scan.files[0].arrayBuffer()));
    const { classNames, millilitres } = await session.tasks.segment(volume, { signal: control.signal });
    volumes.innerHTML = classNames.map((name, i) => `<li>${name}: ${millilitres[i].toFixed(1)} mL</li>`).join('');
  } catch (e) {
    progress.textContent = e.message;
  }
  cancel.disabled = true;
};
