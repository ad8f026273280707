"""Strings and arrays in one safetensors file, whole and checked; what they mean is in saving.py."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import safetensors.numpy

__all__ = ["pack", "reason", "unpack", "write"]

Array = npt.NDArray[Any]

_VERSION = 1  # of the format; a reader refuses what is newer
_LONGEST_HEADER = 100_000_000  # bytes; safetensors' own limit
_UNREADABLE = (
    safetensors.SafetensorError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip
_BEGINNINGS = {
    b"\x89HDF": " It looks like an HDF5 file.",
    b"PK\x03\x04": " It looks like a ZIP archive, such as .keras and .npz.",
    b"\x80\x04\x95": " It looks like a pickle, which is never read.",
}


def pack(metadata: Mapping[str, str], arrays: Mapping[str, Array]) -> bytes:
    """Return the bytes of a file; the same content gives the same bytes."""
    noted = {**metadata, "format": "deltaprop", "format_version": str(_VERSION)}
    noted["sha256"] = _digest(noted, arrays)
    data = safetensors.numpy.save(dict(arrays), noted)
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(noted.items()))  # safetensors' order is random
    text = _compact(header)
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, memoryview(data)[end:]])


def unpack(file: BinaryIO, where: str) -> tuple[dict[str, str], dict[str, Array]]:
    """Return the metadata and arrays of a file.

    Parameters
    ----------
    file : binary file that can seek
    where : str
        What to call it in messages.

    Raises
    ------
    ValueError
        If the file is damaged, truncated, foreign or of a newer version; no memory is taken on the
        word of such a file.
    """
    try:
        metadata, types = _header(file)
        version = int(metadata["format_version"])
        if version <= _VERSION:
            return metadata, _arrays(file, metadata, types)
    except _UNREADABLE as error:
        file.seek(0)
        start = file.read(8)
        looks = next((text for key, text in _BEGINNINGS.items() if start.startswith(key)), "")
        raise ValueError(
            f"{where} is damaged, truncated or no file of deltaprop: {reason(error)}.{looks} Pass a file "
            f"that model.save(...) wrote, or restore this one from a copy."
        ) from error
    raise ValueError(
        f"{where} was written by a newer deltaprop, in format {version}; this one reads up to {_VERSION}. "
        f"Upgrade with: pip install -U deltaprop"
    )


def reason(error: Exception) -> str:
    """Return an error's message as the end of a sentence."""
    return f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error).rstrip(".")


def _header(file: BinaryIO) -> tuple[dict[str, str], set[str]]:
    """Return the metadata and the arrays' types."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if not 0 < length <= min(size - 8, _LONGEST_HEADER):
        raise ValueError(f"it has {size} bytes and announces a header of {length}")
    text = file.read(length)
    header = json.loads(text.decode())
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or metadata.get("format") != "deltaprop":
        raise ValueError("it is a safetensors file without deltaprop's metadata")
    # There is one way to write a header, so none of its bytes can change unnoticed.
    if text != _compact(header).ljust(length):
        raise ValueError("its header is not as it was written")
    return metadata, {entry["dtype"] for name, entry in header.items() if name != "__metadata__"}


def _arrays(file: BinaryIO, metadata: Mapping[str, str], types: set[str]) -> dict[str, Array]:
    """Return the arrays; that their sizes fit together and fill the file is checked by safetensors."""
    if not types <= {"F32", "F64"}:
        raise ValueError(f"it has arrays of types {', '.join(sorted(types))}")
    file.seek(0)
    arrays: dict[str, Array] = safetensors.numpy.load(file.read())
    if metadata["sha256"] != _digest(metadata, arrays):
        raise ValueError("its SHA-256 is not the one noted in it")
    return arrays


def _compact(header: Any) -> bytes:
    return json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()


def _digest(metadata: Mapping[str, str], arrays: Mapping[str, Array]) -> str:
    """SHA-256 of the metadata, of each array's name, dtype and shape, and of their bytes."""
    texts = sorted(item for item in metadata.items() if item[0] != "sha256")
    named = sorted(arrays.items())
    shapes = [(name, array.dtype.name, array.shape) for name, array in named]
    digest = hashlib.sha256(json.dumps([texts, shapes]).encode())
    for _, array in named:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def write(filepath: str | os.PathLike[str], data: bytes, overwrite: bool) -> None:
    """Write a file under another name in the same folder, then rename it: a crash leaves no half file.

    Raises
    ------
    FileExistsError
        If there is such a file, and `overwrite` is False.
    FileNotFoundError
        If the folder does not exist.
    OSError
        If it cannot be written; what was there before is still there then.
    """
    path = os.path.realpath(filepath)  # what a link points to is replaced, not the link
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"there is no folder {folder!r} to save in; create it first.")
    if os.path.isdir(path):
        raise IsADirectoryError(f"{path!r} is a folder; give the name of a file in it.")
    exists = os.path.exists(path)
    if exists and not overwrite:
        raise FileExistsError(f"file {path!r} exists; choose another name, or pass overwrite=True.")
    if exists and not os.access(path, os.W_OK):  # a rename would not mind
        raise PermissionError(f"file {path!r} is write-protected.")
    temporary = os.path.join(folder, f".deltaprop-{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:  # with the permissions that new files get here
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if exists:
            os.chmod(temporary, stat.S_IMODE(os.stat(path).st_mode))
        os.replace(temporary, path)
    except BaseException:  # Ctrl-C too
        with contextlib.suppress(OSError):
            os.remove(temporary)
        raise
