import { command } from '../command.ts';
export const segment = command({
  name: 'segment',
  summary: 'todo',
  positionals: [],
  options: {},
  examples: [],
  async run() {},
});
