// Which classes have a side, told by their names: a flip along the right–left axis must swap them.
import type { AugmentOptions } from '../data/index.ts';

const SIDE = /\b(right|left)\b/i;

/**
 * What right and left mean for these classes. `free`: no name tells a side. Pairs, such as right and left kidney: both are
 * there. `fixed`: a side is named without its partner, or the names are unknown, so that nothing may be mirrored.
 */
export function lateralityOf(classNames: readonly string[]): AugmentOptions['lateral'] {
  const names = classNames.map((n) => n.toLowerCase().replace(/[_-]+/g, ' '));
  if (names.slice(1).some((n) => /^(class|label) \d+$/.test(n))) return 'fixed';
  const pairs: [number, number][] = [];
  for (let c = 0; c < names.length; c++) {
    const side = SIDE.exec(names[c]!)?.[1];
    if (!side) continue;
    const partner = names.indexOf(names[c]!.replace(SIDE, side === 'right' ? 'left' : 'right'));
    if (partner < 0) return 'fixed';
    if (partner > c) pairs.push([c, partner]);
  }
  return pairs.length > 0 ? pairs : 'free';
}
