"""Residual networks for 32 x 32 images: the blocks and how they are stacked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class ZeroPadded(nn.Module):
    """Shortcut without weights, option A of [He2016]: every second pixel, zeros as new channels.

    Equally many zero channels come before and after.

    [He2016] K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, Sec. 3.3.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.each_side = (outputs - inputs) // 2

    def forward(self, images: Tensor) -> Tensor:
        """`(B, C, H, W)` to `(B, C', H / stride, W / stride)`."""
        kept = images[:, :, :: self.stride, :: self.stride]
        return F.pad(kept, (0, 0, 0, 0, self.each_side, self.each_side))


def projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Shortcut with weights, option B of [He2016]: 1 x 1 convolution and batch norm."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
    )


Shortcut = Callable[[int, int, int], nn.Module]
"""Makes the shortcut of a block that changes the shape, from inputs, outputs and stride."""


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm, added to a shortcut [He2016], Fig. 5 left."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = shortcut(inputs, outputs, stride)
        self.relu2 = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        """`(B, C, H, W)` to `(B, C', H / stride, W / stride)`."""
        inner = self.relu1(self.bn1(self.conv1(images)))
        summed: Tensor = self.bn2(self.conv2(inner)) + self.downsample(images)
        out: Tensor = self.relu2(summed)
        return out


class CifarResNet(nn.Module):
    """A 3 x 3 stem, stages of basic blocks, global average pooling and one linear layer.

    Names as in the usual checkpoints: `conv1 bn1 layer1.0.conv1 ... fc`; a shortcut with weights
    is `downsample.0` and `downsample.1` of its block.

    Args:
        widths: Channels of the stages; all but the first halve the image.
        blocks: Blocks in each stage.
        shortcut: Where a block changes the shape.
        classes: Scores per image.
    """

    def __init__(
        self, *, widths: Sequence[int], blocks: int, shortcut: Shortcut, classes: int = 10
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU()
        self.stages = len(widths)
        inputs = widths[0]
        for stage, outputs in enumerate(widths, start=1):
            stack = nn.Sequential()
            for block in range(blocks):
                stride = 2 if stage > 1 and block == 0 else 1
                stack.append(BasicBlock(inputs, outputs, stride=stride, shortcut=shortcut))
                inputs = outputs
            self.add_module(f"layer{stage}", stack)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(inputs, classes)
        _initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """`(B, 3, H, W)` to `(B, classes)`."""
        inner = self.relu(self.bn1(self.conv1(images)))
        for stage in range(1, self.stages + 1):
            inner = self.get_submodule(f"layer{stage}")(inner)
        scores: Tensor = self.fc(self.flatten(self.pool(inner)))
        return scores


def _initialise(network: nn.Module) -> None:
    """Normal, scaled by the outputs of a convolution, as [He2016] trains."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
