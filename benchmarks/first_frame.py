"""Runs the first frame of a network in a fresh process: python first_frame.py MODULE NAME THREADS [FUNCTION]."""

import importlib
import os
import sys


def main(module, name, threads, function="first_frame"):
    """Import a side, load its network and run a frame; the checksum shows that it was done."""
    sys.path.insert(0, os.path.dirname(__file__))       # without pathlib, which takes a part of our start-up
    side = importlib.import_module(module)
    side.set_threads(int(threads))
    print(float(getattr(side, function)(name).sum()), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
