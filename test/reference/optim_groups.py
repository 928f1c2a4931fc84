"""Golden of AdamW and SGD with parameter groups, a frozen layer, clipping and a moving average, in float64: torch.optim's
groups, clip_grad_norm_ and torch.optim.swa_utils.AveragedModel on a small MLP; test/golden/optim_groups.json.

Parameter NAME is uniform(23, NAME, shape, 0.5), the input of step t (from 0) uniform(23, "x{t}", [8, 6]), its target
uniform(23, "y{t}", [8, 3]); the loss is the mean squared error.
"""

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import golden
from counters import uniform

SEED = 23
STEPS = 4
DECAY = 0.75
CLIP = 0.25


class Mlp(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList([torch.nn.Linear(6, 10), torch.nn.Linear(10, 10)])
        self.head = torch.nn.Linear(10, 3)
        for name, p in self.named_parameters():
            p.data = torch.from_numpy(uniform(SEED, name, tuple(p.shape), 0.5)).double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = torch.nn.functional.gelu(layer(x))
        return self.head(x)


def factors(name: str) -> tuple[float, float]:
    """Of learning rate and weight decay; the groups stand in test/device/optim-groups.ts."""
    lr = 0.0 if name.startswith("layers.0.") else 0.25 if name.startswith("layers.1.") else 1.0
    return lr, 0.0 if name.endswith(".bias") else 2.0


def train(kind, options: dict) -> dict:
    net = Mlp()
    groups = []
    for name, p in net.named_parameters():
        lr, decay = factors(name)
        if lr == 0.0:
            p.requires_grad_(False)
        else:
            groups.append({"params": [p], "lr": options["lr"] * lr, "weight_decay": options["weight_decay"] * decay})
    optimizer = kind(groups, **options)
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(DECAY))
    losses = []
    for t in range(STEPS):
        x = torch.from_numpy(uniform(SEED, f"x{t}", (8, 6))).double()
        y = torch.from_numpy(uniform(SEED, f"y{t}", (8, 3))).double()
        loss = torch.nn.functional.mse_loss(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in net.parameters() if p.requires_grad], CLIP)
        optimizer.step()
        average.update_parameters(net)
        losses.append(golden.number(loss.detach()))
    return {
        "options": options,
        "losses": losses,
        "parameters": {n: golden.full(p)["values"] for n, p in net.named_parameters()},
        "average": {n: golden.full(p)["values"] for n, p in average.module.named_parameters()},
    }


def main() -> None:
    adamw = train(torch.optim.AdamW, {"lr": 0.05, "weight_decay": 0.2})
    sgd = train(torch.optim.SGD, {"lr": 0.5, "momentum": 0.9, "weight_decay": 0.1})
    golden.write("optim_groups.json", {"decay": DECAY, "clip": CLIP, "adamw": adamw, "sgd": sgd})


if __name__ == "__main__":
    main()
