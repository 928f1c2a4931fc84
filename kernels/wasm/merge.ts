// Joins adjacent loop variables into one where every address runs through them without a gap: longer rows, shorter
// addresses.
import { children, type Expr, substitute } from '../expr.ts';
import { coefficient, type Int, int, linear, usesVar, variable } from '../int.ts';
import type { LoopVar } from '../ir.ts';

export interface Merged {
  readonly vars: readonly LoopVar[];
  readonly values: readonly Expr[];
}

export const linearOf = (vars: readonly LoopVar[]): Int =>
  linear(
    vars.map((v) => variable(v.name, v.size)),
    vars.map((v) => v.size),
  );

/** Every index expression inside e, with whether it decides a branch. */
function ints(e: Expr, visit: (i: Int, decides: boolean) => void): void {
  if (e.k === 'load') visit(e.index, false);
  if (e.k === 'index') visit(e.i, false);
  if (e.k === 'random') visit(e.index, false);
  if (e.k === 'if') for (const c of e.conds) visit(c.e, true);
  for (const c of children(e)) ints(c, visit);
}

function mergeable(values: readonly Expr[], outer: LoopVar, inner: LoopVar): boolean {
  let ok = true;
  for (const e of values) {
    ints(e, (i, decides) => {
      if (decides) {
        if (usesVar(i, outer.name) || usesVar(i, inner.name)) ok = false;
        return;
      }
      const a = coefficient(i, outer.name);
      const b = coefficient(i, inner.name);
      if (a === null || b === null || a !== b * inner.size) ok = false;
    });
  }
  return ok;
}

/** Joins the innermost variables as far as it goes; variables of size 1 go first. */
export function mergeInner(all: readonly LoopVar[], values: readonly Expr[]): Merged {
  let vars = all.filter((v) => v.size > 1);
  let current = values;
  while (vars.length > 1) {
    const outer = vars[vars.length - 2]!;
    const inner = vars[vars.length - 1]!;
    if (!mergeable(current, outer, inner)) break;
    const joined = { name: inner.name, size: outer.size * inner.size };
    const env = (name: string): Int | undefined =>
      name === outer.name ? int(0) : name === inner.name ? variable(joined.name, joined.size) : undefined;
    current = current.map((e) => substitute(e, env));
    vars = [...vars.slice(0, -2), joined];
  }
  return { vars, values: current };
}
