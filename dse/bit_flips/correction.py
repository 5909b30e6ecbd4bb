"""Digital correction of flipped weights: a gain per layer, and the mean change in the bias."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dse.bit_flips.inputs import InputMoments
from hw_models.layer import CodedLayer


def least_squares_gain(before: CodedLayer, after: CodedLayer, inputs: InputMoments) -> float:
    """Factor of the weight step of `after` that brings its weights nearest to those of `before`.

        g = sum_k,n c_k A_kn Q_kn / sum_k,n c_k Q_kn**2        c_k = E[x_k**2]

    Flips under a cap only ever lower magnitudes; one factor per layer costs nothing, since the
    step is applied digitally anyway. 1 where all codes of `after` are zero.

    Args:
        before: Codes A.
        after: Codes Q, of the same shape and step.
        inputs: Moments of the inputs of the layer.
    """
    target = before.signed_codes().astype(np.float64)
    codes = after.signed_codes().astype(np.float64)
    weighted = inputs.mean_square[:, :, np.newaxis] * codes
    energy = float(np.vdot(weighted, codes))
    gain = float(np.vdot(weighted, target)) / energy if energy > 0.0 else 1.0
    return gain if gain > 0.0 else 1.0


def corrected_bias(
    before: CodedLayer, after: CodedLayer, mean_inputs: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Bias of `after` with which its mean outputs are those of `before`.

        bias += sum_k E[x_k] * (w_before - w_after)_k

    Bias correction of quantised networks by the mean inputs is that of [Nagel2019], section 4.2.
    The means are those of the network before: where flips change the inputs of later layers too,
    `dse.bit_flips.output_means` follows them.

    Args:
        before: Codes, and bias or none.
        after: Codes of the same shape; its weight step may differ.
        mean_inputs: Mean real input of every wordline, zero padding included.

    Shapes:
        mean_inputs: (groups, K).
        returns: (groups * N,), in real units.

    [Nagel2019] M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
        Correction", ICCV 2019.
    """
    lost = before.signed_codes() * before.weight_step - after.signed_codes() * after.weight_step
    shift: NDArray[np.float64] = np.einsum("gk,gkn->gn", mean_inputs, lost).reshape(-1)
    return shift if before.bias is None else before.bias + shift
