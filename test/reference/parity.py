"""Compares t3dc's SwinUNETR with MONAI's, where Python is at hand.

    python test/reference/parity.py --feature-size 24 --size 64 --export DIR
    t3dc run … --grads                                        # with DIR/weights.safetensors and DIR/inputs.safetensors
    python test/reference/parity.py --feature-size 24 --size 64 --compare OUT.safetensors

--export writes weights.safetensors (PyTorch's names and layouts), volume.safetensors (volume f32 [b c d h w] in [0, 1); for the
entry `logits`), inputs.safetensors (the same and label i32 [b 1 d h w]; for `segment`) and config.json. --compare runs MONAI in
labels i32 [b d h w]) and config.json. --compare runs MONAI in float64 on the same weights and inputs and compares every
tensor of OUT: `logits` ([b c d h w], or channels last), `loss`, `grad.NAME`. The exit status is 1 where any is out of bounds.
Gradients of the first layers differ between float32 implementations by about 1e-3 (README.md tells why); with
--leaky-slope 1 on both sides they agree to about 1e-6.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from model import MERGING_ORDERS, Config, build, inputs, run


def export(config: Config, directory: Path, model: torch.nn.Module) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    weights = {name: p.detach().to(torch.float32).contiguous().numpy() for name, p in model.named_parameters()}
    volume, labels = inputs(config)
    save_file(weights, directory / "weights.safetensors")
    save_file({"volume": volume}, directory / "volume.safetensors")
    save_file({"volume": volume, "label": labels.astype(np.int32)}, directory / "inputs.safetensors")
    (directory / "config.json").write_text(json.dumps(config.to_json(), indent=2) + "\n")
    print(f"{directory}: {len(weights)} weights of {config.name}, volume and labels")


def aligned(found: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """`found` in PyTorch's axes: as it is, or from channels last; None where no shape fits."""
    if found.shape == shape or (found.size == 1 and shape == ()):
        return found.reshape(shape)
    if len(shape) == 5 and found.shape == (shape[0], *shape[2:], shape[1]):
        return np.moveaxis(found, -1, 1)
    return None


def compare(config: Config, file: Path, model: torch.nn.Module, bounds: dict[str, float]) -> bool:
    found = load_file(file)
    gradients = any(name.startswith("grad.") or name == "loss" for name in found)
    expected = {k: v.double().numpy() for k, v in run(config, torch.float64, gradients, model).items()}
    known = [name for name in found if name in expected]
    if not known:
        sys.exit(f"{file} has none of logits, loss, grad.NAME; it has: {', '.join(sorted(found))}")
    total = sum(float(np.square(v).sum()) for k, v in expected.items() if k.startswith("grad.")) ** 0.5
    ok = True
    for name in known:
        want = expected[name]
        got = aligned(found[name].astype(np.float64), want.shape)
        if got is None:
            print(f"FAIL {name}: shape {found[name].shape}, expected {want.shape}")
            ok = False
            continue
        # Gradients that vanish but for rounding are held to 1e-4 of the global norm.
        floor = 1e-4 * total if name.startswith("grad.") else 0.0
        error = float(np.linalg.norm(got - want)) / max(float(np.linalg.norm(want)), floor)
        bound = bounds["grad" if name.startswith("grad.") else name]
        good = error <= bound
        ok = ok and good
        print(f"{'ok  ' if good else 'FAIL'} {name}: relative L2 {error:.2e} (bound {bound:g})")
    missing = [name for name in expected if name not in found and (gradients or name == "logits")]
    print(f"{len(known)} tensors compared; {len(missing)} of MONAI's are not in the file{': ' + ', '.join(missing[:5]) if missing else ''}")
    return ok


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--export", type=Path, metavar="DIR", help="write weights, inputs and the config")
    action.add_argument("--compare", type=Path, metavar="FILE", help="safetensors with logits, loss, grad.NAME")
    parser.add_argument("--feature-size", type=int, default=12)
    parser.add_argument("--size", type=int, nargs="+", default=[64], metavar="N", help="N, or D H W, multiples of 32")
    parser.add_argument("--v2", action="store_true", help="use_v2: a residual block before each stage")
    parser.add_argument("--merging", choices=MERGING_ORDERS, default="merging")
    parser.add_argument("--classes", type=int, default=14)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--leaky-slope", type=float, default=0.01)
    parser.add_argument("--weights", type=Path, help="safetensors to use in place of counter weights; all names must match")
    parser.add_argument("--logits-bound", type=float, default=1e-4, help="relative L2 (default %(default)s)")
    parser.add_argument("--gradient-bound", type=float, default=1e-2, help="relative L2 (default %(default)s)")
    o = parser.parse_args()
    if len(o.size) not in (1, 3):
        parser.error("--size takes one number or three")
    size = tuple(o.size * 3 if len(o.size) == 1 else o.size)
    config = Config(o.feature_size, size, o.v2, o.merging, 1, o.classes, 1, o.seed, o.leaky_slope)
    model = build(config)
    if o.weights:
        state = {k: torch.from_numpy(v) for k, v in load_file(o.weights).items()}
        buffers = {k: v for k, v in model.state_dict().items() if k.endswith("relative_position_index")}
        model.load_state_dict({**buffers, **state}, strict=True)
    if o.export:
        export(config, o.export, model)
    elif not compare(config, o.compare, model, {"logits": o.logits_bound, "loss": o.logits_bound, "grad": o.gradient_bound}):
        sys.exit(1)


if __name__ == "__main__":
    main()
