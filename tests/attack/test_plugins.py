"""Programs that the daemon asks, and that do not answer."""
import pathlib
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
import rpc  # noqa: E402
from casco import CONFIG, Daemon, Scratch  # noqa: E402

SANDBOX = "containerd/services/sandbox/v1/sandbox.proto"
# Calls of one client, which gives up after a second each.
ASK = """
import sys, grpc
channel = grpc.insecure_channel("unix://" + sys.argv[1])
method, n = sys.argv[2], int(sys.argv[3])
request = bytes.fromhex(sys.stdin.read())
calls = [channel.unary_unary(method).future(request, metadata=[("containerd-namespace", "default")], timeout=float(sys.argv[4])) for _ in range(n)]
print("asked", flush=True)
print(sorted({c.code().name for c in calls}))
"""


class Hung(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.addCleanup(self.scratch.remove)
        path = self.scratch.path / "plugin.sock"
        self.plugin = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.plugin.close)
        self.plugin.bind(str(path))
        self.plugin.listen(2)  # and never accepts
        self.daemon = Daemon(self.scratch.path, config=CONFIG + f"\n[proxy_plugins.vms]\n  type = 'sandbox'\n  address = '{path}'\n").start()
        self.addCleanup(self.daemon.stop)

    def ask(self, n, seconds):
        request = rpc.protoc("encode", "containerd.services.sandbox.v1.ControllerStatusRequest", SANDBOX, b'sandbox_id: "s" sandboxer: "vms"')
        p = subprocess.Popen(["/usr/bin/python3", "-c", ASK, self.daemon.address, "/containerd.services.sandbox.v1.Controller/Status", str(n), str(seconds)],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(p.stdout.close)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        p.stdin.write(request.hex())
        p.stdin.close()
        return p

    def stuck(self):
        """Threads in a connect() that nothing ends."""
        tasks = pathlib.Path(f"/proc/{self.daemon.process.pid}/task")
        return [t.name for t in tasks.iterdir() if (t / "wchan").read_text() == "unix_wait_for_peer"]

    def test_who_gives_up_frees_the_thread(self):
        p = self.ask(20, 1)
        p.wait()
        end = time.monotonic() + 5
        while self.stuck() and time.monotonic() < end:
            time.sleep(0.1)
        self.assertEqual(self.stuck(), [])

    def test_others_are_served_meanwhile(self):
        p = self.ask(300, 20)
        self.assertEqual(p.stdout.readline(), "asked\n")
        time.sleep(1)
        self.assertEqual(self.daemon.ctr("containers", "list", "-q", timeout=10).stdout, "")


if __name__ == "__main__":
    unittest.main()
