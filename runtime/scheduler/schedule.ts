// Learning-rate schedules, in f64 by AssemblyScript's software Math, so that every engine gives the same bits.
// Kinds are runtime/manifest.ts SCHEDULE_KINDS: 0 constant, 1 warmupCosine, 2 warmupLinear, 3 polynomial.

/** Factor on the base rate at optimiser step `step` (0-based). */
export function factor(kind: u32, step: u32, warmup: u32, total: u32, power: f64): f64 {
  const s = <f64>step;
  const w = <f64>warmup;
  const n = <f64>total;
  if (kind == 0) return 1.0;
  if (kind == 3) {
    if (total == 0) return 1.0;
    return Math.pow(Math.max(0.0, 1.0 - s / n), power);
  }
  if (step < warmup) return s / Math.max(1.0, w);
  const rest = Math.max(1.0, n - w);
  if (kind == 1) return Math.max(0.0, 0.5 * (1.0 + Math.cos(Math.PI * ((s - w) / rest))));
  return Math.max(0.0, (n - s) / rest);
}
