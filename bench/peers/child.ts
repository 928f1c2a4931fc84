// A program in a process of its own, asked by lines of JSON on its input, answering by lines on file descriptor 3: its output is
// for what libraries print. Its clock times the calls; tensors go by files. Its end, whatever the reason, is an answer.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { PeerCase, Tensor } from './cases.ts';
import { Absent, type Runner } from './peer.ts';

/** A call that takes longer has failed. */
const LONGEST_MS = 45 * 60_000;

export type Request =
  | { readonly op: 'describe' }
  | {
      readonly op: 'open';
      readonly case: PeerCase;
      readonly inputs: Readonly<
        Record<string, { readonly file: string; readonly shape: readonly number[]; readonly dtype: 'f32' | 'i32' }>
      >;
      readonly options: Readonly<Record<string, unknown>>;
    }
  | { readonly op: 'export'; readonly case: PeerCase; readonly file: string }
  | { readonly op: 'run' }
  | { readonly op: 'output'; readonly file: string }
  | { readonly op: 'close' };

export interface Answer {
  /** Why it could not be done. */
  readonly error?: string;
  readonly ms?: number;
  readonly version?: string;
  readonly device?: string;
  /** PyTorch's: the card, where there is one. */
  readonly cuda?: string | null;
  readonly note?: string;
}

export class Child {
  readonly folder = mkdtempSync(join(tmpdir(), 't3dc-peer-'));
  private readonly process: ChildProcess;
  private readonly lines: AsyncIterator<string>;
  private readonly said: string[] = [];
  private readonly name: string;
  private gone: string | null = null;

  constructor(name: string, command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.name = name;
    this.process = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    this.process.on('error', (e) => {
      this.gone = e.message;
    });
    this.process.on('exit', (code, signal) => {
      this.gone ??= signal ? `was ended by ${signal}` : `ended with status ${code}`;
    });
    this.process.stdin!.on('error', () => {}); // a child that is gone answers by its end
    this.lines = createInterface({ input: this.process.stdio[3] as Readable })[Symbol.asyncIterator]();
    for (const input of [this.process.stdout!, this.process.stderr!])
      createInterface({ input }).on('line', (line) => {
        this.said.push(line);
        if (this.said.length > 20) this.said.shift();
      });
  }

  /** @throws Absent: the program is gone, or says why it could not */
  async ask(request: Request): Promise<Answer> {
    if (this.gone !== null) throw new Absent(this.epitaph());
    this.process.stdin!.write(`${JSON.stringify(request)}\n`);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.process.kill('SIGKILL');
    }, LONGEST_MS);
    const { value, done } = await this.lines.next();
    clearTimeout(timer);
    if (late) throw new Absent(`${this.name} gave no answer to ${request.op} within ${LONGEST_MS / 60_000} minutes`);
    if (done) {
      await new Promise((resolve) => setTimeout(resolve, 100)); // its status and last words come after its output's end
      throw new Absent(this.epitaph());
    }
    const answer = JSON.parse(value) as Answer;
    if (answer.error !== undefined) throw new Absent(answer.error);
    return answer;
  }

  async open(
    c: PeerCase,
    inputs: Readonly<Record<string, Tensor>>,
    options: Readonly<Record<string, unknown>>,
  ): Promise<Runner> {
    const files = Object.entries(inputs).map(([name, t]) => {
      const file = join(this.folder, `${name}.bin`);
      writeFileSync(file, new Uint8Array(t.data.buffer, t.data.byteOffset, t.data.byteLength));
      return [name, { file, shape: t.shape, dtype: t.data instanceof Int32Array ? 'i32' : 'f32' } as const] as const;
    });
    const { note } = await this.ask({ op: 'open', case: c, inputs: Object.fromEntries(files), options });
    return {
      ...(note ? { note } : {}),
      run: async () => (await this.ask({ op: 'run' })).ms!,
      output: async () => {
        const file = join(this.folder, 'output.bin');
        await this.ask({ op: 'output', file });
        const { buffer } = new Uint8Array(readFileSync(file));
        rmSync(file);
        return new Float32Array(buffer);
      },
      close: async () => {
        if (this.gone === null) await this.ask({ op: 'close' });
      },
    };
  }

  close(): void {
    this.process.kill('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }

  private epitaph(): string {
    const last = this.said.filter((l) => l.trim() !== '').at(-1);
    return `${this.name} ${this.gone ?? 'ended'}${last ? `: ${last}` : ''}`;
  }
}
