// What an artifact says about its data: read from the manifest's `preprocess`, checked before anything is done with it.
import { type Dims, type Preprocess, preprocessFrom } from '../data/index.ts';
import { type Manifest, type Session, T3dcError } from '../runtime/index.ts';

type Entry = Manifest['entries'][string];
type Port = Entry['inputs'][number];

export interface SegmentationContract {
  readonly preprocess: Preprocess;
  /** Voxels d h w that one call takes. */
  readonly patch: Dims;
  /** Part of a sliding window shared with its neighbour. */
  readonly overlap: number;
  readonly classes: number;
  /** Names in label order, background first; `class N` where the artifact names none. */
  readonly classNames: readonly string[];
}

/** @throws T3dcError `bad-artifact` where the model declares no data contract; DataError `preprocess-invalid` */
export function segmentationContract(manifest: Manifest): SegmentationContract {
  const p = manifest.preprocess as (Record<string, unknown> & Partial<SegmentationContract>) | null;
  const { patch, classes } = p ?? {};
  const whole = (n: unknown): n is number => Number.isInteger(n) && (n as number) > 0;
  if (!p || !Array.isArray(patch) || patch.length !== 3 || !patch.every(whole) || !whole(classes))
    throw new T3dcError('bad-artifact', `${manifest.model.name} has no data contract for segmentation`, {
      found: p ? Object.keys(p).join(', ') : 'none',
      expected: 'orientation, spacing, window, foreground, thickSlices, patch and classes',
      hint: "Return `preprocess` from the model's build(), as models/t3d does, and build it again.",
    });
  const names = Array.isArray(p.classNames) && p.classNames.length === classes ? p.classNames.map(String) : undefined;
  return {
    preprocess: preprocessFrom(p),
    patch: patch as unknown as Dims,
    overlap: typeof p.overlap === 'number' ? p.overlap : 0.5,
    classes,
    classNames: names ?? Array.from({ length: classes }, (_, c) => (c === 0 ? 'background' : `class ${c}`)),
  };
}

const SPATIAL = ['d', 'h', 'w'];

/** The axes of a port that are not d h w, in order; null where it does not end in d h w of this size. */
function leading(port: Port, patch: Dims): readonly number[] | null {
  const n = port.shape.length - 3;
  if (n < 0 || port.axes.slice(n).join() !== SPATIAL.join() || port.shape.slice(n).join() !== patch.join()) return null;
  return port.shape.slice(0, n);
}

export interface LogitsEntry {
  readonly name: string;
  readonly volume: string;
  readonly logits: string;
  readonly batch: number;
}

/**
 * The entry that turns a volume f32[b c=1 d h w] into logits f32[b k d h w]: `name`, else `logits`, else the first that does.
 * @throws T3dcError `no-entry`, `bad-option`
 */
export function logitsEntry(session: Session, contract: SegmentationContract, name?: string): LogitsEntry {
  const { entries } = session.manifest;
  if (name !== undefined) session.entry(name);
  const names = name !== undefined ? [name] : ['logits', ...Object.keys(entries)];
  for (const candidate of names) {
    const entry = entries[candidate];
    const volume = entry && entry.inputs.length === 1 ? entry.inputs[0]! : undefined;
    if (!entry || !volume || volume.dtype !== 'f32' || leading(volume, contract.patch)?.[1] !== 1) continue;
    const logits = entry.outputs.find((o) => o.dtype === 'f32' && leading(o, contract.patch)?.[1] === contract.classes);
    if (logits) return { name: candidate, volume: volume.name, logits: logits.name, batch: volume.shape[0]! };
  }
  const shape = contract.patch.join('×');
  throw new T3dcError('no-entry', `no entry of ${session.manifest.model.name} segments a volume`, {
    found: names.filter((n) => entries[n]).join(', '),
    expected: `one with an input f32[b 1 ${shape}] and an output f32[b ${contract.classes} ${shape}]`,
    hint: 'Build the model with its logits entry (--entries …,logits).',
  });
}

export interface SegmentationLossEntry {
  readonly volume: string;
  readonly label: string;
  readonly batch: number;
}

/** How a training entry takes its crops: volume f32[b 1 d h w] and label i32[b 1 d h w] or i32[b d h w]. @throws T3dcError
 *  `no-entry`, `not-trainable`, `bad-option` */
export function lossEntry(session: Session, contract: SegmentationContract, name: string): SegmentationLossEntry {
  const entry = session.trainable(name);
  const volume = entry.inputs.find((p) => p.dtype === 'f32' && leading(p, contract.patch)?.[1] === 1);
  const label = entry.inputs.find((p) => p.dtype !== 'f32' && leading(p, contract.patch) !== null);
  if (volume && label && entry.inputs.length === 2 && label.shape[0] === volume.shape[0])
    return { volume: volume.name, label: label.name, batch: volume.shape[0]! };
  throw new T3dcError('bad-option', `${name} does not train segmentation`, {
    found: entry.inputs.map((p) => `${p.name} ${p.dtype}[${p.shape.join(', ')}]`).join(', '),
    expected: `volume f32[b, 1, ${contract.patch.join(', ')}] and label i32 of its size`,
    hint: 'Name the entry that has both as inputs.',
  });
}
