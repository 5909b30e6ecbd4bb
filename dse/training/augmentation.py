"""Augmentation: training images that are changed at random, a whole batch at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from dse.errors import TaskError


class Augmentation(Protocol):
    """A frozen dataclass; its `repr` is part of what identifies a training."""

    def augmented(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Changed images, uint8, in the shape and on the device of `images`.

        Args:
            images: `(B, C, H, W)`, uint8; left as they are.
            generator: On the CPU, whatever the device of the images.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class CropAndFlip:
    """Shift by up to `padding` pixels, black coming in, and mirror every second image [He2016].

    The random crop out of an image padded on all sides, and the horizontal flip, of CIFAR-10.

    Attributes:
        padding: Pixels on each side, at least 0.
        flip: Whether left and right are exchanged with probability 1/2.

    [He2016] K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, Sec. 4.2.
    """

    padding: int = 4
    flip: bool = True

    def __post_init__(self) -> None:
        if self.padding < 0:
            raise TaskError(
                f"images are padded by 0 or more pixels, got padding={self.padding}. "
                "Use 0 for no shift"
            )

    def augmented(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Each image shifted and mirrored by a draw of its own."""
        count, _, height, width = images.shape
        reach = 2 * self.padding + 1
        down = torch.randint(reach, (count, 1), generator=generator)
        right = torch.randint(reach, (count, 1), generator=generator)
        rows, columns = down + torch.arange(height), right + torch.arange(width)
        if self.flip:
            mirrored = torch.rand((count, 1), generator=generator) < 0.5
            columns = torch.where(mirrored, columns.flip(1), columns)
        padded = F.pad(images, (self.padding,) * 4)
        rows, columns = rows.to(images.device), columns.to(images.device)
        images_of_pixels = torch.arange(count, device=images.device).view(-1, 1, 1)
        by_pixel = padded.permute(0, 2, 3, 1)[images_of_pixels, rows[:, :, None], columns[:, None]]
        return by_pixel.permute(0, 3, 1, 2)
