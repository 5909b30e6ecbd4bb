"""One torch thread, so that results repeat and tests share the cores fairly."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
