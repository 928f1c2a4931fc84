// Where a command's words go. People: results on stdout, progress and notes on stderr. With --json: JSON lines on stdout, notes
// on stderr, no progress.
import { showTime } from './units.ts';

export interface ProgressBar {
  /** `done` of the total; `text` stands behind the bar. */
  update(done: number, text?: string): void;
  /** Removes the bar from a terminal. */
  end(): void;
}

/** Plain progress lines are at least this far apart. */
const LINE_EVERY = 10_000;
const REDRAW_EVERY = 80;
/** No guess of the time left before this. */
const ESTIMATE_AFTER = 1000;

export class Output {
  readonly isJson: boolean;
  readonly #stdout: NodeJS.WritableStream;
  readonly #stderr: NodeJS.WritableStream & { isTTY?: boolean; columns?: number };
  #bar: string | null = null;

  constructor(
    json: boolean,
    stdout: NodeJS.WritableStream = process.stdout,
    stderr: NodeJS.WritableStream & { isTTY?: boolean; columns?: number } = process.stderr,
  ) {
    this.isJson = json;
    this.#stdout = stdout;
    this.#stderr = stderr;
  }

  /** A line of the result, for people. */
  line(text = ''): void {
    if (!this.isJson) this.#above(() => this.#stdout.write(`${text}\n`));
  }

  lines(texts: readonly string[]): void {
    for (const text of texts) this.line(text);
  }

  /** A line of the result, for programs. */
  json(value: unknown): void {
    if (this.isJson) this.#stdout.write(`${JSON.stringify(value, plain)}\n`);
  }

  /** Something worth knowing that is no result. */
  note(text: string): void {
    this.#above(() => this.#stderr.write(`note: ${text}\n`));
  }

  error(text: string): void {
    this.#above(() => this.#stderr.write(`${text}\n`));
  }

  /** `from`: what was done before this began, so that the time left is judged by the rest. */
  progress(label: string, total: number, from = 0): ProgressBar {
    if (this.isJson) return { update() {}, end() {} };
    const started = performance.now();
    let last = Number.NEGATIVE_INFINITY;
    const terminal = this.#stderr.isTTY === true;
    return {
      update: (done, text = '') => {
        const now = performance.now();
        const finished = done >= total;
        if (now - last < (terminal ? REDRAW_EVERY : LINE_EVERY) && !finished) return;
        last = now;
        const elapsed = now - started;
        const left = done > from && elapsed > ESTIMATE_AFTER ? (elapsed / (done - from)) * (total - done) : Number.NaN;
        const parts = [`${done}/${total}`, ...(text ? [text] : [])];
        if (!finished && Number.isFinite(left)) parts.push(`${showTime(left)} left`);
        if (terminal) this.#draw(`${label} ${bar(done / total)} ${parts.join('  ')}`);
        else this.#stderr.write(`${label} ${parts.join('  ')}\n`);
      },
      end: () => {
        if (terminal) this.#draw(null);
      },
    };
  }

  /** Draws or removes the bar. */
  #draw(text: string | null): void {
    const width = (this.#stderr.columns ?? 80) - 1;
    this.#stderr.write(`\r\u001b[2K${text === null ? '' : text.slice(0, width)}`);
    this.#bar = text;
  }

  /** Writes with the bar out of the way. */
  #above(write: () => void): void {
    const bar = this.#bar;
    if (bar !== null) this.#draw(null);
    write();
    if (bar !== null) this.#draw(bar);
  }
}

function bar(share: number): string {
  const cells = 24;
  const full = Math.round(Math.min(1, Math.max(0, share)) * cells);
  return `[${'█'.repeat(full)}${'·'.repeat(cells - full)}]`;
}

/** JSON has no NaN: null stands for it. BigInt as text. */
const plain = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value);
