// Golden IR and golden emitted code: a change of the compiler's output shows as a difference of text.
import { readdirSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { emitted, folder, stored } from '../emitted.ts';

const files = emitted();

test('the goldens are those of today', () => {
  assert.equal(readdirSync(folder).sort(), [...files.keys()].sort(), 'run npm run golden');
});

for (const [name, text] of files)
  test(name, () => {
    assert.fixture(text, stored(name), `${name} changed: if it should, run npm run golden and read the difference`);
  });

test.run();
