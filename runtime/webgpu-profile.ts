// Time per dispatch, by timestamp queries; each dispatch in a pass of its own.
import type { ReadyDispatch } from './webgpu-kernels.ts';

/** Queries in a set, as WebGPU allows. */
const MOST_QUERIES = 4096;

/** Milliseconds of each dispatch, in order. Needs the feature timestamp-query. */
export async function timeDispatches(device: GPUDevice, dispatches: readonly ReadyDispatch[]): Promise<number[]> {
  const out: number[] = [];
  for (let from = 0; from < dispatches.length; from += MOST_QUERIES / 2) {
    const part = dispatches.slice(from, from + MOST_QUERIES / 2);
    const querySet = device.createQuerySet({ type: 'timestamp', count: 2 * part.length });
    const size = 16 * part.length;
    const resolved = device.createBuffer({ size, usage: 0x200 | 0x4 }); // QUERY_RESOLVE | COPY_SRC
    const staging = device.createBuffer({ size, usage: 0x1 | 0x8 }); // MAP_READ | COPY_DST
    const encoder = device.createCommandEncoder({ label: 'profile' });
    part.forEach(({ pipeline, group, grid }, i) => {
      const pass = encoder.beginComputePass({
        timestampWrites: { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 },
      });
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(grid[0], grid[1], grid[2]);
      pass.end();
    });
    encoder.resolveQuerySet(querySet, 0, 2 * part.length, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, size);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(1);
    const ns = new BigUint64Array(staging.getMappedRange());
    for (let i = 0; i < part.length; i++) out.push(Number(ns[2 * i + 1]! - ns[2 * i]!) / 1e6);
    staging.unmap();
    querySet.destroy();
    resolved.destroy();
    staging.destroy();
  }
  return out;
}

/** The same by waiting for each dispatch: what a device without timestamps can tell, submission included. */
export async function timeSubmits(device: GPUDevice, dispatches: readonly ReadyDispatch[]): Promise<number[]> {
  const out: number[] = [];
  for (const { pipeline, group, grid } of dispatches) {
    const encoder = device.createCommandEncoder({ label: 'profile' });
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(grid[0], grid[1], grid[2]);
    pass.end();
    const since = performance.now();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
    out.push(performance.now() - since);
  }
  return out;
}
