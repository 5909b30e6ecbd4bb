from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dse.errors import StageError
from dse.pipeline import observing
from dse.pipeline.observing import observe
from hw_models.engines.observed import input_codes
from hw_models.layer import CodedLayer
from tests.hw_models.coded_layers import coded_layer
from tests.hw_models.patched_layers import patched_layer


class Twice(nn.Module):
    """A layer that is used on two parts of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        first, second = inputs.reshape(len(inputs), 2, 8).unbind(1)
        both: Tensor = self.fc(first) + self.fc(second)
        return both


def network() -> tuple[nn.Module, list[CodedLayer]]:
    modules = nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(2, 4, 3, padding=1, groups=2),
            relu=nn.ReLU(),
            flatten=nn.Flatten(),
            fc=nn.Linear(4 * 36, 5),
        )
    )
    conv = patched_layer(
        1, size=4, wordlines=9, outputs=2, groups=2, positions=36, weak_input_share=0.5
    )
    fc = coded_layer(2, wordlines=144, outputs=5, name="fc")
    return modules, [renamed(conv, "conv"), fc]


def renamed(layer: CodedLayer, name: str) -> CodedLayer:
    return replace(layer, shape=replace(layer.shape, name=name))


def images(count: int = 40) -> Tensor:
    return torch.rand(count, 2, 6, 6, generator=torch.Generator().manual_seed(1))


def test_samples_are_codes_of_the_layers_at_even_positions() -> None:
    modules, layers = network()
    seen = observe(modules, layers, images(), positions=100, seed=0)
    shapes = [each.input_codes.shape for each in seen if each.input_codes is not None]
    assert shapes == [(2, 100, 9), (1, 40, 144)]  # the linear layer has 40 MVMs in all
    for layer, each in zip(layers, seen, strict=True):
        assert input_codes("any", layer, each) is each.input_codes


def test_windows_are_those_of_real_images() -> None:
    """Every sampled window of the convolution is a window of an image; all are equally likely."""
    modules, layers = network()
    pixels = images(3)
    everything = observe(modules, layers, pixels, positions=10**6, seed=0)[0].input_codes
    assert everything is not None
    padded = nn.functional.pad((pixels / layers[0].input_step).round(), (1, 1, 1, 1))
    windows = nn.functional.unfold(padded, 3).reshape(3, 2, 9, 36).permute(1, 0, 3, 2)
    assert np.array_equal(everything, windows.reshape(2, 108, 9).numpy())
    some = observe(modules, layers, pixels, positions=20, seed=0)[0].input_codes
    assert some is not None
    rows = {window.tobytes(): index for index, window in enumerate(everything[0])}
    places = [rows[window.tobytes()] for window in some[0]]
    assert places == sorted(set(places))


def test_all_positions_are_equally_likely_across_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observing, "IMAGES_AT_ONCE", 3)
    modules, layers = network()
    pixels = torch.arange(8.0).reshape(8, 1, 1, 1).expand(8, 2, 6, 6) / 8
    counts = np.zeros(8)
    for seed in range(60):
        codes = observe(modules, layers, pixels, positions=24, seed=seed)[0].input_codes
        assert codes is not None
        counts += np.bincount(codes[0, :, 4] // 16, minlength=8)
    assert counts.sum() == 60 * 24
    assert counts.min() > 130  # 180 on average, a standard deviation of about 11
    assert counts.max() < 230


def test_the_sample_repeats_and_follows_the_seed_and_no_global_state() -> None:
    modules, layers = network()
    before = torch.random.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    one, same, other = (
        observe(modules, layers, images(), positions=30, seed=seed) for seed in (0, 0, 1)
    )
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
    for mine, again, else_ in zip(one, same, other, strict=True):
        assert np.array_equal(mine.input_codes, again.input_codes)
        assert not np.array_equal(mine.input_codes, else_.input_codes)
    alone = observe(modules, layers, images(), positions=30, seed=0)[1]
    assert np.array_equal(alone.input_codes, one[1].input_codes)


def test_a_layer_that_is_used_twice_is_sampled_from_both_uses() -> None:
    layer = coded_layer(3, wordlines=8, outputs=4, positions=2, name="fc")
    inputs = torch.cat([torch.zeros(6, 8), torch.ones(6, 8)], dim=1)
    seen = observe(Twice(), [layer], inputs, positions=100, seed=0)[0].input_codes
    assert seen is not None
    assert seen.shape == (1, 12, 8)
    assert sorted(seen[0, :, 0].tolist()) == [0] * 6 + [128] * 6


@pytest.mark.parametrize(("positions", "count"), [(0, 4), (4, 0)])
def test_nothing_to_sample_is_refused(positions: int, count: int) -> None:
    modules, layers = network()
    with pytest.raises(StageError, match=f"got {positions} positions and {count} images"):
        observe(modules, layers, images()[:count], positions=positions, seed=0)


def test_a_layer_that_no_image_reaches_is_named() -> None:
    modules, _ = network()
    holder = nn.Module()
    holder.used, holder.idle = modules, nn.Linear(8, 4)
    holder.forward = modules.forward  # type: ignore[method-assign]
    idle = coded_layer(3, wordlines=8, outputs=4, name="idle")
    with pytest.raises(StageError, match="idle saw no input"):
        observe(holder, [idle], images(2), positions=4, seed=0)
