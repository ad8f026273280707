"""The data set loaders, on small files written here and on mirrors that run on this machine."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from deltaprop import datasets

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
IMAGES = {"train": 5, "t10k": 3}  # rows in the small MNIST


def idx(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.astype(np.uint8).tobytes()


def small_mnist() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    files = {}
    for part, rows in IMAGES.items():
        files[f"{part}-images-idx3-ubyte"] = idx(rng.integers(0, 256, (rows, 28, 28)))
        files[f"{part}-labels-idx1-ubyte"] = idx(rng.integers(0, 10, rows))
    return files


def small_table(rows: int = 10) -> str:
    values = np.arange(rows)[:, None] + np.arange(14) / 16
    return "\n".join(",".join(map(str, row)) for row in values.tolist())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in small_mnist().items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "housing.csv").write_text(small_table())
    return tmp_path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DELTAPROP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Mirror:
    """A folder behind HTTP on 127.0.0.1 that counts the requests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[str] = []
        mirror = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_request(self, code: object = "-", size: object = "-") -> None:
                mirror.requests.append(self.path)

            def log_message(self, *args: object) -> None:
                pass

        handler = functools.partial(Handler, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def mirror(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """The only mirror of both data sets: it has the small files, and their checksums are known."""
    served = tmp_path / "served"
    served.mkdir()
    contents = {name + ".gz": content for name, content in small_mnist().items()}
    for name, content in contents.items():
        (served / name).write_bytes(gzip.compress(content))
    contents["housing.csv"] = small_table().encode()
    (served / "housing.csv").write_bytes(contents["housing.csv"])
    for name, content in contents.items():
        known = (len(content), hashlib.sha256(content).hexdigest())
        monkeypatch.setitem(datasets._CONTENTS, name, known)
    mirror = Mirror(served)
    for dataset in ("mnist", "boston_housing"):
        monkeypatch.setitem(datasets._MIRRORS, dataset, (mirror.url,))
    yield mirror
    mirror.close()


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_mnist_reads_a_folder(folder: Path, suffix: str) -> None:
    expected = small_mnist()
    if suffix:
        for name in expected:
            (folder / (name + suffix)).write_bytes(gzip.compress((folder / name).read_bytes()))
            (folder / name).unlink()
    for path in (folder, str(folder)):
        parts = datasets.mnist.load_data(path)
        for part, (x, y) in zip(IMAGES, parts, strict=True):
            assert x.dtype == y.dtype == np.uint8
            assert x.shape == (IMAGES[part], 28, 28) and y.shape == (IMAGES[part],)
            assert x.tobytes() == expected[f"{part}-images-idx3-ubyte"][16:]
            assert y.tobytes() == expected[f"{part}-labels-idx1-ubyte"][8:]
            assert x.flags.writeable and y.flags.writeable


IMAGE, LABEL = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (IMAGE, b"", "first four bytes are missing"),
        (IMAGE, b"<!DOCTYPE html>", "first four bytes are 3c 21 44 4f"),
        (IMAGE, idx(np.zeros(5)), "00 00 08 01, but IDX files of images start with 00 00 08 03"),
        (LABEL, idx(np.zeros((5, 28, 28))), "IDX files of labels start with 00 00 08 01"),
        (IMAGE, small_mnist()[IMAGE][:10], "header is cut off after 10 of 16 bytes"),
        (IMAGE, small_mnist()[IMAGE][:-1], "3919 bytes follow the header"),
        (IMAGE, small_mnist()[IMAGE] + b"\0", "3921 bytes follow the header"),
        (IMAGE, idx(np.zeros((5, 28, 27))), r"\(5, 28, 27\); MNIST images have \(n, 28, 28\)"),
        (IMAGE, idx(np.zeros((0, 28, 28))), r"shape \(0, 28, 28\)"),
        (IMAGE, b"\0\0\x08\x03" + b"\xff" * 12, "MNIST images have"),
        (IMAGE, b"\0\0\x08\x03\xff\xff\xff\xff\0\0\0\x1c\0\0\0\x1c", "0 bytes follow the header"),
        (LABEL, idx(np.zeros(0)), r"shape \(0,\); MNIST labels have \(n,\), n > 0"),
        (LABEL, idx(np.full(5, 10)), "found the label 10"),
        (LABEL, idx(np.zeros(4)), "5 images but 4 labels"),
        (IMAGE, gzip.compress(small_mnist()[IMAGE])[:-9], "truncated or damaged gzip"),
        (IMAGE, gzip.compress(small_mnist()[IMAGE])[:5], "truncated or damaged gzip"),
        (IMAGE, gzip.compress(b"")[:10] + b"\xff" * 40, "truncated or damaged gzip"),
    ],
)
def test_mnist_rejects_what_is_not_mnist(
    folder: Path, name: str, content: bytes, message: str
) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        datasets.mnist.load_data(folder)
    assert name in str(caught.value) or "train files" in str(caught.value)


def test_boston_housing_splits_as_keras_does(folder: Path) -> None:
    (x, y), (x_test, y_test) = datasets.boston_housing.load_data(folder, test_split=0.25, seed=7)
    table = np.array([line.split(",") for line in small_table().splitlines()], np.float64)
    order = np.arange(10)
    np.random.RandomState(7).shuffle(order)
    assert x.dtype == y.dtype == np.float64
    np.testing.assert_array_equal(x, table[order[:7], :13])
    np.testing.assert_array_equal(y, table[order[:7], 13])
    np.testing.assert_array_equal(x_test, table[order[7:], :13])
    np.testing.assert_array_equal(y_test, table[order[7:], 13])


def test_boston_housing_without_a_test_set(folder: Path) -> None:
    (x, y), (x_test, y_test) = datasets.boston_housing.load_data(folder, test_split=0.0)
    assert x.shape == (10, 13) and y.shape == (10,)
    assert x_test.shape == (0, 13) and y_test.shape == (0,)


@pytest.mark.parametrize("test_split", [-0.1, 1.0, 20, float("nan")])
def test_boston_housing_rejects_a_split_outside_0_to_1(folder: Path, test_split: float) -> None:
    with pytest.raises(ValueError, match="test_split must be a finite number of at least 0 and below 1"):
        datasets.boston_housing.load_data(folder, test_split=test_split)


GOOD = small_table(1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("crim,zn,indus\n" + GOOD, "line 1 is 'crim,zn,indus'"),
        (GOOD + "\n" + GOOD.rsplit(",", 1)[0], "line 2 is .* must be 14 finite numbers"),
        (GOOD + ",1", "line 1 is"),
        (GOOD + "\n\n" + GOOD, "line 2 is ''"),
        (GOOD.replace(",", " "), "with commas between them"),
        (GOOD.rsplit(",", 1)[0] + ",nan", "14 finite numbers"),
        (GOOD.rsplit(",", 1)[0] + ",1e999", "14 finite numbers"),
        ("caf\xe9", "line 1 is"),
    ],
)
def test_boston_housing_rejects_what_is_not_the_table(
    folder: Path, text: str, message: str
) -> None:
    (folder / "housing.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=message):
        datasets.boston_housing.load_data(folder)


def test_missing_folder_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="neither train-images-idx3-ubyte nor train-images"):
        datasets.mnist.load_data(tmp_path)
    with pytest.raises(NotADirectoryError, match="is no folder; pass the one with housing"):
        datasets.boston_housing.load_data(tmp_path / "nowhere")


def test_download_fills_the_cache_once(mirror: Mirror, cache: Path) -> None:
    for _ in range(2):
        (x, y), (x_test, _) = datasets.mnist.load_data()
        assert x.shape == (5, 28, 28) and y.shape == (5,) and len(x_test) == 3
        (x, y), _ = datasets.boston_housing.load_data()
        assert x.shape == (8, 13) and y.shape == (8,)
    assert len(mirror.requests) == 5
    assert sorted(path.name for path in cache.rglob("*.*")) == sorted(
        [name + ".gz" for name in small_mnist()] + ["housing.csv"]
    )


def test_download_accepts_a_mirror_that_sends_it_decompressed(mirror: Mirror) -> None:
    for name, content in small_mnist().items():
        (mirror.folder / (name + ".gz")).write_bytes(content)
    assert datasets.mnist.load_data()[0][0].shape == (5, 28, 28)


def test_download_takes_the_next_mirror_when_one_fails(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dead = Mirror(mirror.folder)
    dead.close()
    mirrors = (dead.url, mirror.url + "not/here/", mirror.url)
    monkeypatch.setitem(datasets._MIRRORS, "boston_housing", mirrors)
    assert datasets.boston_housing.load_data()[0][0].shape == (8, 13)
    shown = capsys.readouterr()
    assert [f"Downloading {url}housing.csv" for url in mirrors] == shown.err.splitlines()
    assert shown.out == ""


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:-1], "/housing.csv: the content has [0-9]+ bytes with SHA-256"),
        (lambda text: text.replace(b"0", b"1", 1), "SHA-256 [0-9a-f]{64}, but [0-9]+ bytes with"),
        (lambda text: text + b"x", "more than [0-9]+ bytes with"),
        (lambda text: gzip.compress(bytes(10_000_000)), "more than [0-9]+ bytes with"),
        (lambda text: bytes(100_000), "more than [0-9]+ bytes arrived"),
        (lambda text: gzip.compress(text)[:-4], "truncated or damaged gzip"),
    ],
)
def test_download_rejects_a_damaged_file_and_keeps_nothing(
    mirror: Mirror, cache: Path, damage, message: str
) -> None:
    served = mirror.folder / "housing.csv"
    served.write_bytes(damage(served.read_bytes()))
    with pytest.raises(OSError, match="no mirror delivered housing") as caught:
        datasets.boston_housing.load_data()
    caught.match(message)
    caught.match(mirror.url)
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_damaged_cache_is_reported_not_used(mirror: Mirror, cache: Path) -> None:
    datasets.boston_housing.load_data()
    file = cache / "boston_housing" / "housing.csv"
    file.write_text(small_table(9))
    with pytest.raises(ValueError, match="delete it and call again for a new download"):
        datasets.boston_housing.load_data()
    file.unlink()
    datasets.boston_housing.load_data()


def test_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for name in ("DELTAPROP_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert datasets._cache() == tmp_path / ".cache" / "deltaprop"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert datasets._cache() == tmp_path / "xdg" / "deltaprop"
    monkeypatch.setenv("DELTAPROP_CACHE", str(tmp_path / "own"))
    assert datasets._cache() == tmp_path / "own"


def test_import_loads_no_network_or_archive_module() -> None:
    code = (
        "import sys, numpy; before = set(sys.modules); "
        "import deltaprop.datasets; new = set(sys.modules) - before; "
        "assert not new & {'urllib.request', 'gzip', 'http.client', 'ssl'}, new"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(not (SHARED / "mnist").is_dir(), reason=f"no MNIST files in {SHARED}")
def test_original_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = SHARED / "mnist"
    (x, y), (x_test, y_test) = datasets.mnist.load_data(folder)
    assert x.shape == (60_000, 28, 28) and x_test.shape == (10_000, 28, 28)
    assert y[:5].tolist() == [5, 0, 4, 1, 9] and y_test[:5].tolist() == [7, 2, 1, 0, 4]
    assert np.bincount(y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    for name in datasets._CONTENTS:
        if name.endswith(".gz"):
            datasets._verified(name, folder / name, "these are the files the table is about")


@pytest.mark.skipif(not (SHARED / "boston_housing").is_dir(), reason=f"no housing.csv in {SHARED}")
def test_original_boston_housing() -> None:
    folder = SHARED / "boston_housing"
    (x, y), (x_test, y_test) = datasets.boston_housing.load_data(folder)
    assert x.shape == (404, 13) and x_test.shape == (102, 13) and y_test.shape == (102,)
    assert x[0, :3].tolist() == [1.23247, 0.0, 8.14] and y[0] == 15.2
    datasets._verified("housing.csv", folder / "housing.csv", "the table is about this file")
