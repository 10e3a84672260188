"""The log of one short training on every instruction set of this machine: losses and errors must agree to six digits.

Each instruction set runs in a process of its own, chosen by SPCONV_CY_ISA. `--one` prints the log of one process, and
`--other FILE` adds such a log of another machine. So `make test-arm` adds NEON's, under qemu: see tests/builds/arm.py.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from experiment import Experiment

import spconv_cy as sp
from spconv_cy._core import isa, isas


def main():
    parser = Experiment.parser(__doc__.split("\n")[0])
    parser.add_argument("--one", action="store_true", help="train with this process's instruction set, print the log")
    parser.add_argument("--other", type=Path, nargs="+", default=[], help="logs of other machines, as printed by --one")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(log(options.size)))
        return
    run = Experiment.of("same_log", options)
    found = run.once("logs", lambda: logs(run.size, options.other))
    rows = [[epoch + 1, *(f"{found['logs'][name][epoch][0]:.9f}, {found['logs'][name][epoch][1]:.4f}"
                          for name in found["sets"])] for epoch in range(len(found["logs"][found["sets"][0]]))]
    print(run.table(f"Loss and error of each epoch; largest relative difference {found['difference']:.1g}; processor "
                    f"seconds {', '.join(f'{seconds:.0f}' for seconds in found['seconds'])}",
                    ["epoch", *found["sets"]], rows))


def logs(size, others):
    """Return the names of the instruction sets, their logs and seconds, and the largest relative difference."""
    found, seconds = {}, []
    for name in isas():
        began = os.times()
        done = subprocess.run([sys.executable, __file__, "--one", *([f"--{size}"] if size != "full" else [])],
                              env=os.environ | {"SPCONV_CY_ISA": name, "OMP_NUM_THREADS": "1"}, capture_output=True,
                              text=True)
        if done.returncode:
            raise RuntimeError(f"{name}: {done.stderr}")
        said = json.loads(done.stdout)
        assert said["isa"] == name
        found[name] = said["log"]
        seconds.append(os.times().children_user - began.children_user)
    for path in others:
        said = json.loads(path.read_text())
        found[said["isa"]] = said["log"]
    every = np.array(list(found.values()))
    middle = np.maximum(abs(every).mean(0), 1e-12)
    return {"sets": list(found), "logs": found, "seconds": seconds,
            "difference": float((np.ptp(every, axis=0) / middle).max())}


def log(size):
    """Train a network on pen digits and return the instruction set and (loss, error) of each epoch."""
    n, epochs = {"full": (3000, 3), "small": (1000, 2), "tiny": (300, 2)}[size]
    (characters, labels), _ = sp.data.digits_by_writers()
    encoder = sp.data.StrokeEncoder("octogram", size=24, scale=8).fit(characters[:n])
    net = sp.models.deepcnet(3, 10, encoder.planes, 10, rng=0)
    data = sp.data.StrokeBatches(characters[:n], labels[:n], encoder, batch=50, augment="mild")
    history = sp.fit(net, data, sp.Adam(net.parameters(), 0.003), epochs, schedule="cosine", rng=0, progress=False)
    return {"isa": isa(), "log": list(zip(history.losses, history.errors, strict=True))}


if __name__ == "__main__":
    main()
