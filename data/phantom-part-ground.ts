// What lies around the organs of the phantom `part`: fat, ribs at both ends of the strip, and the spine in its middle. A tile is
// encoded without knowing which station it is; ribs and spine are by what its side can be told.
import { coverage, mix } from './phantom-part-lesions.ts';
import { PART_SIZE } from './phantom-part-organs.ts';
import type { RandomStream } from './random.ts';
import { ValueNoise } from './value-noise.ts';
import { voxelCount } from './volume.ts';

/** ValueNoise's box: voxel i lies at i − REACH. */
export const REACH: readonly [number, number, number] = [PART_SIZE[0] / 2, PART_SIZE[1] / 2, PART_SIZE[2] / 2];

/** Shares of the window. */
const FAT = 0.25;
const TEXTURE = 0.01;
const BONE = 0.5;
/** Voxels. */
const RIB = { depth: 1.5, half: 1.2, every: 8 } as const;
const SPINE = { d: (PART_SIZE[0] - 1) / 2, h: 6.5, radii: [5, 6] } as const;
const DISC = { every: 7, half: 1, level: 0.35 } as const;

/** Shares of the window, [d, h, w]. */
export function paintGround(random: RandomStream): Float32Array {
  const texture = new ValueNoise(random, REACH, 6);
  const [d, h, w] = PART_SIZE;
  const value = new Float32Array(voxelCount(PART_SIZE));
  for (let i = 0, at = 0; i < d; i++) {
    const fromEnd = Math.min(i, d - 1 - i);
    const rib = coverage(RIB.half - Math.abs(fromEnd - RIB.depth));
    for (let j = 0; j < h; j++) {
      texture.line(i - REACH[0], j - REACH[1]);
      const x = (i - SPINE.d) / SPINE.radii[0];
      const y = (j - SPINE.h) / SPINE.radii[1];
      const spine = coverage((1 - Math.sqrt(x * x + y * y)) * SPINE.radii[0]);
      for (let k = 0; k < w; k++, at++) {
        let v = FAT + TEXTURE * texture.at(k - REACH[2]);
        // Ribs fall from back to front.
        if (rib > 0) v = mix(v, BONE, rib * coverage(RIB.half - fromNearest(k + 0.4 * j, RIB.every)));
        if (spine > 0) {
          const disc = coverage(DISC.half - fromNearest(k, DISC.every));
          v = mix(v, mix(BONE, DISC.level, disc), spine);
        }
        value[at] = v;
      }
    }
  }
  return value;
}

/** Distance of x from the nearest multiple of `every`. */
function fromNearest(x: number, every: number): number {
  const rest = x - every * Math.floor(x / every);
  return Math.min(rest, every - rest);
}
