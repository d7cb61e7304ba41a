"""The creator, source and licence of a training image, and how its makers are named."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from attribution_core.common.text import listing

UNKNOWN_MAKER = "maker unknown"


@dataclass(frozen=True)
class Credit:
    """The creator, source and licence of a training image; unknown text is "", an unknown size 0.

    work: id of the first image of its near-duplicate group; "" if it has no near-duplicates. icon_set: whether the
    creator is the publisher of a whole icon set, as the corpus's card says, and no individual. opted_out: why the image
    counts as opted out of training though it is in the collection; "" for all others.
    """

    id: str = ""
    caption: str = ""
    short_caption: str = ""
    concept: str = ""
    style: str = ""
    creator: str = ""
    source: str = ""
    licence: str = ""
    link: str = ""
    width: int = 0
    height: int = 0
    work: str = ""
    icon_set: bool = False
    opted_out: str = ""

    @property
    def maker(self) -> str:
        """Who made it: "Ada", "icon set by Google", or "maker unknown"."""
        return makers_of([self]) or UNKNOWN_MAKER

    @property
    def title(self) -> str:
        """What it is called in a sentence: its short caption, else its caption, else its id."""
        return self.short_caption or self.caption or self.id

    @property
    def title_and_maker(self) -> str:
        """Its title in quotation marks and its maker, as `title_and_makers` names them."""
        return title_and_makers(self.title, [self])

    @property
    def description(self) -> str:
        """What is in the picture and who made it: "red heart, noto style, icon set by Google"."""
        return ", ".join(filter(None, (self.caption or self.id, makers_of([self], by=True))))


def maker_names(
    creators: Iterable[str], publishers: Iterable[str] = (), *, by: bool = False, joined: str = "and"
) -> str:
    """Name the makers of one work: individuals first, then publishers of icon sets; "" if nobody is named.

    by: begin with "by" where an individual comes first, to follow a work's name. joined: before the last of several.
    """
    sets = list(dict.fromkeys(filter(None, publishers)))
    people = [name for name in dict.fromkeys(filter(None, creators)) if name not in sets]
    parts = [f"{'by ' if by else ''}{listing(people, joined)}"] if people else []
    if sets:
        parts.append(f"icon set{'s' * (len(sets) > 1)} by {listing(sets, joined)}")
    return ", ".join(parts)


def creator_name(creator: str, publishers: Container[str]) -> str:
    """Name a creator, or the several of a work ("Ada or Google"). publishers: of icon sets."""
    names = creator.split(" or ")
    return maker_names(names, [name for name in names if name in publishers], joined="or")


def makers_of(credits: Iterable[Credit], *, by: bool = False) -> str:
    """Name the makers of images that are one work, as `maker_names` does."""
    known = list(credits)
    return maker_names((c.creator for c in known), (c.creator for c in known if c.icon_set), by=by)


def terms_of(credits: Sequence[Credit]) -> str:
    """Makers and licence of images that are one work, to follow its name: "by Ada · CC-BY-4.0"."""
    return f"{makers_of(credits, by=True) or UNKNOWN_MAKER} · {credits[0].licence or 'licence not stated'}"


def title_and_makers(title: str, credits: Iterable[Credit]) -> str:
    """A work in quotation marks and its makers: "“red heart” by Ada", "“red heart”, icon set by Google"."""
    makers = makers_of(credits, by=True)
    return f"“{title}”{' ' if makers.startswith('by ') else ', ' if makers else ''}{makers}"
