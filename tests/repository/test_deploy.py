"""What is deployed: a container's and a Space's files are all that the app needs; an upload to a small Hub."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any

import huggingface_hub.constants
import pytest
from gradio_client import Client, handle_file
from huggingface_hub import HfApi

from attribution_core.errors import CheckpointError, InvalidInputError, MissingDependencyError
from deploy.files import APP, ROOT, SPACE, matching, tracked
from deploy.space import deploy, plan
from tests.support.fakes import fake_collection
from tools.serve import serve

FILES = tracked() if (ROOT / ".git").exists() else []
needs_git = pytest.mark.skipif(not FILES, reason="not a git checkout")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LINES = [
    line for line in re.sub(r"\\\n\s*", "", DOCKERFILE).splitlines() if line and not line.startswith("#")
]


def copied() -> set[str]:
    """What the Dockerfile's last stage copies from the checkout: files, and folders with a slash."""
    last = LINES[max(k for k, line in enumerate(LINES) if line.startswith("FROM ")) :]
    named = [
        word
        for line in last
        if line.startswith("COPY ") and "--from" not in line
        for word in shlex.split(line)[1:-1]
    ]
    return {name + "/" * (ROOT / name).is_dir() for name in named}


def test_the_dockerfile_copies_what_the_list_says() -> None:
    assert copied() == set(APP)
    assert all((ROOT / name).exists() for name in APP)


def test_the_build_context_holds_what_is_copied() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    names = [*matching(FILES, APP), *(name.rstrip("/") for name in APP)]
    assert {
        (name, one)
        for name in names
        for one in ignored
        if PurePosixPath(name).match(one) or name.startswith(f"{one}/")
    } == set()


def test_the_image_is_small_and_runs_as_nobody_special() -> None:
    at = {
        word: [line.split(maxsplit=1)[1] for line in LINES if line.startswith(f"{word} ")]
        for word in ("FROM", "USER", "EXPOSE", "HEALTHCHECK", "RUN")
    }
    assert all("-slim" in base and base.split(":")[1].startswith("3.11") for base in at["FROM"])
    assert at["USER"] == ["1000"] and LINES.index("USER 1000") < LINES.index('CMD ["python", "app.py"]')
    assert at["EXPOSE"] == ["7860"] and len(at["HEALTHCHECK"]) == 1
    assert any(
        "-c constraints.txt" in run and "-r requirements.txt" in run and "TORCH_INDEX" in run
        for run in at["RUN"]
    )
    environment = dict(re.findall(r"([A-Z_]+)=(\S+)", DOCKERFILE))
    for name in ("HF_HOME", "GRADIO_TEMP_DIR"):
        assert environment[name].startswith("/home/user/") and f'"${name}"' in DOCKERFILE


@needs_git
def test_nothing_that_only_developers_need_is_deployed() -> None:
    there = matching(FILES, SPACE)
    assert {name.split("/")[0] for name in there if "/" in name} == {
        "assets",
        "attribution_core",
        "checkpoints",
        "docs",
        "ui",
    }
    assert (
        "README.md" in there
        and "docs/hooks.py" not in there
        and "requirements.txt" in there
        and "tools/screenshots.py" not in there
    )
    assert set(matching(FILES, APP)) < set(there)


@needs_git
@pytest.mark.slow
def test_the_app_runs_from_these_files_alone_and_writes_to_none_of_them(tmp_path: Path) -> None:
    app = tmp_path / "app"
    for name in matching(FILES, APP):
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, app / name)
    (tmp_path / "home").mkdir()
    for path in (*app.rglob("*"), app):
        path.chmod(0o555 if path.is_dir() else 0o444)
    # Root may write everywhere: without its privileges it is held to the permissions as anybody is.
    prefix = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    environment = {
        "HOME": str(tmp_path / "home"),
        "HF_HOME": str(tmp_path / "home/hf"),
        "HF_HUB_OFFLINE": "1",
        "GRADIO_TEMP_DIR": str(tmp_path / "home/gradio"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    try:
        if prefix:
            tried = subprocess.run([*prefix, "touch", str(app / "here")], capture_output=True, check=False)
            assert tried.returncode != 0, "the permissions do not hold"
        with serve(app / "checkpoints/pocket", root=app, prefix=prefix, environment=environment) as served:
            check = json.loads(
                next(line for line in LINES if line.startswith("HEALTHCHECK ")).split("CMD ")[1]
            )
            check[-1] = check[-1].replace("http://127.0.0.1:7860", served.url)
            assert subprocess.run(check, check=False, timeout=30).returncode == 0
            client = Client(served.url, verbose=False, download_files=str(tmp_path / "made"))
            example = next((app / "checkpoints/pocket/examples").glob("*.png"))
            assert client.predict(handle_file(example), api_name="/attribute_image")["top"]
            image, *_ = client.predict("red apple", 1, 2, api_name="/generate_image")
            assert Path(image).stat().st_size > 0
    finally:
        for path in (app, *app.rglob("*")):
            path.chmod(0o755)


class Hub(ThreadingHTTPServer):
    """As much of the Hub as an upload asks: who, make, list, what is stored apart, one commit, variables."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {".gitattributes": b"* text", "old.py": b"gone"}
        self.made: list[dict[str, Any]] = []
        self.commits: list[dict[str, Any]] = []
        self.variables: dict[str, str] = {}
        self.store: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def answer(self, value: Any, code: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != "Bearer hf_right":
            return self.answer({"error": "Invalid username or password."}, 401)
        if self.path == "/api/whoami-v2":
            return self.answer({"type": "user", "name": "ada", "auth": {}})
        if (
            re.match(r"/api/spaces/ada/it/(tree|revision)/main", self.path)
            or self.path == "/api/spaces/ada/it"
        ):
            listed = [
                {"type": "file", "path": name, "rfilename": name, "size": len(data), "oid": "0" * 40}
                for name, data in self.server.files.items()
            ]
            return self.answer(
                listed
                if "/tree/" in self.path
                else {"id": "ada/it", "sha": "1" * 40, "siblings": listed, "private": False, "tags": []}
            )
        return self.answer({"error": f"no {self.path}"}, 404)

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.store[hashlib.sha256(data).hexdigest()] = data
        self.answer({})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/api/repos/create":
            self.server.made.append(json.loads(body))
            return self.answer({"url": f"{self.server.url}/spaces/ada/it", "id": "1", "name": "ada/it"})
        if self.path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        if self.path.endswith("/preupload/main"):
            return self.answer(
                {
                    "files": [
                        {
                            "path": f["path"],
                            "shouldIgnore": False,
                            "uploadMode": "lfs" if f["path"].endswith(".safetensors") else "regular",
                        }
                        for f in json.loads(body)["files"]
                    ]
                }
            )
        if self.path.endswith("/info/lfs/objects/batch"):
            return self.answer(
                {
                    "transfer": "basic",
                    "objects": [
                        {**o, "actions": {"upload": {"href": f"{self.server.url}/store/{o['oid']}"}}}
                        for o in json.loads(body)["objects"]
                    ],
                }
            )
        if self.path.endswith("/variables"):
            told = json.loads(body)
            self.server.variables[told["key"]] = told["value"]
            return self.answer({})
        if self.path.endswith("/commit/main"):
            rows = [json.loads(line) for line in body.splitlines()]
            self.server.commits.append(rows[0]["value"])
            for row in rows[1:]:
                value = row["value"]
                if row["key"] == "file":
                    self.server.files[value["path"]] = base64.b64decode(value["content"])
                elif row["key"] == "lfsFile":
                    self.server.files[value["path"]] = self.server.store[value["oid"]]
                else:
                    assert row["key"] == "deletedFile", row["key"]
                    del self.server.files[value["path"]]
            return self.answer(
                {
                    "commitUrl": f"{self.server.url}/spaces/ada/it/commit/2",
                    "commitOid": "2" * 40,
                    "success": True,
                }
            )
        return self.answer({"error": f"no {self.path}"}, 404)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)  # this one is on the same machine
    monkeypatch.setattr(
        huggingface_hub.constants, "HF_HUB_DISABLE_XET", True
    )  # large files by LFS: plain HTTP
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small repository: what a Space needs, what it does not, and what git does not keep."""
    root = tmp_path / "repository"
    for name in (
        "app.py",
        "ui/page.py",
        "attribution_core/a.py",
        "checkpoints/pocket/card.json",
        "README.md",
        "checkpoints/a.safetensors",
        "requirements.txt",
        "tests/test_a.py",
        "benchmarks/query.py",
        "ui/static/app.css",
        "assets/seen.png",
        "tools/screenshots.py",
        "pocket/build.py",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"this is {name}\n")
    git = ["git", "-C", str(root), "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    (root / "ui/untracked.py").write_text("mine")
    return root


NEEDED = {
    "app.py",
    "ui/page.py",
    "attribution_core/a.py",
    "checkpoints/pocket/card.json",
    "README.md",
    "checkpoints/a.safetensors",
    "requirements.txt",
    "ui/static/app.css",
    "assets/seen.png",
}


def test_an_upload_is_one_commit_of_exactly_what_is_needed(hub: Hub, checkout: Path) -> None:
    planned = plan("ada/it", root=checkout)
    assert set(planned.files) == NEEDED and planned.size == sum(len(f"this is {name}\n") for name in NEEDED)
    address = deploy(planned, HfApi(endpoint=hub.url, token="hf_right"))
    assert address.endswith("/spaces/ada/it")
    assert hub.made[0]["type"] == "space" and hub.made[0]["sdk"] == "gradio"
    assert len(hub.commits) == 1 and hub.commits[0]["summary"].startswith("Attribution Explorer at ")
    assert set(hub.files) == NEEDED | {".gitattributes"}
    assert hub.files["ui/page.py"] == b"this is ui/page.py\n"
    assert hub.files["checkpoints/a.safetensors"] == b"this is checkpoints/a.safetensors\n"
    assert list(hub.store) == [hashlib.sha256(hub.files["checkpoints/a.safetensors"]).hexdigest()]
    assert hub.variables == {}


def test_another_collection_goes_along_and_is_what_the_space_opens(
    hub: Hub, checkout: Path, tmp_path: Path
) -> None:
    fake_collection(tmp_path / "shapes", n=4)
    served = {path for path in (tmp_path / "shapes").rglob("*") if path.is_file()}
    for unserved in ("features/00000.npy", "features-2/00000.npy", "building/plan.json", ".lock"):
        (tmp_path / "shapes" / unserved).parent.mkdir(exist_ok=True)
        (tmp_path / "shapes" / unserved).write_text("only adding images needs it")
    deploy(
        plan("ada/it", tmp_path / "shapes", checkout), HfApi(endpoint=hub.url, token="hf_right"), private=True
    )
    assert hub.variables == {"ATTRIBUTION_COLLECTION": "collections/shapes"}
    sent = {
        name: hashlib.sha256(data).digest()
        for name, data in hub.files.items()
        if name.startswith("collections/")
    }
    assert sent == {
        f"collections/shapes/{path.relative_to(tmp_path / 'shapes').as_posix()}": hashlib.sha256(
            path.read_bytes()
        ).digest()
        for path in served
    }


def test_who_is_not_logged_in_is_told_how(hub: Hub, checkout: Path) -> None:
    with pytest.raises(MissingDependencyError, match="hf auth login"):
        deploy(plan("ada/it", root=checkout), HfApi(endpoint=hub.url, token="hf_wrong"))
    with pytest.raises(MissingDependencyError, match="cannot be reached"):
        deploy(plan("ada/it", root=checkout), HfApi(endpoint="http://127.0.0.1:9", token="hf_right"))
    assert hub.commits == [] and hub.made == []


def test_a_refusal_is_one_sentence(hub: Hub, checkout: Path) -> None:
    with pytest.raises(CheckpointError, match="the upload failed"):
        deploy(plan("bob/other", root=checkout), HfApi(endpoint=hub.url, token="hf_right"))


def test_what_cannot_be_told_from_a_commit_is_not_uploaded(checkout: Path, tmp_path: Path) -> None:
    (checkout / "tests/test_a.py").write_text("changed, but not uploaded")
    plan("ada/it", root=checkout)
    (checkout / "app.py").write_text("changed")
    with pytest.raises(InvalidInputError, match=r"differ from the last commit, first 'app\.py'"):
        plan("ada/it", root=checkout)
    with pytest.raises(InvalidInputError, match="user/name"):
        plan("it", root=checkout)
    with pytest.raises(CheckpointError, match=r"card\.json"):
        subprocess.run(["git", "-C", str(checkout), "checkout", "-q", "app.py"], check=True)
        plan("ada/it", tmp_path, checkout)
