"""Regenerates every golden under test/golden/ (see README.md)."""

import metrics
import ops
import optim_groups
import pretrain
import sources
import swinunetr
import training

if __name__ == "__main__":
    sources.main()
    ops.main()
    metrics.main()
    training.main()
    optim_groups.main()
    pretrain.main()
    swinunetr.main()
