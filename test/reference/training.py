"""Goldens of optimisers, gradient clipping and the learning-rate schedule in float64; test/golden/ops/.

Starting parameters are uniform(11, "CASE.p", [16]), the gradient of step t (from 0) is uniform(11, "CASE.g{t}", [16]).
"""

import torch
from monai.optimizers import WarmupCosineSchedule

import golden
from counters import uniform

SEED = 11
SIZE = 16
STEPS = 5


def stream(case: str, name: str) -> torch.Tensor:
    return torch.from_numpy(uniform(SEED, f"{case}.{name}", (SIZE,))).double()


def optimiser(case: str, kind, options: dict) -> dict:
    p = torch.nn.Parameter(stream(case, "p"))
    optimizer = kind([p], **options)
    steps = []
    for t in range(STEPS):
        p.grad = stream(case, f"g{t}")
        optimizer.step()
        steps.append(p.detach().clone())
    state = {k: golden.full(v) for k, v in optimizer.state[p].items() if isinstance(v, torch.Tensor) and v.numel() == SIZE}
    return {"options": options, "parameters": [golden.full(s)["values"] for s in steps], "state": state}


def schedule(options: dict, lr: float, steps: int) -> dict:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = WarmupCosineSchedule(optimizer, **options)
    rates = []
    for _ in range(steps + 1):
        rates.append(golden.number(optimizer.param_groups[0]["lr"], 12))
        optimizer.step()
        scheduler.step()
    return {"options": options, "lr": lr, "rates": rates}


def clipping(case: str, scale: float, largest: float) -> dict:
    tensors = [torch.nn.Parameter(torch.zeros(SIZE, dtype=torch.float64)) for _ in range(2)]
    for i, p in enumerate(tensors):
        p.grad = stream(case, f"g{i}") * scale
    total = torch.nn.utils.clip_grad_norm_(tensors, largest)
    return {
        "options": {"max": largest, "scale": scale},
        "norm": golden.number(total, 12),
        "gradients": [golden.full(p.grad)["values"] for p in tensors],
    }


def main() -> None:
    adamw, sgd = torch.optim.AdamW, torch.optim.SGD
    files = {
        "adamw": {
            "adamw.default": optimiser("adamw.default", adamw, {"lr": 1e-3}),
            "adamw.decay": optimiser("adamw.decay", adamw, {"lr": 1e-2, "betas": [0.8, 0.95], "eps": 1e-6, "weight_decay": 0.1}),
        },
        "sgd": {
            "sgd.plain": optimiser("sgd.plain", sgd, {"lr": 0.1}),
            "sgd.momentum": optimiser("sgd.momentum", sgd, {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-2}),
            "sgd.nesterov": optimiser("sgd.nesterov", sgd, {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-2, "nesterov": True}),
        },
        "warmup_cosine": {
            "warmup_cosine.warmup5": schedule({"warmup_steps": 5, "t_total": 20}, 1e-4, 20),
            "warmup_cosine.none": schedule({"warmup_steps": 0, "t_total": 20}, 1e-4, 20),
            "warmup_cosine.end": schedule({"warmup_steps": 5, "t_total": 20, "end_lr": 1e-5, "warmup_multiplier": 0.1}, 1e-4, 20),
        },
        "clip_grad_norm": {
            "clip_grad_norm.clipped": clipping("clip_grad_norm.clipped", 1.0, 1.0),
            "clip_grad_norm.below": clipping("clip_grad_norm.below", 0.125, 1.0),
        },
    }
    for op, cases in files.items():
        golden.write(f"ops/{op}.json", {"op": op, "seed": SEED, "cases": cases})


if __name__ == "__main__":
    main()
