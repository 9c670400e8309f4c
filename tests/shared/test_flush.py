"""Flushing while writing: everything gets written, and a disk that fails is heard by the writer."""

from __future__ import annotations

import errno
import os

import pytest

from anka_ci.flush import Flusher


def test_a_writer_that_is_faster_than_the_disk_waits_and_loses_nothing(tmp_path):
    block = bytes(1 << 10)
    with (tmp_path / "file").open("wb", buffering=0) as file, Flusher(file.fileno(), step=2048, most=4096) as flusher:
        for _ in range(40):
            file.write(block)
            flusher.wrote(len(block))
    assert 40 << 10 == (tmp_path / "file").stat().st_size


@pytest.mark.parametrize("blocks", [1, 1000])
def test_what_the_disk_refuses_is_raised_where_it_is_written(blocks):
    """A pipe cannot be flushed, which is as good as a disk that fails."""
    reader, writer = os.pipe()

    def write() -> None:
        with Flusher(writer, step=1024, most=2048) as flusher:
            for _ in range(blocks):
                flusher.wrote(1024)

    try:
        with pytest.raises(OSError) as caught:
            write()
    finally:
        os.close(reader)
        os.close(writer)
    assert caught.value.errno in (errno.EINVAL, errno.ENOTSUP)


def test_an_error_of_the_writer_is_not_covered_up():
    reader, writer = os.pipe()
    try:
        with pytest.raises(ValueError, match="mine"), Flusher(writer, step=1):
            raise ValueError("mine")
    finally:
        os.close(reader)
        os.close(writer)
