"""Archives with made-up members."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path


def tar(path: Path, members: dict[str, bytes | str], mode: str = "w") -> Path:
    """An archive; text is the target of a link."""
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path
