// The whole parity matrix: every golden of test/golden/swinunetr on both targets; `npm run test:parity`.
//
//   npm run test:parity                          everything: about an hour on two cores with a software adapter
//   npm run test:parity -- wasm                  one target
//   npm run test:parity -- f24 webgpu            goldens whose name has this in it
//   npm run test:parity -- --json FILE           the table as JSON too
import { readdirSync, writeFileSync } from 'node:fs';
import { loadGolden } from './golden.ts';
import { buildFor, type ParityResult, parity } from './parity.ts';

type Target = 'wasm' | 'webgpu';
const TARGETS: readonly Target[] = ['wasm', 'webgpu'];

async function main(args: string[]): Promise<number> {
  const at = args.indexOf('--json');
  const json = at >= 0 ? args.splice(at, 2)[1] : undefined;
  if (at >= 0 && !json) throw new Error('--json needs a file name');
  const targets = TARGETS.filter((t) => args.includes(t));
  const parts = args.filter((a) => !TARGETS.includes(a as Target));
  const names = readdirSync(new URL('./golden/swinunetr', import.meta.url))
    .map((f) => f.replace(/\.json$/, ''))
    // layers and training steps have tests of their own
    .filter((n) => !/-(layers|training)$/.test(n))
    .filter((n) => parts.every((p) => n.includes(p)))
    .sort();
  if (names.length === 0) throw new Error(`no golden has ${parts.join(' and ')} in its name`);

  console.log('golden                            device  logits   loss     gradients  worst gradient');
  const rows: (ParityResult & { golden: string; target: Target })[] = [];
  for (const name of names)
    for (const target of targets.length ? targets : TARGETS) {
      const golden = loadGolden(`swinunetr/${name}`);
      const forwardOnly = golden.loss === undefined;
      const entries = forwardOnly ? ['logits'] : ['logits', 'segment'];
      const built = await buildFor(golden.config, { targets: [target], entries });
      const options = { device: target, ...(target === 'wasm' ? { threads: 2 } : {}) };
      const r = await parity(golden, built, options, forwardOnly);
      rows.push({ ...r, golden: name, target });
      const figures = forwardOnly
        ? [e(r.logits)]
        : [e(r.logits), e(r.loss), `${e(r.gradient)}   ${r.worst.replace('grad.', '')}`];
      const times = [r.ms.forward, r.ms.grad].filter((ms) => ms > 0).map((ms) => `${(ms / 1000).toFixed(1)} s`);
      console.log(`${name.padEnd(34)}${target.padEnd(8)}${figures.join('  ')}  (${times.join(', ')})`);
      for (const f of r.failures) console.log(`  FAIL ${f}`);
    }
  if (json) writeFileSync(json, `${JSON.stringify(rows, null, 2)}\n`);
  const failed = rows.filter((r) => r.failures.length).length;
  console.log(`${rows.length - failed} passed, ${failed} failed`);
  return failed ? 1 : 0;
}

const e = (x: number): string => x.toExponential(1);

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (err: Error) => {
    console.error(err);
    process.exitCode = 1;
  },
);
