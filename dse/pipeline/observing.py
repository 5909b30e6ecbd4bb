"""Input codes of real images at sampled positions, for engines that count them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dse.errors import StageError
from hw_models.engines.observed import Observed
from hw_models.layer import CodedLayer
from hw_models.simulation.convert import to_crossbars
from hw_models.simulation.layers import CrossbarConv2d, CrossbarLinear

IMAGES_AT_ONCE = 16
"""Bounds the memory of unfolded windows."""


class _Sample:
    """A uniform sample of a stream of columns: those with the smallest random keys."""

    def __init__(self, size: int, generator: np.random.Generator) -> None:
        self.size = size
        self._generator = generator
        self._keys: NDArray[np.float64] = np.empty(0)
        self._codes: NDArray[np.integer] | None = None

    def add(self, columns: Tensor) -> None:
        """Columns (groups, K, M) of more MVMs."""
        keys = self._generator.random(columns.shape[2])
        near = np.sort(np.argsort(keys)[: self.size])
        codes = columns[:, :, torch.from_numpy(near).to(columns.device)].cpu().numpy()
        keys = np.concatenate([self._keys, keys[near]])
        if self._codes is not None:
            codes = np.concatenate([self._codes, codes], axis=2)
        best = np.sort(np.argsort(keys)[: self.size])
        self._keys, self._codes = keys[best], codes[:, :, best]

    def codes(self, name: str) -> NDArray[np.integer]:
        """(groups, S, K), in the order in which they came."""
        if self._codes is None:
            raise StageError(
                f"{name} saw no input, so no input can be counted. Observe with images that "
                "reach it"
            )
        return np.ascontiguousarray(self._codes.transpose(0, 2, 1))


def observe(
    network: nn.Module,
    layers: Sequence[CodedLayer],
    images: Tensor,
    *,
    positions: int,
    seed: int,
) -> tuple[Observed, ...]:
    """Input codes of every layer as the integer network with unlimited converters sees them.

    Positions are drawn without replacement and evenly from the MVMs of all images; a layer's
    sample does not depend on the other layers. No global random state is used.

    Args:
        network: The plain network, with what stays digital.
        layers: Its codes.
        images: Normalised images (B, C, H, W); 32 to 64 training images are enough.
        positions: Sampled MVMs S per layer, all of them where there are fewer.
        seed: Of the choice.

    Returns:
        One entry per layer, in the order of `layers`; codes are (groups, S, K), before weak input
        patches are rounded.

    Raises:
        StageError: There is nothing to sample, or a layer saw no input.
    """
    if positions < 1 or len(images) < 1:
        raise StageError(
            f"inputs are counted at 1 or more positions of 1 or more images, got {positions} "
            f"positions and {len(images)} images. Give both"
        )
    exact = to_crossbars(network, {layer.shape.name: layer for layer in layers}, None)
    modules = dict(exact.named_modules(remove_duplicate=False))
    samples: dict[str, _Sample] = {}
    for layer in layers:
        name = layer.shape.name
        sequence = np.random.SeedSequence([seed, zlib.crc32(name.encode())])
        samples[name] = _Sample(positions, np.random.default_rng(sequence))
        module = modules[name]
        assert isinstance(module, CrossbarConv2d | CrossbarLinear)
        _watch(module, samples[name])
    with torch.no_grad():
        for part in torch.split(images, IMAGES_AT_ONCE):
            exact(part)
    return tuple(
        Observed(input_codes=samples[layer.shape.name].codes(layer.shape.name)) for layer in layers
    )


def _watch(module: CrossbarConv2d | CrossbarLinear, sample: _Sample) -> None:
    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        sample.add(module.input_columns(inputs[0]))

    module.register_forward_pre_hook(keep)
