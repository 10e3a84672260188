"""An experiment goes on where it was stopped, keeps what it found, and the page of numbers is made of that."""

import csv
import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
from experiment import Experiment
from world_lines import WorldLineBatches, circling_points

import spconv_cy as sp
from spconv_cy.errors import FileError

DOCS = Path(__file__).resolve().parents[1] / "docs"


def writer():
    spec = importlib.util.spec_from_file_location("write_numbers", DOCS / "write_numbers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def training(rng):
    net = sp.models.mlp((3, 4, 2), rng=0)
    x = rng.standard_normal((8, 3)).astype(np.float32)
    return net, [(sp.Tensor(x), (x[:, 0] > 0).astype(np.int64))], sp.SGD(net.parameters(), 0.1)


def test_what_was_found_is_not_computed_again(tmp_path):
    calls = []
    for _ in range(2):
        assert Experiment("a", "tiny", tmp_path).once("x", lambda: calls.append(1) or [1, 2.5]) == [1, 2.5]
    assert calls == [1]


def test_a_record_says_where_it_was_made_and_a_run_that_goes_on_keeps_that(tmp_path):
    run = Experiment("a", "tiny", tmp_path)
    run.once("x", int)
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["versions"]["numpy"] == np.__version__ and re.fullmatch(r"\d{4}-\d\d-\d\d", record["date"])
    assert record["processor"].keys() == {"model", "instruction set"}
    assert record["commit"] is None or re.fullmatch(r"[0-9a-f]{12,}(-dirty)?", record["commit"])
    assert record["seconds"] >= 0 and record["processor seconds"] >= 0 and record["spent"] == {}
    (tmp_path / "record.json").write_text(json.dumps({**record, "date": "2001-02-03"}))
    assert Experiment("a", "tiny", tmp_path).record["date"] == "2001-02-03"
    before = {key: value for key, value in record.items() if key not in ("commit", "date", "processor", "versions")}
    (tmp_path / "record.json").write_text(json.dumps(before))           # a record of an older version
    assert Experiment("a", "tiny", tmp_path).record["commit"] is None


def test_a_stopped_training_goes_on_and_the_log_has_every_epoch_once(tmp_path, rng):
    net, data, optimizer = training(rng)
    Experiment("a", "tiny", tmp_path).fit("net", net, data, optimizer, 2, progress=False)
    other, _, optimizer = training(rng)
    run = Experiment("a", "tiny", tmp_path)
    history = run.fit("net", other, data, optimizer, 3, progress=False)
    rows = list(csv.DictReader(open(tmp_path / "net.csv")))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3] and run.record["logs"] == ["net.csv"]
    np.testing.assert_allclose([float(row["loss"]) for row in rows], history.losses, rtol=1e-5)
    assert run.record["spent"].keys() == {"net"} and run.record["spent"]["net"] >= 0
    assert rows[0]["validation loss"] == ""
    run.record["spent"]["net"] = 100.0                                   # of what is continued, all of it counts
    run.fit("net", other, data, optimizer, 3, progress=False)
    assert run.record["spent"]["net"] >= 100
    (tmp_path / "net.csv").unlink()                                      # a checkpoint alone makes the log again
    again, _, optimizer = training(rng)
    Experiment("a", "tiny", tmp_path).fit("net", again, data, optimizer, 3, progress=False)
    assert list(csv.DictReader(open(tmp_path / "net.csv"))) == rows
    (tmp_path / "net.safetensors").unlink()                              # begun anew: only its own counts
    again, _, optimizer = training(rng)
    run.fit("net", again, data, optimizer, 3, progress=False)
    assert run.record["spent"]["net"] < 100


def test_a_training_has_its_own_seed_where_one_is_given(tmp_path, rng):
    net, data, optimizer = training(rng)
    run = Experiment("a", "tiny", tmp_path, seed=3)
    run.fit("net", net, data, optimizer, 1, rng=4, progress=False)
    with pytest.raises(FileError, match="expected a checkpoint of the seed 3, got one of the seed 4"):
        run.fit("net", net, data, optimizer, 2, progress=False)


def test_a_classifier_is_trained_and_tested_once(tmp_path):
    data, built = WorldLineBatches(circling_points(40, 8, 8), 23, batch=10), []

    def build():
        built.append(sp.models.deepcnet(3, 2, d=3, first=2, classes=2, rng=0))
        return built[-1]

    found = [Experiment("a", "tiny", tmp_path).classifier("x y", build, data, data, 2, rate=0.01) for _ in range(2)]
    assert found[0] == found[1] and len(built) == 1 and found[0]["parameters"] == built[0].n_parameters()
    assert found[0]["error"] == sp.evaluate(built[0], data).error and found[0]["sites"] == 8
    x = next(data.epoch(0, training=False))[0]
    assert found[0]["adds"] == built[0].summary(x).pair_multiply_adds / 10
    assert len(list(csv.DictReader(open(tmp_path / "x-y.csv")))) == 2


@pytest.mark.parametrize("other", [("b", "tiny", 0), ("a", "small", 0), ("a", "tiny", 1)])
def test_a_folder_holds_one_experiment(tmp_path, other):
    Experiment("a", "tiny", tmp_path).once("x", int)
    with pytest.raises(ValueError, match="another folder"):
        Experiment(other[0], other[1], tmp_path, other[2])


def test_the_cost_of_a_sample_is_its_share_of_the_summary(rng):
    net = sp.models.deepcnet(2, 3, 1, 5, rng=0)
    sites = np.unique(rng.integers(0, 9, (60, 3)) % (4, 9, 9), axis=0)
    x = sp.SparseTensor.from_sites(sites, np.ones((len(sites), 1)), 12, 4)
    found = Experiment.cost(net, x)
    assert found["sites"] == len(sites) / 4 and found["adds"] == net.summary(x).pair_multiply_adds / 4
    assert 0 < found["ms"] < 1000 and net.training


def test_an_unknown_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected size to be one of full, small, tiny, got 'large'"):
        Experiment("a", "large", tmp_path)


def test_arguments_make_the_experiment_and_the_command_names_no_folder(tmp_path, monkeypatch):
    folder = str(tmp_path)
    monkeypatch.setattr("sys.argv", ["x/it.py", "--tiny", "--data", folder, "--log", folder, "--l", "3", "--model",
                                     str(tmp_path / "net.file")])
    parser = Experiment.parser("it", data="some set (someone, MIT)")
    parser.add_argument("--l", type=int)
    parser.add_argument("--model")
    run = Experiment.of("it", parser.parse_args())
    assert (run.size, run.data, run.pick(1, 2, 3)) == ("tiny", tmp_path, 3)
    assert run.record["command"] == "python experiments/it.py --tiny --data FOLDER --l 3 --model net.file"


def test_the_pages_are_made_of_the_records(tmp_path, monkeypatch):
    writing = writer()
    pages = tmp_path / "page.md", tmp_path / "small" / "other.md"
    for name, value in {"RUNS": tmp_path / "runs", "KEPT": tmp_path / "kept", "PAGES": pages,
                        "BENCHMARKS": tmp_path}.items():
        monkeypatch.setattr(writing, name, value)
    (tmp_path / "b.txt").write_text("$ python benchmarks/b.py\n7 ms\n")
    places = [f"<!-- {name} -->\nold\n<!-- end -->\n" for name in ("experiment a", "benchmark b", "small all")]
    pages[0].write_text(f"Before.\n{places[0]}Between.\n{places[1]}After.\n")
    pages[1].parent.mkdir()
    pages[1].write_text(places[2])
    for size, error in (("full", "1.5 %"), ("small", "2.5 %")):
        run = Experiment("a", size, tmp_path / "runs" / size)
        run.table("errors", ["l", "error"], [[3, error]])
        (run.folder / "it.png").write_bytes(b"")
        run.record["pictures"]["it.png"] = "It."
        run.once("x", int)
    writing.main()
    texts = [path.read_text() for path in pages]
    assert re.search(r"^Before\.\n.*\| 3 \| 1\.5 % \|.*kept/a-it\.png.*Between\..*`python.*7 ms.*After\.\n$", texts[0],
                     re.S)
    assert re.search(r"## a\n.*\| 3 \| 2\.5 % \|.*\.\./kept/a-small-it\.png", texts[1], re.S)
    assert "old" not in "".join(texts) and "2.5" not in texts[0]
    writing.main()
    assert [path.read_text() for path in pages] == texts
    assert json.loads((tmp_path / "kept" / "record.json").read_text())["a-small"]["tables"]
    pages[0].write_text(places[1])
    with pytest.raises(SystemExit, match="no page has <!-- experiment a -->"):
        writing.main()


def test_the_pages_of_numbers_are_what_their_records_say():
    writing = writer()
    for path in writing.PAGES:
        text = path.read_text()
        assert writing.page(text, path.parent) == text, f"{path} was edited inside its markers: docs/write_numbers.py"
    assert len((DOCS / "numbers.md").read_text().splitlines()) < 400


@pytest.mark.parametrize(("value", "found"), [("", None), ("somewhere", Path("somewhere"))])
def test_the_environment_names_the_folder_of_data(monkeypatch, tmp_path, value, found):
    monkeypatch.setenv("SPCONV_CY_DATA", value)
    monkeypatch.setattr("sys.argv", ["it"])
    options = Experiment.parser("it", data="some set").parse_args()
    assert options.data == found
    options.log = tmp_path
    command = Experiment.of("it", options).record["command"]
    assert command == "python experiments/it" + " --data FOLDER" * (found is not None)
    assert Experiment.parser("it").parse_args().data is None
