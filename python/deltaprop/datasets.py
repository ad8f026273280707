"""Two classic data sets, read from a folder, else from a cache, else downloaded; no other data I/O.

The cache is ``$DELTAPROP_CACHE``, else ``$XDG_CACHE_HOME/deltaprop``, else ``~/.cache/deltaprop``.
"""

from __future__ import annotations

import math
import os
import sys
from typing import TYPE_CHECKING

import numpy as np

from . import checks

if TYPE_CHECKING:  # pathlib alone is a quarter of the time that `import deltaprop` may take
    from pathlib import Path
    from typing import TypeAlias

    import numpy.typing as npt

    _Bytes: TypeAlias = npt.NDArray[np.uint8]
    _Floats: TypeAlias = npt.NDArray[np.float64]
    _Folder: TypeAlias = str | os.PathLike[str]

__all__ = ["boston_housing", "mnist"]

_MIRRORS = {
    "mnist": (
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://yann.lecun.com/exdb/mnist/",
    ),
    "boston_housing": ("https://raw.githubusercontent.com/jbrownlee/Datasets/master/",),
}

# Bytes and SHA-256 of the decompressed content: archives of the same digits differ.
_CONTENTS = {
    "train-images-idx3-ubyte.gz": (
        47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    "train-labels-idx1-ubyte.gz": (
        60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
    "t10k-images-idx3-ubyte.gz": (
        7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    ),
    "housing.csv": (
        41_295, "2682ca02e83b89467d7d0cdcbde7c0cc4d2566119be8ce8d84dad4f0fa20859a"
    ),
}

_TIMEOUT = 30.0  # seconds without a byte from a mirror


class mnist:  # noqa: N801 - a namespace, spelled like Keras's module
    """Handwritten digits (LeCun, Cortes, Burges): 28×28 grey values and the classes 0 to 9."""

    @staticmethod
    def load_data(
        path: _Folder | None = None,
    ) -> tuple[tuple[_Bytes, _Bytes], tuple[_Bytes, _Bytes]]:
        """Read MNIST in the original order, as Keras returns it.

        Parameters
        ----------
        path : path_like, optional
            Folder with the four IDX files (``train-images-idx3-ubyte``, …), gzipped or not.
            Any number of images will do. Without it: the cache, filled by a download at first.

        Returns
        -------
        (x_train, y_train), (x_test, y_test) : tuples of ndarray of uint8
            Images of shape (n_samples, 28, 28) in 0 … 255, labels of shape (n_samples,) in 0 … 9;
            60,000 for training and 10,000 for testing.

        Raises
        ------
        ValueError
            A file is truncated, damaged or not what its name says.
        OSError
            A file is missing, or no mirror could deliver it.

        Examples
        --------
        >>> import deltaprop as dp
        >>> (x, y), (x_test, y_test) = dp.datasets.mnist.load_data()  # doctest: +SKIP
        >>> x.shape, y[:3].tolist()  # doctest: +SKIP
        ((60000, 28, 28), [5, 0, 4])
        """
        return _digits("train", path), _digits("t10k", path)


class boston_housing:  # noqa: N801 - a namespace, spelled like Keras's module
    """House prices around Boston (Harrison & Rubinfeld 1978, StatLib): 506 rows, 13 features.

    One feature (B) was built on the share of Black residents and assumes that segregation raises
    prices: use the set to compare with published results, not to value houses.
    """

    @staticmethod
    def load_data(
        path: _Folder | None = None, test_split: float = 0.2, seed: int = 113
    ) -> tuple[tuple[_Floats, _Floats], tuple[_Floats, _Floats]]:
        """Read the Boston housing table, shuffled and split as by Keras.

        Parameters
        ----------
        path : path_like, optional
            Folder with ``housing.csv``: comma-separated, no header, 13 features and the target in
            each line. Without it: the cache, filled by a download at first.
        test_split : float, default 0.2
            Share of the rows that goes to the test set, in [0, 1).
        seed : int, default 113
            Of the shuffle that comes before the split; 113 gives the literature's split.

        Returns
        -------
        (x_train, y_train), (x_test, y_test) : tuples of ndarray of float64
            Features of shape (n_samples, 13), targets (median value in $1000) of shape
            (n_samples,); 404 for training and 102 for testing by default.

        Raises
        ------
        ValueError
            ``test_split`` is outside [0, 1), or the file is damaged or not this table.
        OSError
            The file is missing, or no mirror could deliver it.

        Examples
        --------
        >>> import deltaprop as dp
        >>> (x, y), (x_test, y_test) = dp.datasets.boston_housing.load_data()  # doctest: +SKIP
        >>> x.shape, x_test.shape, y[0]  # doctest: +SKIP
        ((404, 13), (102, 13), 15.2)
        """
        test_split = checks.number("test_split", test_split, least=0, below=1)
        seed = checks.seed(seed)
        table = _parse_table(*_content("boston_housing", "housing.csv", path))
        order = np.arange(len(table))
        np.random.RandomState(seed).shuffle(order)  # the old generator: Keras's rows, bit for bit
        table = table[order]
        cut = int(len(table) * (1 - test_split))
        x, y = table[:, :-1].copy(), table[:, -1].copy()
        return (x[:cut], y[:cut]), (x[cut:], y[cut:])


def _digits(part: str, path: _Folder | None) -> tuple[_Bytes, _Bytes]:
    x = _parse_idx(*_content("mnist", f"{part}-images-idx3-ubyte.gz", path), ndim=3)
    y = _parse_idx(*_content("mnist", f"{part}-labels-idx1-ubyte.gz", path), ndim=1)
    if len(x) != len(y):
        raise ValueError(
            f"the {part} files hold {len(x)} images but {len(y)} labels; "
            "take both from the same copy of MNIST"
        )
    return x, y


def _parse_idx(content: bytes, file: Path, ndim: int) -> _Bytes:
    """Decode the IDX format: two zero bytes, type, ndim, big-endian uint32 sizes, then the data."""
    kind = "images" if ndim == 3 else "labels"
    magic, header = bytes([0, 0, 8, ndim]), 4 + 4 * ndim
    if content[:4] != magic:
        raise ValueError(
            f"{file}: the first four bytes are {content[:4].hex(' ') or 'missing'}, "
            f"but IDX files of {kind} start with {magic.hex(' ')}"
        )
    if len(content) < header:
        raise ValueError(
            f"{file}: the IDX header is cut off after {len(content)} of {header} bytes; "
            "get the file again"
        )
    shape = [int.from_bytes(content[i : i + 4], "big") for i in range(4, header, 4)]
    if shape[0] == 0 or shape[1:] not in ([], [28, 28]):
        wanted = "(n, 28, 28)" if ndim == 3 else "(n,)"
        raise ValueError(
            f"{file}: the header states the shape {tuple(shape)}; MNIST {kind} have {wanted}, n > 0"
        )
    expected, received = math.prod(shape), len(content) - header
    if received != expected:
        raise ValueError(
            f"{file}: {received} bytes follow the header, but the shape {tuple(shape)} needs "
            f"{expected}; get the file again"
        )
    values = np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy()
    if ndim == 1 and values.max() > 9:
        raise ValueError(f"{file}: found the label {values.max()}; MNIST labels are 0 to 9")
    return values


def _parse_table(content: bytes, file: Path) -> _Floats:
    """Decode comma-separated lines of 13 features and the target."""
    rows = []
    for number, line in enumerate(content.decode("latin-1").splitlines(), start=1):
        try:
            row = [float(field) for field in line.split(",")]
        except ValueError:
            row = []
        if len(row) != 14 or not np.isfinite(row).all():
            raise ValueError(
                f"{file}: line {number} is {line[:80]!r}; it must be 14 finite numbers with "
                "commas between them (13 features, then the target), and no header"
            )
        rows.append(row)
    if not rows:
        raise ValueError(f"{file}: the file is empty; each line must hold 14 numbers")
    return np.array(rows)


def _content(dataset: str, name: str, path: _Folder | None) -> tuple[bytes, Path]:
    """Return what file `name` holds, decompressed, and where it was found."""
    from pathlib import Path

    if path is not None:
        file = _find(Path(path), name)
        return _decompress(file), file
    file = _cache() / dataset / name
    if not file.exists():
        _download(dataset, name, file)
    return _verified(name, file, "delete it and call again for a new download"), file


def _find(folder: Path, name: str) -> Path:
    plain = name.removesuffix(".gz")
    candidates = [plain, plain + ".gz"]
    for candidate in candidates:
        if (folder / candidate).is_file():
            return folder / candidate
    if not folder.is_dir():
        raise NotADirectoryError(f"path={str(folder)!r} is no folder; pass the one with {plain}")
    raise FileNotFoundError(
        f"{folder} has neither {' nor '.join(candidates)}; pass the folder that has it, or leave "
        "path out to use the cache"
    )


def _cache() -> Path:
    from pathlib import Path

    if own := os.environ.get("DELTAPROP_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deltaprop"


def _decompress(file: Path, limit: int = -1) -> bytes:
    """Read at most `limit` bytes of the content; a gzip file is told by its first two bytes."""
    import gzip
    import zlib

    with open(file, "rb") as raw:
        gzipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if not gzipped:
            return raw.read(limit)
        try:
            with gzip.open(raw) as stream:
                return stream.read(limit)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(
                f"{file}: truncated or damaged gzip file ({error}); get the file again"
            ) from None


def _verified(name: str, file: Path, remedy: str) -> bytes:
    """Return the content of `file` if it is, bit for bit, what `name` should hold."""
    import hashlib

    size, expected = _CONTENTS[name]
    content = _decompress(file, limit=size + 1)  # no more: the file may be a decompression bomb
    digest = hashlib.sha256(content).hexdigest()
    if digest != expected:
        longer = "more than " if len(content) > size else ""
        raise ValueError(
            f"{file}: the content has {longer}{min(len(content), size)} bytes with SHA-256 "
            f"{digest}, but {size} bytes with {expected} were expected; {remedy}"
        )
    return content


def _download(dataset: str, name: str, file: Path) -> None:
    """Fetch `name` from the first mirror that delivers it intact; `file` appears whole or never."""
    import http.client
    import tempfile
    from pathlib import Path

    file.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    for mirror in _MIRRORS[dataset]:
        print(f"Downloading {mirror}{name}", file=sys.stderr)
        handle, temporary = tempfile.mkstemp(prefix=name, suffix=".part", dir=file.parent)
        os.close(handle)
        try:
            _fetch(mirror + name, Path(temporary), limit=_CONTENTS[name][0] + 65536)
            _verified(name, Path(temporary), "the mirror is not to be trusted")
            os.replace(temporary, file)
            return
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = str(error).removeprefix(f"{temporary}: ") or type(error).__name__
            failures.append(f"  {mirror}{name}: {reason}")
        finally:
            Path(temporary).unlink(missing_ok=True)
    raise OSError(
        f"no mirror delivered {name}; put it into {file.parent} by hand, or pass the folder that "
        "has it as path:\n" + "\n".join(failures)
    )


def _fetch(url: str, file: Path, limit: int) -> None:
    import urllib.request

    request = urllib.request.Request(url, headers={"User-Agent": "deltaprop"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response, open(file, "wb") as out:
        while chunk := response.read(1 << 20):
            out.write(chunk)
            if out.tell() > limit:
                raise ValueError(f"more than {limit} bytes arrived")
