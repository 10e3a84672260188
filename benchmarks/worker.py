"""One side of a comparison in a process of its own: reads requests, a line of JSON each, and answers with its times.

Sides do not share a process since each brings threads that spin after their work, and some bring a library of threads
of their own. The runner asks one side at a time.

    {"do": "setup", "case": "Scan", "params": [32]}    ->  {"verbs": {"forward": 2.38, ...}}   1e9 operations
    {"do": "time", "verb": "forward", "repeats": 3}    ->  {"seconds": [...]}
    {"do": "result", "verb": "forward", "path": ...}   ->  {"saved": true}                 sites and features, sorted
    {"do": "track"}                                    ->  {"figures": {"faults_a_step": 12.0, ...}}
"""

import argparse
import importlib
import json
import os
import sys
import time
import traceback
from pathlib import Path

import numpy as np


class Session:
    """The cases of one module; the last one that was set up is kept."""

    def __init__(self, module):
        self.module, self.case, self.params = importlib.import_module(module), None, ()

    def about(self):
        return {"note": (self.module.__doc__ or "").strip().split("\n")[0], "versions": self.module.versions()}

    def setup(self, case, params):
        self.case = None
        made = getattr(self.module, case, None)
        if made is None:
            return {"missing": "not offered"}
        case = made()
        reason = case.setup(*params)
        if reason:
            return {"missing": reason}
        self.case, self.params = case, params
        verbs = [name[5:] for name in dir(case) if name.startswith("time_")]
        gflop = getattr(case, "gflop", {})
        return {"verbs": {verb: gflop.get(verb) for verb in verbs if verb not in getattr(case, "without", ())}}

    def time(self, verb, repeats, warm=True):
        call = getattr(self.case, f"time_{verb}")
        if warm:
            call(*self.params)
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            call(*self.params)
            seconds.append(time.perf_counter() - start)
        return {"seconds": seconds}

    def result(self, verb, path):
        found = getattr(self.case, "results", {}).get(verb)
        if found is None:
            return {"saved": False}
        sites, rows = found()
        order = np.lexsort(np.asarray(sites).T[::-1])
        np.savez(path, sites=np.asarray(sites, np.int64)[order], rows=np.asarray(rows, np.float32)[order])
        return {"saved": True}

    def track(self):
        names = [name for name in dir(self.case) if name.startswith("track_")]
        return {"figures": {name[6:]: getattr(self.case, name)(*self.params) for name in names}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("module")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)                                       # a library that prints does not disturb the answers
    sys.path.insert(0, str(Path(__file__).parent))
    session = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if session is None:
                session = Session(options.module)
                session.module.set_threads(options.threads)
            answer = getattr(session, request.pop("do"))(**request)
        except Exception as error:                      # the side is told of, the others go on
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}".split("\n")[0][:200]}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
