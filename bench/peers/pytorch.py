"""PyTorch's and MONAI's process: see pytorch.ts. Reads requests as lines of JSON, answers by lines of JSON.

SwinUNETR is that of test/reference/model.py, with the same counter weights as every other program here.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "test" / "reference"))
sys.dont_write_bytecode = True

ANSWERS = os.fdopen(3, "w")


def load(spec: dict) -> torch.Tensor:
    dtype = {"f32": np.float32, "i32": np.int32}[spec["dtype"]]
    return torch.from_numpy(np.fromfile(spec["file"], dtype).reshape(spec["shape"]))


class Work:
    """A case, opened: run() is one whole call, result() its output on the host."""

    def __init__(self, case: dict, inputs: dict, options: dict):
        torch.set_num_threads(options["threads"])
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        # cuDNN times its algorithms in the first call; that one is not counted.
        torch.backends.cudnn.benchmark = True
        self.device = torch.device(options["device"])
        self.amp = options["amp"]
        self.inputs = {name: load(spec) for name, spec in inputs.items()}
        self.case = case
        self.last: torch.Tensor | None = None
        self.losses: list[float] = []
        if case["op"] == "swinunetr":
            self.model = network(case["config"]).to(self.device)
            if case["pass"] == "step":
                self.prepare_training(options["adamw"])
            else:
                self.model.eval()
        elif case["pass"] == "forward":
            # A layer's weight lies where the layer is.
            self.weight = self.inputs["weight"].to(self.device)

    def prepare_training(self, settings: dict) -> None:
        from monai.losses import DiceCELoss

        self.model.train()
        self.loss = DiceCELoss(to_onehot_y=True, softmax=True)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), **settings)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.amp)

    def autocast(self):
        return torch.autocast(self.device.type, torch.float16, enabled=self.amp)

    def up(self, name: str) -> torch.Tensor:
        return self.inputs[name].to(self.device)

    def run(self) -> float:
        since = time.perf_counter()
        if self.case["pass"] == "step":
            self.losses.append(self.step())
        else:
            with torch.no_grad(), self.autocast():
                y = self.forward() if self.case["op"] == "swinunetr" else self.convolution()
            self.last = y.to("cpu", torch.float32)
        return 1000 * (time.perf_counter() - since)

    def forward(self) -> torch.Tensor:
        return self.model(self.up("volume"))

    def convolution(self) -> torch.Tensor:
        case = self.case
        if case["pass"] == "forward":
            return F.conv3d(self.up("x"), self.weight, padding=1)
        half = torch.float16 if self.amp else torch.float32  # autocast does not reach below F.conv3d
        dy = self.up("dy").to(half)
        ones, shape = [1, 1, 1], (1, case["ci"], case["size"], case["size"], case["size"])
        weight_shape = (case["co"], case["ci"], case["k"], case["k"], case["k"])
        data = case["pass"] == "data"
        x = torch.empty(shape, dtype=half, device=self.device) if data else self.up("x").to(half)
        weight = self.up("weight").to(half) if data else torch.empty(weight_shape, dtype=half, device=self.device)
        mask = [data, not data, False]
        backward = torch.ops.aten.convolution_backward
        return backward(dy, x, weight, None, ones, ones, ones, False, [0, 0, 0], 1, mask)[0 if data else 1]

    def step(self) -> float:
        """Forward, Dice + cross-entropy, backward and AdamW."""
        self.optimizer.zero_grad(set_to_none=True)
        volume, label = self.up("volume"), self.up("label")
        with self.autocast():
            loss = self.loss(self.model(volume), label)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.item()

    def result(self) -> np.ndarray:
        if self.case["pass"] == "step":
            return np.array(self.losses, np.float32)
        return self.last.contiguous().numpy()


def network(config: dict) -> torch.nn.Module:
    from model import Config, build

    return build(Config(**{**config, "size": tuple(config["size"])}), torch.float32)


def export(case: dict, file: str) -> None:
    model = network(case["config"]).eval()
    volume = torch.zeros(1, 1, *case["config"]["size"])
    with torch.no_grad():
        torch.onnx.export(
            model, (volume,), file, dynamo=False, opset_version=17, input_names=["volume"], output_names=["logits"]
        )


def describe() -> dict:
    version = f"PyTorch {torch.__version__}"
    try:
        import monai

        version += f", MONAI {monai.__version__}"
    except ImportError:
        pass
    cuda = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}, TF32 off" if torch.cuda.is_available() else None
    return {"version": version, "device": torch.backends.cpu.get_cpu_capability(), "cuda": cuda}


def main() -> None:
    work: Work | None = None
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict = {}
        try:
            match request["op"]:
                case "describe":
                    answer = describe()
                case "open":
                    work = Work(request["case"], request["inputs"], request["options"])
                case "run":
                    answer = {"ms": work.run()}
                case "output":
                    work.result().astype(np.float32).tofile(request["file"])
                case "export":
                    export(request["case"], request["file"])
                case "close":
                    work = None
        except Exception as e:  # whatever a library throws is this case's reason
            answer = {"error": f"{type(e).__name__}: {str(e).strip().splitlines()[0] if str(e).strip() else ''}"[:300]}
        ANSWERS.write(json.dumps(answer) + "\n")
        ANSWERS.flush()


if __name__ == "__main__":
    main()
