"""Inference on many machines: every job of an array takes its share of the work and writes its own files.

With SLURM: sbatch --array=0-9 --wrap "python 07_many_machines.py results". Without it, this program does all alone.
Start it again after a failure: what is written already is not computed again. 08_train_on_ranks.py trains on many
machines.
"""

import os
import sys
from pathlib import Path

import numpy as np

import spconv_cy as sp

PIECES = 20                     # units of work, more than jobs; with your own data, one for each input file


def main(folder):
    """Compute this job's pieces. Return the accuracy on all digits, or None while pieces of other jobs are missing."""
    rank, jobs = int(os.environ.get("SLURM_ARRAY_TASK_ID", 0)), int(os.environ.get("SLURM_ARRAY_TASK_COUNT", 1))
    folder.mkdir(parents=True, exist_ok=True)
    characters, labels = sp.data.digits()
    pieces = np.array_split(np.arange(len(characters))[::4], PIECES)
    model = sp.SparseConvClassifier.load(Path(sp.data.__file__).with_name("digits_model.safetensors"))
    computed = 0
    for number in range(rank, PIECES, jobs):
        path = folder / f"piece_{number:03}.npy"
        if path.exists():
            continue
        answers = model.predict([characters[i] for i in pieces[number]])
        unfinished = path.with_suffix(".part.npy")      # a job that is stopped here leaves no half a file
        np.save(unfinished, answers)
        unfinished.replace(path)
        computed += 1
    print(f"job {rank} of {jobs}: {computed} pieces computed")

    paths = [folder / f"piece_{number:03}.npy" for number in range(PIECES)]
    if not all(path.exists() for path in paths):
        return None
    answers = np.concatenate([np.load(path) for path in paths])
    accuracy = float(np.mean(answers == labels[np.concatenate(pieces)]))
    print(f"all {PIECES} pieces are there: {100 * accuracy:.2f} % of {len(answers):,} digits read right")
    return accuracy


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
