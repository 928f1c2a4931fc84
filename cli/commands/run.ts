import { command, DEVICE } from '../command.ts';
import { CliError } from '../errors.ts';
import { columns, showTime } from '../units.ts';

export const run = command({
  name: 'run',
  summary: 'run one entry once on named tensors',
  description: [
    "Reads the entry's inputs by name from a safetensors file and writes its outputs by name to another. With --grads, of an " +
      "entry with a loss, every parameter's gradient is written too, as grad.NAME in the checkpoint's layout; nothing is updated.",
  ],
  positionals: [
    { name: 'ARTIFACT', help: 'folder or .t3dc file that t3dc build wrote' },
    { name: 'ENTRY', help: 'its entry; see t3dc inspect' },
  ],
  options: {
    in: { kind: 'text', value: 'FILE', required: true, help: 'inputs (safetensors)' },
    out: { kind: 'text', short: 'o', value: 'FILE', required: true, help: 'where outputs go (safetensors)' },
    weights: { kind: 'text', value: 'FILE', help: 'weights (safetensors, by PyTorch names)' },
    ...DEVICE,
    seed: { kind: 'integer', min: 0, value: 'S', help: 'draw weights from this seed (before --weights), and dropout' },
    grads: { kind: 'flag', help: 'write gradients of the loss too' },
  },
  examples: [
    ['t3dc run dist/t3d logits --in x.safetensors --out y.safetensors --weights w.safetensors', 'logits of a patch'],
    ['t3dc run dist/t3d segment --in xy.safetensors --out g.safetensors --weights w.safetensors --grads', 'gradients'],
  ],
  async run({ ARTIFACT, ENTRY }, values, { out, signal }) {
    const { readBytes, writeFileAtomic } = await import('../../data/node.ts');
    const { readSafetensors } = await import('../../runtime/index.ts');
    const { inputFrom, outputFile } = await import('../tensors.ts');
    const { loadWeightsFile, needWeights, withSession } = await import('../session.ts');
    const stored = readSafetensors(await readBytes(values.in));
    await withSession(ARTIFACT, values, out, async (session) => {
      const entry = session.entry(ENTRY);
      needWeights(session, values.weights, values.seed);
      const weights = values.weights === undefined ? undefined : await loadWeightsFile(session, values.weights, out);
      const ports = new Map(entry.inputs.map((p) => [p.name, p]));
      const inputs: Record<string, ReturnType<typeof inputFrom>> = {};
      for (const [name, tensor] of stored.tensors) {
        const port = ports.get(name);
        if (!port)
          throw new CliError('bad-input', `${ENTRY} has no input ${name}`, {
            found: `${name} in ${values.in}`,
            expected: [...ports.keys()].join(', '),
            hint: 'Leave it out of the file, or check its name.',
          });
        inputs[name] = inputFrom(port, tensor);
      }
      const started = performance.now();
      const { outputs, grads } = values.grads
        ? await session.grads(ENTRY, inputs, { signal })
        : { outputs: await session.entries[ENTRY]!(inputs, { signal }), grads: undefined };
      const ms = performance.now() - started;
      const { parameters } = session.manifest;
      const file = outputFile(entry.outputs, outputs, grads && { values: grads, parameters }, {
        model: session.manifest.model.name,
        entry: ENTRY,
      });
      await writeFileAtomic(values.out, file);
      const facts = entry.outputs.map((p) => ({ name: p.name, shape: p.shape, ...statistics(outputs[p.name]!) }));
      const gradients = grads ? Object.keys(grads).length : 0;
      out.lines(
        columns(
          facts.map((f) => [f.name, `[${f.shape.join(', ')}]`, `min ${f.min}`, `max ${f.max}`, `mean ${f.mean}`]),
        ),
      );
      if (grads) out.line(`${gradients} gradients, norm ${norm(Object.values(grads)).toPrecision(6)}`);
      out.line(`${values.out}  (${showTime(ms)} on ${session.device.description})`);
      out.json({ out: values.out, device: session.device, weights, ms, outputs: facts, gradients });
    });
  },
});

function statistics(data: ArrayLike<number>): { min: number; max: number; mean: number } {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  let sum = 0;
  for (let i = 0; i < data.length; i++) {
    const v = data[i]!;
    if (v < min) min = v;
    if (v > max) max = v;
    sum += v;
  }
  const short = (v: number) => Number(v.toPrecision(6));
  return { min: short(min), max: short(max), mean: short(sum / data.length) };
}

function norm(arrays: readonly Float32Array[]): number {
  let sum = 0;
  for (const a of arrays) for (let i = 0; i < a.length; i++) sum += a[i]! * a[i]!;
  return Math.sqrt(sum);
}
