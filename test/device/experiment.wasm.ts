// The small copy of the experiment that asks whether reports help (docs/results.md): on development studies, the encoder that learned
// from its patients' own reports knows more of the kinds of lesions than the one that learned from others'. Minutes on two cores.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { SMALL } from '../../cli/experiment/declaration.ts';

/** Of the mean difference of macro AUROC at all labels. */
const LEAST_GAIN = 0.03;

test('experiment --small: t3d is ahead of its shuffled control with every seed', async () => {
  const dir = await mkdtemp(join(tmpdir(), 't3dc-experiment-'));
  try {
    const errors = await run(['experiment', '-o', join(dir, 'small'), '--small', '--jobs', '2', '--json']);
    assert.is(errors, '');
    const { results } = JSON.parse(await readFile(join(dir, 'small', 'results.json'), 'utf8'));
    const { differences, mean, fraction, p } = results.primary;
    console.log(`  differences ${differences.map((d: number) => d.toFixed(3)).join(' ')}, mean ${mean.toFixed(3)}`);
    assert.is(fraction, 1);
    assert.is(differences.length, SMALL.seeds.length);
    assert.ok(
      differences.every((d: number) => d > 0),
      `differences ${differences.join(' ')}`,
    );
    assert.ok(mean >= LEAST_GAIN, `mean difference ${mean}`);
    // Three signs that agree: the least that an exact test of three can give.
    assert.is(p, 2 / 2 ** SMALL.seeds.length);
    const page = await readFile(join(dir, 'small', 'report.html'), 'utf8');
    assert.match(page, 't3d − t3d-shuffled');
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

/** What it writes to stderr where it fails, else nothing. */
function run(words: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const p = spawn(process.execPath, ['bin/t3dc.mjs', ...words], { stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    p.stderr.on('data', (chunk) => {
      errors = `${errors}${chunk}`.slice(-4000);
    });
    p.on('error', reject);
    p.on('exit', (code) => resolve(code === 0 ? '' : `exit ${code}: ${errors}`));
  });
}

test.run();
