// The version that package.json states.
import { readFileSync } from 'node:fs';

export function version(): string {
  const json = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
  return json.version;
}
