"""A shim whose client behaves badly: its containers must not notice."""
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import time
import unittest

from attack import TIMEOUT, Attack, casco


def field(number, value):
    if isinstance(value, str):
        value = value.encode()
    size, out = len(value), bytes([number << 3 | 2])
    while size > 127:
        out += bytes([size & 127 | 128])
        size >>= 7
    return out + bytes([size]) + value


class Client:
    """ttrpc by hand: calls go out, answers are read when they are wanted."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(path)
        self.stream = 1

    def send(self, method, payload):
        body = field(1, "containerd.task.v3.Task") + field(2, method) + field(3, payload)
        self.socket.sendall(struct.pack(">IIBB", len(body), self.stream, 1, 0) + body)
        self.stream += 2

    def call(self, method, payload):
        self.send(method, payload)
        return self.receive()

    def receive(self):
        size = struct.unpack(">IIBB", self.socket.recv(10, socket.MSG_WAITALL))[0]
        return self.socket.recv(size, socket.MSG_WAITALL) if size else b""


class Shim(Attack):
    name = f"shim-{os.getpid()}"

    def start(self):
        """A shim without a task; its socket."""
        shim = casco.program("containerd-shim-runc-v2")
        self.write(self.config("/bin/sleep", "1000"))
        arguments = [shim, "-namespace", self.name, "-id", self.name, "-address", str(self.scratch.path / "none")]
        r = subprocess.run([*arguments, "start"], cwd=self.bundle, stdin=subprocess.DEVNULL, capture_output=True,
                           text=True, timeout=TIMEOUT, check=True)
        path = r.stdout.strip().removeprefix("unix://")
        # The namespace's folder of the runtime; after `delete`, since cleanups run backwards.
        self.addCleanup(shutil.rmtree, f"/run/containerd/runc/{self.name}", ignore_errors=True)
        self.addCleanup(subprocess.run, [*arguments, "-bundle", str(self.bundle), "delete"], cwd=self.bundle,
                        stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, check=False)
        return path

    def test_waits_of_a_client_that_has_gone(self):
        """Use after free: the first answer ends the connection, the second one's call goes with it."""
        path = self.start()
        client, other = Client(path), Client(path)
        client.call("Create", field(1, self.name) + field(2, str(self.bundle)))
        pid = int((self.bundle / "init.pid").read_text())
        other.call("Start", field(1, self.name))
        shim = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        for _ in range(3):
            client.send("Wait", field(1, self.name))
        other.call("State", field(1, self.name))  # so that the Waits are in
        os.kill(shim, signal.SIGSTOP)
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
        client.socket.close()
        os.kill(shim, signal.SIGCONT)
        wait = other.call("Wait", field(1, self.name))
        self.assertIn(bytes([1 << 3, 137, 1]), wait)  # exit_status = 137
        other.call("Delete", field(1, self.name))
        other.call("Shutdown", field(1, self.name))
        other.socket.close()


if __name__ == "__main__":
    unittest.main()
