// What the server tells the page: which model there is, and what lies beside it. `t3dc serve` writes it, the page reads it.

export interface ServedFile {
  /** Relative to the page. */
  readonly url: string;
  readonly name: string;
  readonly sha256: string;
  readonly bytes: number;
}

export interface PageConfig {
  /** Folder or .t3dc file, relative to the page. */
  readonly artifact: string;
  readonly artifactName: string;
  /** Null: the model has not been trained. */
  readonly weights: ServedFile | null;
  /** Studies that can be searched by text; null where none are served. */
  readonly search: SearchConfig | null;
  readonly version: string;
}

export interface SearchConfig {
  readonly artifact: string;
  readonly weights: ServedFile;
  readonly index: ServedFile;
  readonly tokenizer: ServedFile;
}
