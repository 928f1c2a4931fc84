// One WGSL file for kernels that differ only in numbers: the numbers that differ become pipeline-overridable constants,
// which a driver folds like literals, so that sharing text costs no speed.
// https://www.w3.org/TR/WGSL/#override-decls

export interface MergedCode {
  /** Declares `override N0: i32 = …;` and so on above the code; the defaults are the first member's. */
  readonly code: string;
  /** The members (indices into what was given) and their values of N0, N1, …; integers and f32 alike. */
  readonly members: readonly { readonly index: number; readonly constants: readonly number[] }[];
}

/** Literals that a shared text may replace: i32, u32 and f32 of function bodies. */
const LITERAL = /(?<![\w.])(?:\d+\.\d+(?:e[-+]?\d+)?f|\d+u?)(?![\w.])/g;
/** Where WGSL wants a constant that no override can be: attributes, types, module declarations, a broadcast's lane. */
const FIXED =
  /^(?:@|var<|enable |requires |diagnostic|struct |const |\/\/).*$|array<[^;]*?>\s*\(?|subgroup_matrix_\w+<[^<>]*>|subgroup\w+\([^()]*\)/gm;

interface Text {
  /** The code between its literals. */
  readonly skeleton: readonly string[];
  readonly literals: readonly string[];
}

/** Groups codes whose texts are equal but for numbers; in order of first appearance. */
export function mergeCode(codes: readonly string[]): MergedCode[] {
  const groups = new Map<string, { texts: Text[]; indices: number[] }>();
  codes.forEach((code, index) => {
    const text = parse(code);
    const key = text.skeleton.join('\u0000') + text.literals.map(typeOf).join();
    const group = groups.get(key) ?? { texts: [], indices: [] };
    group.texts.push(text);
    group.indices.push(index);
    groups.set(key, group);
  });
  return [...groups.values()].map(({ texts, indices }) => merge(texts, indices));
}

function parse(code: string): Text {
  const fixed = [...code.matchAll(FIXED)].map((m) => [m.index, m.index + m[0].length] as const);
  const skeleton: string[] = [];
  const literals: string[] = [];
  let from = 0;
  let next = 0;
  for (const m of code.matchAll(LITERAL)) {
    while (next < fixed.length && fixed[next]![1] <= m.index) next++;
    if (next < fixed.length && fixed[next]![0] <= m.index) continue;
    skeleton.push(code.slice(from, m.index));
    literals.push(m[0]);
    from = m.index + m[0].length;
  }
  skeleton.push(code.slice(from));
  return { skeleton, literals };
}

const typeOf = (literal: string): 'i32' | 'u32' | 'f32' =>
  literal.endsWith('f') ? 'f32' : literal.endsWith('u') ? 'u32' : 'i32';

function merge(texts: readonly Text[], indices: readonly number[]): MergedCode {
  const { skeleton, literals } = texts[0]!;
  // Places whose values agree in every member share a constant.
  const names = new Map<string, string>();
  const columns: number[] = [];
  const declared: string[] = [];
  const body = literals.map((literal, i) => {
    if (texts.every((t) => t.literals[i] === literal)) return literal;
    const values = texts.map((t) => t.literals[i]).join();
    let name = names.get(values);
    if (!name) {
      name = `N${columns.length}`;
      names.set(values, name);
      columns.push(i);
      declared.push(`override ${name}: ${typeOf(literal)} = ${literal};\n`);
    }
    return name;
  });
  const text = skeleton.map((s, i) => s + (body[i] ?? '')).join('');
  // directives come first
  const directives = /^(?:(?:enable |requires |diagnostic\().*\n)*/.exec(text)![0];
  return {
    code: directives + declared.join('') + text.slice(directives.length),
    members: indices.map((index, m) => ({
      index,
      constants: columns.map((c) => Number.parseFloat(texts[m]!.literals[c]!)),
    })),
  };
}
