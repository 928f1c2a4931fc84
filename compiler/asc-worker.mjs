// One run of asc on a thread of its own: the two modules of an artifact compile side by side.
import { parentPort, workerData } from 'node:worker_threads';
import asc from 'assemblyscript/asc';

const { sources, config, target } = workerData;
let binary = null;
let messages = '';

async function compile(more) {
  messages = '';
  const { error } = await asc.main(
    ['index.ts', '--config', 'asconfig.json', '--target', target, '--outFile', 'program.wasm', ...more],
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
  return error;
}

let error = await compile([]);
// The tables of many entries may not fit in asconfig.json's initialMemory; asc says how much they need, before it optimises.
const pages = error && messages.match(/Module requires at least '(\d+)' pages of initial memory/)?.[1];
if (pages) error = await compile(['--initialMemory', pages]);
parentPort.postMessage({ binary, messages: error || !binary ? `${messages}${error ?? ''}` : null });
