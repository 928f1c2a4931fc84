"""Converts a PyTorch checkpoint (.pt, .pth) to safetensors, which t3dc imports.

    python test/reference/convert.py model.pt model.safetensors
    python test/reference/convert.py checkpoint.pth encoder.safetensors --key model

The checkpoint is read with weights_only=True: tensors and plain containers, no code. Names and values are kept as they are
(t3dc maps the known dialects itself); relative_position_index, which the architecture fixes, is left out.
"""

import argparse
import pickle
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

# Where training scripts keep the state dict, in the order in which they are tried.
KEYS = ("state_dict", "model_state_dict", "model", "network_weights", "net")


def state_dict(checkpoint: object, key: str | None) -> tuple[str, dict[str, torch.Tensor]]:
    """The state dict inside a checkpoint and where it was found. Raises ValueError where there is none."""
    if not isinstance(checkpoint, dict):
        raise ValueError(f"the checkpoint is a {type(checkpoint).__name__}, expected a dict of tensors")
    for candidate in (key,) if key else KEYS:
        if isinstance(checkpoint.get(candidate), dict):
            return candidate, checkpoint[candidate]
    if key is None and any(isinstance(v, torch.Tensor) for v in checkpoint.values()):
        return "top level", checkpoint
    raise ValueError(f"no state dict under {key or ', '.join(KEYS)}; the checkpoint has: {', '.join(map(str, checkpoint))}")


def convert(source: Path, target: Path, key: str | None = None) -> str:
    """Writes `target`; returns a line that says what was written."""
    try:
        checkpoint = torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{source} holds more than tensors and plain containers; save its state dict alone first.\n{error}") from error
    found, state = state_dict(checkpoint, key)
    # Clones: safetensors refuses tensors that share storage.
    tensors = {k: v.detach().clone().contiguous() for k, v in state.items() if isinstance(v, torch.Tensor)}
    tensors = {k: v for k, v in tensors.items() if not k.endswith("relative_position_index")}
    if not tensors:
        raise ValueError(f"no tensors under {found}")
    save_file(tensors, target, metadata={"format": "pt", "source": source.name})
    count = sum(v.numel() for v in tensors.values())
    dtypes = ", ".join(sorted({str(v.dtype).removeprefix("torch.") for v in tensors.values()}))
    return f"{target}: {len(tensors)} tensors, {count:,} values, {dtypes}, from {found}; {len(state) - len(tensors)} entries left out"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="PyTorch checkpoint")
    parser.add_argument("target", type=Path, help="safetensors file to write")
    parser.add_argument("--key", help="name of the state dict inside the checkpoint")
    options = parser.parse_args()
    try:
        print(convert(options.source, options.target, options.key))
    except ValueError as error:
        sys.exit(str(error))
