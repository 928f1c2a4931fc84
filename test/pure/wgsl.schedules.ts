// Which schedule a kernel gets, and what it spares: loads are counted in the text. What they compute is tested on the device
// (kernels.webgpu.ts).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Kernel } from '../../kernels/ir.ts';
import { conv } from '../../kernels/samples/conv.ts';
import { normalise } from '../../kernels/samples/map.ts';
import { columnReduce } from '../../kernels/samples/reduce.ts';
import { emitWgsl } from '../../kernels/wgsl/index.ts';

const emit = (kernel: Kernel) => emitWgsl(kernel, { readOnly: new Set(), maxFold: 65535 }).variants;
const ids = (kernel: Kernel): string[] => emit(kernel).map((v) => v.id);
/** Places in the text that read buffer `b`. */
const loads = (code: string, b: number): number => code.split(`b${b}[`).length - 1;

test('one to four input channels take direct kernels, five do not', () => {
  for (const ci of [1, 2, 3, 4])
    assert.equal(ids(conv({ size: [4, 5, 12], ci, co: 16 }).kernel), ['direct8', 'default'], `${ci} channels`);
  assert.equal(ids(conv({ size: [4, 5, 12], ci: 5, co: 16 }).kernel), ['subgroup8', 'default']);
});

test('where outputs share no inputs, the default variant reads tiles', () => {
  const [direct, portable] = emit(conv({ size: [4, 6, 24], ci: 1, co: 16, kernel: 2, stride: 2, pad: 0 }).kernel);
  assert.is(direct!.id, 'direct8');
  assert.match(portable!.code, /workgroupBarrier/);
});

test('a direct kernel reads every input of its outputs once, for all taps along w', () => {
  const [direct, portable] = emit(conv({ size: [4, 5, 24], ci: 2, co: 16 }).kernel);
  // 8 outputs of a thread see 10 inputs, where an implicit product would read 24; 3 vectors of weights.
  assert.is(loads(portable!.code, 0), 10);
  assert.is(loads(portable!.code, 1), 3);
  // The subgroup's lanes share the load: at most three of 8 inputs.
  assert.ok(loads(direct!.code, 0) <= 3, `${loads(direct!.code, 0)} loads`);
});

test('a large map computes several rows, and reads what does not depend on the row outside the loop', () => {
  const { code } = emit(normalise(1 << 17, 32).kernel)[0]!;
  const [before, inside] = code.split(/for \(var r = row0; r < min\(row0 \+ 4, rows\); r \+= 1\)/);
  assert.is(loads(before!, 1), 1);
  assert.is(loads(inside!, 1), 0);
  assert.is(loads(inside!, 0), 1);
  assert.not.match(emit(normalise(64, 32).kernel)[0]!.code, /row0/);
});

test('a reduction has a tree only where outputs are few', () => {
  assert.match(emit(columnReduce('sum', 1, [16, 16, 16], 48).kernel)[0]!.code, /workgroupBarrier/);
  assert.not.match(emit(columnReduce('sum', 12_000, [1, 8, 16], 48).kernel)[0]!.code, /workgroupBarrier/);
});

test.run();
