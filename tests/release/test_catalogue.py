"""Downloads by name: the table, what happens on the disk, and the command with its licence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from attribution_core.cli.main import app
from attribution_core.encoding.encoders import ENCODERS
from attribution_core.encoding.loaders import DOWNLOADED
from attribution_core.errors import DownloadError, UnknownNameError
from attribution_core.release import catalogue as downloads
from attribution_core.release.catalogue import RELEASES, Release, ReleasedFile, download, is_here, released
from tests.support.archives import tar
from tests.support.web import Web, serving


def run(*arguments: object, **options: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments], **options)  # type: ignore[arg-type]


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A server with one release of an archive and a file, under the name "small"."""
    with serving() as served:
        served.files["/w.tar.gz"] = tar(
            tmp_path / "w.tar.gz", {"mapper/clip_tuned.pth": b"m" * 3000, "b": b"b"}, "w:gz"
        ).read_bytes()
        served.files["/captions.txt"] = b"a cat\na dog\n"
        small = Release(
            "small",
            "two files",
            "CC BY-NC-SA 4.0",
            "the tests",
            (
                ReleasedFile((f"{served.url}/gone", f"{served.url}/w.tar.gz"), "weights", unpacked=True),
                ReleasedFile((f"{served.url}/captions.txt",), "captions.txt"),
            ),
        )
        monkeypatch.setattr(downloads, "RELEASES", {**RELEASES, "small": small})
        monkeypatch.setattr(downloads, "RELEASED", tmp_path / "released")
        yield served


def test_every_encoder_that_is_put_in_place_by_hand_can_be_fetched() -> None:
    by_hand = {name: spec for name, spec in ENCODERS.items() if spec.by_hand}
    rows = {row.encoder: row for row in RELEASES.values() if row.encoder}
    assert rows.keys() == by_hand.keys()
    for name, spec in by_hand.items():
        (file,) = rows[name].files
        assert file.path == spec.file and rows[name].folder == DOWNLOADED and not file.unpacked
        assert spec.weights in file.urls if "/" in spec.weights else file.urls[0].endswith(f"/{spec.weights}")
        assert rows[name].licence.startswith(spec.licence or "none stated")


def test_rows_are_of_https_and_stay_in_their_folder() -> None:
    for name, row in RELEASES.items():
        assert row.name == name and row.licence and row.source and row.files
        for file in row.files:
            assert all(url.startswith("https://") for url in file.urls)
            assert (
                not Path(file.path).is_absolute()
                and ".." not in file.path
                and not set("/?&") & set(file.name)
            )
    assert len(
        {f"{row.folder}/{file.path}" for row in RELEASES.values() for file in row.files if not file.unpacked}
    ) == sum(not file.unpacked for row in RELEASES.values() for file in row.files)
    with pytest.raises(UnknownNameError, match="did you mean 'paper-weights'"):
        released("paper-weight")


@pytest.mark.parametrize("row", [r for r in RELEASES.values() if not r.encoder], ids=lambda r: r.name)
def test_the_docs_list_every_release(row: Release) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/released-files.md").read_text(encoding="utf-8")
    assert f"| `{row.name}` | {row.what} | {row.licence} |" in page


def test_archives_are_unpacked_and_a_second_call_fetches_nothing(web: Web, tmp_path: Path) -> None:
    done = download("small")
    folder = tmp_path / "released"
    assert done.folder == folder and not done.already
    assert [p.relative_to(folder).as_posix() for p in done.files] == [
        "weights/mapper/clip_tuned.pth",
        "weights/b",
        "captions.txt",
    ]
    assert (folder / "weights/mapper/clip_tuned.pth").read_bytes() == b"m" * 3000
    assert [path for path, _ in web.asked] == ["/gone", "/w.tar.gz", "/captions.txt"], (
        "addresses are tried in turn"
    )
    noted = json.loads((folder / ".small-0.json").read_text())
    assert noted["licence"] == "CC BY-NC-SA 4.0" and len(noted["sha256"]) == 64
    assert not list(folder.glob("**/*.archive")) and not list(folder.glob("**/*.part*"))
    web.asked.clear()
    again = download("small")
    assert again.already and again.files == done.files and web.asked == []
    (folder / "captions.txt").write_text("cut")
    assert not is_here(released("small"), folder)
    assert not download("small").already
    assert [path for path, _ in web.asked] == ["/captions.txt"] * 2 and is_here(released("small"), folder)


def test_a_stop_between_fetching_and_unpacking_fetches_nothing_twice(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(downloads, "unpack", stopped)
        with pytest.raises(KeyboardInterrupt):
            download("small")
    got = sum(len(web.files[path]) for path, _ in web.asked if path in web.files)
    web.cuts = [0]  # what is there is only asked for its size
    download("small")
    assert got == len(web.files["/w.tar.gz"]) and is_here(released("small"))


def test_a_damaged_archive_is_not_kept(web: Web, tmp_path: Path) -> None:
    good = web.files["/w.tar.gz"]
    web.files["/w.tar.gz"] = good[:-200]
    with pytest.raises(DownloadError, match="not a complete archive"):
        download("small")
    assert [p.name for p in (tmp_path / "released").iterdir()] == ["weights"]
    web.files["/w.tar.gz"] = good
    download("small")


def test_the_licence_is_shown_and_agreed_to(web: Web, tmp_path: Path) -> None:
    refused = run("download", "small")
    assert refused.exit_code == 2 and "--yes" in refused.stderr and refused.stdout == ""
    assert "licence: CC BY-NC-SA 4.0" in refused.stderr and web.asked == []
    done = run("download", "small", "--yes", "--out", tmp_path / "elsewhere")
    assert done.exit_code == 0 and "licence: CC BY-NC-SA 4.0" in done.stderr
    assert done.stdout == f"{tmp_path / 'elsewhere'}: 3 files of 'small'\n"
    assert "already present" in run("download", "small", "--out", tmp_path / "elsewhere").stdout, (
        "nothing to agree to"
    )


@pytest.mark.parametrize(("answer", "code"), [("n\n", 2), ("y\n", 0), ("", 1)])
def test_at_a_terminal_it_asks(web: Web, monkeypatch: pytest.MonkeyPatch, answer: str, code: int) -> None:
    monkeypatch.setattr("attribution_core.cli.download._is_terminal", lambda: True)
    result = run("download", "small", input=answer)
    assert result.exit_code == code and "Do you accept" in result.stderr
    assert bool(web.asked) == (code == 0)


def test_mistakes_end_with_one_line(web: Web) -> None:
    for arguments in (["download", "smal"], ["download", "sscd", "--yes", "--out", "x"]):
        result = run(*arguments)
        assert (
            result.exit_code == 2 and result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
        )
    web.files.clear()
    result = run("download", "small", "--yes")
    assert result.exit_code == 2 and result.stderr.splitlines()[-1].startswith("error: ")
    assert "does not exist (404)" in result.stderr and "Traceback" not in result.stderr


def test_without_a_name_all_are_listed(web: Web) -> None:
    lines = run("download").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [*RELEASES, "small"]
    assert all(line.split()[1] == "no" for line in lines if line.startswith(("small", "paper-")))
    assert run("download", "small", "--yes").exit_code == 0
    rows = {row["name"]: row for row in json.loads(run("download", "--json").stdout)}
    assert rows["small"]["here"] and rows["paper-laion-1m"]["licence"] == "CC BY-NC-SA 4.0"
