// Quantities as people write and read them.
import { UsageError } from './errors.ts';

/** `64` or `64x96x64` → three sizes along d, h, w. @throws UsageError `bad-value` */
export function parseSize(option: string, text: string): [number, number, number] {
  const parts = text.split(/[x×,]/i).map(Number);
  const whole = parts.every((n) => Number.isInteger(n) && n > 0);
  if (!whole || (parts.length !== 1 && parts.length !== 3))
    throw new UsageError('bad-value', `--${option} is no size`, {
      found: text,
      expected: 'N or DxHxW, such as 96x96x96',
    });
  return parts.length === 1 ? [parts[0]!, parts[0]!, parts[0]!] : [parts[0]!, parts[1]!, parts[2]!];
}

/** `1.5` or `1.5x1.5x2` → millimetres along three axes. @throws UsageError `bad-value` */
export function parseSpacing(option: string, text: string): [number, number, number] {
  const parts = text.split(/[x×,]/i).map(Number);
  if (!parts.every((n) => Number.isFinite(n) && n > 0) || (parts.length !== 1 && parts.length !== 3))
    throw new UsageError('bad-value', `--${option} is no spacing`, {
      found: text,
      expected: 'millimetres: one number, or three such as 1.5x1.5x2',
    });
  return parts.length === 1 ? [parts[0]!, parts[0]!, parts[0]!] : [parts[0]!, parts[1]!, parts[2]!];
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
};

/** `4GiB`, `512MiB`, `1.5G`, `1000000` → bytes. @throws UsageError `bad-value` */
export function parseBytes(option: string, text: string): number {
  const m = /^([\d.]+)\s*([a-z]*)$/i.exec(text);
  const unit = m ? UNITS[m[2]!.toLowerCase()] : undefined;
  const n = m && unit ? Math.floor(Number(m[1]) * unit) : Number.NaN;
  if (Number.isFinite(n) && n > 0) return n;
  throw new UsageError('bad-value', `--${option} is no amount of memory`, {
    found: text,
    expected: 'such as 4GiB, 512MiB or a number of bytes',
  });
}

/** `a,b` → names. @throws UsageError `bad-value` */
export function parseNames(option: string, text: string): string[] {
  const names = text.split(',').map((s) => s.trim());
  if (names.every((n) => n !== '')) return names;
  throw new UsageError('bad-value', `--${option} has an empty name`, {
    found: text,
    expected: 'names with commas between',
  });
}

/** Three significant digits. */
const digits = (n: number): string => (n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2));

function scaled(n: number, step: number, units: readonly string[]): string {
  let i = 0;
  while (n >= step * 0.9995 && i + 1 < units.length) {
    n /= step;
    i++;
  }
  return `${i === 0 ? String(Math.round(n)) : digits(n)} ${units[i]}`;
}

export const showBytes = (n: number): string => scaled(n, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB']);
export const showFlops = (n: number): string => scaled(n, 1000, ['FLOP', 'KFLOP', 'MFLOP', 'GFLOP', 'TFLOP']);
export const showCount = (n: number): string => Math.round(n).toLocaleString('en-US');

/** `850 ms`, `4.2 s`, `3 min 05 s`, `2 h 10 min`. */
export function showTime(ms: number): string {
  if (!Number.isFinite(ms)) return '?';
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
  const s = ms / 1000;
  if (s < 60) return `${s.toFixed(1)} s`;
  const whole = Math.round(s);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
  const minutes = Math.round(s / 60);
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

/** Columns padded to their widest cell; numbers look better to the right: `align` has an r for those. */
export function columns(rows: readonly (readonly string[])[], align = ''): string[] {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length);
    });
  return rows.map((row) =>
    row
      .map((cell, i) => (align[i] === 'r' ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd(),
  );
}
