"""Emoji names: the concept that each icon shows, in everyday words."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

SKIPPED_GROUPS = frozenset({"component", "symbols", "flags"})
_SKIPPED_LABELS = re.compile(r"o.clock$|-thirty$|button|^keycap|input |symbol for")
_ONE_GENDER = re.compile(r"^(man|woman|men|women)\b|\b(man|woman)$")
_GENDER = re.compile(r"^(man|woman|men|women|person|people)\b[: ]*|\b(man|woman)$")


@dataclass(frozen=True)
class Emoji:
    """A concept. hexcode: identifies it in every style. label: its CLDR short name."""

    hexcode: str
    label: str
    tags: tuple[str, ...]
    group: str
    subgroup: str


def slug(name: str) -> str:
    """Convert a name to the form used by icon sets: "man’s shoe" -> "mans-shoe"."""
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"[’']", "", name.lower())).strip("-")


def clean_label(label: str) -> str:
    """Normalise a caption: lower case, without punctuation that prompts do not have."""
    return re.sub(r"\s+", " ", re.sub(r"[:,“”\"()!.…/]", " ", label.lower())).strip()


class EmojiNames:
    """Finds the concept of an icon by code point (`chars.json`) or by name."""

    def __init__(self, package: Path) -> None:
        """package: the unpacked `emojibase-data`."""
        data = json.loads((package / "package/en/data.json").read_text())
        messages = json.loads((package / "package/en/messages.json").read_text())
        groups = {g["order"]: g["key"] for g in messages["groups"]}
        subgroups = {g["order"]: g["key"] for g in messages["subgroups"]}
        self.by_hex: dict[str, Emoji] = {}
        for entry in data:
            if "group" not in entry:
                continue
            emoji = Emoji(
                entry["hexcode"],
                clean_label(entry["label"]),
                tuple(entry.get("tags", ())),
                groups[entry["group"]],
                subgroups[entry["subgroup"]],
            )
            self.by_hex[_bare(emoji.hexcode)] = emoji
        self.by_name = {
            slug(entry["label"]): self.by_hex[_bare(entry["hexcode"])]
            for entry in data
            if _bare(entry["hexcode"]) in self.by_hex
        }
        self.kept = {e.hexcode for e in _thin_people(list(self.by_hex.values())) if _is_picture(e)}

    def learn(self, package: Path) -> None:
        """Add the names that an icon set with `chars.json` (code point -> name) gives its icons."""
        chars = package / "package/chars.json"
        if not chars.exists():
            return
        for hexcode, name in json.loads(chars.read_text()).items():
            emoji = self.by_hex.get(_bare(hexcode))
            if emoji is not None:
                self.by_name.setdefault(name, emoji)

    def learn_run_together(self, package: Path) -> None:
        """Add all names without their hyphens, and the short codes of chat programs likewise.

        package: the unpacked `emojibase-data`. For icon sets that name their icons so, once all others are read.
        """
        for name, emoji in list(self.by_name.items()):
            self.by_name.setdefault(name.replace("-", ""), emoji)
        for path in sorted((package / "package/en/shortcodes").glob("*.json")):
            for hexcode, codes in json.loads(path.read_text()).items():
                if _bare(hexcode) in self.by_hex:
                    for code in [codes] if isinstance(codes, str) else codes:
                        name = re.sub("[^a-z0-9]", "", code.lower())
                        self.by_name.setdefault(name, self.by_hex[_bare(hexcode)])

    def find(self, name: str) -> Emoji | None:
        """Return the concept of an icon name; None if the corpus has no such concept."""
        emoji = self.by_name.get(name) or self.by_name.get(name.replace("-with", ""))
        return emoji if emoji is not None and emoji.hexcode in self.kept else None


def _bare(hexcode: str) -> str:
    return hexcode.lower().replace("-fe0f", "")


def _is_picture(emoji: Emoji) -> bool:
    return emoji.group not in SKIPPED_GROUPS and not _SKIPPED_LABELS.search(emoji.label)


def _thin_people(emojis: list[Emoji]) -> list[Emoji]:
    """Drop gendered variants: of "mechanic", "man mechanic" and "woman mechanic", keep the neutral one."""
    kept: dict[tuple[str, str], Emoji] = {}
    for emoji in sorted(emojis, key=lambda e: (bool(_ONE_GENDER.search(e.label)), e.label)):
        if "people" not in emoji.group:
            kept[(emoji.group, emoji.hexcode)] = emoji
            continue
        stem = _GENDER.sub("", emoji.label).strip() or emoji.label
        kept.setdefault((emoji.subgroup, stem), emoji)
    return list(kept.values())
