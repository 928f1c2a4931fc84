// Errors of the language: what was asked, what was found, where in the model, and what would fix it.
import { show, type TensorType } from './types.ts';

export class ModelError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = 'ModelError';
    this.code = code;
  }
}

export interface Where {
  readonly region: string;
  readonly site: Error | null;
}

/** The first stack frame outside the language itself: `models/t3d/block.ts:41:12`. */
export function sourceLine(site: Error | null): string {
  if (!site?.stack) return '?';
  for (const line of site.stack.split('\n').slice(1)) {
    const m = /\(?((?:file:\/\/)?[^()\s]+?):(\d+):(\d+)\)?$/.exec(line.trim());
    if (!m) continue;
    const path = m[1]!.replace('file://', '');
    if (/[\\/]dsl[\\/]|[\\/]compiler[\\/]|node:internal|[\\/]node_modules[\\/]/.test(path)) continue;
    return `${shorten(path)}:${m[2]}:${m[3]}`;
  }
  return '?';
}

// Relative to the working directory where that is possible, so that artifacts do not depend on where they were built.
function shorten(path: string): string {
  const at = /[\\/]((?:models|examples|test)[\\/].*)$/.exec(path);
  return at ? at[1]! : path.split(/[\\/]/).slice(-2).join('/');
}

/** A shape or type that an operation cannot take. */
export function opError(
  op: string,
  operands: Readonly<Record<string, TensorType>>,
  problem: string,
  fix: string,
  where: Where,
): ModelError {
  const lines = [
    `${op}: ${problem}`,
    ...Object.entries(operands).map(([name, t]) => `  ${name}: ${show(t)}`),
    `  scope: ${where.region || '(top)'}`,
    `  model: ${sourceLine(where.site)}`,
    `  fix: ${fix}`,
  ];
  return new ModelError('model-shape', lines.join('\n'));
}
