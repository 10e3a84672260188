"""Your own point cloud with a class for every point: ground, pillars and balls, told apart by a small U-Net."""

import numpy as np

import spconv_cy as sp

CLASSES = ("ground", "pillar", "ball")


def scene(seed):
    """Return points (n, 3) of a scene 16 m wide and their class numbers (n,). Put your own arrays here."""
    rng = np.random.default_rng(seed)
    ground = np.column_stack([rng.uniform(0, 16, (3000, 2)), rng.normal(0, 0.05, 3000)])
    parts, labels = [ground], [np.zeros(3000, int)]
    for _ in range(4):
        angles, heights = rng.uniform(0, 2 * np.pi, 300), rng.uniform(0, 4, 300)
        pillar = np.column_stack([0.5 * np.cos(angles), 0.5 * np.sin(angles), heights])
        ball = rng.normal(size=(300, 3))
        ball = ball / np.linalg.norm(ball, axis=1, keepdims=True) + (0, 0, 1)
        for label, part in ((1, pillar), (2, ball)):
            parts.append(part + (*rng.uniform(2, 14, 2), 0))
            labels.append(np.full(300, label))
    return np.concatenate(parts), np.concatenate(labels)


def batches(seeds, **options):
    """Return the scenes of some seeds as batches. A point has one feature, 1; colour or intensity would go here."""
    points, labels = zip(*map(scene, seeds), strict=True)
    features = [np.ones((len(cloud), 1)) for cloud in points]
    return sp.data.PointBatches(list(points), features, list(labels), cell=0.25, **options)


# Points of one cell of 0.25 m share a site; `ToPoints` gives every point the answer of its site.
net = sp.layers.ToPoints(*sp.models.unet(levels=3, base=8, classes=len(CLASSES), d=3, rng=0))
train = batches(range(6), batch=2, augment=sp.data.PointAffine(turn=np.pi))
sp.fit(net, train, sp.Adam(net.parameters(), rate=0.01), epochs=12, schedule="cosine", rng=0, progress=False)

test = batches([100])
result = sp.evaluate(net, test)
accuracy = 1 - result.error
print(f"{len(test):,} points of a scene never seen: {100 * accuracy:.1f} % right")
for name, share in zip(CLASSES, result.iou, strict=True):
    print(f"{name:>8}: intersection over union {100 * share:.1f} %")
