"""Hosts in network namespaces, joined by links of limited bandwidth and added latency, on which mpiexec starts ranks.

Needs Linux, root, iproute2 and /dev/net/tun. Every host has a TUN device; a process hands packets from one to another
after the latency. The bandwidth of each host is that of a token bucket filter of the kernel. (The kernel's own netem
adds latency too, but is often left out of a kernel.)
"""

import contextlib
import ctypes
import fcntl
import heapq
import json
import os
import select
import shlex
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TUNSETIFF, IFF_TUN, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 1, 0x1000, 0x40000000
MTU, BURST, QUEUE = 9000, 20_000, 2**24


class Hosts:
    """A `with` statement in which there are n hosts.

    Args:
        n: number of hosts.
        mbit: megabits a second that each can send.
        ms: milliseconds that a packet is under way.
    """

    def __init__(self, n, mbit, ms):
        self.n, self.mbit, self.ms = n, mbit, ms
        self.names = [f"ranks-{os.getpid()}-{i}" for i in range(n)]

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            for name in self.names:
                _ip("netns", "add", name)
                stack.callback(_ip, "netns", "del", name)
            said = json.dumps([self.names, self.mbit, self.ms])
            switch = subprocess.Popen([sys.executable, __file__, said], stdout=subprocess.PIPE, text=True)
            stack.callback(switch.wait)
            stack.callback(switch.terminate)
            if switch.stdout.readline() != "ready\n":
                raise OSError("rank_hosts: the hosts could not be joined")
            self.launcher = Path(folder) / "launcher"
            places = "\n".join(f"{_address(i)}) name={name};;" for i, name in enumerate(self.names))
            self.launcher.write_text('#!/bin/sh\n[ "$1" = -x ] && shift\nhost=$1; shift\n'
                                     f'case $host in\n{places}\nesac\nexec ip netns exec $name sh -c "$*"\n')
            self.launcher.chmod(0o755)
            self._open = stack.pop_all()
        return self

    def __exit__(self, *error):
        self._open.close()

    def command(self, mpiexec):
        """Return the command before `-n N program`, which starts one rank on each host."""
        hosts = ",".join(map(_address, range(self.n)))
        return ["ip", "netns", "exec", self.names[0], "env", "MPIR_CVAR_CH4_NETMOD=ofi", "FI_PROVIDER=tcp", mpiexec,
                "-iface", "wire", "-launcher", "ssh", "-launcher-exec", str(self.launcher), "-hosts", hosts]


def possible():
    """Return why there can be no hosts, or an empty string."""
    if not hasattr(os, "geteuid") or os.geteuid():
        return "not root"
    try:
        with Hosts(2, 1000, 0):
            return ""
    except (OSError, subprocess.CalledProcessError) as error:
        return str(error)


def _address(i):
    return f"10.91.0.{i + 1}"


def _ip(*arguments, tool="ip"):
    subprocess.run([tool, *arguments], check=True, capture_output=True)


def switch(names, mbit, ms):
    """Join hosts until the process is ended: packets go to the host of their address, some milliseconds later."""
    lines = [_joined(i, name, mbit) for i, name in enumerate(names)]
    print("ready", flush=True)
    under_way, count, delay = [], 0, ms / 1e3
    with contextlib.suppress(OSError):
        os.nice(-10)                                                     # hardware would not wait for the ranks
    while True:
        wait = max(0.0, under_way[0][0] - time.perf_counter()) if under_way else None
        for line in select.select(lines, [], [], wait)[0]:
            for _ in range(16):
                try:
                    packet = os.read(line, MTU)
                except BlockingIOError:
                    break
                count += 1
                heapq.heappush(under_way, (time.perf_counter() + delay, count, packet))
        while under_way and under_way[0][0] <= time.perf_counter():
            packet = heapq.heappop(under_way)[2]
            if packet[0] >> 4 == 4 and 1 <= packet[19] <= len(lines):    # the last byte of an IPv4 packet's address
                with contextlib.suppress(OSError):
                    os.write(lines[packet[19] - 1], packet)


def _joined(i, name, mbit):
    """Make the TUN device of a host, and return its file descriptor here."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/var/run/netns/{name}", os.O_RDONLY)
    if libc.setns(there, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    line = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(line, TUNSETIFF, struct.pack("16sH22x", b"wire", IFF_TUN | IFF_NO_PI))
    _ip("addr", "add", f"{_address(i)}/24", "dev", "wire")
    _ip("link", "set", "lo", "up")
    _ip("link", "set", "wire", "mtu", str(MTU), "txqueuelen", "10000", "up")
    filtered = f"qdisc add dev wire root tbf rate {mbit}mbit burst {BURST} limit {QUEUE}"
    _ip(*shlex.split(filtered), tool="tc")
    libc.setns(home, CLONE_NEWNET)
    os.close(home)
    os.close(there)
    return line


if __name__ == "__main__":
    switch(*json.loads(sys.argv[1]))
