// How a contraction is cut for subgroup matrices: which configurations, how many matrices a subgroup, how deep a tile.
import type { SubgroupMatrix } from '../targets.ts';
import type { ContractPlan } from './contract-plan.ts';
import { contiguousAlong, type FlatSum } from './contract-quads.ts';
import { SUBGROUP } from './matrix-unit.ts';

export const SUBGROUPS = 4;
export const THREADS = SUBGROUPS * SUBGROUP;
/** Registers of results per invocation: with the operands' and the filling's, four workgroups fit 64 K registers. */
const MAX_RESULTS = 64;
/** WebGPU's default limit, so that the null backend can validate what is emitted. */
const WORKGROUP_BYTES = 16384;
/** Between two rows of a tile, so that the rows of a matrix lie in different banks. */
const PAD_BYTES = 16;
/** A tile must be at least this much of rows, columns and steps that exist. */
const LEAST_USE = 0.5;

export interface MatrixBlocking {
  /** Result matrices of a subgroup, down and across. */
  readonly rm: number;
  readonly cn: number;
  /** k steps per tile. */
  readonly depth: number;
}

/** Configurations that kernels have variants for: what most adapters offer, and one of half the width for narrow outputs. */
const WIDE: SubgroupMatrix = { componentType: 'f16', resultComponentType: 'f32', M: 16, N: 16, K: 16 };
const NARROW: SubgroupMatrix = { ...WIDE, N: 8 };
/** What half the width must save to be worth a text. */
const NARROW_GAIN = 1.2;

/** What may compute this contraction, preferred first: nothing in f32 programs, and nothing where most would be padding. */
export function matrixConfigs(plan: ContractPlan): readonly SubgroupMatrix[] {
  if (!plan.kernel.halves) return [];
  const [wide, narrow] = [use(plan, WIDE), use(plan, NARROW)];
  return [
    ...(narrow >= LEAST_USE && narrow >= NARROW_GAIN * wide ? [NARROW] : []),
    ...(wide >= LEAST_USE ? [WIDE] : []),
  ];
}

const rounded = (n: number, to: number): number => Math.ceil(n / to) * to;

/** The share of the tiles' work that is not padding. */
function use(plan: ContractPlan, config: SubgroupMatrix): number {
  const { rm, cn, depth } = chooseMatrixBlocking(plan, config);
  const { rows, columns } = plan.size;
  const k = flatten(plan, depth);
  const [tall, wide] = [SUBGROUPS * rm * config.M, cn * config.N];
  return (rows / rounded(rows, tall)) * (columns / rounded(columns, wide)) * (k.size / rounded(k.size, depth));
}

const bytesOf = (c: SubgroupMatrix): number => (c.componentType === 'f16' ? 2 : 4);
const padOf = (c: SubgroupMatrix): number => PAD_BYTES / bytesOf(c);

/** Elements from one row of a tile to the next, and in all. */
export function tileSize(
  c: SubgroupMatrix,
  alongK: boolean,
  lines: number,
  depth: number,
): { stride: number; size: number } {
  const stride = (alongK ? depth : lines) + padOf(c);
  return { stride, size: stride * (alongK ? lines : depth) };
}

/** Whether each operand's tile is filled along k. */
export interface Along {
  readonly left: boolean;
  readonly right: boolean;
}
export const alongK = (plan: ContractPlan): Along => ({
  left: !contiguousAlong(plan, plan.left, 'rows'),
  right: !contiguousAlong(plan, plan.right, 'columns'),
});

export function workgroupBytes(along: Along, c: SubgroupMatrix, { rm, cn, depth }: MatrixBlocking): number {
  const left = tileSize(c, along.left, SUBGROUPS * rm * c.M, depth);
  const right = tileSize(c, along.right, cn * c.N, depth);
  return bytesOf(c) * (left.size + right.size) + 4 * SUBGROUPS * c.M * c.N;
}

/**
 * The cheapest blocking by a model of one subgroup's work: a product costs 1, a matrix read from workgroup memory half of
 * that, and the barriers of a tile 2. The model is a guess: no adapter with such a unit was at hand to fit it.
 */
export function chooseMatrixBlocking(plan: ContractPlan, config: SubgroupMatrix): MatrixBlocking {
  const { M, N, K } = config;
  const { rows, columns } = plan.size;
  const along = alongK(plan);
  let best: MatrixBlocking = { rm: 1, cn: 1, depth: K };
  let least = Infinity;
  for (const rm of [1, 2, 4])
    for (let cn = 1; cn * N <= 64; cn++)
      for (const steps of [1, 2, 4]) {
        const blocking = { rm, cn, depth: steps * K };
        if ((rm * cn * M * N) / SUBGROUP > MAX_RESULTS || blocking.depth > 32) continue;
        if (workgroupBytes(along, config, blocking) > WORKGROUP_BYTES) continue;
        const size = flatten(plan, blocking.depth).size;
        const tiles = Math.ceil(rows / (SUBGROUPS * rm * M)) * Math.ceil(columns / (cn * N));
        const cost = tiles * Math.ceil(size / blocking.depth) * (steps * (rm * cn + (rm + cn) / 2) + 2) * (1 / size);
        if (cost < least) {
          least = cost;
          best = blocking;
        }
      }
  return best;
}

/** The innermost sum variables taken together until whole tiles leave little over. */
export function flatten(plan: ContractPlan, depth: number): FlatSum {
  let at = plan.k.length;
  let size = 1;
  while (at > 0 && (size < depth || size / rounded(size, depth) < 0.9)) size *= plan.k[--at]!.size;
  return { outer: plan.k.slice(0, at), inner: plan.k.slice(at), size };
}
