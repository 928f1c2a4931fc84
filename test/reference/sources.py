"""Golden of the value sources themselves, so that test/pure/golden.counters.ts can hold TypeScript to them."""

import torch

import golden
from counters import classes, uniform, words
from model import Config, inputs, parameter_value

PARAMETERS = {
    "swinViT.layers1.0.blocks.0.attn.relative_position_bias_table": (2197, 3),
    "swinViT.layers1.0.blocks.0.norm1.weight": (12,),
    "swinViT.layers1.0.blocks.0.attn.qkv.bias": (36,),
    "swinViT.layers1.0.downsample.reduction.weight": (24, 96),
    "encoder10.layer.conv1.conv.weight": (192, 192, 3, 3, 3),
    "decoder5.transp_conv.conv.weight": (192, 96, 2, 2, 2),
}


def main() -> None:
    config = Config(size=(64, 96, 64))
    volume, labels = inputs(config)
    tensors = {name: golden.summary(torch.from_numpy(parameter_value(name, s, 1))) for name, s in PARAMETERS.items()}
    tensors["volume"] = golden.summary(torch.from_numpy(volume), "b c d h w")
    tensors["labels"] = golden.summary(torch.from_numpy(labels), "b one d h w")
    golden.write(
        "sources.json",
        {
            "config": config.to_json(),
            "words": [int(w) for w in words(7, "x", 4)],
            "uniform": uniform(7, "x", (4,), 0.5, 1.0).tolist(),
            "classes": classes(7, "x", (8,), 14).tolist(),
            "tensors": tensors,
        },
    )


if __name__ == "__main__":
    main()
