import { command } from '../command.ts';
export const inspect = command({
  name: 'inspect',
  summary: 'todo',
  positionals: [],
  options: {},
  examples: [],
  async run() {},
});
