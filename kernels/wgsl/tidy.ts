// The last touch on a module's text, for its readers and for its size: short type names, no value that nothing uses, no second
// name for a value, tabs.

const NAME = /(?<![\w.])[A-Za-z_]\w*/g;
const LET = /^\s*let (\w+) = (.*);$/;

export function tidy(code: string): string {
  let lines = code.replace(/vec([234])<([fiu])32>/g, 'vec$1$2').split('\n');
  for (;;) {
    const next = dropUnused(dropCopies(lines));
    if (next.length === lines.length) break;
    lines = next;
  }
  return lines.map((l) => l.replace(/^(?: {2})+/, (indent) => '\t'.repeat(indent.length / 2))).join('\n');
}

function dropUnused(lines: readonly string[]): string[] {
  const uses = new Map<string, number>();
  for (const l of lines) for (const [name] of l.matchAll(NAME)) uses.set(name, (uses.get(name) ?? 0) + 1);
  return lines.filter((l) => {
    const name = LET.exec(l)?.[1];
    return name === undefined || uses.get(name)! > 1;
  });
}

/** `let a = b;` where b is a `let` too: a is b. */
function dropCopies(lines: readonly string[]): string[] {
  const fixed = new Set<string>();
  const is = new Map<string, string>();
  const out: string[] = [];
  for (const l of lines) {
    const text = is.size === 0 ? l : l.replace(NAME, (name) => is.get(name) ?? name);
    const m = LET.exec(text);
    if (m && fixed.has(m[2]!)) {
      is.set(m[1]!, m[2]!);
      continue;
    }
    if (m) fixed.add(m[1]!);
    out.push(text);
  }
  return out;
}
