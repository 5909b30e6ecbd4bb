"""Bit-serial, bit-sliced matrix-vector products with clipping ADCs, exact to the last bit.

The chip computes, per input digit, row block and column, value(S) with S the sum of a column's
cells times the digits of the driven wordlines, then multiplies by the column's factor (sign and
slice), shifts and adds. In every encoding (`hw_models.encodings.encoding`) that equals

    sum(q * w) - sum over (digit d, column) of 2**(d * dac_bits) * factor * (S - value(S))

so we compute the exact integer product with one matrix product, and column sums only where a
converter can change them (`hw_models.simulation.columns`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal, TypedDict

import numpy as np
import torch

from hw_models.errors import HardwareError
from hw_models.simulation.columns import FLOAT32_EXACT, RowBlock, changed_columns
from hw_models.simulation.noisy_sums import NoisySums
from hw_models.simulation.torch_sums import TorchSums

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from hw_models.chip import Chip
    from hw_models.layer import CodedLayer
    from hw_models.simulation.lookup import LookupSums
    from hw_models.simulation.nonidealities.nonidealities import Nonidealities

Backend = Literal["auto", "numba", "torch"]
"""`numba` is the compiled kernel, on the CPU; `torch` runs everywhere; both give the same bits."""


class SimulationOptions(TypedDict, total=False):
    """What `SlicedWeights` takes besides codes and chip; there it is explained."""

    step_bits: tuple[int, ...] | None
    backend: Backend
    effects: Nonidealities | None
    seed: int


LOG = logging.getLogger(__name__)


class SlicedWeights:
    """A layer's codes made ready for products, once; reused over batches.

    Attributes:
        input_bits: Bits of an input code.
        signed: int16 (groups, N, K) weight codes with sign.
        can_clip: Whether a converter can change any column sum.
    """

    def __init__(
        self,
        layer: CodedLayer,
        chip: Chip | None,
        *,
        step_bits: tuple[int, ...] | None = None,
        backend: Backend = "auto",
        effects: Nonidealities | None = None,
        seed: int = 0,
    ) -> None:
        """Slice and sort on the CPU.

        Args:
            layer: Codes.
            chip: Geometry, encoding and ADC resolutions; None never clips.
            step_bits: log2 of the ADC step per slice group, most significant first; None is 1.
            backend: What computes the column sums on the CPU; `auto` takes the compiled kernel
                where it runs.
            effects: Device and wire effects, which need a chip and the slow path in real
                numbers; None is ideal cells.
            seed: Of the effects.
        """
        if backend not in ("auto", "numba", "torch"):
            raise HardwareError(
                f"the simulation backend must be auto, numba or torch, got '{backend}'. "
                "auto takes the fastest."
            )
        codes = layer.signed_codes().transpose(0, 2, 1)
        self.input_bits = layer.input_bits
        self.signed = torch.from_numpy(np.ascontiguousarray(codes))
        largest = int(np.abs(codes.astype(np.int64)).sum(axis=2).max()) << layer.input_bits
        self.exact_dtype = torch.float32 if largest <= FLOAT32_EXACT else torch.float64
        self.dac_bits = 1 if chip is None else chip.dac_bits
        self._changed: tuple[RowBlock, ...] = (
            () if chip is None else changed_columns(layer, chip, step_bits)
        )
        self.can_clip = bool(self._changed) or effects is not None
        self._backend = backend
        self._noisy: NoisySums | None = None
        if effects is not None:
            if chip is None:
                raise HardwareError(
                    f"{layer.shape.name}: device effects need the arrays of a chip, "
                    "got chip=None. Give a chip, with wide ADCs if they should not clip."
                )
            self._noisy = NoisySums(layer, chip, effects, step_bits=step_bits, seed=seed)
        self._weights: dict[torch.device, Tensor] = {}
        self._sums: dict[torch.device, TorchSums | LookupSums] = {}

    def backend(self, device: torch.device) -> str:
        """What computes column sums: `numba`, `torch`, `float` with effects, `none` if exact."""
        return self._sums_on(device).name if self.can_clip else "none"

    def _sums_on(self, device: torch.device) -> TorchSums | LookupSums | NoisySums:
        if self._noisy is not None:
            return self._noisy
        if device not in self._sums:
            lookup = None
            if device.type == "cpu" and self._backend != "torch":
                lookup = self._lookup()
            self._sums[device] = lookup or TorchSums(
                self._changed,
                outputs=self.signed.shape[1],
                input_bits=self.input_bits,
                dac_bits=self.dac_bits,
                device=device,
            )
        return self._sums[device]

    def _lookup(self) -> LookupSums | None:
        """The compiled kernel if it can do this layer here."""
        try:
            from hw_models.simulation.lookup import LookupSums, can_hold
        except ImportError as error:
            if self._backend == "numba":
                raise HardwareError(
                    f"backend numba needs numba, which does not load here: {error}. "
                    "Install it, or take backend torch: it gives the same bits."
                ) from error
            LOG.warning("numba does not load, column sums are computed with torch: %s", error)
            return None
        if not can_hold(self._changed):
            return None  # sums beyond 16 bits
        return LookupSums(
            self._changed,
            outputs=self.signed.shape[1],
            input_bits=self.input_bits,
            dac_bits=self.dac_bits,
        )

    def weights(self, device: torch.device) -> Tensor:
        """Signed codes (groups, N, K) in a type whose products are exact on that device."""
        if device.type == "cpu" and torch.get_float32_matmul_precision() != "highest":
            raise HardwareError(
                "exact simulation on the CPU needs full float32 products, got float32 matmul "
                f"precision '{torch.get_float32_matmul_precision()}'. "
                "Call torch.set_float32_matmul_precision('highest')."
            )
        if device not in self._weights:
            # float64 on an accelerator: its float32 product may round operands (TF32).
            dtype = self.exact_dtype if device.type == "cpu" else torch.float64
            self._weights[device] = self.signed.to(device=device, dtype=dtype)
        return self._weights[device]

    def product(self, codes: Tensor) -> Tensor:
        """What the chip computes for integer input codes.

        Shapes:
            codes: (groups, K, M), values 0 .. 2**input_bits - 1, of any type.
            returns: (groups, N, M) float64, integers where there are no device effects.
        """
        weights = self.weights(codes.device)
        exact = torch.bmm(weights, codes.to(weights.dtype)).double()
        if self.can_clip:
            exact -= self.clipped(codes)
        return exact

    def clipped(self, codes: Tensor) -> Tensor:
        """What the ADCs cut off: exact product minus the chip's, shapes as in `product`."""
        sums = self._sums_on(codes.device)
        if isinstance(sums, TorchSums | NoisySums):
            return sums.clipped(codes)
        groups, rows, columns = codes.shape
        flat = _narrow(codes, self.input_bits).transpose(1, 2).contiguous()
        return self.clipped_at(
            flat,
            np.arange(columns, dtype=np.int64) * rows,
            np.arange(groups, dtype=np.int64)[:, np.newaxis] * (columns * rows) + np.arange(rows),
        ).transpose(1, 2)

    def clipped_at(
        self, codes: Tensor, starts: NDArray[np.int64], offsets: NDArray[np.int64]
    ) -> Tensor:
        """The same without laying windows out, for the compiled kernel on the CPU.

        Args:
            codes: Contiguous integers; MVM m reads element starts[m] + offsets[g, k].
            starts: (M,).
            offsets: (groups, K).

        Returns:
            (groups, M, N) float64 integers.
        """
        sums = self._sums_on(codes.device)
        assert not isinstance(sums, TorchSums | NoisySums), "the torch forms take windows"
        return torch.from_numpy(sums.clipped(codes.numpy().reshape(-1), starts, offsets))


def _narrow(codes: Tensor, input_bits: int) -> Tensor:
    """The smallest integer type that holds the codes."""
    return codes.to(torch.uint8 if input_bits <= 8 else torch.int32)


def clipping_possible(layer: CodedLayer, chip: Chip) -> bool:
    """Whether any input can drive a column sum of the layer above its ADC's range."""
    return bool(changed_columns(layer, chip))
