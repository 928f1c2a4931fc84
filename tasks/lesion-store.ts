// Lesions of the studies of a pre-training, where their pairs have label maps: read once for each and kept sparsely. They are for
// records alone, and nothing is trained on them.
import { type Dims, prepare, type Volume } from '../data/index.ts';
import { INSIDE, type Lesions, lesionsOf, shownParts } from '../data/lesions.ts';
import type { BatchItem } from './pretrain-batches.ts';
import type { PretrainContract } from './pretrain-contract.ts';
import { faultOf } from './study-input.ts';

export interface LabelledPair {
  readonly name: string;
  load(): Promise<Volume>;
  /** Its label map, on the volume's grid; absent where it has none. */
  loadLabel?(): Promise<Volume>;
}

export class LesionStore {
  readonly #pairs: readonly LabelledPair[];
  readonly #contract: PretrainContract;
  readonly #ids: ReadonlySet<number>;
  readonly #onNote: (note: string) => void;
  readonly #known = new Map<number, Lesions | null>();

  /** @param ids of the label maps that are lesions @param onNote a label map that cannot be used, once each */
  constructor(
    pairs: readonly LabelledPair[],
    contract: PretrainContract,
    ids: Iterable<number>,
    onNote: (note: string) => void = () => {},
  ) {
    this.#pairs = pairs;
    this.#contract = contract;
    this.#ids = new Set(ids);
    this.#onNote = onNote;
  }

  /** Of a pair's study on its working grid of `dims`; null where it has no label map that can be used. */
  async of(pair: number, dims: Dims): Promise<Lesions | null> {
    const known = this.#known.get(pair);
    if (known !== undefined) return known;
    const found = await this.#read(this.#pairs[pair]!, dims);
    this.#known.set(pair, found);
    return found;
  }

  async #read(pair: LabelledPair, dims: Dims): Promise<Lesions | null> {
    if (!pair.loadLabel) return null;
    try {
      const [volume, label] = [await pair.load(), await pair.loadLabel()];
      const made = prepare(volume, label, this.#contract.preprocess);
      if (made.dims.every((n, axis) => n === dims[axis])) return lesionsOf(made.label!, made.dims, this.#ids);
      this.#onNote(
        `${pair.name}: its lesions are not counted: the label map is on a grid of ${made.dims.join(' × ')}, not ${dims.join(' × ')}`,
      );
      return null;
    } catch (err) {
      const reason = faultOf(err);
      if (reason === null) throw err;
      this.#onNote(`${pair.name}: its lesions are not counted: ${(err as Error).message.split('\n')[0]} (${reason})`);
      return null;
    }
  }
}

export interface LesionCount {
  /** Lesions of which at least half was within the tiles that were shown. */
  readonly inside: number;
  readonly all: number;
}

/** How many lesions of these studies were shown: in tiles that were encoded or, where none are, restored. Null where nothing is cut: a
 *  study that is downsampled is shown whole. */
export async function lesionsShown(
  store: LesionStore,
  contract: PretrainContract,
  items: readonly BatchItem[],
): Promise<LesionCount | null> {
  if (contract.takes === 'small') return null;
  let [inside, all] = [0, 0];
  for (const item of items) {
    const lesions = await store.of(item.pair, item.dims);
    if (!lesions) continue;
    const restored = item.restored.flatMap(({ origin }) => (origin ? [origin] : []));
    const parts = shownParts(lesions, contract.tiles > 0 ? item.origins : restored, contract.size);
    inside += parts.filter((part) => part >= INSIDE).length;
    all += parts.length;
  }
  return { inside, all };
}
