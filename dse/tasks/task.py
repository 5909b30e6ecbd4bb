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

from dse.datasets.dataset import ImageDataset
from dse.errors import TaskError
from dse.training.recipe import TrainingRecipe

__all__ = ["Normalisation", "Task", "TrainingRecipe", "read_checkpoint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalisation:
    """What a network was trained to see: `(pixel / 255 - mean) / std`, per channel.

    Mean 0 and standard deviation 1 are pixels in 0 to 1.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not all(value > 0 for value in self.std):
            raise TaskError(
                "a normalisation has a mean and a standard deviation above 0 for every channel, "
                f"got mean={self.mean} and std={self.std}. Give one of each per channel"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be compressed and mapped.

    Attributes:
        name: As a study file writes it.
        dataset: Name in `dse.datasets`.
        network: Makes the network; takes `(B, C, H, W)` normalised floats, gives `(B, classes)`.
        recipe: How it is trained.
        checkpoint: Trained weights (`.safetensors`) that replace pre-training; real numbers of
            any width, computed with as float32.
        normalisation: Of the images, where the checkpoint was not trained with that of the data
            set.
    """

    name: str
    dataset: str
    network: Callable[[], nn.Module]
    recipe: TrainingRecipe = field(default_factory=TrainingRecipe)
    checkpoint: Path | None = None
    normalisation: Normalisation | None = None

    def seen(self, data: ImageDataset) -> ImageDataset:
        """The data set with the normalisation that the network was trained with.

        Raises:
            DataError: The normalisation is for another number of channels.
        """
        if self.normalisation is None:
            return data
        return data.with_normalisation(self.normalisation.mean, self.normalisation.std)

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
            "recipe": self.recipe.identity(),
            "normalisation": None if self.normalisation is None else asdict(self.normalisation),
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
