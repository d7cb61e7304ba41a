"""Measures how few sampling steps are enough: `python -m benchmarks.samplers --help`.

Deterministic samplers follow the same trajectory from noise to image, and more steps follow it more closely. Each is
compared with DDIM at 200 steps from the same noise, by the root mean square difference of 8-bit pixels, and timed
against 25 steps of DDIM, one image at a time. Prints one JSON line per measurement.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import diffusers
import numpy as np
import typer

from attribution_core.generation.generator import Generator
from benchmarks.query import ROOT, machine, timed
from pocket.prompts import SHEET

SAMPLERS = {
    "DDIM": (diffusers.DDIMScheduler, {"clip_sample": False}),
    "DPM-Solver++ 2M": (diffusers.DPMSolverMultistepScheduler, {"algorithm_type": "dpmsolver++"}),
    "UniPC": (diffusers.UniPCMultistepScheduler, {}),
}
STEPS = (4, 6, 8, 10, 12, 15, 25)

app = typer.Typer(help=__doc__, pretty_exceptions_enable=False, add_completion=False)


@app.command()
def main(
    generator: Annotated[Path, typer.Option(help="A StableDiffusionPipeline.")] = ROOT
    / "checkpoints/pocket/generator",
    images: Annotated[int, typer.Option(help="Number of fixed prompts to use.")] = 16,
) -> None:
    """Measure all samplers."""
    opened = Generator.open(generator).load()
    prompts, seeds = SHEET[:: len(SHEET) // images][:images], list(range(images))
    config = opened.pipeline.scheduler.config
    opened.pipeline.scheduler = diffusers.DDIMScheduler.from_config(config, **SAMPLERS["DDIM"][1])
    pixels = np.stack([np.asarray(g.image, float) for g in opened.generate_batch(prompts, seeds, steps=200)])
    peer, _ = timed(lambda: [opened.generate(prompts[0], seed, 25) for seed in range(5)])
    for name, (kind, options) in SAMPLERS.items():
        for steps in STEPS:
            opened.pipeline.scheduler = kind.from_config(config, **options)
            seconds, _ = timed(
                lambda steps=steps: [opened.generate(prompts[0], seed, steps) for seed in range(5)]
            )
            batch = opened.generate_batch(prompts, seeds, steps=steps)
            rms = [
                np.sqrt(np.square(np.asarray(g.image, float) - p).mean())
                for g, p in zip(batch, pixels, strict=True)
            ]
            print(
                json.dumps(
                    {
                        "sampler": name,
                        "steps": steps,
                        "median_rms": round(float(np.median(rms)), 2),
                        "p90_rms": round(float(np.percentile(rms, 90)), 2),
                        "seconds": round(seconds / 5, 3),
                        "of_25_steps": round(seconds / peer, 2),
                        **machine(),
                    }
                ),
                flush=True,
            )


if __name__ == "__main__":
    app()
