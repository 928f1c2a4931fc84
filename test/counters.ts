// Values from counters: the same numbers as test/reference/counters.py, so that goldens store outputs only.
//
// Word i of the stream (seed, name) is the first word of Threefry-2x32 (20 rounds; Salmon et al., SC 2011) under
// key (seed, FNV-1a-32 of the name) and counter (i, 0). Written apart from the product's generator on purpose: a test's
// inputs must not depend on what is tested.

const rotations = [13, 15, 26, 6, 17, 29, 16, 24];

export function fnv1a32(name: string): number {
  let h = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) h = Math.imul(h ^ byte, 0x01000193);
  return h >>> 0;
}

/** Two uint32 words of Threefry-2x32-20 under key (k0, k1) and counter (c0, c1). */
export function threefry2x32(k0: number, k1: number, c0: number, c1: number): [number, number] {
  const keys = [k0 | 0, k1 | 0, 0x1bd11bda ^ k0 ^ k1];
  let x0 = (c0 + keys[0]) | 0;
  let x1 = (c1 + keys[1]) | 0;
  for (let r = 0; r < 20; r++) {
    const rotation = rotations[r & 7];
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << rotation) | (x1 >>> (32 - rotation))) ^ x0;
    if ((r & 3) === 3) {
      const j = (r >> 2) + 1;
      x0 = (x0 + keys[j % 3]) | 0;
      x1 = (x1 + keys[(j + 1) % 3] + j) | 0;
    }
  }
  return [x0 >>> 0, x1 >>> 0];
}

/** Words start … start + count - 1 of the stream, each passed to `use(i - start, word)`. */
export function eachWord(
  seed: number,
  name: string,
  count: number,
  use: (i: number, word: number) => void,
  start = 0,
): void {
  // The same rounds as above, unrolled over a group of four: tens of millions of words are drawn for a large model.
  const k0 = seed | 0;
  const k1 = fnv1a32(name) | 0;
  const k2 = 0x1bd11bda ^ k0 ^ k1;
  for (let i = 0; i < count; i++) {
    let x0 = (start + i + k0) | 0;
    let x1 = k1;
    let a = k1;
    let b = k2;
    let c = k0;
    for (let j = 1; j <= 5; j++) {
      if (j & 1) {
        x0 = (x0 + x1) | 0;
        x1 = ((x1 << 13) | (x1 >>> 19)) ^ x0;
        x0 = (x0 + x1) | 0;
        x1 = ((x1 << 15) | (x1 >>> 17)) ^ x0;
        x0 = (x0 + x1) | 0;
        x1 = ((x1 << 26) | (x1 >>> 6)) ^ x0;
        x0 = (x0 + x1) | 0;
        x1 = ((x1 << 6) | (x1 >>> 26)) ^ x0;
      } else {
        x0 = (x0 + x1) | 0;
        x1 = ((x1 << 17) | (x1 >>> 15)) ^ x0;
        x0 = (x0 + x1) | 0;
        x1 = ((x1 << 29) | (x1 >>> 3)) ^ x0;
        x0 = (x0 + x1) | 0;
        x1 = ((x1 << 16) | (x1 >>> 16)) ^ x0;
        x0 = (x0 + x1) | 0;
        x1 = ((x1 << 24) | (x1 >>> 8)) ^ x0;
      }
      x0 = (x0 + a) | 0;
      x1 = (x1 + b + j) | 0;
      const first = a;
      a = b;
      b = c;
      c = first;
    }
    use(i, x0 >>> 0);
  }
}

/** f32[count] = base + scale·v, v in [-1, 1): computed in f64, rounded once. */
export function uniform(seed: number, name: string, count: number, scale = 1, base = 0): Float32Array {
  const out = new Float32Array(count);
  eachWord(seed, name, count, (i, w) => {
    out[i] = base + scale * ((w >>> 8) * 2 ** -23 - 1);
  });
  return out;
}

/** i32[count] = word mod `classes`. */
export function classes(seed: number, name: string, count: number, classes: number): Int32Array {
  const out = new Int32Array(count);
  eachWord(seed, name, count, (i, w) => {
    out[i] = w % classes;
  });
  return out;
}

let signBytes = new Uint8Array(0);

/** Bit k of entry i is set where projection k takes element i with +1, else -1: stream (77, "proj"). May be longer than `count`. */
export function signs(count: number): Uint8Array {
  if (signBytes.length < count) {
    const have = signBytes.length;
    const grown = new Uint8Array(count);
    grown.set(signBytes);
    eachWord(
      77,
      'proj',
      count - have,
      (i, w) => {
        grown[have + i] = w;
      },
      have,
    );
    signBytes = grown;
  }
  return signBytes;
}
