// The child's side of child.ts, for programs that run in Node.
import { readFileSync, writeFileSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { PeerCase, Tensor } from './cases.ts';
import type { Answer, Request } from './child.ts';
import type { Runner } from './peer.ts';

/** The file descriptor that child.ts reads. */
const ANSWERS = 3;

export interface Served {
  describe(): Promise<{ version: string; device: string }>;
  open(
    c: PeerCase,
    inputs: Readonly<Record<string, Tensor>>,
    options: Readonly<Record<string, unknown>>,
  ): Promise<Runner>;
}

/** Answers until its input ends. */
export async function serve(program: Served): Promise<void> {
  let runner: Runner | null = null;
  const answer = async (r: Request): Promise<Answer> => {
    switch (r.op) {
      case 'describe':
        return program.describe();
      case 'open': {
        const inputs = Object.entries(r.inputs).map(([name, { file, shape, dtype }]) => {
          const { buffer } = new Uint8Array(readFileSync(file)); // a copy: a small file's bytes lie anywhere in a pool
          const data = dtype === 'i32' ? new Int32Array(buffer) : new Float32Array(buffer);
          return [name, { shape, data }] as const;
        });
        runner = await program.open(r.case, Object.fromEntries(inputs), r.options);
        return runner.note ? { note: runner.note } : {};
      }
      case 'export':
        throw new Error('exports nothing');
      case 'run':
        return { ms: await runner!.run() };
      case 'output': {
        const { buffer, byteOffset, byteLength } = await runner!.output();
        writeFileSync(r.file, new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength));
        return {};
      }
      case 'close':
        await runner?.close();
        runner = null;
        return {};
    }
  };
  for await (const line of createInterface({ input: process.stdin })) {
    const result = await answer(JSON.parse(line) as Request).catch((e: Error) => ({
      error: firstLine(e.message),
    }));
    writeSync(ANSWERS, `${JSON.stringify(result)}\n`);
  }
  process.exit(0);
}

const firstLine = (message: string): string => message.split('\n')[0]!.slice(0, 300);
