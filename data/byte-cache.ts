// What was read is kept as long as it fits: the least recently used goes first when a number of bytes would be passed.

export class ByteCache<K, V> {
  readonly #maxBytes: number;
  readonly #sizeOf: (value: V) => number;
  readonly #kept = new Map<K, V>();
  #bytes = 0;
  #mostBytes = 0;

  /** @param maxBytes what was put in last is kept even where it alone is more */
  constructor(maxBytes: number, sizeOf: (value: V) => number) {
    this.#maxBytes = maxBytes;
    this.#sizeOf = sizeOf;
  }

  /** Held now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Held at any time, most. */
  get mostBytes(): number {
    return this.#mostBytes;
  }

  get(key: K): V | undefined {
    const known = this.#kept.get(key);
    if (known === undefined) return undefined;
    this.#kept.delete(key);
    this.#kept.set(key, known);
    return known;
  }

  /** @returns whether something had to go for it */
  set(key: K, value: V): boolean {
    const before = this.#kept.get(key);
    if (before !== undefined) this.#bytes -= this.#sizeOf(before);
    this.#kept.delete(key);
    this.#bytes += this.#sizeOf(value);
    let dropped = false;
    for (const [old, held] of this.#kept) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#kept.delete(old);
      this.#bytes -= this.#sizeOf(held);
      dropped = true;
    }
    this.#kept.set(key, value);
    this.#mostBytes = Math.max(this.#mostBytes, this.#bytes);
    return dropped;
  }
}
