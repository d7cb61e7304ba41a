"""Measures what `check-model` finds: `python -m pocket.evidence.check_model --out DIR`.

A LoRA is trained on the pocket generator, on the CPU. Some of its training images are repeated on purpose, as many
matched ones (the same source and style) are not; which of the two is drawn by lot. Then the model is checked with the
captions of both, and so is the generator alone. How many of the repeated images come back, and how many matched ones?
"""

from __future__ import annotations

import json
import platform
import time
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from safetensors.torch import save_file

from attribution_core.analyses.memorization.model_check import (
    CheckedImage,
    CheckSettings,
    as_prompts,
    check_model,
)
from attribution_core.analyses.memorization.verdict import Memorization
from attribution_core.collection.collection import Collection
from attribution_core.common.estimates import proportion
from attribution_core.common.files import atomic_path, write_json_atomic
from attribution_core.corpus.corpus import Corpus
from attribution_core.generation.adapters import Adapter
from attribution_core.generation.generator import Generator
from attribution_core.generation.tuning.loop import noised
from attribution_core.reports.model_check import ModelCheck
from pocket.training import fast_arithmetic, say

COLLECTION = Path("checkpoints/pocket")
LORA = "lora.safetensors"


@dataclass(frozen=True)
class LoraRecipe:
    """pairs: of a repeated and a matched image. repeats: of the former. others: training images beside them.

    rank: of each product. steps, batch, rate, seed: of the training. dropout: part of the captions left out.
    """

    pairs: int = 10
    repeats: int = 96
    others: int = 480
    rank: int = 32
    steps: int = 1800
    batch: int = 8
    rate: float = 2e-3
    dropout: float = 0.1
    seed: int = 7


@dataclass(frozen=True)
class Planted:
    """Positions in the corpus: of the images that are repeated, of those matched to them, and of all others."""

    repeated: tuple[int, ...]
    matched: tuple[int, ...]
    others: tuple[int, ...]


def plant(corpus: Corpus, recipe: LoraRecipe) -> Planted:
    """Draw pairs of one source and style among images that nothing else in the corpus resembles or is called like."""
    rng = np.random.default_rng(recipe.seed)
    captions, marks, ids = (corpus.column(name) for name in ("short_caption", "planted", "id"))
    times, alike = Counter(captions), corpus.works
    free = [
        i
        for i in rng.permutation(len(corpus)).tolist()
        if captions[i] and times[captions[i]] == 1 and not marks[i] and ids[i] not in alike
    ]
    alone: dict[tuple[str, str], int] = {}
    pairs: list[tuple[int, int]] = []
    of = list(zip(corpus.column("source"), corpus.column("style"), strict=True))
    per_kind: dict[tuple[str, str], int] = defaultdict(int)
    for i in free:
        if of[i] in alone and per_kind[of[i]] < 2:  # no more of a kind, so that no style decides
            pairs.append((alone.pop(of[i]), i))
            per_kind[of[i]] += 1
        else:
            alone.setdefault(of[i], i)
        if len(pairs) == recipe.pairs:
            break
    used = {i for pair in pairs for i in pair}
    return Planted(
        tuple(a for a, _ in pairs),
        tuple(b for _, b in pairs),
        tuple([i for i in free if i not in used][: recipe.others]),
    )


class _LowRank(torch.nn.Module):
    """A weight plus the product of two small matrices, the second of which is zero at first."""

    def __init__(self, weight: torch.Tensor, rank: int) -> None:
        super().__init__()
        rows, columns = weight.shape
        self.down = torch.nn.Parameter(torch.randn(rank, columns) / rank)
        self.up = torch.nn.Parameter(torch.zeros(rows, rank))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight + self.up @ self.down


def train_lora(
    generator: Generator, corpus: Corpus, planted: Planted, recipe: LoraRecipe, path: Path
) -> float:
    """Train a LoRA of the UNet's linear layers in its attention blocks, and write it as diffusers does.

    Returns the mean loss of the last steps.
    """
    torch.manual_seed(recipe.seed)
    pipeline = generator.pipeline
    unet, device = pipeline.unet, pipeline.device
    layers = {
        name: _LowRank(layer.weight, recipe.rank).to(device)
        for name, layer in unet.named_modules()
        if isinstance(layer, torch.nn.Linear) and "transformer_blocks" in name
    }
    for name, change in layers.items():
        torch.nn.utils.parametrize.register_parametrization(unet.get_submodule(name), "weight", change)
    rows = [*planted.repeated, *planted.matched, *planted.others]
    weights = np.array([recipe.repeats] * len(planted.repeated) + [1] * (len(rows) - len(planted.repeated)))
    latents, states, empty = _encoded(pipeline, corpus, rows)
    optimizer = torch.optim.AdamW([p for c in layers.values() for p in c.parameters()], lr=recipe.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, recipe.steps)
    rng, losses = np.random.default_rng(recipe.seed), []
    for step in range(recipe.steps):
        chosen = torch.from_numpy(rng.choice(len(rows), recipe.batch, p=weights / weights.sum()))
        times = torch.randint(0, pipeline.scheduler.config.num_train_timesteps, (recipe.batch,))
        clean, text = latents[chosen], states[chosen].clone()
        text[torch.rand(recipe.batch) < recipe.dropout] = empty
        noisy, target = noised(pipeline.scheduler, clean, torch.randn_like(clean), times)
        with fast_arithmetic(device):
            predicted = unet(noisy, times, encoder_hidden_states=text).sample
        loss = (predicted.float() - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if (step + 1) % 50 == 0:
            say(f"step {step + 1} of {recipe.steps}, loss {np.mean(losses[-50:]):.4f}")
    tensors = {}
    for name, change in layers.items():
        tensors[f"unet.{name}.lora_A.weight"] = change.down.detach().cpu().contiguous()
        tensors[f"unet.{name}.lora_B.weight"] = change.up.detach().cpu().contiguous()
    with atomic_path(path) as temporary:
        save_file(tensors, temporary)
    return float(np.mean(losses[-50:]))


@torch.no_grad()
def _encoded(
    pipeline: Any, corpus: Corpus, rows: list[int]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Latents and text states of training images, and the states of no text."""
    side = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    captions = corpus.column("short_caption")
    latents, states = [], []
    for start in range(0, len(rows), 32):
        block = rows[start : start + 32]
        images = [corpus.image(i).resize((side, side), 3) for i in block]
        pixels = torch.from_numpy(np.stack([np.asarray(image, dtype=np.float32) for image in images]))
        code = pipeline.vae.encode(pixels.permute(0, 3, 1, 2) / 127.5 - 1)
        latents.append(code.latents * pipeline.vae.config.scaling_factor)
        states.append(pipeline.encode_prompt([captions[i] for i in block], pipeline.device, 1, False)[0])
    empty = pipeline.encode_prompt([""], pipeline.device, 1, False)[0]
    return torch.cat(latents), torch.cat(states), empty


def counted(images: list[CheckedImage], corpus: Corpus, rows: tuple[int, ...]) -> dict[str, Any]:
    """What came back of training images from their own captions: of the images drawn, and of the training images."""
    captions = corpus.column("short_caption")
    of = {captions[i]: [image for image in images if image.prompt.text == captions[i]] for i in rows}
    every = [image for group in of.values() for image in group]
    signals = [image.made.noise_signal.mean for image in every if image.made.noise_signal is not None]
    return {
        "images drawn": len(every),
        "copies of their own": asdict(proportion(np.array([image.is_own_copy for image in every]))),
        "training images": len(rows),
        "came back": asdict(
            proportion(np.array([any(i.is_own_copy for i in group) for group in of.values()]))
        ),
        "noise signal": float(np.mean(signals)),
    }


def measure(path: Path, out: Path, recipe: LoraRecipe, seeds: int) -> dict[str, Any]:
    """Train, unless the LoRA is there, and check the model and the generator without it, on the CPU."""
    collection, began = Collection.open(path), time.perf_counter()
    own, planted = str(collection.generator_path), plant(collection.corpus, recipe)
    if not (out / LORA).exists():
        train_lora(Generator.open(own, "cpu"), collection.corpus, planted, recipe, out / LORA)
    trained = time.perf_counter()
    captions = collection.corpus.column("short_caption")
    asked = [captions[i] for i in (*planted.repeated, *planted.matched)]
    settings = CheckSettings(as_prompts(collection.corpus, asked), seeds)
    checker, results = Memorization(collection, "cpu"), {}
    for name, adapter in (("with the LoRA", Adapter.open(out / LORA)), ("without it", None)):
        generator = Generator.open(own, "cpu", adapter)
        images = list(
            check_model(
                generator, checker, settings, out / name.replace(" ", "-"), lambda p: say(f"{p.done} drawn")
            )
        )
        check = ModelCheck.of(images, collection, generator.title, trained_here=True, device="cpu")
        with atomic_path(out / f"{name.replace(' ', '-')}.html") as temporary:
            temporary.write_text(check.to_html(), encoding="utf-8")
        results[name] = {
            "repeated": counted(images, collection.corpus, planted.repeated),
            "matched": counted(images, collection.corpus, planted.matched),
        }
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} thread(s)",
        "recipe": asdict(recipe),
        "seeds": seeds,
        "repeated": [captions[i] for i in planted.repeated],
        "matched": [captions[i] for i in planted.matched],
        "results": results,
        "seconds": {"training": round(trained - began), "checking": round(time.perf_counter() - trained)},
    }


def main(
    out: Annotated[Path, typer.Option(help="Folder for the LoRA, the images and the numbers; resumes.")],
    collection: Annotated[
        Path, typer.Option(help="Collection with a generator of the pocket's kind.")
    ] = COLLECTION,
    steps: Annotated[int, typer.Option(help="Training steps.")] = LoraRecipe.steps,
    seeds: Annotated[int, typer.Option(help="Images of each caption.")] = 8,
) -> None:
    """Train a LoRA with repeated images, and measure how many of them `check-model` finds."""
    out.mkdir(parents=True, exist_ok=True)
    result = measure(collection, out, LoraRecipe(steps=steps), seeds)
    write_json_atomic(out / "result.json", result)
    say(json.dumps(result["results"], indent=2))


if __name__ == "__main__":
    typer.run(main)
