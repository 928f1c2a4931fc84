// The command line within a test's process: what a user types, and what it says.
import { Writable } from 'node:stream';
import * as assert from 'uvu/assert';
import { main } from '../cli/main.ts';
import { Output } from '../cli/output.ts';

export interface Ended {
  readonly code: number;
  readonly stderr: string;
  /** The last line of stdout. */
  // biome-ignore lint/suspicious/noExplicitAny: JSON of the tool
  readonly json: any;
}

export const t3dc = (...words: string[]): Promise<Ended> => interrupted(null, ...words);

/** Ctrl-C once stdout tells this. */
export async function interrupted(after: string | null, ...words: string[]): Promise<Ended> {
  let isOver = after === null;
  const sink = () => {
    const chunks: string[] = [];
    const stream = new Writable({
      write(chunk, _, done) {
        chunks.push(String(chunk));
        if (!isOver && String(chunk).includes(after!)) {
          isOver = true;
          process.emit('SIGINT');
        }
        done();
      },
    });
    return { stream, text: () => chunks.join('') };
  };
  const [stdout, stderr] = [sink(), sink()];
  const code = await main([...words, '--json'], new Output(true, stdout.stream, stderr.stream));
  return { code, stderr: stderr.text(), json: JSON.parse(stdout.text().trim().split('\n').at(-1)!) };
}

export const ok = (e: Ended): Ended => {
  assert.is(e.code, 0, `${JSON.stringify(e.json)}\n${e.stderr}`);
  return e;
};
