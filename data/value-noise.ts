// Smooth noise: random values in −1..1 on a cubic lattice, interpolated with 3t² − 2t³. Polynomials only.

import { type RandomStream, threefryInto, uniformOf } from './random.ts';

/**
 * Noise over the box |x| ≤ reach[0], |y| ≤ reach[1], |z| ≤ reach[2] with lattice cells of size `cell`.
 * Ask for a line with `line(x, y)`, then for its points with `at(z)`.
 */
export class ValueNoise {
  private readonly values: Float32Array;
  private readonly size: readonly [number, number, number];
  private readonly row: Float32Array;
  private readonly reach: readonly number[];
  private readonly cell: number;

  constructor(random: RandomStream, reach: readonly number[], cell: number) {
    const n = (r: number) => Math.ceil((2 * r) / cell) + 2;
    this.size = [n(reach[0]!), n(reach[1]!), n(reach[2]!)];
    this.values = new Float32Array(this.size[0] * this.size[1] * this.size[2]);
    const word = new Uint32Array(2);
    for (let i = 0; i < this.values.length; i++) {
      threefryInto(word, random.k0, random.k1, i, 0);
      this.values[i] = 2 * uniformOf(word[0]!) - 1;
    }
    this.row = new Float32Array(this.size[2]);
    this.reach = reach;
    this.cell = cell;
  }

  /** Fixes x and y. */
  line(x: number, y: number): void {
    const px = (x + this.reach[0]!) / this.cell;
    const py = (y + this.reach[1]!) / this.cell;
    const i = Math.floor(px);
    const j = Math.floor(py);
    const tx = fade(px - i);
    const ty = fade(py - j);
    const [, h, w] = this.size;
    const a = (i * h + j) * w;
    const b = a + w;
    const c = a + h * w;
    const d = c + w;
    const v = this.values;
    for (let k = 0; k < w; k++) {
      const near = v[a + k]! + ty * (v[b + k]! - v[a + k]!);
      const far = v[c + k]! + ty * (v[d + k]! - v[c + k]!);
      this.row[k] = near + tx * (far - near);
    }
  }

  /** The noise at z on that line. */
  at(z: number): number {
    const p = (z + this.reach[2]!) / this.cell;
    const k = Math.floor(p);
    const a = this.row[k]!;
    return a + fade(p - k) * (this.row[k + 1]! - a);
  }
}

const fade = (t: number): number => t * t * (3 - 2 * t);
