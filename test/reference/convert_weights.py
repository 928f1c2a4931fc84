"""Checks scripts/convert_weights.py on checkpoints as MONAI's training scripts leave them.

    python test/reference/convert_weights.py

A whole SwinUNETR under DataParallel beside an optimiser's state, an encoder of self-supervised pre-training (what MONAI's own
load_from reads), a plain state dict, a pickle that would run code, a file without weights. Names, shapes and values must come out as
they went in; what is no tensor must be said.
"""

import importlib.util
import pickle
import tempfile
from pathlib import Path

import torch
from monai.networks.nets import SwinUNETR
from safetensors.torch import load_file

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "convert_weights.py"
spec = importlib.util.spec_from_file_location("convert_script", SCRIPT)
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)


class Harmful:
    def __reduce__(self):
        return print, ("code of a pickle ran",)


def refused(path: Path, target: Path, said: str) -> None:
    try:
        script.convert(path, target)
    except ValueError as error:
        assert said in str(error), error
        assert not target.exists()
        print(f"refused: {str(error).splitlines()[0].replace(str(path.parent) + '/', '')}")
        return
    raise AssertionError(f"{path} was converted")


if __name__ == "__main__":
    model = SwinUNETR(in_channels=1, out_channels=14, feature_size=12)
    state = model.state_dict()
    step = torch.optim.AdamW(model.parameters()).state_dict()
    ssl = {"module." + k.removeprefix("swinViT.").replace("mlp.linear", "mlp.fc"): v for k, v in state.items() if k.startswith("swinViT.")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, checkpoint, expected, found in (
            ("parallel.pt", {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}, "optimizer": step},
             {f"module.{k}": v for k, v in state.items()}, "state_dict"),
            ("model_swinvit.pt", {"state_dict": ssl}, ssl, "state_dict"),
            ("plain.pt", state, state, "top level"),
        ):
            torch.save(checkpoint, folder / file)
            lines = script.convert(folder / file, folder / "out.safetensors", listed=file == "plain.pt")
            written = load_file(folder / "out.safetensors")
            kept = {k: v for k, v in expected.items() if not k.endswith("relative_position_index")}
            assert written.keys() == kept.keys(), written.keys() ^ kept.keys()
            assert all(torch.equal(written[k], v) for k, v in kept.items())
            assert f"{len(kept)} tensors" in lines[0] and lines[0].endswith(found), lines[0]
            assert any("left out: 8 entries" in line for line in lines), lines
            assert ("not looked at: epoch, optimizer" in lines[-1].strip()) == (file == "parallel.pt"), lines[-1]
            assert (f"  out.conv.conv.bias float32 [14]" in lines) == (file == "plain.pt")
            print("\n".join(line.replace(f"{folder}/", "") for line in lines if "[" not in line))
        target = folder / "none.safetensors"
        (folder / "harmful.pt").write_bytes(pickle.dumps({"state_dict": Harmful()}))
        refused(folder / "harmful.pt", target, "more than tensors")
        torch.save({"state_dict": {"epoch": 3}}, folder / "empty.pt")
        refused(folder / "empty.pt", target, "no tensors under state_dict")
        torch.save({"config": {"a": 1}}, folder / "other.pt")
        refused(folder / "other.pt", target, "no state dict under")
