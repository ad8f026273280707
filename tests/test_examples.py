"""The examples run as they stand and reach what the README says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import deltaprop as dp

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"  # the original files, where a machine has them


def run(script, *arguments, folder):
    command = [sys.executable, ROOT / "examples" / script, *map(str, arguments)]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout


def accuracy(output):
    return float(re.search(r"test accuracy +([\d.]+)%", output)[1])


def test_digits(tmp_path):
    pytest.importorskip("sklearn")
    output = run("digits.py", "--save", "my.safetensors", folder=tmp_path)
    assert accuracy(output) >= 97
    assert re.search(r"time per epoch +[\d.]+ ms", output)
    assert "model saved to  my.safetensors" in output
    assert dp.load_model(tmp_path / "my.safetensors").output_shape == (None, 10)


@pytest.mark.parametrize("arguments, least", [([], 97.5), (["--notes"], 94.5)], ids=["modern", "notes"])
def test_mnist(arguments, least, tmp_path):
    if not (DATA / "mnist").is_dir():
        pytest.skip("MNIST's files are not here")
    assert accuracy(run("digits.py", "--mnist", DATA / "mnist", *arguments, folder=tmp_path)) >= least


def test_boston(tmp_path):
    if not (DATA / "boston_housing").is_dir():
        pytest.skip("the Boston housing table is not here")
    output = run("boston.py", DATA / "boston_housing", folder=tmp_path)
    assert 2 < float(re.search(r"mean over folds: ([\d.]+)", output)[1]) < 3


def test_xor(tmp_path):
    output = run("xor.py", folder=tmp_path)
    assert [round(float(p)) for p in re.findall(r"= ([\d.]+)$", output, re.M)] == [0, 1, 1, 0]
    assert "backward" in output


def test_two_outputs(tmp_path):
    output = run("two_outputs.py", folder=tmp_path)
    assert float(re.search(r"mean absolute error ([\d.]+)", output)[1]) < 0.3
    assert accuracy(output) >= 95


def test_perceptron(tmp_path):
    output = run("perceptron.py", folder=tmp_path)
    assert re.search(r"^NAND learned", output, re.M) and re.search(r"^AND  learned", output, re.M)
    assert "XOR  not linearly separable" in output
    assert "two layers: [0, 1, 1, 0]" in output


def test_rbf(tmp_path):
    pytest.importorskip("sklearn")
    fixed, learned, from_random = map(float, re.findall(r"([\d.]+)%$", run("rbf.py", folder=tmp_path), re.M))
    assert fixed > 92 and learned > 96
    assert from_random < fixed < learned


def test_tangent_propagation(tmp_path):
    pytest.importorskip("sklearn")
    plain, taught = re.findall(r"([\d.]+)%$", run("tangent_propagation.py", folder=tmp_path), re.M)
    assert float(taught) < float(plain) - 1.5  # percent of the shifted digits


def number(output, label):
    return float(re.search(rf"{label} +([\d.]+)", output)[1])


def test_sparse_autoencoder(tmp_path):
    pytest.importorskip("sklearn")
    output = run("sparse_autoencoder.py", folder=tmp_path)
    low, high = map(float, re.search(r"from ([\d.]+) to ([\d.]+)", output).groups())
    assert low > 0.03 and number(output, "mean activations") < 0.075 and high < 0.1
    assert number(output, "reconstruction error") < 0.02
    trained, untrained = map(int, re.search(r"hold (\d+)% of a feature, (\d+)% before", output).groups())
    assert trained > 1.5 * untrained


@pytest.mark.parametrize("arguments", [[], ["--tied"], ["--gaussian"]], ids=["masking", "tied", "gaussian"])
def test_denoising_autoencoder(arguments, tmp_path):
    pytest.importorskip("sklearn")
    output = run("denoising_autoencoder.py", *arguments, folder=tmp_path)
    corrupted = number(output, "corrupted test digits")
    plain, denoising = number(output, "a plain autoencoder"), number(output, "a denoising autoencoder")
    assert denoising < 0.5 * plain and denoising < 0.4 * corrupted


def test_approximation(tmp_path):
    errors = [float(e) for e in re.findall(r"error ([\d.]+)$", run("approximation.py", folder=tmp_path), re.M)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.02 < 0.5 < errors[0]


def test_noise_tikhonov(tmp_path):
    output = run("noise_tikhonov.py", folder=tmp_path)
    free, noisy, penalised = map(float, re.findall(r"\(dy/dx\)\^2 +([\d.]+)$", output, re.M))
    assert abs(noisy - penalised) < 0.3 * (free - noisy)
    assert 2 * number(output, "noise - penalty") < number(output, "noise - neither")


def test_early_stopping_weight_decay(tmp_path):
    """Both as predicted, and alike along the flattest and the steepest direction."""
    output = run("early_stopping_weight_decay.py", folder=tmp_path)
    rows = [list(map(float, line.split())) for line in output.splitlines()[2:]]
    assert len(rows) == 4
    for _, stopped, decayed, *predicted in rows:
        assert abs(stopped - predicted[0]) < 2e-4 and abs(decayed - predicted[1]) < 2e-4
    for i in (0, -1):
        assert abs(rows[i][1] / rows[i][2] - 1) < 0.03
