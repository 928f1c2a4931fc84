// Which step of a run was its best by a validation metric, and whether the run has gone on for long enough without a better one.
// All follows from the metrics that were logged, so that a resumed run knows it from its log.

export interface Best {
  readonly step: number;
  readonly value: number;
}

export class BestStep {
  /** Tag of the metric, `validation/dice`. */
  readonly metric: string;
  readonly #patience: number | null;
  #best: Best | null = null;
  #without = 0;

  /** `patience`: validations in a row without a better one after which the run ends; null: it never ends so. */
  constructor(metric: string, patience: number | null) {
    this.metric = metric;
    this.#patience = patience;
  }

  get best(): Best | null {
    return this.#best;
  }
  /** Validations since the best. */
  get without(): number {
    return this.#without;
  }
  get isOver(): boolean {
    return this.#patience !== null && this.#without >= this.#patience;
  }

  /** Takes a validation into account; whether it is the best so far. A metric that could not be computed is none. */
  take(step: number, value: number | null): boolean {
    const better =
      value !== null &&
      Number.isFinite(value) &&
      (this.#best === null || (isLoss(this.metric) ? value < this.#best.value : value > this.#best.value));
    if (better) this.#best = { step, value };
    this.#without = better ? 0 : this.#without + 1;
    return better;
  }
}

/** Whether less is better: of losses, distances in mm and errors, by what stands behind `validation/`. */
export const isLoss = (metric: string): boolean =>
  /loss|hd95|hausdorff|assd|distance|error|brier|ece/i.test(metric.split('/')[1] ?? metric);
