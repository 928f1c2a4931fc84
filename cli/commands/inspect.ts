import { command } from '../command.ts';
import { columns, showBytes, showCount, showFlops } from '../units.ts';
import type { WeightCounts } from '../weight-counts.ts';
import { facts, summary } from './build.ts';

export const inspect = command({
  name: 'inspect',
  summary: 'tell what an artifact holds',
  description: [
    'Entries, parameters, kernels with their work and variants, and memory; --html draws the memory plans.',
  ],
  positionals: [{ name: 'ARTIFACT', help: 'folder or .t3dc file that t3dc build wrote' }],
  options: {
    html: { kind: 'text', value: 'FILE', help: 'write a page with the memory plans as pictures' },
    weights: {
      kind: 'text',
      value: 'FILE',
      help: 'tell what it would take of these weights (safetensors), by whose names, and what not',
    },
    kernels: { kind: 'integer', min: 0, default: 12, value: 'N', help: 'print the N kernels with the most work' },
  },
  examples: [
    ['t3dc inspect dist/t3d', 'a summary'],
    ['t3dc inspect dist/t3d --html t3d.html', 'everything as a page'],
    [
      't3dc inspect dist/t3d --weights model_swinvit.safetensors',
      'whether published weights fit, before they are used',
    ],
    ['t3dc inspect model.t3dc --json', 'for programs'],
  ],
  async run({ ARTIFACT }, values, { out }) {
    const { openArtifact } = await import('../../runtime/index.ts');
    const { manifest: m } = await openArtifact(ARTIFACT);
    out.lines(summary(m));
    const uses = new Uint32Array(m.kernels.length);
    for (const d of m.dispatches) uses[d.kernel]!++;
    const kernels = m.kernels
      .map((k, i) => ({ k, dispatches: uses[i]! }))
      .sort((a, b) => b.k.flops * b.dispatches - a.k.flops * a.dispatches);
    const shown = kernels
      .slice(0, values.kernels)
      .map(({ k, dispatches }) => [
        `  ${k.name}`,
        showCount(dispatches),
        showFlops(k.flops),
        showBytes(k.bytes),
        k.variants.map(showVariant).join(' '),
      ]);
    out.line();
    out.line(`${m.kernels.length} WebGPU kernels; those with the most work (FLOPs and bytes of one dispatch):`);
    out.lines(columns([['  kernel', 'dispatches', 'work', 'moved', 'variants'], ...shown], '.rrr'));
    const size = Object.values(m.files).reduce((n, f) => n + f.bytes, 0);
    out.line();
    out.line(
      `${ARTIFACT}: ${Object.keys(m.files).length + 1} files, ${showBytes(size)}, graph ${m.graphHash.slice(0, 16)}`,
    );
    let weights: WeightCounts | undefined;
    if (values.weights !== undefined) {
      const { readBytes } = await import('../../data/node.ts');
      const { showWeights, weightCounts, wouldTake } = await import('../weight-counts.ts');
      const report = wouldTake(m, await readBytes(values.weights));
      out.line();
      out.lines(showWeights(values.weights, report, m, 'fit'));
      weights = weightCounts(report, m);
    }
    if (values.html !== undefined) {
      const { writeFileAtomic } = await import('../../data/node.ts');
      const { inspectPage } = await import('../inspect-page.ts');
      await writeFileAtomic(values.html, inspectPage(m, ARTIFACT));
      out.line(`${values.html} written`);
    }
    out.json({
      artifact: ARTIFACT,
      ...facts(m),
      settings: m.model.settings,
      preprocess: m.preprocess,
      bytes: size,
      kernels: kernels.map(({ k, dispatches }) => ({ ...k, dispatches })),
      weights,
      html: values.html,
    });
  },
});

/** `subgroup8`, or `subgroup8-2x6(mesa/software)` where it is for the adapters that it was measured on. */
const showVariant = ({ id, adapters }: { readonly id: string; readonly adapters?: readonly string[] }): string =>
  adapters ? `${id}(${[...new Set(adapters.map((a) => a.split(' ')[0]!))].join()})` : id;
