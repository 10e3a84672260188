"""Open3D-ML's U-Net against loops by its code."""

import numpy as np
import pytest
from naive_peers import State, add, cat, relu, same_values
from test_peers_networks import seeded
from test_peers_places import scan

import spconv_cy as sp


def open3d_unet(m, levels, reps, residual, classes):
    """List ({name: shape}, forward) of SparseConvUnet: its list of layers is that of the published code."""
    listed = {"sub_sparse_conv.net.kernel": (3, 3, 3, 3, m), "sub_sparse_conv.net.offset": (3,)}
    order = []

    def norm(name, c):
        return {f"{name}.bn.{leaf}": (c,) for leaf in ("weight", "bias", "running_mean", "running_var")} | {
            f"{name}.bn.num_batches_tracked": ()}

    def conv(name, k, a, b):
        return {f"{name}.net.kernel": (k, k, k, a, b), f"{name}.net.offset": (3,)}

    def put(kind, a=0, b=0):
        nonlocal listed
        name = f"unet.net.{len(order)}"
        order.append((kind, name))
        if kind == "residual":
            listed |= {f"{name}.lin.linear.weight": (b, a)} if a != b else {}
            listed |= norm(f"{name}.batch_norm1", a) | conv(f"{name}.sub_sparse_conv1", 3, a, b)
            listed |= norm(f"{name}.batch_norm2", b) | conv(f"{name}.sub_sparse_conv2", 3, b, b)
        elif kind == "norm":
            listed |= norm(name, a)
        elif kind in ("same", "down", "up"):
            listed |= conv(name, 3 if kind == "same" else 2, a, b)

    def block(a, b):
        for kind in ("residual",) if residual else ("norm", "relu", "same"):
            put(kind, a, b)

    def u(widths):
        for _ in range(reps):
            block(widths[0], widths[0])
        if len(widths) > 1:
            put("concat")
            put("norm", widths[0])
            put("relu")
            put("down", widths[0], widths[1])
            u(widths[1:])
            put("norm", widths[1])
            put("relu")
            put("up", widths[1], widths[0])
            put("join")
            for i in range(reps):
                block(widths[0] * (2 if i == 0 else 1), widths[0])

    u([m * (i + 1) for i in range(levels)])
    listed |= norm("batch_norm", m) | {"linear.linear.weight": (classes, m), "linear.linear.bias": (classes,)}
    return listed, order


def open3d_forward(net, x, order):
    """Return what SparseConvUnet's forward pass gives for voxels."""
    eps, skips, fines = 1e-4, [], []
    x = net.same(x, "sub_sparse_conv.net")
    for kind, name in order:
        if kind == "residual":
            lin = f"{name}.lin.linear"
            side = net.linear(x, lin) if f"{lin}.weight" in net.arrays else x
            y = net.same(relu(net.norm(x, f"{name}.batch_norm1.bn", eps)), f"{name}.sub_sparse_conv1.net")
            y = net.same(relu(net.norm(y, f"{name}.batch_norm2.bn", eps)), f"{name}.sub_sparse_conv2.net")
            x = add(side, y)
        elif kind == "norm":
            x = net.norm(x, f"{name}.bn", eps)
        elif kind == "relu":
            x = relu(x)
        elif kind == "same":
            x = net.same(x, f"{name}.net")
        elif kind == "concat":
            skips.append(x)
        elif kind == "down":
            fines.append(list(x))
            x = net.down(x, f"{name}.net")
        elif kind == "up":
            x = net.up(x, f"{name}.net", fines.pop())
        else:
            x = cat(skips.pop(), x)
    return net.linear(relu(net.norm(x, "batch_norm.bn", eps)), "linear.linear")


@pytest.mark.parametrize("levels, reps, residual", [(3, 1, False), (3, 2, True), (1, 1, False), (2, 2, False)])
def test_open3ds_unet_gives_what_its_code_computes(levels, reps, residual, rng):
    listed, order = open3d_unet(4, levels, reps, residual, 5)
    state = seeded(listed)
    net, report = sp.io.convert(state, "open3d_unet", "open3d")
    assert not report.missing and not report.left_over and not report.outside
    assert set(report.skipped) == {name for name in state if name.endswith((".offset", "num_batches_tracked"))
                                   and not any(match.name == name for match in report)}
    x, at = scan(rng, 3, side=8, low=0)
    theirs = State("open3d", state)
    same_values(net.eval()(x), open3d_forward(theirs, at, order))
    assert theirs.used == {name for name in state if not name.endswith((".offset", "num_batches_tracked"))}
    again = sp.io.to_peer(net, "open3d", names="open3d_unet")
    assert all(np.array_equal(again[name], state[name]) for name in again)
