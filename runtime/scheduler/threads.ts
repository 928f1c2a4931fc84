// Threads walk the same sections in step: a barrier after every kernel. A thread spins a few microseconds (most kernels
// end together) and then sleeps; where it may not sleep (a page's main thread), it goes on spinning.
// Addresses go into the instructions' immediate offsets on purpose: V8's baseline compiler (Node 20) was seen to lose a
// wake-up when an address computed for a read-modify-write was used again by the notify that followed.
import { ARRIVED, EPOCH, GENERATION, MAY_WAIT, SLEEPERS } from './layout';

/** About 5–20 µs of atomic loads. */
const SPINS: u32 = 4000;

/** All nt threads meet here. */
export function barrier(s: usize, t: u32, nt: u32): void {
  const epoch = atomic.load<u32>(s, EPOCH);
  const arrived = atomic.add<u32>(s, 1, ARRIVED) + 1;
  if (arrived == nt) {
    atomic.store<u32>(s, 0, ARRIVED);
    // Nobody else writes EPOCH between two barriers.
    atomic.store<u32>(s, epoch + 1, EPOCH);
    if (atomic.load<u32>(s, SLEEPERS) != 0) atomic.notify(s + EPOCH, -1);
    return;
  }
  for (let i: u32 = 0; i < SPINS; i++) if (atomic.load<u32>(s, EPOCH) != epoch) return;
  if (t == 0 && load<u32>(s, MAY_WAIT) == 0) {
    while (atomic.load<u32>(s, EPOCH) == epoch) {}
    return;
  }
  // Announced before the last look at EPOCH: the last thread either sees the sleeper or is seen by it.
  atomic.add<u32>(s, 1, SLEEPERS);
  while (atomic.load<u32>(s, EPOCH) == epoch) atomic.wait<i32>(s + EPOCH, <i32>epoch, -1);
  atomic.sub<u32>(s, 1, SLEEPERS);
}

/** Starts a run on the worker threads. */
export function startRun(s: usize): void {
  const next = atomic.load<u32>(s, GENERATION) + 1;
  atomic.store<u32>(s, next, GENERATION);
  atomic.notify(s + GENERATION, -1);
}

/** Sleeps until the next run; returns its generation. */
export function nextRun(s: usize, seen: u32): u32 {
  for (let i: u32 = 0; i < SPINS; i++) if (atomic.load<u32>(s, GENERATION) != seen) return seen + 1;
  while (atomic.load<u32>(s, GENERATION) == seen) atomic.wait<i32>(s + GENERATION, <i32>seen, -1);
  return seen + 1;
}
