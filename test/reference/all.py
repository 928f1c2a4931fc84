"""Regenerates every golden under test/golden/ (see README.md)."""

import ops
import sources
import swinunetr
import training

if __name__ == "__main__":
    sources.main()
    ops.main()
    training.main()
    swinunetr.main()
