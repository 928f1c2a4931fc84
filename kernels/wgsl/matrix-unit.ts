// Matrix products of a subgroup: the GPU's own unit, and the same operations in plain WGSL for adapters without one.
//
// The software unit exists for tests: the tiles, loops and epilogues around it are those of the hardware's, so that they can be
// held against the reference on any adapter. A subgroup is then 32 consecutive invocations of the workgroup; each holds every
// 32nd element of a result, and reads the operands from workgroup memory when it multiplies.
import type { SubgroupMatrix } from '../targets.ts';
import { SUBGROUP_MATRIX } from './module.ts';

export const SUBGROUP = 32;

/** Where an operand's tile lies: `${name}` in workgroup memory, its rows (of k for `right`, else of m) or its columns
 *  contiguous, `stride` elements apart. */
export interface TileLayout {
  readonly name: 'left' | 'right';
  readonly rowMajor: boolean;
  readonly stride: number;
}

export interface MatrixUnit {
  readonly features: readonly string[];
  readonly subgroupSize?: number;
  readonly subgroupMatrix?: SubgroupMatrix;
  /** Functions at module scope. */
  declarations(left: TileLayout, right: TileLayout): string[];
  /** i32 code: the subgroup's number in its workgroup, the invocation's in its subgroup. */
  readonly subgroup: string;
  readonly lane: string;
  /** `name` as a result of zeros. */
  zero(name: string): string;
  /** `name` as the operand's matrix whose first element is at `offset` (i32 code). */
  load(name: string, layout: TileLayout, offset: string): string;
  multiplyAccumulate(acc: string, left: string, right: string): string;
  /** The result, row by row, to workgroup memory `stage` from `offset` on. */
  store(offset: string, acc: string): string;
  /** The bound of a short loop: GPU drivers unroll it; for software adapters, that would compile for minutes, it is hidden. */
  bound(count: number): string;
}

export function hardwareUnit(config: SubgroupMatrix): MatrixUnit {
  const { componentType: t, resultComponentType: r, M, N, K } = config;
  const type = { left: `subgroup_matrix_left<${t}, ${K}, ${M}>`, right: `subgroup_matrix_right<${t}, ${N}, ${K}>` };
  return {
    features: [...(t === 'f16' ? ['shader-f16'] : []), 'subgroups', SUBGROUP_MATRIX],
    subgroupSize: SUBGROUP,
    subgroupMatrix: config,
    declarations: () => [],
    subgroup: 'i32(subgroup)',
    lane: 'i32(lane)',
    zero: (name) => `var ${name}: subgroup_matrix_result<${r}, ${N}, ${M}>;`,
    load: (name, { name: tile, rowMajor, stride }, offset) =>
      `let ${name} = subgroupMatrixLoad<${type[tile]}, ${rowMajor ? 'row' : 'col'}_major>(&${tile}, u32(${offset}), ${stride}u);`,
    multiplyAccumulate: (acc, left, right) => `${acc} = subgroupMatrixMultiplyAccumulate(${left}, ${right}, ${acc});`,
    store: (offset, acc) => `subgroupMatrixStore<row_major>(&stage, u32(${offset}), ${acc}, ${N}u);`,
    bound: (count) => `${count}`,
  };
}

export function softwareUnit(config: SubgroupMatrix): MatrixUnit {
  const { componentType: t, M, N, K } = config;
  const each = (M * N) / SUBGROUP;
  const result = `array<f32, ${each}>`;
  const index = `let i = e * ${SUBGROUP} + i32(local % ${SUBGROUP}u);`;
  return {
    features: t === 'f16' ? ['shader-f16'] : [],
    declarations: (left, right) => {
      const at = (l: TileLayout, row: string, column: string): string =>
        l.rowMajor ? `${row} * ${l.stride} + ${column}` : `${column} * ${l.stride} + ${row}`;
      return [
        `fn multiply(acc: ptr<function, ${result}>, a: i32, b: i32, local: u32, once: i32) {
  for (var e = 0; e < ${each} * once; e += 1) {
    ${index}
    for (var k = 0; k < ${K} * once; k += 1) {
      let x = f32(left[a + ${at(left, `i / ${N}`, 'k')}]);
      let y = f32(right[b + ${at(right, 'k', `i % ${N}`)}]);
      (*acc)[e] = fma(x, y, (*acc)[e]);
    }
  }
}`,
        `fn keep(acc: ptr<function, ${result}>, to: i32, local: u32, once: i32) {
  for (var e = 0; e < ${each} * once; e += 1) {
    ${index}
    stage[to + i] = (*acc)[e];
  }
}`,
      ];
    },
    subgroup: `i32(local / ${SUBGROUP}u)`,
    lane: `i32(local % ${SUBGROUP}u)`,
    zero: (name) => `var ${name} = ${result}();`,
    load: (name, _, offset) => `let ${name} = ${offset};`,
    multiplyAccumulate: (acc, left, right) => `multiply(&${acc}, ${left}, ${right}, local, once);`,
    store: (offset, acc) => `keep(&${acc}, ${offset}, local, once);`,
    bound: (count) => `${count} * once`,
  };
}
