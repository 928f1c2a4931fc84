"""Reads the event files of a t3dc run as TensorBoard does, and compares every scalar with the run's metrics.jsonl:

    python test/reference/tensorboard_events.py runs/a

Needs `pip install tensorboard`.
"""

import json
import struct
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def single(v: float) -> float:
    return struct.unpack("<f", struct.pack("<f", v))[0]


def main(run: Path) -> None:
    events = EventAccumulator(str(run), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    expected: dict[str, list[tuple[int, float]]] = {}
    for line in (run / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        for tag, value in record.items():
            if tag != "step" and value is not None:
                expected.setdefault(tag, []).append((record["step"], single(value)))
    tags = events.Tags()
    assert sorted(tags["scalars"]) == sorted(expected), (tags["scalars"], sorted(expected))
    for tag, values in expected.items():
        found = [(e.step, e.value) for e in events.Scalars(tag)]
        assert found == values, (tag, found[:3], values[:3])
        print(f"{tag}: {len(found)} values, steps {found[0][0]} to {found[-1][0]}")
    for tag in tags["images"]:
        for e in events.Images(tag):
            png = e.encoded_image_string
            assert png[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", png[16:24]) == (e.width, e.height)
            print(f"{tag}: step {e.step}, {e.width} x {e.height}, {len(png)} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
