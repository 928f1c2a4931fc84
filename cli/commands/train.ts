import { command } from '../command.ts';
export const train = command({
  name: 'train',
  summary: 'todo',
  positionals: [],
  options: {},
  examples: [],
  async run() {},
});
