// Fusion: which values are stored, and which are computed inside the kernels that read them.
//
// Anchors (contract, reduce, attention, …) are always kernels. Views are never stored for their own sake. A map is
// computed inside its readers unless that would repeat work or bind too many buffers; a map that alone reads an anchor's
// result becomes that anchor's epilogue.
import { type Node, topological, typeOf, type Value } from '../dsl/graph.ts';
import { int, key, linear, unlinear, variable } from '../dsl/int.ts';
import { operands as attentionOperands } from '../dsl/ops/attention.ts';
import { viewCoords } from '../dsl/ops/view.ts';
import { numel } from '../dsl/types.ts';

/** WebGPU's default limit of storage buffers in a stage, the step block's included. */
export const MAX_BUFFERS = 8;
/** Reads a multiply-used map may cost each of its readers. */
const SHARED_BUFFERS = 5;
const SHARED_COST = 16;
const HEAVY = new Set(['exp', 'log', 'tanh', 'erf', 'pow']);
const ANCHORS = new Set(['contract', 'reduce', 'attention', 'attentionGrad', 'tiles']);
const LEAVES = new Set(['input', 'parameter', 'arena', 'slot']);

export interface Fusion {
  /** Nodes whose outputs are stored, in the order of their kernels. */
  readonly stored: ReadonlySet<Node>;
  /** anchor -> the last node of its epilogue, which is stored in its place. */
  readonly epilogue: ReadonlyMap<Node, Node>;
  readonly order: readonly Node[];
  /** Why, a line a decision, for `--explain`. */
  readonly notes: readonly string[];
}

interface Reads {
  readonly bufs: ReadonlySet<string>;
  readonly cost: number;
  readonly heavy: boolean;
}

const NOTHING: Reads = { bufs: new Set(), cost: 0, heavy: false };
export const isAnchor = (n: Node): boolean => ANCHORS.has(n.op);
const isHalf = (n: Node): boolean => n.op === 'map' && n.types[0]!.dtype === 'f16';
export const isLeaf = (n: Node): boolean => LEAVES.has(n.op);

export function fuse(roots: readonly Value[]): Fusion {
  const order = topological(roots);
  const users = consumers(order);
  const rootNodes = new Set(roots.map((r) => r.node));
  const stored = new Set<Node>();
  const notes: string[] = [];
  const reads = new Map<Node, Reads>();

  const store = (n: Node, why: string): void => {
    if (stored.has(n) || isLeaf(n)) return;
    stored.add(n);
    reads.set(n, { bufs: new Set([`${n.id}`]), cost: 0, heavy: false });
    if (!isAnchor(n)) notes.push(`store ${n.op} ${n.attrs?.fn ?? n.attrs?.s ?? ''} ${n.region}: ${why}`);
  };
  const of = (v: Value): Reads =>
    isAnchor(v.node)
      ? { bufs: new Set([`${v.node.id}.${v.out}`]), cost: 0, heavy: false }
      : (reads.get(v.node) ?? NOTHING);
  const union = (list: readonly Value[]): Set<string> => new Set(list.flatMap((v) => [...of(v).bufs]));
  /** Stores the widest inputs until all of them together bind at most `max` buffers. */
  const limit = (inputs: readonly Value[], max: number, why: string): void => {
    while (union(inputs).size > max) {
      const widest = inputs
        .filter((v) => !isAnchor(v.node) && !stored.has(v.node) && of(v).bufs.size > 1)
        .sort((a, b) => of(b).bufs.size - of(a).bufs.size)[0];
      if (!widest) break;
      store(widest.node, why);
    }
  };

  const { epilogue, chains } = epilogues(order, users, rootNodes, notes);
  const ends = new Map([...chains].map(([anchor, c]) => [c.last, { anchor, others: c.others }]));

  for (const n of order) {
    if (isLeaf(n)) {
      reads.set(n, { bufs: new Set([`${n.id}`]), cost: 0, heavy: false });
      continue;
    }
    if (n.op === 'tiles') {
      for (const v of n.inputs) store(beneath(v).node, 'a loop reads it');
      store(n, '');
      continue;
    }
    if (isAnchor(n)) {
      const attention = n.op === 'attention' || n.op === 'attentionGrad';
      // biases and group ids are read for every score: as plain tensors, not through index arithmetic
      if (attention)
        for (const v of n.inputs.slice(3, attentionOperands(n.attrs).end))
          store(beneath(v).node, 'read for every score');
      limit(n.inputs, MAX_BUFFERS - (attention ? 2 : 1), 'its reader would bind too many buffers');
      if (!epilogue.has(n)) store(n, '');
      continue;
    }
    const end = ends.get(n);
    if (end) {
      limit([...end.anchor.inputs, ...end.others], MAX_BUFFERS - 1, 'its reader would bind too many buffers');
      store(n, `epilogue of ${end.anchor.op}`);
      continue;
    }
    if (n.op === 'gather' && !isLeaf(n.inputs[0]!.node)) store(n.inputs[0]!.node, 'a gathered table is read at random');
    if (n.op === 'view') expandRule(n, of, store);
    limit(n.inputs, MAX_BUFFERS - 2, 'an expression over it would bind too many buffers');
    const own = n.op === 'map' ? 1 : n.op === 'random' ? 20 : n.op === 'concat' ? n.inputs.length : 0;
    const r: Reads = {
      bufs: union(n.inputs),
      cost: n.inputs.reduce((s, v) => s + of(v).cost, own),
      heavy: (n.op === 'map' && HEAVY.has(n.attrs.fn)) || n.op === 'random' || n.inputs.some((v) => of(v).heavy),
    };
    reads.set(n, r);
    if (rootNodes.has(n)) store(n, 'it is an output');
    else if (n.op === 'concat' && partsOf(n) > 2) store(n, `${partsOf(n)} parts would be tried at every read`);
    else if (isHalf(n)) store(n, 'f16 is for storage');
    else if (n.op === 'map') {
      const readers = effectiveReaders(n, users);
      const contracts = readers.some((u) => u.op === 'contract');
      if (r.heavy && (readers.length > 1 || contracts)) store(n, 'costly, and read more than once');
      else if (readers.length > 1 && (r.bufs.size > SHARED_BUFFERS || r.cost > SHARED_COST))
        store(n, `${readers.length} readers would each compute it from ${r.bufs.size} buffers`);
    }
  }

  return { stored, epilogue, order, notes };
}

/** A small value that is expanded over a large one is computed once. */
function expandRule(n: Node, of: (v: Value) => Reads, store: (n: Node, why: string) => void): void {
  if (n.attrs.s !== 'expand') return;
  const x = n.inputs[0]!;
  const factor = numel(n.types[0]!) / numel(typeOf(x));
  if (factor < 4 || of(x).cost === 0 || of(x).bufs.size === 0) return;
  let base = x.node;
  // the value before the first expand of a chain
  while (base.op === 'view' && base.attrs.s === 'expand') base = base.inputs[0]!.node;
  if (base.op === 'map') store(base, `expanded ${factor} times`);
}

function consumers(order: readonly Node[]): Map<Node, Node[]> {
  const users = new Map<Node, Node[]>();
  for (const n of order) {
    for (const v of n.inputs) {
      const list = users.get(v.node) ?? [];
      if (!list.includes(n)) list.push(n);
      users.set(v.node, list);
    }
  }
  return users;
}

/** Readers, looking through views. */
function effectiveReaders(n: Node, users: ReadonlyMap<Node, Node[]>): Node[] {
  const out = new Set<Node>();
  const visit = (m: Node): void => {
    for (const u of users.get(m) ?? []) {
      if (u.op === 'view' || u.op === 'concat') visit(u);
      else out.add(u);
    }
  };
  visit(n);
  return [...out];
}

/** Leaves of nested concats. */
function partsOf(n: Node): number {
  return n.inputs.reduce((s, v) => s + partsBelow(v.node), 0);
}
function partsBelow(n: Node): number {
  if (n.op === 'concat') return partsOf(n);
  return n.op === 'view' ? partsBelow(n.inputs[0]!.node) : 1;
}

/** The value under views that leave the order as it is: the same elements, in the same memory. */
export function beneath(v: Value): Value {
  let b = v;
  while (b.node.op === 'view' && keepsOrder(b.node)) b = b.node.inputs[0]!;
  return b;
}

interface Chain {
  readonly last: Node;
  /** What the epilogue reads besides the anchor. */
  readonly others: readonly Value[];
}

/** Follows each anchor's result through maps that alone read it. */
function epilogues(
  order: readonly Node[],
  users: ReadonlyMap<Node, Node[]>,
  roots: ReadonlySet<Node>,
  notes: string[],
): { epilogue: Map<Node, Node>; chains: Map<Node, Chain> } {
  const epilogue = new Map<Node, Node>();
  const chains = new Map<Node, Chain>();
  const claimed = new Set<Node>();
  for (const anchor of order) {
    if (anchor.op !== 'contract' && anchor.op !== 'reduce') continue;
    const size = numel(anchor.types[0]!);
    let last = anchor;
    let steps: Node[] = [];
    const others: Value[] = [];
    const path: Node[] = [];
    for (let cur = anchor; !roots.has(cur); ) {
      const next = users.get(cur) ?? [];
      const c = next[0];
      if (next.length !== 1 || !c || claimed.has(c) || !(c.op === 'map' || (c.op === 'view' && keepsOrder(c)))) break;
      if (numel(c.types[0]!) !== size) break;
      const more = c.inputs.filter((v) => v.node !== cur && v.node.op !== 'scalar');
      if (countSources([...anchor.inputs, ...others, ...more]) > MAX_BUFFERS - 1) break;
      if (c.op === 'map' && !isAligned(anchor, [...path, ...steps, c])) break;
      others.push(...more);
      steps.push(c);
      if (c.op === 'map') {
        path.push(...steps);
        last = c;
        for (const s of steps) claimed.add(s);
        steps = [];
        // A cast to f16 says what is to be stored.
        if (isHalf(c)) break;
      }
      cur = c;
    }
    if (last === anchor) continue;
    epilogue.set(anchor, last);
    chains.set(anchor, { last, others });
    notes.push(`epilogue ${anchor.op} ${anchor.region} -> ${last.attrs.fn} ${last.region}`);
  }
  return { epilogue, chains };
}

/** Whether the index arithmetic finds the anchor's own element again when its last user is computed element by element: through
 *  views that keep the order it does in truth, but not every form of it is recognised. */
function isAligned(anchor: Node, path: readonly Node[]): boolean {
  const dims = (n: Node): number[] => n.types[0]!.axes.map((a) => a.size);
  const at = linear(
    anchor.types[0]!.axes.map((a, i) => (a.size > 1 ? variable(`i${i}`, a.size) : int(0))),
    dims(anchor),
  );
  let coords = unlinear(at, dims(path.at(-1)!));
  for (let i = path.length - 1; i >= 0; i--) {
    const n = path[i]!;
    if (n.op === 'view') coords = viewCoords(n.attrs, typeOf(n.inputs[0]!), coords).coords;
  }
  return key(linear(coords, dims(anchor))) === key(at);
}

/** Buffers that values would bind if every multiply-read map were stored. */
function countSources(values: readonly Value[]): number {
  const found = new Set<string>();
  const visit = (v: Value): void => {
    if (v.node.op === 'view') visit(v.node.inputs[0]!);
    else if (v.node.op !== 'scalar' && v.node.op !== 'iota') found.add(`${v.node.id}.${v.out}`);
  };
  values.forEach(visit);
  return found.size;
}

/** Views that leave the row-major order as it is. */
function keepsOrder(n: Node): boolean {
  const st = n.attrs;
  if (st.s === 'split' || st.s === 'merge' || st.s === 'rename' || st.s === 'squeeze') return true;
  return st.s === 'expand' && st.to.size === 1;
}
