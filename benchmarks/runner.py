"""Times cases on several sides in turn, beside numpy's sgemm: starts the processes, asks them, keeps the record."""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import idle
import numpy as np

HERE = Path(__file__).parent
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PEAK = "sgemm"
BUSY = 0.25                                             # seconds of repeats that are enough for one side in one round
SPIN = 0.1                                              # seconds after which the threads of the side before sleep


class Worker:
    """A side in a process of its own.

    Args:
        name: of the side, as printed.
        module: whose classes are its cases.
        python: interpreter to run it with.
        threads: of this side.
        environment: further variables.
    """

    def __init__(self, name, module, python=sys.executable, threads=2, environment=None):
        self.name, self.threads, self.made = name, threads, (name, module, python, threads, environment)
        self.process = subprocess.Popen([python, str(HERE / "worker.py"), module, "--threads", str(threads)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=variables(threads, environment))

    def ask(self, do, **request):
        """Send a request and return the answer; a side that has died answers with an error."""
        try:
            print(json.dumps({"do": do, **request}), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            return {"error": f"its process ended with status {self.process.wait()}"}
        return json.loads(line)

    def again(self):
        """Start another process like this one."""
        return Worker(*self.made)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def variables(threads, more=None):
    """Return the environment of a side: its threads, numpy's choice of kernels by the processor, and `more`."""
    found = {key: value for key, value in os.environ.items() if not key.startswith("OPENBLAS_")}
    return found | dict.fromkeys(THREADS, str(threads)) | (more or {})


class Run:
    """The record of one run: rows of times, other figures, notes on the sides, verdicts; `save` writes it as JSON."""

    def __init__(self, workers, threads=2, say=print, environment=None):
        self.workers, self.threads, self.say = workers, threads, say
        self.peak = Worker(PEAK, "peak", threads=threads, environment=environment)
        self.rows, self.figures, self.notes, self.verdicts = [], [], [], []
        self.machine = {"processor": processor(), "threads": threads, "cores": os.cpu_count(),
                        "date": time.strftime("%F %T"), "system": platform.platform(), "sides": {}}
        self.peak.ask("setup", case="Sgemm", params=[])
        for worker in [self.peak, *workers]:
            about = worker.ask("about")
            self.machine["sides"][worker.name] = about
            self.say(f"{worker.name}: " + (about.get("error") or f"{about['note']} {_versions(about['versions'])}"))
        self.machine["idle"] = idle.measure()
        self.say(f"machine: {idle.told(self.machine['idle'])}")

    def measure(self, case, params=(), rounds=5, only=None, check=True, slow=(), rounds_of_slow=2,
                tolerance=1e-4):
        """Time every verb of a case on every side, round by round, each round all sides and the peak in turn.

        A case has processes of its own: what an earlier one left in memory is not measured.

        Args:
            case, params: class of the sides' modules, and what its `setup` takes.
            rounds: turns; the sides named in `slow` take `rounds_of_slow` of them.
            only: names of verbs; by default all.
            check: whether the sides' results are compared.
            tolerance: largest difference that is no error, as a part of the largest number.
        """
        params, verbs, turns = list(params), {}, []
        self.workers = [self._anew(worker) for worker in self.workers]
        for worker in self.workers:
            answer = worker.ask("setup", case=case, params=params)
            if "verbs" not in answer:
                self._note(worker, case, params, answer.get("missing") or answer.get("error"))
                continue
            for verb, gflop in answer["verbs"].items():
                if only is None or verb in only:
                    verbs.setdefault(verb, gflop)
                    turns.append((worker, verb))
        if check:
            self._check(case, params, turns, tolerance)
        found, gflop = {turn: [] for turn in turns}, verbs
        peak, repeats = [], dict.fromkeys(turns, 1)
        for turn in range(rounds):
            peak += self.peak.ask("time", verb="product", repeats=2)["seconds"]
            for worker, verb in list(repeats):
                if worker.name in slow and turn >= rounds_of_slow:
                    continue
                time.sleep(SPIN)
                answer = worker.ask("time", verb=verb, repeats=repeats[worker, verb],
                                    warm=turn == 0 or repeats[worker, verb] > 1)
                if "error" in answer:
                    self._note(worker, case, params, f"{verb}: {answer['error']}")
                    del repeats[worker, verb]
                    continue
                found[worker, verb] += answer["seconds"]
                repeats[worker, verb] = int(np.clip(BUSY / min(answer["seconds"]), 1, 20))
        for (worker, verb), seconds in found.items():
            if seconds:
                self._keep(case, params, verb, worker, seconds, gflop[verb], peak)

    def track(self, case, params=(), anew=False):
        """Ask every side for the figures of a case that are no times; `anew`: in a process of their own."""
        for worker in self.workers:
            worker = worker.again() if anew else worker
            answer = worker.ask("setup", case=case, params=list(params))
            answer = worker.ask("track") if "verbs" in answer else answer
            if "figures" not in answer:
                self._note(worker, case, params, answer.get("missing") or answer.get("error"))
            for name, value in answer.get("figures", {}).items():
                self.figure(case, params, name, worker, value)
                self.say(f"{label(case, params, name):40s} {worker.name:>16s} {value:10.3f}")
            if anew:
                worker.close()

    def figure(self, case, params, name, worker, value):
        """Keep a figure of a side."""
        self.figures.append({"case": case, "params": list(params), "name": name, "side": worker.name,
                             "threads": worker.threads, "value": value})

    def judge(self, what, value, bound, at_least=False):
        """Keep, and print, whether a figure is at most, or at least, what is asked."""
        met = bool(value >= bound if at_least else value <= bound)
        self.verdicts.append({"what": what, "value": float(value), "bound": bound, "at_least": at_least, "met": met})
        asked = f"at {'least' if at_least else 'most'} {bound:g}"
        self.say(f"{what:55s} {value:6.2f}  ({asked}) {'met' if met else 'NOT MET'}")

    def record(self):
        """Return the record as a dict."""
        return {"machine": self.machine, "rows": self.rows, "figures": self.figures, "notes": self.notes,
                "verdicts": self.verdicts}

    def save(self, path):
        """Write the record as JSON."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(self.record(), indent=1))
        self.say(f"wrote {path}")

    def close(self):
        for worker in [self.peak, *self.workers]:
            worker.close()

    def _anew(self, worker):
        worker.close()
        return worker.again()

    def _keep(self, case, params, verb, worker, seconds, gflop, peak):
        product = self.peak_gflop()
        row = {"case": case, "params": params, "verb": verb, "side": worker.name, "threads": worker.threads,
               "best": min(seconds), "median": float(np.median(seconds)), "repeats": len(seconds), "gflop": gflop,
               "peak": product / min(peak), "peak_median": product / float(np.median(peak))}
        if gflop:
            row["share"] = gflop / row["best"] / row["peak"]
            row["share_median"] = gflop / row["median"] / row["peak_median"]
        self.rows.append(row)
        shares = f"{row['share']:7.1%} {row['share_median']:7.1%}" if gflop else " " * 15
        self.say(f"{label(case, params, verb):40s} {worker.name:>16s} {1e3 * row['best']:9.2f} ms "
                 f"{1e3 * row['median']:9.2f} {shares}   peak {row['peak']:.0f} GFLOP/s")

    @staticmethod
    def peak_gflop():
        return 2e-9 * 2048**3

    def _note(self, worker, case, params, text):
        self.notes.append({"side": worker.name, "case": case, "params": list(params), "note": text})
        if text != "not offered":
            self.say(f"{label(case, params, ''):40s} {worker.name:>16s} {text}")

    def _check(self, case, params, turns, tolerance):
        """Compare the sides' results with the first side's; one that differs is timed all the same, and told of."""
        truth = {}
        with tempfile.TemporaryDirectory() as folder:
            for worker, verb in turns:
                path = f"{folder}/{worker.name}.npz"
                if not worker.ask("result", verb=verb, path=path).get("saved"):
                    continue
                with np.load(path) as found:
                    sites, rows = found["sites"], found["rows"]
                if verb not in truth:
                    truth[verb] = sites, rows
                    continue
                expected_sites, expected = truth[verb]
                if sites.shape != expected_sites.shape or (sites != expected_sites).any():
                    self._note(worker, case, params, f"{verb}: other sites, {len(sites)} for {len(expected_sites)}")
                    continue
                wrong = np.abs(rows - expected).max() / np.abs(expected).max()
                self.figure(case, params, f"{verb}_difference", worker, float(wrong))
                if not wrong <= tolerance:
                    n = int((~(np.abs(rows - expected).max(1) <= tolerance * np.abs(expected).max())).sum())
                    self._note(worker, case, params, f"{verb}: WRONG by up to {wrong:.1%} of the largest number, in "
                               f"{n:,} of {len(rows):,} rows")


def label(case, params, verb):
    """Return such as "Scan(32).forward"."""
    return f"{case}{'(' + ', '.join(map(str, params)) + ')' if params else ''}" + (f".{verb}" if verb else "")


def processor():
    """Name the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _versions(versions):
    return ", ".join(f"{name} {version}" for name, version in versions.items())
