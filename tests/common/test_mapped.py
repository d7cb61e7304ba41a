"""Arrays that are written in safetensors' format and mapped from it."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from attribution_core.common.mapped import mapped, write_arrays

ARRAYS = {
    "bytes": np.arange(-5, 10, dtype=np.int8).reshape(5, 3),
    "whole": np.array([[2**40, -1]]),
    "real": np.linspace(0, 1, 7, dtype=np.float32),
    "none": np.empty((0, 4), np.float32),
}


def test_safetensors_reads_what_is_written(tmp_path):
    write_arrays(tmp_path / "a", ARRAYS)
    for read in (load_file(tmp_path / "a"), mapped(tmp_path / "a")):
        assert read.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            assert read[name].dtype == array.dtype and np.array_equal(read[name], array)
    assert all(array.flags.aligned for array in mapped(tmp_path / "a").values())


def test_what_safetensors_writes_is_mapped_and_changes_stay_in_memory(tmp_path):
    save_file(ARRAYS, tmp_path / "a")
    mapped(tmp_path / "a")["real"][0] = 5
    assert mapped(tmp_path / "a")["real"][0] == 0


def test_parts_of_arrays_are_written_as_they_lie(tmp_path):
    write_arrays(tmp_path / "a", {"odd": ARRAYS["bytes"][::2]})
    assert np.array_equal(load_file(tmp_path / "a")["odd"], ARRAYS["bytes"][::2])


def test_other_kinds_of_numbers_are_refused(tmp_path):
    with pytest.raises(KeyError):
        write_arrays(tmp_path / "a", {"half": np.zeros(3, np.float16)})
    save_file({"half": np.zeros(3, np.float16)}, tmp_path / "b")
    with pytest.raises(KeyError):
        mapped(tmp_path / "b")
