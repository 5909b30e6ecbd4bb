"""ResNet-20 for CIFAR-10 in float, and its codes, for `simulator.py`.

K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2, with
projection shortcuts (option B). Names as in the usual checkpoints: conv1 bn1 layer1.0.conv1 .. fc.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hw_models.layer import CodedLayer, LayerShape

if TYPE_CHECKING:
    from pathlib import Path

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


class Block(nn.Module):
    """Two 3 x 3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = nn.Sequential()
        if stride > 1:
            projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(outputs))

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H / stride, W / stride)."""
        inner = F.relu(self.bn1(self.conv1(images)))
        return F.relu(self.bn2(self.conv2(inner)) + self.downsample(images))


class ResNet20(nn.Module):
    """Stem, three stages of three blocks, average, classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*(Block(16, 16, 1) for _ in range(3)))
        self.layer2 = nn.Sequential(Block(16, 32, 2), Block(32, 32, 1), Block(32, 32, 1))
        self.layer3 = nn.Sequential(Block(32, 64, 2), Block(64, 64, 1), Block(64, 64, 1))
        self.fc = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, 32, 32) to (B, 10)."""
        inner = F.relu(self.bn1(self.conv1(images)))
        inner = self.layer3(self.layer2(self.layer1(inner)))
        return self.fc(inner.mean((2, 3)))


def load(checkpoint: Path | None) -> ResNet20:
    """Trained weights from a safetensors file, or random ones of the same shapes."""
    torch.manual_seed(0)
    network = ResNet20()
    if checkpoint is not None:
        from safetensors.torch import load_file

        network.load_state_dict(load_file(checkpoint), strict=False)
    return network.eval()


def codes(network: ResNet20, images: Tensor) -> dict[str, CodedLayer]:
    """8-bit magnitudes (step 2**(s - 8)) and 8-bit inputs over the range seen on the images."""
    mappable = {n: m for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    seen: dict[str, tuple[float, float]] = {}
    positions: dict[str, int] = {}

    def watch(name: str) -> nn.Module:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            seen[name] = (float(inputs[0].min()), float(inputs[0].max()))
            positions[name] = math.prod(output.shape[2:])

        return mappable[name].register_forward_hook(hook)

    hooks = [watch(name) for name in mappable]
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()
    return {name: _coded(name, m, seen[name], positions[name]) for name, m in mappable.items()}


def _coded(name: str, module: nn.Module, span: tuple[float, float], positions: int) -> CodedLayer:
    weights = module.weight.detach().double().numpy().reshape(module.weight.shape[0], -1).T
    step = 2.0 ** (math.ceil(math.log2(np.abs(weights).max())) - 8)
    magnitudes = np.minimum(np.rint(np.abs(weights) / step), 255)
    signs = np.sign(weights) * (magnitudes > 0)
    low, high = min(span[0], 0.0), span[1]
    bias = module.bias
    return CodedLayer(
        shape=LayerShape(
            name=name, wordlines=len(weights), outputs=weights.shape[1], positions=positions
        ),
        magnitudes=magnitudes[np.newaxis].astype(np.uint8),
        signs=signs[np.newaxis].astype(np.int8),
        weight_step=step,
        input_step=(high - low) / 255,
        input_offset=low,
        bias=None if bias is None else bias.detach().double().numpy(),
    )
