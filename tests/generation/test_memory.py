"""Plans for little memory, in cases worked by hand, and what is read from a pipeline's files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from attribution_core.common import devices
from attribution_core.errors import CheckpointError, NotEnoughMemoryError
from attribution_core.generation.memory import LAYERS, MemoryPlan, native_side, plan_memory, weight_counts
from tests.support.tiny_large_pipelines import make_sd3
from tests.support.tiny_pipeline import SIDE, make_clip_like, make_pocket_like

GB = 10**9
SD = {"text_encoder": 100_000_000, "unet": 800_000_000, "vae": 100_000_000}  # 1e9 weights
XL = {"text_encoder": 500_000_000, "unet": 2_500_000_000}  # 3e9
# 1600 values a pixel: 512 px take 4.194e8 values, 1024 px 1.678e9.
CASES = {
    # Stable Diffusion on CUDA: float32 needs 4 (1e9 + 4.194e8) = 5.68 GB.
    "float32 fits": (SD, 512, "cuda", 6 * GB, 0, MemoryPlan(needs=5_677_721_600)),
    # float16: 2 (1e9 + 4.194e8) = 2.84 GB; at 512 px tiles of 512 px spare nothing.
    "half fits": (SD, 512, "cuda:1", 5 * GB, 0, MemoryPlan("float16", needs=2_838_860_800)),
    # A part at a time: 2 (8e8 + 4.194e8) = 2.44 GB, and 2 GB wait.
    "one part at a time": (
        SD,
        512,
        "cuda",
        int(2.5 * GB),
        3 * GB,
        MemoryPlan("float16", vae_slicing=True, vae_tiling=True, offload="model", needs=2_438_860_800),
    ),
    # A layer at a time: 2 * 4.194e8 + 0.5e9 = 1.34 GB.
    "one layer at a time": (
        SD,
        512,
        "cuda",
        int(1.5 * GB),
        3 * GB,
        MemoryPlan(
            "float16", vae_slicing=True, vae_tiling=True, offload="sequential", needs=838_860_800 + LAYERS
        ),
    ),
    # XL is too large for float32 whatever is free: 2 (3e9 + 1.678e9) = 9.36 GB.
    "large ones run in half": (XL, 1024, "cuda", 80 * GB, 0, MemoryPlan("float16", needs=9_355_443_200)),
    # With tiles: 2 (3e9 + 4.194e8) = 6.84 GB.
    "tiles": (
        XL,
        1024,
        "cuda",
        8 * GB,
        0,
        MemoryPlan("float16", vae_slicing=True, vae_tiling=True, needs=6_838_860_800),
    ),
    "tiles on MPS": (
        XL,
        1024,
        "mps",
        8 * GB,
        0,
        MemoryPlan("float16", True, True, True, needs=6_838_860_800),
    ),
    "float32 on the processor": (XL, 1024, "cpu", 32 * GB, 32 * GB, MemoryPlan(needs=18_710_886_400)),
    "tiles on the processor": (
        XL,
        1024,
        "cpu",
        15 * GB,
        15 * GB,
        MemoryPlan(vae_slicing=True, vae_tiling=True, needs=13_677_721_600),
    ),
    "half on the processor": (
        XL,
        1024,
        "cpu",
        7 * GB,
        7 * GB,
        MemoryPlan("bfloat16", vae_slicing=True, vae_tiling=True, needs=6_838_860_800),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_first_plan_that_fits_is_taken(case: str) -> None:
    parts, side, device, free, main, expected = CASES[case]
    assert plan_memory(parts, side, device, free, main) == expected


@pytest.mark.parametrize(
    ("device", "free", "main", "words"),
    [
        ("cuda", GB, 64 * GB, "1.3 GB on 'cuda', where 1.0 GB are free"),
        ("cuda", 2 * GB, GB, "6.0 GB of main memory, where 1.0 GB are free"),
        ("mps", 6 * GB, 0, "6.8 GB on 'mps', where 6.0 GB are free"),
        ("cpu", 6 * GB, 6 * GB, "6.8 GB on main memory, where 6.0 GB are free"),
    ],
)
def test_where_nothing_fits_it_says_what_is_short(device: str, free: int, main: int, words: str) -> None:
    with pytest.raises(NotEnoughMemoryError, match=f"needs at least {words}; .*'sd-turbo'"):
        plan_memory(XL, 1024, device, free, main)


@given(
    st.lists(st.integers(1, 10**10), min_size=1, max_size=4),
    st.sampled_from([64, 512, 1024]),
    st.sampled_from(["cpu", "cuda", "mps"]),
    st.integers(0, 10**11),
    st.integers(0, 10**11),
    st.integers(0, 10**11),
)
def test_more_memory_never_gives_up_more(
    sizes: list[int], side: int, device: str, free: int, more: int, main: int
) -> None:
    parts = {str(k): size for k, size in enumerate(sizes)}

    def given_up(room: int) -> float:
        try:
            plan = plan_memory(parts, side, device, room, main)
        except NotEnoughMemoryError:
            return float("inf")
        assert plan.needs <= room
        return sum(
            [plan.precision != "float32", plan.vae_tiling, bool(plan.offload), plan.offload == "sequential"]
        )

    assert given_up(free + more) <= given_up(free)


def test_weights_are_counted_as_they_are_loaded(tmp_path: Path) -> None:
    from diffusers import StableDiffusionPipeline

    folder = make_clip_like(tmp_path / "clip")
    pipeline = StableDiffusionPipeline.from_pretrained(folder)
    counted = weight_counts(folder)
    assert counted == {
        name: sum(v.numel() for v in getattr(pipeline, name).state_dict().values() if v.ndim or True)
        for name in ("text_encoder", "unet", "vae")
    }
    save_file({"w": torch.zeros(3)}, folder / "unet/diffusion_pytorch_model.fp16.safetensors")
    (folder / "unet/old.bin").write_bytes(b"0" * 400)
    assert weight_counts(folder) == counted, (
        "other precisions and formats beside the usual files do not count"
    )
    (folder / "vae/diffusion_pytorch_model.safetensors").unlink()
    (folder / "vae/diffusion_pytorch_model.bin").write_bytes(b"0" * 400)
    assert weight_counts(folder)["vae"] == 100
    (folder / "vae/diffusion_pytorch_model.safetensors").write_bytes(b"junk")
    with pytest.raises(CheckpointError, match=r"could not be loaded.*damaged"):
        weight_counts(folder)


def test_the_side_of_an_image_is_read_from_the_configuration(tmp_path: Path) -> None:
    for make in (make_pocket_like, make_clip_like, make_sd3):
        assert native_side(make(tmp_path / make.__name__)) == SIDE
    (tmp_path / "flux/vae").mkdir(parents=True)
    (tmp_path / "flux/vae/config.json").write_text(json.dumps({"block_out_channels": [128, 256, 512, 512]}))
    assert native_side(tmp_path / "flux") == 1024, "FLUX says no size, and draws 1024 px"


def test_a_containers_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = devices.free_memory("cpu")
    assert free > 10**8
    monkeypatch.setattr(devices, "_CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("50000000\n")
    (tmp_path / "memory.current").write_text("20000000\n")
    assert devices.free_memory("cpu") == 30_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert devices.free_memory("cpu") > 10**8


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("MPS backend out of memory (MPS allocated: 17 GB)"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_every_device_s_words_for_too_little_memory_are_known(error: Exception) -> None:
    with (
        pytest.raises(NotEnoughMemoryError, match="^memory ran out while it drew; draw less.$"),
        devices.memory_errors("it drew", "draw less"),
    ):
        raise error
    with pytest.raises(RuntimeError, match="shape"), devices.memory_errors("it drew", "draw less"):
        raise RuntimeError("shape mismatch")
