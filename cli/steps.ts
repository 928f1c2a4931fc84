// Commands run one after the other by a demonstration, each printed first, so that it can be repeated by hand.
import { EXIT } from './errors.ts';
import { main } from './main.ts';

/** A command that failed has told why. */
export class Failed extends Error {
  readonly exitCode: number;
  constructor(exitCode: number) {
    super('a command failed');
    this.exitCode = exitCode;
  }
}

/** @throws Failed */
export async function t3dc(...words: string[]): Promise<void> {
  process.stdout.write(`$ t3dc ${words.join(' ')}\n`);
  const code = await main(words);
  if (code !== EXIT.ok) throw new Failed(code);
}
