// How errors of every room are told on a terminal and as JSON, and which exit code they end with.

/** 1: something is wrong with the input or the machine · 2: the command line · 130: cancelled (128 + SIGINT). */
export const EXIT = { ok: 0, error: 1, usage: 2, cancelled: 130 } as const;

interface Detail {
  readonly found?: string;
  readonly expected?: string;
  readonly hint?: string;
}

/** A tagged error of the command line tool itself. */
export class CliError extends Error {
  readonly code: string;
  readonly found: string | undefined;
  readonly expected: string | undefined;
  readonly hint: string | undefined;

  constructor(code: string, problem: string, detail: Detail = {}) {
    super(problem);
    this.name = 'CliError';
    this.code = code;
    this.found = detail.found;
    this.expected = detail.expected;
    this.hint = detail.hint;
  }
}

/** A command line that cannot be understood. */
export class UsageError extends CliError {
  override readonly name = 'UsageError';
}

/** An error taken apart for printing. */
export interface Described {
  readonly code: string;
  /** One line; further lines that are no field follow in `more`. */
  readonly problem: string;
  readonly found?: string;
  readonly expected?: string;
  readonly hint?: string;
  readonly more: readonly string[];
  /** Only for errors that are bugs of ours: they carry no code. */
  readonly stack?: string;
}

/** Takes the tagged errors of all rooms: fields (`found`, `expected`, `hint`), or lines of the message (`  found: …`). */
export function describe(err: unknown): Described {
  if (!(err instanceof Error)) return { code: 'internal', problem: String(err), more: [] };
  const e = err as Error & { code?: unknown; found?: unknown; expected?: unknown; hint?: unknown };
  const node = err as NodeJS.ErrnoException;
  if (typeof node.syscall === 'string' && typeof node.code === 'string')
    return { code: 'file', problem: node.message, more: [], hint: fileHint(node) };
  if (typeof e.code !== 'string')
    return {
      code: 'internal',
      problem: e.message.split('\n')[0] || e.name,
      more: [],
      hint: 'This is a bug in t3dc: please report it with the command and this trace.',
      stack: e.stack,
    };
  const fields: Record<string, string> = {};
  for (const key of ['found', 'expected', 'hint'] as const) if (e[key] !== undefined) fields[key] = text(e[key]);
  const [first = '', ...lines] = e.message.split('\n');
  const more: string[] = [];
  for (const line of lines) {
    const m = /^\s+(found|expected|do|fix|hint):\s+(.*)$/.exec(line);
    if (m) fields[m[1] === 'do' || m[1] === 'fix' ? 'hint' : m[1]!] = m[2]!;
    else more.push(line);
  }
  return { code: e.code, problem: withoutFields(first, fields), ...fields, more };
}

/** `error[code]: problem`, and found, expected and hint on lines of their own. */
export function showError(d: Described): string {
  const lines = [`error[${d.code}]: ${d.problem}`, ...d.more];
  if (d.found !== undefined) lines.push(`  found:    ${d.found}`);
  if (d.expected !== undefined) lines.push(`  expected: ${d.expected}`);
  if (d.hint !== undefined) lines.push(`  hint:     ${d.hint}`);
  if (d.stack) lines.push(d.stack);
  return lines.join('\n');
}

export function exitCodeOf(err: unknown, signal: AbortSignal): number {
  if (err instanceof UsageError) return EXIT.usage;
  const e = err as { code?: unknown; name?: unknown } | null;
  const aborted = e?.code === 'aborted' || e?.name === 'AbortError' || (signal.aborted && err === signal.reason);
  return aborted ? EXIT.cancelled : EXIT.error;
}

const text = (value: unknown): string => (typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value)));

/** Errors of the runtime repeat their fields at the end of the message. */
function withoutFields(message: string, { found, expected, hint }: Record<string, string>): string {
  let out = message;
  const cut = (tail: string) => {
    if (out.endsWith(tail)) out = out.slice(0, -tail.length);
  };
  if (hint !== undefined) cut(`. ${hint}`);
  if (expected !== undefined) cut(`; expected ${expected}`);
  if (found !== undefined) cut(`; found ${found}`);
  return out;
}

function fileHint(e: NodeJS.ErrnoException): string {
  if (e.code === 'ENOENT') return 'Check the path.';
  if (e.code === 'EACCES' || e.code === 'EPERM') return 'Check who may read or write there.';
  if (e.code === 'ENOSPC') return 'Make room on the disk.';
  return 'Check the path and the disk.';
}
