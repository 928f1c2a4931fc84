// A bitmap font of 5×7 pixels (and two below the line) for pictures: drawn by hand, so that a picture needs no font file.

/** Each glyph is seven rows from the top (up to nine where it goes below the line), a base-32 digit each; the digit's five bits are the pixels from the left. */
const GLYPHS = new Map<string, string>([
  ['A', 'ehhvhhh'],
  ['B', 'uhhuhhu'],
  ['C', 'ehggghe'],
  ['D', 'uhhhhhu'],
  ['E', 'vgguggv'],
  ['F', 'vgguggg'],
  ['G', 'ehgnhhf'],
  ['H', 'hhhvhhh'],
  ['I', 'e44444e'],
  ['J', '72222ic'],
  ['K', 'hikokih'],
  ['L', 'ggggggv'],
  ['M', 'hrllhhh'],
  ['N', 'hpljhhh'],
  ['O', 'ehhhhhe'],
  ['P', 'uhhuggg'],
  ['Q', 'ehhhlid'],
  ['R', 'uhhukih'],
  ['S', 'fgge11u'],
  ['T', 'v444444'],
  ['U', 'hhhhhhe'],
  ['V', 'hhhhha4'],
  ['W', 'hhhllrh'],
  ['X', 'hha4ahh'],
  ['Y', 'hha4444'],
  ['Z', 'v1248gv'],
  ['a', '00e1fhf'],
  ['b', 'gguhhhu'],
  ['c', '00fgggf'],
  ['d', '11fhhhf'],
  ['e', '00ehvge'],
  ['f', '68s8888'],
  ['g', '00fhhhf1e'],
  ['h', 'gguhhhh'],
  ['i', '40c444e'],
  ['j', '2062222ic'],
  ['k', 'ggikoki'],
  ['l', 'c44444e'],
  ['m', '00qllll'],
  ['n', '00uhhhh'],
  ['o', '00ehhhe'],
  ['p', '00uhhhugg'],
  ['q', '00fhhhf11'],
  ['r', '00moggg'],
  ['s', '00fge1u'],
  ['t', '88s8886'],
  ['u', '00hhhhf'],
  ['v', '00hhha4'],
  ['w', '00hllla'],
  ['x', '00ha4ah'],
  ['y', '00hhhhf1e'],
  ['z', '00v248v'],
  ['0', 'ehjlphe'],
  ['1', '4c4444e'],
  ['2', 'eh168gv'],
  ['3', 'v2421he'],
  ['4', '26aiv22'],
  ['5', 'vgu11he'],
  ['6', '68guhhe'],
  ['7', 'v124888'],
  ['8', 'ehhehhe'],
  ['9', 'ehhf12c'],
  ['.', '00000cc'],
  [',', '00000c48'],
  [':', '0cc0cc0'],
  ['-', '000e000'],
  ['–', '000v000'],
  ['_', '000000v'],
  ['+', '044v440'],
  ['=', '00v0v00'],
  ['/', '11248gg'],
  ['(', '2488842'],
  [')', '8422248'],
  ['[', 'e88888e'],
  [']', 'e22222e'],
  ['%', 'op248j3'],
  ['#', 'aavavaa'],
  ["'", '4480000'],
  ['<', '248g842'],
  ['>', '8421248'],
  ['*', '0a4v4a0'],
  ['?', 'eh12404'],
  ['!', '4444404'],
  ['·', '0004000'],
  ['×', '0ha4ah0'],
  ['±', '44v440v'],
  ['^', '4ah0000'],
  ['³', 's4c4s00'],
  [' ', '0000000'],
]);

export const GLYPH_WIDTH = 5;
/** Above the line. */
export const GLYPH_HEIGHT = 7;
/** From one glyph to the next. */
export const GLYPH_ADVANCE = 6;

/** Width of a text in glyph pixels. */
export const textWidth = (text: string): number => Math.max(0, [...text].length * GLYPH_ADVANCE - 1);

/** Calls `visit(x, y)` for every set pixel of a text that begins at (0, 0). A character that is not drawn shows as `?`. */
export function drawText(text: string, visit: (x: number, y: number) => void): void {
  [...text].forEach((char, n) => {
    const rows = GLYPHS.get(char) ?? GLYPHS.get('?')!;
    for (let y = 0; y < rows.length; y++) {
      const bits = Number.parseInt(rows[y]!, 32);
      for (let x = 0; x < GLYPH_WIDTH; x++) if (bits & (16 >> x)) visit(n * GLYPH_ADVANCE + x, y);
    }
  });
}
