// What a bench writes as JSON.

export interface Percentiles {
  readonly p20: number;
  readonly p50: number;
  readonly p80: number;
}

export interface CaseResult {
  /** The same for the same work on every device. */
  readonly id: string;
  readonly op: string;
  readonly pass: string;
  readonly shape: string;
  /** What values are stored in between kernels. */
  readonly dtype: 'f32' | 'f16';
  /** Kernels that ran, with the variant where a target has several. */
  readonly schedule: string;
  readonly ms: Percentiles;
  /** Whole calls on WebGPU: what the host spends on encoding and submitting one, median. */
  readonly hostMs?: number;
  readonly runs: number;
  readonly flops: number;
  readonly bytes: number;
  /** By the median. */
  readonly gflops: number;
  readonly gbps: number;
  /** Operations per byte. */
  readonly intensity: number;
  /** What binds at this intensity, and its rate in GFLOP/s or GB/s. */
  readonly ceiling: { readonly by: 'compute' | 'matrix' | 'copy'; readonly rate: number };
  /** Of that ceiling. */
  readonly percent: number;
  /** Largest |found - expected| over the sampled elements, in units of the largest |expected| of that output. */
  readonly maxError: number | null;
}

export interface Ceiling {
  readonly name: string;
  /** Of a cache: what it holds. */
  readonly unit: 'GFLOP/s' | 'GB/s' | 'µs' | 'KiB';
  readonly value: number;
  /** What was run, and which of the probes was best. */
  readonly how: string;
}

export interface BenchResult {
  readonly t3dc: string;
  readonly device: {
    readonly kind: 'wasm' | 'webgpu';
    readonly description: string;
    readonly threads?: number;
    readonly software?: boolean;
    readonly processor: string;
    readonly node: string;
  };
  readonly date: string;
  readonly ceilings: readonly Ceiling[];
  readonly cases: readonly CaseResult[];
}

/** The rate that `intensity` operations per byte can reach under these ceilings. What ran by subgroup matrices, as its schedule
 *  tells, is held against those. */
export function roof(ceilings: readonly Ceiling[], intensity: number, schedule = ''): CaseResult['ceiling'] {
  const of = (name: string): number => ceilings.find((c) => c.name === name)?.value ?? Number.NaN;
  const matrix = /\bmatrix-(f16|f32)-(\d+)x(\d+)x(\d+)/.exec(schedule);
  const unit = matrix ? of(`subgroup matrix ${matrix[1]}→f32 ${matrix.slice(2).join('×')}`) : Number.NaN;
  const [compute, copy] = [Number.isNaN(unit) ? of('f32 FMA') : unit, of('copy')];
  if (intensity * copy < compute || intensity === 0) return { by: 'copy', rate: copy };
  return { by: Number.isNaN(unit) ? 'compute' : 'matrix', rate: compute };
}

export function percentiles(ms: readonly number[]): Percentiles {
  const sorted = [...ms].sort((a, b) => a - b);
  const at = (p: number): number => sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))]!;
  return { p20: at(0.2), p50: at(0.5), p80: at(0.8) };
}

/** Figures that follow from the times, the work and the ceilings. */
export function rate(
  ceilings: readonly Ceiling[],
  c: Pick<CaseResult, 'flops' | 'bytes'>,
  ms: number,
  schedule?: string,
): Pick<CaseResult, 'gflops' | 'gbps' | 'intensity' | 'ceiling' | 'percent'> {
  const gflops = c.flops / ms / 1e6;
  const gbps = c.bytes / ms / 1e6;
  const intensity = c.flops / c.bytes;
  const ceiling = roof(ceilings, intensity, schedule);
  return { gflops, gbps, intensity, ceiling, percent: (100 * (ceiling.by === 'copy' ? gbps : gflops)) / ceiling.rate };
}

/** What the bound is called in tables. */
export const CEILINGS = { compute: 'FMA', matrix: 'matrix', copy: 'copy' } as const;

/** Above this share of a ceiling either the ceiling or the count of work is wrong. */
const IMPOSSIBLE = 105;

/** Products that Winograd's F(2×2, 3×3) makes, of those of the direct sum, which is what is counted. */
const WINOGRAD = 16 / 36;

/** What a reader should doubt, or be told. */
export const remarks = (cases: readonly CaseResult[]): string[] =>
  cases
    .filter((c) => c.percent > IMPOSSIBLE)
    .map((c) => {
      const found = `${c.id}: ${c.percent.toFixed(0)} % of the ${CEILINGS[c.ceiling.by]} ceiling.`;
      return c.schedule.includes('winograd')
        ? `${found} Winograd makes 16 products where the direct sum, which is counted, has 36: its own are ${(c.percent * WINOGRAD).toFixed(0)} %.`
        : `${found} More than all there is: its data fit a cache, or the ceiling was measured while the machine was busy.`;
    });
