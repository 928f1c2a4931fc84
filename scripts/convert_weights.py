"""Converts a PyTorch checkpoint (.pt, .pth) to safetensors, which t3dc imports, and says which tensors it took.

    python scripts/convert_weights.py model_swinvit.pt swinvit.safetensors
    python scripts/convert_weights.py checkpoint.pth encoder.safetensors --key model --list

Needs the packages torch and safetensors. The checkpoint is read with weights_only=True: tensors and plain containers, no code.
Names and values are kept as they are (t3dc maps the known dialects itself); relative_position_index, which the architecture
fixes, is left out. `npx t3dc inspect ARTIFACT --weights swinvit.safetensors` then tells what a model would take of the file.
"""

import argparse
import pickle
import re
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


def parts(names: list[str]) -> str:
    """Names by what stands before their layers: `module.layers1.0 (29), module.patch_embed (2)`."""
    counts: dict[str, int] = {}
    for name in names:
        part = re.match(r"(?:module\.|backbone\.|student\.|swin_?[vV]i[tT]\.|encoder\.)*[^.]+", name).group()
        counts[part] = counts.get(part, 0) + 1
    return ", ".join(f"{part} ({n})" for part, n in counts.items())


def convert(source: Path, target: Path, key: str | None = None, listed: bool = False) -> list[str]:
    """Writes `target`; returns lines that say what was written, and what was left out."""
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
    plain = lambda v: str(v.dtype).removeprefix("torch.")
    dtypes = ", ".join(sorted({plain(v) for v in tensors.values()}))
    left = [k for k in state if k not in tensors]
    others = [str(k) for k in checkpoint if k != found] if state is not checkpoint else []
    return [
        f"{target}: {len(tensors)} tensors, {count:,} values, {dtypes}, from {found}",
        f"  {parts(list(tensors))}",
        *(f"  {k} {plain(v)} {list(v.shape)}" for k, v in tensors.items() if listed),
        *([f"  left out: {len(left)} entries that are buffers or no tensors, such as {left[0]}"] if left else []),
        *([f"  not looked at: {', '.join(others)}"] if others else []),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="PyTorch checkpoint")
    parser.add_argument("target", type=Path, help="safetensors file to write")
    parser.add_argument("--key", help="name of the state dict inside the checkpoint")
    parser.add_argument("--list", action="store_true", help="name every tensor with its type and shape")
    options = parser.parse_args()
    try:
        print("\n".join(convert(options.source, options.target, options.key, options.list)))
    except ValueError as error:
        sys.exit(str(error))
