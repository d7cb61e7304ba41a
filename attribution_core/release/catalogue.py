"""Catalogue of released files: the paper's weights, features and benchmark, and encoders' weights.

None of them is bundled. URLs come from the authors' scripts and pages (github.com/PeterWang512/GenDataAttribution,
facebookresearch/moco-v3, facebookresearch/sscd-copy-detection, DanRuta/ALADIN, learn2phoenix/CSD), which state no
sizes or checksums. Downloads are therefore checked against what the server reports, archives against their own
checksums, and the result is recorded for the next call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attribution_core.common.files import write_json_atomic
from attribution_core.common.json_text import read_json
from attribution_core.encoding.loaders import DOWNLOADED
from attribution_core.errors import DownloadError, unknown_name
from attribution_core.release.archives import BadArchiveError, unpack
from attribution_core.release.fetch import fetch

RELEASED = DOWNLOADED.parent / "released"
"""Default folder of released files other than encoder weights."""
PAPER_LICENCE = "CC BY-NC-SA 4.0"
_CMU = "https://www.cs.cmu.edu/~dataattribution/files/"
_GITHUB = (
    "https://raw.githubusercontent.com/PeterWang512/GenDataAttribution/"
    "ecadb532d9fec8917b9be3d5108458a91d7f4878/dataset/json/"
)
_PAPER = "Wang, Efros, Zhu, Zhang, ICCV 2023: github.com/PeterWang512/GenDataAttribution"


def _drive(number: str) -> str:
    """Return the URL of a Google Drive file that skips the warning about files too large for the virus scan."""
    return f"https://drive.usercontent.google.com/download?id={number}&export=download&confirm=t"


@dataclass(frozen=True)
class ReleasedFile:
    """One file. urls: tried in turn. path: target of the file, or of an archive's content, in the release's folder.

    size: in bytes, None if not stated. sha256: "" if not stated. unpacked: whether it is an archive to unpack. called:
    its name, if not the URL's last part.
    """

    urls: tuple[str, ...]
    path: str
    size: int | None = None
    sha256: str = ""
    unpacked: bool = False
    called: str = ""

    @property
    def name(self) -> str:
        """Its file name while it is fetched."""
        return self.called or self.urls[0].rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Release:
    """A row of `RELEASES`. about: its approximate size. encoder: the encoder whose weights it is, or ""."""

    name: str
    what: str
    licence: str
    source: str
    files: tuple[ReleasedFile, ...]
    about: str = "not stated"
    encoder: str = ""

    @property
    def folder(self) -> Path:
        """Default folder of its files."""
        return DOWNLOADED if self.encoder else RELEASED


def _weights(encoder: str, url: str, file: str, licence: str, source: str, about: str) -> Release:
    return Release(
        encoder,
        f"weights of the encoder '{encoder}'",
        licence,
        source,
        (ReleasedFile((url,), file),),
        about,
        encoder,
    )


RELEASES: Mapping[str, Release] = {
    row.name: row
    for row in (
        Release(
            "paper-weights",
            "mappers and calibrators of the paper, for five encoders",
            PAPER_LICENCE,
            _PAPER,
            (ReleasedFile((_CMU + "weights.tar.gz",), "weights", unpacked=True),),
            "about 20 MB",
        ),
        Release(
            "paper-ablation",
            "mappers tuned on objects only or styles only",
            PAPER_LICENCE,
            _PAPER,
            (ReleasedFile((_CMU + "style_object_ablation.tar.gz",), "weights", unpacked=True),),
        ),
        Release(
            "paper-laion-1m",
            "features of one million LAION images by five encoders, and captions",
            PAPER_LICENCE,
            _PAPER,
            (
                ReleasedFile((_CMU + "feats_laion.tar",), "feats", unpacked=True),
                ReleasedFile((_CMU + "laion_captions.txt",), "laion_captions.txt"),
            ),
            "about 13 GB if it holds all five, twice that while it is unpacked",
        ),
        Release(
            "paper-laion-images",
            "the same million images, as small JPEG files",
            "each image's own; the selection " + PAPER_LICENCE,
            _PAPER,
            (
                ReleasedFile(
                    (_drive("1n5HdyAomip1deqD7FTUN0GnoZA1QlwqX"),),
                    "dataset",
                    unpacked=True,
                    called="laion_subset_jpeg.tar",
                ),
            ),
        ),
        Release(
            "paper-benchmark",
            "test cases of the benchmark: which images each tuned model learned and generated",
            PAPER_LICENCE,
            _PAPER,
            tuple(
                ReleasedFile((f"{_GITHUB}test_{case}.json",), f"dataset/json/test_{case}.json")
                for case in ("artchive", "bamfg", "observed_imagenet", "unobserved_imagenet")
            ),
        ),
        Release(
            "paper-benchmark-images",
            "the test cases' images: exemplars, and images generated by the tuned models",
            PAPER_LICENCE,
            _PAPER,
            (
                ReleasedFile(
                    (_drive("1UVYHxWM5D8Z7NWO9novYwHkwHKi7BsN0"),),
                    "dataset",
                    unpacked=True,
                    called="exemplar.tar.gz",
                ),
                ReleasedFile(
                    (_drive("1z7wDJLvBGoW77ijh9HZQPZ9w7tfViCm-"),),
                    "dataset",
                    unpacked=True,
                    called="testset_synth.tar.gz",
                ),
            ),
        ),
        _weights(
            "moco-v3-vitb16",
            "https://dl.fbaipublicfiles.com/moco-v3/vit-b-300ep/vit-b-300ep.pth.tar",
            "vit-b-300ep.pth.tar",
            "CC-BY-NC-4.0",
            "Chen et al., ICCV 2021: github.com/facebookresearch/moco-v3",
            "not stated",
        ),
        _weights(
            "aladin",
            "https://github.com/DanRuta/ALADIN/releases/latest/download/aladinVIT_bamfg_64.47.pt",
            "aladinVIT_bamfg_64.47.pt",
            "none stated: ask its authors for permission",
            "Ruta et al., ICCV 2021: github.com/DanRuta/ALADIN",
            "not stated",
        ),
        _weights(
            "sscd",
            "https://dl.fbaipublicfiles.com/sscd-copy-detection/sscd_disc_mixup.torchscript.pt",
            "sscd_disc_mixup.torchscript.pt",
            "MIT",
            "Pizzi et al., CVPR 2022: github.com/facebookresearch/sscd-copy-detection",
            "about 100 MB",
        ),
        _weights(
            "csd-vitl14",
            "https://huggingface.co/tomg-group-umd/CSD-ViT-L/resolve/main/pytorch_model.bin",
            "csd_vit_l.bin",
            "CC-BY-4.0",
            "Somepalli et al., ECCV 2024: huggingface.co/tomg-group-umd/CSD-ViT-L",
            "not stated",
        ),
    )
}


@dataclass(frozen=True)
class Downloaded:
    """Result of `download`. files: all of the release's files. already: whether all were present before."""

    release: Release
    folder: Path
    files: tuple[Path, ...]
    already: bool


def released(name: str) -> Release:
    """Return the row with this name. Raises `UnknownNameError`."""
    if name not in RELEASES:
        raise unknown_name("download", name, RELEASES)
    return RELEASES[name]


def is_here(release: Release, folder: Path | None = None) -> bool:
    """Whether all files of a release are present with the sizes they were fetched with."""
    where = folder or release.folder
    return all(_present(release, where, number) is not None for number in range(len(release.files)))


def download(
    name: str,
    folder: Path | str | None = None,
    on_progress: Callable[[str, int, int | None], None] | None = None,
) -> Downloaded:
    """Fetch the files of a release; skips files that are present and resumes partial ones.

    folder: instead of the release's own. on_progress: called with (file, bytes so far, total bytes or None). The caller
    must have agreed to `released(name).licence`. Raises `UnknownNameError`, `DownloadError`.
    """
    release = released(name)
    where = Path(folder) if folder else release.folder
    already = is_here(release, where)
    files: list[Path] = []
    for number, file in enumerate(release.files):
        present = _present(release, where, number)
        files += present if present is not None else _download(release, file, where, number, on_progress)
    return Downloaded(release, where, tuple(files), already)


def _download(
    release: Release,
    file: ReleasedFile,
    folder: Path,
    number: int,
    on_progress: Callable[[str, int, int | None], None] | None,
) -> list[Path]:
    target = folder / f".{release.name}-{number}-{file.name}" if file.unpacked else folder / file.path

    def show(done: int, total: int | None) -> None:
        if on_progress:
            on_progress(file.name, done, total)

    for attempt, url in enumerate(file.urls, 1):
        try:
            result = fetch(
                url,
                target,
                size=file.size,
                sha256=file.sha256,
                times=2 if file.unpacked else 1,
                on_progress=show,
            )
            break
        except DownloadError:
            if attempt == len(file.urls):
                raise
    paths = [file.path]
    if file.unpacked:
        try:
            members = unpack(result.path, folder / file.path, lambda done: show(done, None))
        except BadArchiveError:
            result.path.unlink(missing_ok=True)
            raise
        paths = [(Path(file.path) / name).as_posix() for name in members]
        result.path.unlink()
    write_json_atomic(
        _note(release, folder, number),
        {
            "name": release.name,
            "url": result.url,
            "bytes": result.size,
            "sha256": result.sha256,
            "licence": release.licence,
            "source": release.source,
            "files": {path: (folder / path).stat().st_size for path in paths},
        },
    )
    return [folder / path for path in paths]


def _note(release: Release, folder: Path, number: int) -> Path:
    return folder / f".{release.name}-{number}.json"


def _present(release: Release, folder: Path, number: int) -> list[Path] | None:
    """Return the files fetched earlier if all are present with their recorded sizes; else None."""
    try:
        sizes: Any = read_json(_note(release, folder, number))["files"]
        paths = {folder / name: int(size) for name, size in sizes.items()}
        return list(paths) if paths and all(p.stat().st_size == size for p, size in paths.items()) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
