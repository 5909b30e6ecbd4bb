"""Task: a network, its data set, and how it is trained."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dse.errors import TaskError


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecipe:
    """Settings of stochastic gradient descent, for pre-training and fine-tuning.

    The defaults shorten the schedule of [Zhang2019] (100 epochs at momentum 0.5) to 12 epochs at
    momentum 0.9; learning rate, batch and penalty are the paper's.

    Attributes:
        pretrain_epochs: Epochs of fp32 training.
        pretrain_l1: Strength of the L1 penalty while pre-training; 0 for none.
        learning_rate: Constant, in both stages.
        momentum: Of the gradient.
        batch_size: Images per step.

    [Zhang2019] J. Zhang et al., "Exploring Bit-Slice Sparsity in Deep Neural Networks for
        Efficient ReRAM-Based Deployment", EMC2 workshop, 2019.
    """

    pretrain_epochs: int = 12
    pretrain_l1: float = 10.0
    learning_rate: float = 0.01
    momentum: float = 0.9
    batch_size: int = 64

    def __post_init__(self) -> None:
        for name, value, holds in (
            ("pretrain_epochs", self.pretrain_epochs, self.pretrain_epochs >= 0),
            ("pretrain_l1", self.pretrain_l1, self.pretrain_l1 >= 0),
            ("learning_rate", self.learning_rate, self.learning_rate > 0),
            ("momentum", self.momentum, 0 <= self.momentum < 1),
            ("batch_size", self.batch_size, self.batch_size >= 1),
        ):
            if not holds:
                raise TaskError(
                    f"a recipe has epochs and penalty from 0, learning rate above 0, momentum "
                    f"in 0..1 and batch size from 1, got {name}={value}. Correct it"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be compressed and mapped.

    Attributes:
        name: As a study file writes it.
        dataset: Name in `dse.datasets`.
        network: Makes the network; takes `(B, C, H, W)` normalised floats, gives `(B, classes)`.
        recipe: How it is trained.
        checkpoint: Trained weights (`.safetensors`) that replace pre-training.
    """

    name: str
    dataset: str
    network: Callable[[], nn.Module]
    recipe: TrainingRecipe = field(default_factory=TrainingRecipe)
    checkpoint: Path | None = None

    def build(self, seed: int) -> nn.Module:
        """A freshly initialised network; the same for the same seed.

        Raises:
            TaskError: The factory fails, or gives something else.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                network = self.network()
            except Exception as error:
                raise TaskError(
                    f"{self.name}: the factory is called without arguments and gives a network, "
                    f"got {type(error).__name__}: {error}. Give its arguments defaults"
                ) from error
        if not isinstance(network, nn.Module):
            raise TaskError(
                f"{self.name}: the factory gives an nn.Module, got {type(network).__name__}. "
                "Return the network itself"
            )
        return network

    def load_checkpoint_(self, network: nn.Module) -> None:
        """Load the checkpoint into the network.

        Raises:
            TaskError: It is missing, damaged, or of another network.
        """
        assert self.checkpoint is not None
        weights = read_checkpoint(self.name, self.checkpoint)
        own = network.state_dict()
        unset = [key for key in own if key not in weights and not _is_batch_counter(key)]
        unknown = [key for key in weights if key not in own]
        wrong = [
            f"{key} {tuple(weights[key].shape)} instead of {tuple(own[key].shape)}"
            for key in own
            if key in weights and weights[key].shape != own[key].shape
        ]
        if unset or unknown or wrong:
            problems = [
                f"{what} {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
                for what, names in (
                    ("missing", unset),
                    ("not in the network", unknown),
                    ("of another shape", wrong),
                )
                if names
            ]
            raise TaskError(
                f"{self.name}: the checkpoint {self.checkpoint} has exactly the tensors of the "
                f"network, got: {'; '.join(problems)}. Save the state_dict of this network"
            )
        network.load_state_dict(weights, strict=False)

    def identity(self) -> dict[str, object]:
        """JSON-representable value that changes whenever pre-training could.

        It holds a digest of the file that defines the factory; code that this file imports is not
        followed.
        """
        module = getattr(self.network, "__module__", type(self.network).__module__)
        name = getattr(self.network, "__qualname__", type(self.network).__qualname__)
        return {
            "name": self.name,
            "dataset": self.dataset,
            "network": f"{module}:{name}",
            "source_sha256": _source_digest(self.network),
            "recipe": asdict(self.recipe),
            "checkpoint_sha256": None
            if self.checkpoint is None
            else hashlib.sha256(_read(self.name, self.checkpoint)).hexdigest(),
        }


def read_checkpoint(name: str, path: Path) -> dict[str, Tensor]:
    """Tensors of a `.safetensors` file.

    Args:
        name: Of the task, for messages.
        path: The file.
    """
    if path.suffix != ".safetensors":
        raise TaskError(
            f"{name}: a checkpoint is a .safetensors file, got {path}. Convert it with "
            "safetensors.torch.save_file(network.state_dict(), path)"
        )
    if not path.is_file():
        raise TaskError(
            f"{name}: the checkpoint is a file, got {path}, which does not exist. Correct the path"
        )
    try:
        return load_file(path)
    except SafetensorError as error:
        raise TaskError(
            f"{name}: {path} is a .safetensors file, got: {error}. Save it again"
        ) from error


def _read(name: str, path: Path) -> bytes:
    read_checkpoint(name, path)
    return path.read_bytes()


def _is_batch_counter(key: str) -> bool:
    return key.endswith("num_batches_tracked")


def _source_digest(factory: Callable[[], nn.Module]) -> str | None:
    try:
        source = inspect.getsourcefile(inspect.unwrap(factory))
    except TypeError:
        source = inspect.getsourcefile(type(factory))
    if source is None or not Path(source).is_file():
        return None
    return hashlib.sha256(Path(source).read_bytes()).hexdigest()
