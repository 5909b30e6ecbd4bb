"""Count the element-wise additions of a network: shortcuts that no layer of weights contains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from hw_models.errors import MappingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_ADDITIONS = ("aten::add", "aten::add_", "aten::sub", "aten::sub_")


class _Additions(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's
    """Adds up the sizes of additions of two maps, under the name that is current."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.current = names[0]
        self.counts = dict.fromkeys(names, 0)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        maps = [each for each in args[:2] if isinstance(each, Tensor)]
        if func._schema.name in _ADDITIONS and len(maps) == 2 and min(m.dim() for m in maps) >= 2:
            self.counts[self.current] += result.numel()
        return result


def residual_additions(network: nn.Module, images: Tensor, names: Sequence[str]) -> dict[str, int]:
    """Additions of two activation maps per image, by the layer that ran last before them.

    Additions inside a layer (biases) and inside batch norm are no additions of two maps.

    Args:
        network: In evaluation mode while it is counted, whatever it was in.
        images: A batch (B, ...) that the network takes.
        names: Layers on crossbars, as in `network.named_modules()`.
    """
    modules = dict(network.named_modules())
    if not names or not set(names) <= set(modules):
        missing = sorted(set(names) - set(modules))
        raise MappingError(
            f"additions are counted by the layers on crossbars, got {missing or 'no layer'}. "
            "Name at least one, all as in named_modules()."
        )
    counting = _Additions(names)

    def name_it(name: str) -> Callable[..., None]:
        def hook(*_: object) -> None:
            counting.current = name

        return hook

    hooks = [modules[name].register_forward_hook(name_it(name)) for name in names]
    training = network.training
    try:
        with torch.no_grad(), counting:
            network.eval()(images)
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return {name: count // len(images) for name, count in counting.counts.items()}
