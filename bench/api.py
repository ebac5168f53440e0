#!/usr/bin/python3
"""Tasks of one container by the daemon's API, without a client's start in each: times in ms, a line each.

    api.py ADDRESS task|exec CONTAINER[,CONTAINER…] N

task: Create, Start, Wait and Delete of the container's own process, on its unpacked snapshot.  exec: Exec, Start, Wait and
DeleteProcess of /bin/true, by turns in each container.  Debian's python3-grpcio is the client."""
import itertools
import json
import os
import sys
import time

import grpc

TRUE = json.dumps({"args": ["/bin/true"], "cwd": "/", "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"], "noNewPrivileges": True})


def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number, value):
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


class Client:
    def __init__(self, address):
        os.environ.pop("http_proxy", None)
        self.channel = grpc.insecure_channel(f"unix://{address}")
        self.methods = {}

    def __call__(self, method, request):
        if method not in self.methods:
            self.methods[method] = self.channel.unary_unary(f"/containerd.services.{method}")
        return self.methods[method](request, metadata=[("containerd-namespace", "default")], timeout=60)

    def mounts(self, container):
        """Of its snapshot: the bytes are those that Create takes, in another field."""
        answer = self("snapshots.v1.Snapshots/Mounts", field(1, "overlayfs") + field(2, container))
        return answer.replace(b"\x0a", b"\x1a", 1)  # one mount: field 1 there, 3 here

    def task(self, container, mounts):
        self("tasks.v1.Tasks/Create", field(1, container) + mounts)
        self("tasks.v1.Tasks/Start", field(1, container))
        self("tasks.v1.Tasks/Wait", field(1, container))
        self("tasks.v1.Tasks/Delete", field(1, container))

    def execute(self, container, exec_id):
        spec = field(1, "types.containerd.io/opencontainers/runtime-spec/1/Process") + field(2, TRUE)
        both = field(1, container) + field(2, exec_id)
        self("tasks.v1.Tasks/Exec", field(1, container) + field(6, spec) + field(7, exec_id))
        self("tasks.v1.Tasks/Start", both)
        self("tasks.v1.Tasks/Wait", both)
        self("tasks.v1.Tasks/DeleteProcess", both)


def main(address, what, containers, n):
    client, names = Client(address), itertools.cycle(containers.split(","))
    mounts = client.mounts(containers) if what == "task" else None
    for i in range(int(n)):
        begin = time.perf_counter()
        if what == "task":
            client.task(containers, mounts)
        else:
            client.execute(next(names), f"probe{os.getpid()}-{i}")
        print(f"{1e3 * (time.perf_counter() - begin):.3f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
