// A source of samples for the loader's tests: as slow, as uneven and as faulty as it is told to be. Plain JavaScript, so that its
// threads start at once; loader-source.ts is the same through TypeScript.

/** A number in [0, 1) of its arguments alone. */
function unit(...of) {
  let h = 0x9e3779b9;
  for (const n of of) {
    h = Math.imul(h ^ n, 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    h ^= h >>> 16;
  }
  return (h >>> 0) * 2 ** -32;
}

const tagged = (code, message) => Object.assign(new Error(message), { name: 'DataError', code });

export function open(options) {
  if (options.neverOpens) throw tagged('no-source', 'It does not open.');
  let made = 0;
  return {
    async sample({ seed, epoch, index, item }) {
      if (options.begun) Atomics.add(new Int32Array(options.begun), 0, 1);
      const image = Float32Array.from({ length: 64 }, (_, i) => unit(seed, epoch, index, i));
      const share = options.uneven ? 0.5 + unit(99, item, made++) : 1;
      const slow = options.slowEvery && index % options.slowEvery === options.slowEvery - 1;
      const ms = slow ? options.slowMs : (options.ms ?? 0) * share;
      if (ms > 0) await new Promise((done) => setTimeout(done, ms));
      if (options.fails?.includes(item)) throw tagged('file-missing', `There is no item ${item}.`);
      if (options.dies === item) process.exit(3);
      return { item, image, part: new Uint8Array(1000).fill(item).subarray(10, 14), words: [`item ${item}`] };
    },
  };
}
