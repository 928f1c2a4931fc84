// Tagged errors of the data room: `err.code` names the cause, the message says what was found, what was expected and what to do.

export class DataError extends Error {
  readonly code: string;

  constructor(code: string, problem: string, parts: { found?: string; expected?: string; fix: string }) {
    const lines = [problem];
    if (parts.found !== undefined) lines.push(`  found:    ${parts.found}`);
    if (parts.expected !== undefined) lines.push(`  expected: ${parts.expected}`);
    lines.push(`  do:       ${parts.fix}`);
    super(lines.join('\n'));
    this.name = 'DataError';
    this.code = code;
  }
}

/** True if `err` is a DataError (of that code, when one is given). */
export function isDataError(err: unknown, code?: string): err is DataError {
  return err instanceof DataError && (code === undefined || err.code === code);
}
