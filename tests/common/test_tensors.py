"""Tensors of others are read without running their code."""

import pytest
import torch

from attribution_core.common.tensors import read_tensors
from attribution_core.errors import CheckpointError


class Evil:
    """An object whose unpickling runs code."""

    def __reduce__(self):
        return (print, ("ran",))


def test_read_tensors_takes_tensors_and_refuses_the_rest(tmp_path, capsys):
    torch.save({"a": torch.arange(3.0)}, tmp_path / "good.pth")
    assert read_tensors(tmp_path / "good.pth")["a"].tolist() == [0.0, 1.0, 2.0]
    torch.save({"a": Evil()}, tmp_path / "evil.pth")
    (tmp_path / "bad.pth").write_bytes(b"not a checkpoint")
    (tmp_path / "empty.pth").write_bytes(b"")
    for name in ("evil.pth", "bad.pth", "empty.pth", "missing.pth"):
        with pytest.raises(CheckpointError, match=name):
            read_tensors(tmp_path / name)
    assert capsys.readouterr().out == ""
