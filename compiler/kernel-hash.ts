// A kernel's identity for tuning: what it computes over which shapes, and nothing of the model that it came from. Names of
// kernels, tensors and variables, and lines of the model, do not count; so a convolution measured in one model is known in
// every other.
import type { Kernel } from '../kernels/ir.ts';
import { sha256 } from './hash.ts';

/** 16 hexadecimal digits. */
export function kernelHash(kernel: Kernel): string {
  return sha256(new TextEncoder().encode(canonical(kernel))).slice(0, 16);
}

/** Of no meaning to a kernel's speed. `region` to `lines`: where it comes from. */
const LEFT_OUT = new Set(['name', 'region', 'ops', 'lines', 'bufs', 'flops', 'pattern']);

/** The kernel as text: every distinct part once, in order of first appearance, parts within it by number. */
export function canonical(kernel: Kernel): string {
  const names = new Map<string, number>();
  const rename = (name: string): string => {
    if (!names.has(name)) names.set(name, names.size);
    return `$${names.get(name)}`;
  };
  const parts = new Map<string, number>();
  const known = new Map<object, string>();
  /** `key`: the field that it stands in. */
  const visit = (x: unknown, key: string): string => {
    if (typeof x === 'string') return VARIABLE.has(key) ? rename(x) : JSON.stringify(x);
    if (typeof x !== 'object' || x === null) return Object.is(x, -0) ? '-0' : String(x);
    const old = known.get(x);
    if (old !== undefined) return old;
    const text = Array.isArray(x)
      ? `[${x.map((e) => visit(e, `${key}[]`)).join()}]`
      : x instanceof Map
        ? `{${[...x].map(([k, v]) => `${rename(k)}:${visit(v, '')}`).join()}}`
        : `{${Object.entries(x)
            .filter(([, v]) => v !== undefined)
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([k, v]) => `${k}:${visit(v, k)}`)
            .join()}}`;
    if (!parts.has(text)) parts.set(text, parts.size);
    const id = `#${parts.get(text)}`;
    known.set(x, id);
    return id;
  };
  const bufs = kernel.bufs.map((b) => `${b.dtype} ${b.size} ${b.access}`).join();
  // The output's variables first: they are named by their order there.
  const first = 'out' in kernel ? kernel.out : [];
  for (const name of first) rename(name);
  const fields = Object.entries(kernel)
    .filter(([k, v]) => !LEFT_OUT.has(k) && v !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([k, v]) => `${k}=${visit(v, k)}`);
  return [bufs, ...fields, ...parts.keys()].join('\n');
}

/** Fields, and lists, whose strings are names of variables. */
const VARIABLE = new Set(['name', 'var', 'out[]', 'batch[]', 'm[]', 'n[]', 'k[]']);
