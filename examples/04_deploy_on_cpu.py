"""Deploy on a CPU: freeze a network, and answer one request at a time, on one thread; time and memory."""

import resource
import tempfile
import time
from pathlib import Path

import numpy as np

import spconv_cy as sp

FOLDER = tempfile.TemporaryDirectory()
PATH = Path(FOLDER.name, "net.safetensors")
ENCODER = sp.data.StrokeEncoder("octogram", size=24, scale=8)
(TRAIN, LABELS), (TEST, TEST_LABELS) = sp.data.digits_split(0)


def train():
    """Train a small network and save it. This part runs once, somewhere else."""
    net = sp.models.deepcnet(l=3, k=12, channels_in=ENCODER.planes, classes=10, rng=0)
    data = sp.data.StrokeBatches(TRAIN[:2000], LABELS[:2000], ENCODER, batch=50, augment="mild")
    sp.fit(net, data, sp.Adam(net.parameters(), 0.01), epochs=4, schedule="cosine", rng=0, progress=False)
    sp.save(PATH, sp.freeze(net))


def answer(net, character):
    """Return the digit that was drawn."""
    sites, features = ENCODER.sites([character])
    x = sp.SparseTensor.from_sites(sites, features, size=(24, 24), samples=1)
    return int(net(x).numpy().argmax())


train()
net = sp.load(PATH)             # frozen: no call takes more memory than net.memory(x) tells
sp.set_threads(1)               # leave the other cores to other requests; the answers are the same bits

seconds, answers = [], []
for character in TEST[:500]:
    began = time.perf_counter()
    answers.append(answer(net, character))
    seconds.append(time.perf_counter() - began)
sp.set_threads(None)            # back to the default
sp.release_memory()             # buffers that were kept for the next request go back to the system

accuracy = np.mean(np.equal(answers, TEST_LABELS[:500]))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"network: {net.weight_bytes():,} bytes of weights, a file of {PATH.stat().st_size:,} bytes")
print(f"accuracy: {100 * accuracy:.1f} %")
print(f"a request: {1e3 * np.median(seconds):.2f} ms in the median on one thread, {1e3 * max(seconds):.2f} ms at most")
print(f"largest memory of the process, training included: {peak:.0f} MB")
FOLDER.cleanup()
