"""A visit on a ZeroGPU Space of `spaces` beside this file: what came of it, as JSON. argv: the collection's folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import spaces

from attribution_core.analyses.artwork.lesson import MARK, Lesson, WithAndWithout
from attribution_core.analyses.artwork.survey import Survey
from attribution_core.analyses.unlearning.second_opinion import SecondOpinion
from attribution_core.errors import AttributionError
from attribution_core.settings import Settings
from tests.support.fakes import shape_image
from ui.services import gpu
from ui.services.app import Query, Services
from ui.services.artwork import ArtworkServices, Desk
from ui.services.second_opinion import SecondOpinionServices


def main(folder: Path) -> dict[str, Any]:
    assert gpu.SPACES is spaces
    services = Services.open(Settings(collection=folder, top=20))
    services.warm_up()
    told: dict[str, Any] = {
        "loaded": services.generator is not None and "_pipeline" in vars(services.generator),
        "methods": sorted(services._attributors),
        "before": list(spaces.FORKS),
    }
    assert services.first is not None
    told["first"] = services.first[1].to_dict()
    told["forks of the first"] = len(spaces.FORKS)
    events = list(services.generate("red cat", 3, 3, 2.0))
    made = events[-1]
    assert isinstance(made, Query) and made.recipe is not None
    told["made"] = [made.image.tobytes().hex(), made.recipe.to_dict(), len(events) - 1]
    told["attributed"] = services.attribute(made).to_dict()
    told["other method"] = services.attribute(made, "flatter").temperature
    try:
        services.attributor().encoder.encode([made.image], batch_size=0)
    except AttributionError as error:
        told["mistake"] = [type(error).__name__, str(error)]
    opinion = list(SecondOpinionServices(services).ask(made, None))[-1]
    assert isinstance(opinion, SecondOpinion)
    told["opinion"] = opinion.rank_unlearning.tolist()
    artwork, desk = ArtworkServices(services, folder), Desk()
    desk.put([shape_image(500 + k) for k in range(3)], ["a", "b", "c"])
    surveyed = list(artwork.ask_prompts(desk, "Ada", None, "red cat", 2))[-1]
    assert isinstance(surveyed, Survey)
    told["survey"] = [standing.standing.best.rank for standing in surveyed.rows]
    for _ in range(2):
        compared = list(artwork.ask_learned(desk, "Ada", None, Lesson("cat"), 25, f"red {MARK}", 2))[-1]
        assert isinstance(compared, WithAndWithout)
    told["learned"] = [[getattr(pair, side).share for side in ("before", "after")] for pair in compared.pairs]
    told["kept"] = desk.learned is not None
    left = services.generate("red cat", 3, 200, 2.0)
    next(left)
    left.close()  # type: ignore[attr-defined]
    told["forks"] = spaces.FORKS
    return told


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
