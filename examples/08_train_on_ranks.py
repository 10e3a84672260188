"""Training on several processes or machines: `mpiexec -n 4 python 08_train_on_ranks.py`, with mpi4py installed.

The line with Averaged is all that differs from a script for one process, and without mpiexec it changes nothing. Every
process runs the whole script; `fit` gives each its share of the batches. A step on 4 processes with batches of 25 is
the step of one process with batches of 100. The checkpoint continues with any number of processes.
"""

import sys

import spconv_cy as sp

EPOCHS = 5


def main(checkpoint=None):
    """Train on the pen digits; return the error on those that are left out."""
    ranks = sp.distributed.world()                                       # before errors: each is shown once
    characters, labels = sp.data.digits()
    encoder = sp.data.StrokeEncoder("octogram", size=24, scale=12)
    train, test = slice(0, None, 4), slice(1, None, 8)
    batch = max(1, 100 // ranks.size)                                    # 100 of all processes together
    batches = sp.data.StrokeBatches(characters[train], labels[train], encoder, batch=batch, augment="affine")
    tests = sp.data.StrokeBatches(characters[test], labels[test], encoder, batch=batch)

    net = sp.models.deepcnet(3, 10, channels_in=8, classes=10, rng=1)
    optimizer = sp.train.Adam(net.parameters(), rate=3e-3)
    optimizer = sp.distributed.Averaged(optimizer)

    sp.fit(net, batches, optimizer, EPOCHS, schedule="cosine", rng=2, checkpoint=checkpoint)
    result = sp.evaluate(net, tests, ranks=True)
    if ranks.first:
        print(f"ranks: {ranks.size}, {100 * result.error:.2f} % of {len(tests):,} digits read wrong")
    return result.error


if __name__ == "__main__":
    main(*sys.argv[1:2])
