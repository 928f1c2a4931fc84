// Names that other projects give to a model's parameters. They travel in the manifest, and are tried on every name of a file.
import type { Dialect } from './manifest.ts';

/** torch.nn.DataParallel's prefix: any PyTorch model's file may have it. */
const DATA_PARALLEL: Dialect = {
  name: 'data-parallel',
  about: 'torch.nn.DataParallel prefix `module.`',
  rewrites: [{ match: '^module\\.', replace: '' }],
};

export interface Renamed {
  readonly name: string;
  /** Dialects that changed it, in order. */
  readonly dialects: readonly string[];
}

/** A function from a file's name to the model's: each dialect in order on what the one before it left, until the name is known. */
export function translator(
  dialects: readonly Dialect[],
  known: { has(name: string): boolean },
): (n: string) => Renamed {
  const rules = [DATA_PARALLEL, ...dialects].map((d) => ({
    name: d.name,
    rewrites: d.rewrites.map((r) => ({ match: new RegExp(r.match), replace: r.replace })),
  }));
  return (original) => {
    let name = original;
    const used: string[] = [];
    for (const rule of rules) {
      if (known.has(name)) break;
      const before = name;
      for (const r of rule.rewrites) name = name.replace(r.match, r.replace);
      if (name !== before) used.push(rule.name);
    }
    return { name, dialects: used };
  };
}
