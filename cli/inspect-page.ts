// An artifact as one HTML page that needs nothing else: facts, entries, memory plans, kernels, parameters.
import type { Manifest } from '../runtime/manifest.ts';
import { memoryPicture } from './memory-picture.ts';
import { STYLE, table, xml } from './page.ts';
import { showBytes, showCount, showFlops } from './units.ts';

type Entry = Manifest['entries'][string];
type Port = Entry['inputs'][number];

export function inspectPage(m: Manifest, name: string): string {
  const count = m.parameters.reduce((n, p) => n + p.shape.reduce((a, b) => a * b, 1), 0);
  const size = Object.values(m.files).reduce((n, f) => n + f.bytes, 0);
  const arenaNames = m.arenas.map((a) => a.name);
  const port = (p: Port) => `${p.name} ${p.dtype}[${p.axes.map((a, i) => `${a}=${p.shape[i]}`).join(' ')}]`;
  const entries = Object.entries(m.entries).map(([entry, e]) => [
    `<b>${xml(entry)}</b>`,
    xml(e.inputs.map(port).join(', ')),
    xml(e.outputs.map(port).join(', ')),
    showFlops(e.flops.forward),
    e.training ? showFlops(e.flops.grad) : '–',
    e.training ? xml(`${e.training.optimizer}, lr ${e.training.lr}`) : '–',
  ]);
  const plansOf = (entry: string, plans: Entry['memory'] | NonNullable<Entry['memory']['webgpu']>, on: string) => [
    `<h3>${xml(entry)}: inference${on}</h3>`,
    memoryPicture(plans.forward, arenaNames),
    ...(plans.grad ? [`<h3>${xml(entry)}: forward and backward${on}</h3>`, memoryPicture(plans.grad, arenaNames)] : []),
  ];
  const plans = Object.entries(m.entries).flatMap(([entry, e]) =>
    e.memory.webgpu
      ? [
          ...plansOf(entry, e.memory.webgpu, `, WebGPU${m.precision === 'f16' ? ' (f16)' : ''}`),
          ...plansOf(entry, e.memory, `, WebAssembly${m.precision === 'f16' ? ' (f32)' : ''}`),
        ]
      : plansOf(entry, e.memory, ''),
  );
  const uses = new Uint32Array(m.kernels.length);
  for (const d of m.dispatches) uses[d.kernel]!++;
  const kernels = m.kernels
    .map((k, i) => ({ k, uses: uses[i]! }))
    .sort((a, b) => b.k.flops * b.uses - a.k.flops * a.uses)
    .map(({ k, uses: n }) => [
      xml(k.name),
      xml(k.kind),
      xml(k.region),
      showCount(n),
      showFlops(k.flops),
      showBytes(k.bytes),
      k.bytes > 0 ? (k.flops / k.bytes).toFixed(1) : '–',
      xml(
        k.variants
          .map((v) => [v.id, ...v.features, ...(v.adapters ? [`for ${v.adapters.join(' and ')}`] : [])].join(' + '))
          .join('; '),
      ),
    ]);
  const parameters = m.parameters.map((p) => [
    xml(p.name),
    `[${p.shape.join(', ')}]`,
    xml(describeInit(p.init)),
    p.trainable ? 'yes' : 'no',
  ]);
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${xml(m.model.name)} – artifact</title>
<style>${STYLE}</style>
<h1>${xml(m.model.name)} <small>${xml(name)}</small></h1>
<p>${showCount(count)} parameters in ${m.parameters.length} tensors · ${Object.keys(m.files).length + 1} files, ${showBytes(size)} ·
format ${m.format}, ${xml(m.generator)} · graph ${xml(m.graphHash.slice(0, 16))}</p>
<h2>Entries</h2>
${table(['entry', 'inputs', 'outputs', 'forward', 'forward + backward', 'optimiser'], entries, [3, 4])}
<h2>Memory</h2>
<p>What is kept between runs:</p>
${table(
  ['arena', 'role', 'bytes', 'used by'],
  m.arenas.map((a) => [xml(a.name), a.role, showBytes(a.bytes), a.sections.join(', ')]),
  [2],
)}
${plans.join('\n')}
<h2>WebGPU kernels</h2>
<p>${m.kernels.length} kernels, ${showCount(m.dispatches.length)} dispatches in all entries. Work is that of one dispatch.</p>
${table(['kernel', 'kind', 'region', 'dispatches', 'work', 'moved', 'FLOP/byte', 'variants'], kernels, [3, 4, 5, 6])}
<h2>Parameters</h2>
<details><summary>${m.parameters.length} tensors</summary>
${table(['name', 'shape', 'drawn from', 'trained'], parameters, [])}
</details>
<h2>Settings</h2>
<pre>${xml(JSON.stringify(m.model.settings, null, 1))}</pre>
${m.preprocess ? `<h2>Data contract</h2>\n<pre>${xml(JSON.stringify(m.preprocess, null, 1))}</pre>` : ''}
</html>
`;
}

function describeInit(init: Manifest['parameters'][number]['init']): string {
  switch (init.kind) {
    case 'constant':
      return `${init.value}`;
    case 'uniform':
      return `uniform ${init.low.toPrecision(3)} … ${init.high.toPrecision(3)}`;
    case 'normal':
      return `normal, σ ${init.std.toPrecision(3)}`;
    case 'truncatedNormal':
      return `truncated normal, σ ${init.std.toPrecision(3)}`;
  }
}
