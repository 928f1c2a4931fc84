// One run of asc on a thread of its own: the two modules of an artifact compile side by side.
import { parentPort, workerData } from 'node:worker_threads';
import asc from 'assemblyscript/asc';

const { sources, config, target } = workerData;
let binary = null;
let messages = '';
const { error } = await asc.main(
  ['index.ts', '--config', 'asconfig.json', '--target', target, '--outFile', 'program.wasm'],
  {
    readFile: (name) => (name.endsWith('asconfig.json') ? config : (sources.get(name) ?? null)),
    writeFile: (name, contents) => {
      if (name.endsWith('.wasm')) binary = contents;
    },
    listFiles: () => [],
    stderr: {
      write: (s) => {
        messages += s;
      },
    },
  },
);
parentPort.postMessage({ binary, messages: error || !binary ? `${messages}${error ?? ''}` : null });
