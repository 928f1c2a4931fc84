// What the phantoms' reports share: choosing words by a stream, and filling them into a sentence.
import type { RandomStream } from './random.ts';

export const pick = <T>(random: RandomStream, of: readonly T[]): T => of[random.int(of.length)]!;

/** The first letter raised. */
export const raised = (s: string): string => s.charAt(0).toUpperCase() + s.slice(1);

/** `{name}` replaced by `words.name`, wherever there is such a word; the first letter raised. */
export const fill = (template: string, words: Readonly<Record<string, string>>): string =>
  raised(template.replace(/\{([^}]+)\}/g, (all, name: string) => words[name] ?? all));

/** A copy in random order. */
export function shuffled<T>(random: RandomStream, of: readonly T[]): T[] {
  const out = [...of];
  for (let i = out.length - 1; i > 0; i--) {
    const j = random.int(i + 1);
    [out[i], out[j]] = [out[j]!, out[i]!];
  }
  return out;
}
