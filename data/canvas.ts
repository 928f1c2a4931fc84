// A plain RGB raster to draw on.

import { drawText, GLYPH_HEIGHT, textWidth } from './font.ts';

export type Rgb = readonly [number, number, number];

export class Canvas {
  readonly width: number;
  readonly height: number;
  /** [height, width, 3] */
  readonly rgb: Uint8Array;

  constructor(width: number, height: number, background: Rgb = [0, 0, 0]) {
    this.width = width;
    this.height = height;
    this.rgb = new Uint8Array(width * height * 3);
    this.fill(0, 0, width, height, background);
  }

  /** Mixes a colour into one pixel; outside of the raster nothing happens. */
  blend(x: number, y: number, [r, g, b]: Rgb, alpha = 1): void {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return;
    const at = (y * this.width + x) * 3;
    this.rgb[at] = Math.round(this.rgb[at]! * (1 - alpha) + r * alpha);
    this.rgb[at + 1] = Math.round(this.rgb[at + 1]! * (1 - alpha) + g * alpha);
    this.rgb[at + 2] = Math.round(this.rgb[at + 2]! * (1 - alpha) + b * alpha);
  }

  fill(x: number, y: number, width: number, height: number, colour: Rgb, alpha = 1): void {
    for (let j = y; j < y + height; j++) for (let i = x; i < x + width; i++) this.blend(i, j, colour, alpha);
  }

  /** Text whose top left corner is (x, y), `scale` pixels a glyph pixel, with a dark edge where it lies on an image. */
  text(x: number, y: number, text: string, colour: Rgb, scale = 2, edge = false): void {
    if (edge) {
      for (const [dx, dy] of [
        [-1, 0],
        [1, 0],
        [0, -1],
        [0, 1],
      ] as const)
        this.stamp(x + dx, y + dy, text, [0, 0, 0], scale);
    }
    this.stamp(x, y, text, colour, scale);
  }

  private stamp(x: number, y: number, text: string, colour: Rgb, scale: number): void {
    drawText(text, (i, j) => this.fill(x + i * scale, y + j * scale, scale, scale, colour));
  }
}

export const textSize = (text: string, scale = 2): [number, number] => [textWidth(text) * scale, GLYPH_HEIGHT * scale];

const NAMED: readonly Rgb[] = [
  [230, 120, 60],
  [120, 200, 90],
  [80, 160, 255],
  [255, 210, 60],
  [110, 220, 220],
  [235, 225, 190],
  [240, 60, 70],
  [220, 110, 230],
  [150, 120, 255],
  [255, 150, 180],
  [60, 190, 150],
  [190, 160, 90],
  [255, 120, 0],
  [160, 220, 255],
];

/** A colour per label id (1 and up), the first fourteen chosen by hand, then turns of the golden angle. */
export function labelColour(id: number): Rgb {
  if (id >= 1 && id <= NAMED.length) return NAMED[id - 1]!;
  const hue = (id * 0.61803398875) % 1;
  const value = id % 2 === 0 ? 235 : 190;
  const part = (shift: number) => {
    const t = Math.abs(((hue + shift) % 1) * 6 - 3) - 1;
    return Math.round(value * (0.3 + 0.7 * Math.min(1, Math.max(0, t))));
  };
  return [part(0), part(2 / 3), part(1 / 3)];
}
