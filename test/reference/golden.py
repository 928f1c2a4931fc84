"""Golden files: a tensor is kept as its norm, largest magnitude, 8 signed projections and 16 samples.

Projection k of x is p_k = Σ_i s_k(i) x_i / sqrt(numel) with signs s_k from counters.signs. The signs are as good as
independent, so for a tensor y near x the mean over k of (p_k(y) - p_k(x))² estimates |y - x|² / numel without bias, and
any wrong element moves all eight; see compareGolden in test/golden.ts.
"""

import json
from pathlib import Path

import numpy as np
import torch

from counters import PROJECTIONS, sample_indices, signs

GOLDEN = Path(__file__).resolve().parent.parent / "golden"


def number(x: float, digits: int = 9) -> float:
    return float(f"{float(x):.{digits}g}")


def project(x: np.ndarray) -> list[float]:
    flat = np.ascontiguousarray(x, np.float64).reshape(-1)
    bits = signs(flat.size)
    scale = flat.size**0.5
    total = flat.sum()
    # Σ s x = 2·Σ_{s=+1} x - Σ x
    return [(2.0 * flat[(bits >> np.uint8(k)) & np.uint8(1) == 1].sum() - total) / scale for k in range(PROJECTIONS)]


def summary(x: torch.Tensor, axes: str | None = None, float32: torch.Tensor | None = None) -> dict:
    """Golden of one tensor in PyTorch's memory order. `axes` names its axes where they are not a parameter's own.
    `float32` is the same tensor computed in float32 by PyTorch: its own relative L2 error is kept as a yardstick."""
    a = x.detach().to(torch.float64).contiguous().numpy()
    flat = a.reshape(-1)
    norm = float(np.linalg.norm(flat))
    out = {"shape": list(a.shape)}
    if axes is not None:
        out["axes"] = axes
    out["norm"] = number(norm)
    out["max"] = number(np.abs(flat).max())
    out["projections"] = [number(p) for p in project(a)]
    out["samples"] = [[i, number(flat[i])] for i in sample_indices(flat.size)]
    if float32 is not None:
        error = float(np.linalg.norm(float32.detach().to(torch.float64).contiguous().numpy().reshape(-1) - flat))
        out["torchFloat32"] = number(error / norm, 2) if norm > 0 else 0.0
    return out


def full(x: torch.Tensor) -> dict:
    """A small tensor with every value."""
    a = x.detach().to(torch.float64)
    return {"shape": list(a.shape), "values": [number(v) for v in a.contiguous().reshape(-1).tolist()]}


def write(path: str, document: dict) -> None:
    """JSON under test/golden/ with one line per entry of each top-level object, so that a change reads as a diff."""
    lines = []
    for key, value in document.items():
        if isinstance(value, dict) and value and all(isinstance(v, (dict, list)) for v in value.values()):
            body = ",\n".join(f"    {json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in value.items())
            lines.append(f"  {json.dumps(key)}: {{\n{body}\n  }}")
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    target = GOLDEN / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{path}: {target.stat().st_size / 1024:.0f} KiB", flush=True)
