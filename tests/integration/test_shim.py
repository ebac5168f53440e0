"""The shim alone: its start contract, its ttrpc socket fed by hand, and its ends under Debian's daemon."""
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import stat
import struct
import subprocess
import time
import unittest

from bundle import Bundle
from casco import CONFIG_V2, Daemon, DaemonTest, Scratch, mounts, our_env, processes, program, run, wait_for
from test_debian_containerd import CONTAINERD, CTR

SHIM = program("containerd-shim-runc-v2")
V2_VIEW = ["unshare", "-m", "--propagation", "private", "sh", "-c",
           'umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec "$@"', "sh"]


# --- protobuf and ttrpc, as little as it takes -----------------------------------------------------

def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(data):
    """{number: last value} of a message."""
    found, at = {}, 0

    def number():
        nonlocal at
        n = shift = 0
        while True:
            byte = data[at]
            at += 1
            n |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return n

    while at < len(data):
        key = number()
        if key & 7 == 0:
            found[key >> 3] = number()
        else:
            n = number()
            found[key >> 3], at = data[at:at + n], at + n
    return found


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        try:
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise
        self.socket.settimeout(10)
        self.stream = -1

    def close(self):
        self.socket.close()

    def send(self, stream, kind, flags, body, length=None):
        self.socket.sendall(struct.pack(">IIBB", len(body) if length is None else length, stream, kind, flags) + body)

    def take(self, n):
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def receive(self):
        length, stream, kind, _ = struct.unpack(">IIBB", self.take(10))
        return stream, kind, self.take(length)

    def call(self, method, payload=b"", service="containerd.task.v3.Task"):
        """(code, message, fields of the answer)"""
        self.stream += 2
        self.send(self.stream, 1, 0, field(1, service) + field(2, method) + field(3, payload) +
                  field(5, field(1, "containerd-namespace-ttrpc") + field(2, "default")))
        return self.answer(self.stream)

    def answer(self, want):
        stream, kind, body = self.receive()
        assert (stream, kind) == (want, 2), (stream, kind)
        answer = fields(body)
        status = fields(answer.get(1, b""))
        return status.get(1, 0), status.get(2, b"").decode(), fields(answer.get(2, b""))


class Start(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.addCleanup(self.scratch.remove)
        self.shims = []
        self.addCleanup(self.end_shims)
        self.address = str(self.scratch.path / "c.sock")

    def end_shims(self):
        for path in set(self.shims):
            try:
                c = Client(path)
            except OSError:
                continue
            c.call("Shutdown", field(1, "x"))
            c.close()
            wait_for("the shim's end", lambda: not os.path.exists(path))

    def bundle(self, name, config=None):
        d = self.scratch.path / name
        d.mkdir()
        (d / "config.json").write_text(json.dumps(config or {}))
        return d

    def start(self, bundle, env=None, stdin=b"", check=True, id=None, wrap=(), name=SHIM):
        r = subprocess.run([*wrap, name, "-namespace", "default", "-address", self.address, "-publish-binary", "/bin/true",
                            "-id", id or bundle.name, "start"], cwd=bundle, input=stdin, capture_output=True,
                           env=our_env(**(env or {})), timeout=10, check=False, executable=None if wrap else SHIM)
        if not check:
            return r
        self.assertEqual((r.returncode, r.stderr), (0, b""))
        text = r.stdout.decode()
        address = json.loads(text)["address"] if text[0] == "{" else text
        self.assertTrue(address.startswith("unix:///"), text)
        self.shims.append(address[7:])
        return text, address[7:]

    NEW = {"MAX_SHIM_VERSION": "2", "GRPC_ADDRESS": "x"}

    def boot(self, id):
        return field(1, id) + field(2, "default") + field(9, str(self.scratch.path / "s"))

    def test_three_generations_of_daemons(self):
        name = lambda id: hashlib.sha256(f"{self.address}/default/{id}".encode()).hexdigest()
        old, path = self.start(self.bundle("old"))
        self.assertEqual(old, f"unix:///run/containerd/s/{name('old')}")
        self.assertEqual((self.scratch.path / "old/address").read_text(), old)
        text, path = self.start(self.bundle("json"), self.NEW)
        self.assertEqual(json.loads(text), {"version": 2, "protocol": "ttrpc",
                                            "address": f"unix:///run/containerd/s/{name('json')}"})
        text, path = self.start(self.bundle("boot"), self.NEW, self.boot("boot"))
        self.assertEqual(json.loads(text), {"version": 3, "protocol": "ttrpc",
                                            "address": f"unix://{self.scratch.path}/s/{name('boot')}"})
        self.assertEqual(os.readlink(self.scratch.path / "boot/s"), str(self.scratch.path / "s"))
        # The trap: an Any parses as BootstrapParams with a strange id.
        text, _ = self.start(self.bundle("any"), self.NEW, field(1, "containerd.runc.v1.Options"))
        self.assertEqual(json.loads(text)["version"], 2)

    def test_socket_is_private_and_in_the_file_system(self):
        _, path = self.start(self.bundle("p"), self.NEW, self.boot("p"))
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode), 0o700)
        with open("/proc/net/unix") as f:
            self.assertFalse([line for line in f if "@" in line and "containerd" in line])
        c = Client(path)
        self.addCleanup(c.close)
        # Another user's process, even if it could reach the socket, is turned away.
        script = (f"import os,socket; s=socket.socket(socket.AF_UNIX); s.settimeout(5); "
                  f"os.chmod({path!r}, 0o777); [os.chmod(p, 0o755) for p in ({str(self.scratch.path / 's')!r},)]; "
                  f"os.setgid(65534); os.setuid(65534); s.connect({path!r}); print(len(s.recv(1)))")
        self.assertEqual(run(["python3", "-c", script]).stdout, "0\n")

    def test_groups_share_a_shim_and_dead_sockets_are_replaced(self):
        group = {"annotations": {"io.kubernetes.cri.sandbox-id": "pod"}}
        _, one = self.start(self.bundle("one", group), self.NEW, self.boot("one"))
        _, two = self.start(self.bundle("two", group), self.NEW, self.boot("two"))
        self.assertEqual(one, two)
        self.assertEqual([p.split(" ", 1)[1] for p in processes(str(self.scratch.path))],
                         [f"{SHIM} -namespace default -id one -address {self.address}"])
        pids = [int(p.split()[0]) for p in processes(str(self.scratch.path)) if "-shim-" in p and "start" not in p]
        self.assertEqual(len(pids), 1)
        os.kill(pids[0], signal.SIGKILL)
        wait_for("the shim's end", lambda: not os.path.exists(f"/proc/{pids[0]}/fd"))
        _, three = self.start(self.bundle("three", group), self.NEW, self.boot("three"))
        self.assertEqual(one, three)
        c = Client(three)
        self.assertEqual(c.call("Connect")[0], 0)
        c.close()

    def test_one_that_nobody_knows_of_ends(self):
        # As after a daemon that was killed between the start and its note of the address.
        bundle = self.bundle("forsaken")
        self.start(bundle)
        self.assertEqual(len([p for p in processes(str(self.scratch.path)) if "-id forsaken" in p]), 1)
        wait_for("its end", lambda: not [p for p in processes(str(self.scratch.path)) if "-id forsaken" in p], 25)

    def test_a_start_that_does_not_know_its_path(self):
        # Its server is executed, where others are copies of `start`; nobody sees a difference.
        _, path = self.start(self.bundle("named"), self.NEW, self.boot("named"), name="shim")
        self.assertEqual([p.split(" ", 1)[1] for p in processes(str(self.scratch.path))],
                         [f"{SHIM} -namespace default -id named -address {self.address}"])
        c = Client(path)
        self.assertEqual(c.call("Connect")[0], 0)
        c.close()

    def test_bad_starts(self):
        b = self.bundle("bad")
        for stdin, id, text in ((b"\xff\xff", "bad", "neither bootstrap parameters nor runtime options"),
                                (field(1, "x.Y") + field(2, b"z"), "bad", "x.Y"), (b"", "", "cannot be empty")):
            r = subprocess.run([SHIM, "-namespace", "default", "-id", id, "start"], cwd=b, input=stdin,
                               capture_output=True, check=False)
            self.assertEqual((r.returncode, r.stdout), (1, b""))
            self.assertIn(text, r.stderr.decode())
        (b / "config.json").write_text("{")
        self.assertIn(b"read config.json", self.start(b, check=False).stderr)
        (b / "config.json").unlink()
        self.assertIn(b"no such file or directory", self.start(b, check=False).stderr)
        self.assertEqual(processes(str(self.scratch.path)), [])
        r = subprocess.run([SHIM, "-nope", "start"], capture_output=True, check=False)
        self.assertEqual((r.returncode, r.stderr), (2, b"flag provided but not defined: -nope\n"))

    def test_info_and_version(self):
        r = subprocess.run([SHIM, "-info"], input=field(1, "containerd.runc.v1.Options"), capture_output=True, check=True)
        self.assertEqual(fields(r.stdout)[1], b"io.containerd.runc.v2")
        features = json.loads(fields(fields(r.stdout)[4])[2])
        self.assertIn("rro", features["mountOptions"])
        # another runtime speaks for itself
        other = self.scratch.path / "other"
        other.write_text("#!/bin/sh\necho '{\"mountOptions\": [\"'$1'\"]}'\n")
        other.chmod(0o755)
        options = field(1, "containerd.runc.v1.Options") + field(2, field(6, str(other)))
        r = subprocess.run([SHIM, "-info"], input=options, capture_output=True, check=True)
        self.assertEqual(json.loads(fields(fields(r.stdout)[4])[2]), {"mountOptions": ["features"]})
        r = subprocess.run([SHIM, "-v"], capture_output=True, text=True, check=True)
        self.assertIn("Version:", r.stdout)

    def test_error_texts_and_shutdown(self):
        _, path = self.start(self.bundle("e"), self.NEW, self.boot("e"))
        c = Client(path)
        self.addCleanup(c.close)
        one = field(1, "c1")
        for service in ("containerd.task.v2.Task", "containerd.task.v3.Task"):
            for method in ("State", "Start", "Wait", "Kill", "Delete", "Pids", "Pause", "Resume", "Stats", "CloseIO",
                           "ResizePty", "Exec", "Update", "Checkpoint"):
                self.assertEqual(c.call(method, one, service)[:2], (5, "container not created: not found"), method)
            code, _, answer = c.call("Connect", one, service)
            self.assertEqual(code, 0)
            self.assertTrue(os.path.exists(f"/proc/{answer[1]}"))
        self.assertEqual(c.call("Nope")[:2], (12, "method Nope"))
        self.assertEqual(c.call("State", one, "x.Y")[:2], (12, "service x.Y"))
        for id, bundle in (("../x", "/b"), ("", "/b"), ("ok", "relative"), ("ok", "")):
            self.assertEqual(c.call("Create", field(1, id) + field(2, bundle))[0], 3)
        code, text, _ = c.call("Create", one + field(2, "/nonexistent"))
        self.assertEqual((code, text), (2, "open bundle /nonexistent: no such file or directory"))
        self.assertEqual(c.call("Shutdown", one)[0], 0)
        self.assertFalse(os.path.exists(path), "the socket goes before the answer: a kill in between leaves none")

    def test_a_rootfs_that_cannot_be_mounted(self):
        # The runtime has begun its own work by then: none of it stays, and the mount's own words are told.
        id = "no-root"
        b = Bundle(self.scratch.path / id)
        b.config["linux"]["cgroupsPath"] = f"/casco-{id}"
        b.write()
        _, address = self.start(b.path, self.NEW, self.boot(id))
        c = Client(address)
        self.addCleanup(c.close)
        mount = field(3, field(1, "casco-fs") + field(2, "none"))
        code, text, _ = c.call("Create", field(1, id) + field(2, str(b.path)) + mount)
        self.assertEqual(code, 2)
        self.assertIn("casco-fs", text)
        self.assertNotIn("OCI runtime create failed", text)
        self.assertEqual(c.call("State", field(1, id))[:2], (5, "container not created: not found"))
        self.assertFalse(os.path.exists(f"/run/containerd/runc/default/{id}"))
        self.assertEqual([p for p in pathlib.Path("/sys/fs/cgroup").glob(f"**/casco-{id}")], [])
        # and once more with one that can be
        mount = field(3, field(1, "bind") + field(2, str(b.path / "rootfs")) + field(4, "rbind"))
        self.assertEqual(c.call("Create", field(1, id) + field(2, str(b.path)) + mount)[:2], (0, ""))
        self.assertEqual(c.call("Delete", field(1, id))[:2], (0, ""))

    def test_sandbox_api(self):
        _, path = self.start(self.bundle("sb"), self.NEW, self.boot("sb"))
        c, waiting, gone = Client(path), Client(path), Client(path)
        for x in (c, waiting, gone):
            self.addCleanup(x.close)
        sandbox, one = "containerd.runtime.sandbox.v1.Sandbox", field(1, "sb")
        call = lambda method, payload=one: c.call(method, payload, sandbox)
        for method in ("StartSandbox", "StopSandbox", "WaitSandbox", "SandboxStatus", "PingSandbox", "ShutdownSandbox", "SandboxMetrics"):
            self.assertEqual(call(method)[:2], (5, "sandbox sb: not found"), method)
        self.assertEqual(call("CreateSandbox", field(1, "../x"))[0], 3)
        self.assertEqual(call("CreateSandbox", one + field(2, "/b"))[:2], (0, ""))
        self.assertEqual(call("CreateSandbox")[0], 6)
        self.assertEqual(call("SandboxStatus")[2][3], b"SANDBOX_UNKNOWN")
        code, _, started = call("StartSandbox")
        self.assertEqual(code, 0)
        self.assertTrue(os.path.exists(f"/proc/{started[1]}"))
        self.assertEqual(call("StartSandbox")[0], 9)
        status = call("SandboxStatus")[2]
        self.assertEqual((status[1], status[2], status[3]), (b"sb", started[1], b"SANDBOX_READY"))
        self.assertEqual(fields(call("Platform")[2][1])[1], b"linux")
        self.assertEqual(call("PingSandbox")[0], 0)
        self.assertEqual(fields(call("SandboxMetrics")[2][1])[2], b"sb")
        self.assertEqual(c.call("Shutdown", one)[0], 0)  # of the task service: not while there is a sandbox
        for x in (waiting, gone):
            x.send(1, 1, 0, field(1, sandbox) + field(2, "WaitSandbox") + field(3, one))
        gone.close()
        self.assertEqual(call("PingSandbox")[0], 0)
        self.assertEqual(call("StopSandbox")[0], 0)
        self.assertIn(2, waiting.answer(1)[2], "the time of its end")
        self.assertEqual(call("WaitSandbox")[0], 0)
        self.assertEqual(call("SandboxStatus")[2][3], b"SANDBOX_NOTREADY")
        self.assertEqual(call("ShutdownSandbox")[0], 0)
        self.assertFalse(os.path.exists(path))

    def limited(self, id, wrap=(), args=("sleep", "60")):
        """A container of a shim of its own, until the test's end; its client and the path of its cgroups."""
        b = Bundle(self.scratch.path / id)
        path = f"/casco-{id}"
        b.config["linux"]["cgroupsPath"] = path
        b.config["process"]["args"] = list(args)
        b.write()
        _, address = self.start(b.path, self.NEW, self.boot(id), wrap=wrap)
        c = Client(address)
        self.addCleanup(c.close)
        self.assertEqual(c.call("Create", field(1, id) + field(2, str(b.path)))[:2], (0, ""))
        self.assertEqual(c.call("Start", field(1, id))[:2], (0, ""))

        def end():
            c.call("Kill", field(1, id) + field(3, 9))
            c.call("Wait", field(1, id))
            self.assertEqual(c.call("Delete", field(1, id))[:2], (0, ""))

        self.addCleanup(end)
        return c, path

    def stats(self, c, id):
        code, text, answer = c.call("Stats", field(1, id))
        self.assertEqual((code, text), (0, ""))
        any_ = fields(answer[1])
        return any_[1].decode(), fields(any_[2])

    def update(self, c, id, resources):
        return c.call("Update", field(1, id) + field(2, field(1, "x") + field(2, json.dumps(resources))))[:2]

    @unittest.skipUnless(os.path.isdir("/sys/fs/cgroup/memory"), "the machine has no v1 hierarchies")
    def test_update_and_stats_on_v1(self):
        c, path = self.limited(id := f"lim{os.getpid()}")
        self.assertEqual(self.update(c, id, {"memory": {"limit": 64 << 20}, "pids": {"limit": 9},
                                             "cpu": {"quota": 50000, "period": 100000}}), (0, ""))
        name, m = self.stats(c, id)
        self.assertEqual(name, "io.containerd.cgroups.v1.Metrics")
        self.assertEqual(fields(m[2]), {1: 1, 2: 9})  # pids
        usage = fields(fields(m[4])[33])  # memory.usage
        self.assertEqual(usage[1], 64 << 20)
        self.assertGreater(usage[2], 0)
        self.assertIn(34, fields(m[4]))  # swap
        self.assertGreater(fields(fields(m[3])[1])[1], 0)  # cpu.usage.total
        self.assertIn(2, fields(m[3]))  # throttling
        self.assertIn(9, m)  # memory_oom_control
        code, text = self.update(c, id, {"cpu": {"shares": 1}, "pids": {"limit": 8}})
        self.assertEqual(code, 2)
        self.assertIn("the minimum allowed cpu-shares is 2", text)
        self.assertEqual(pathlib.Path(f"/sys/fs/cgroup/pids{path}/pids.max").read_text(), "9\n")

    @unittest.skipUnless(os.path.isdir("/sys/fs/cgroup/pids"), "the machine has no v1 hierarchies")
    def test_init_in_a_cgroup_of_its_own_making(self):
        """As systemd does it in a container: the numbers are those of the whole container all the same."""
        c, path = self.limited(id := f"deep{os.getpid()}", args=("sh", "-c", "sleep 60 & sleep 60"))
        outer = pathlib.Path(f"/sys/fs/cgroup/pids{path}")
        (outer / "init.scope").mkdir()
        init = c.call("State", field(1, id))[2][3]
        (outer / "init.scope/cgroup.procs").write_text(str(init))
        wait_for("both to be counted", lambda: fields(self.stats(c, id)[1][2])[1] == 2)  # pids.current

    @unittest.skipUnless(os.path.isdir("/sys/fs/cgroup/unified"), "the machine has no view of cgroup2 beside v1")
    def test_update_and_stats_on_v2(self):
        c, path = self.limited(id := f"lim2{os.getpid()}", wrap=V2_VIEW)
        self.assertEqual(self.update(c, id, {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 << 20}]}), (0, ""))
        self.assertEqual(pathlib.Path(f"/sys/fs/cgroup/unified{path}/hugetlb.2MB.max").read_text(), f"{4 << 20}\n")
        name, m = self.stats(c, id)
        self.assertEqual(name, "io.containerd.cgroups.v2.Metrics")
        self.assertGreater(fields(m[2])[1], 0)  # cpu.usage_usec
        if os.path.exists("/sys/fs/cgroup/unified/cpu.pressure"):
            self.assertIn(1, fields(fields(m[2])[7]))  # cpu.psi.some
        self.assertIn(fields(m[7])[3], (b"2MB", b"1GB"))  # hugetlb

    def test_bad_frames_cost_one_answer(self):
        _, path = self.start(self.bundle("f"), self.NEW, self.boot("f"))
        c = Client(path)
        self.addCleanup(c.close)
        c.send(2, 1, 0, b"")
        self.assertEqual(c.answer(2)[0], 3)
        c.send(1, 1, 0, b"\xff\xff")
        self.assertEqual(c.answer(1)[0], 3)
        c.send(1, 1, 0, b"")
        self.assertEqual(c.answer(1)[0], 3)
        c.send(3, 9, 0, b"what")
        c.send(5, 3, 5, b"")
        size = 4194305
        c.send(7, 1, 0, bytes(size))
        self.assertEqual(c.answer(7)[0], 8)
        c.stream = 7
        c.send(9, 1, 0, field(1, "containerd.task.v3.Task") + field(2, "State") + field(3, b"\xff"))
        self.assertEqual(c.answer(9)[0], 3)
        c.stream = 9
        self.assertEqual(c.call("Connect")[0], 0)
        # A header's claim allocates nothing, and a peer that leaves in the middle is forgotten.
        for _ in range(200):
            half = Client(path)
            half.send(1, 1, 0, b"x", length=4194304)
            half.close()
        self.assertEqual(c.call("Connect")[0], 0)
        pid = c.call("Connect")[2][1]
        self.assertLess(len(os.listdir(f"/proc/{pid}/fd")), 30)


class UnderDebian(DaemonTest):
    """Ends and crashes, below a daemon that nobody here wrote."""
    ctr_binary = CTR

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.remove)
        cls.daemon = Daemon(cls.scratch.path, binary=CONTAINERD, config=CONFIG_V2)
        cls.daemon.start()
        cls.addClassCleanup(cls.daemon.stop)
        from casco import SHARE
        cls.ctr("images", "import", SHARE / "busybox.tar")

    def shim(self, name):
        """The one that serves: copies that run a runtime call are gone in a moment."""
        wait_for("one shim", lambda: len(self.shims(name)) == 1)
        return self.shims(name)

    def shims(self, name):
        return [int(p.split()[0]) for p in processes(str(self.scratch.path)) if "-shim-" in p and f"-id {name} " in p + " "]

    def pid(self, name):
        return int(self.task_line(name).split()[1])

    def test_killed_init(self):
        self.running(name="k")
        os.kill(self.pid("k"), signal.SIGKILL)
        wait_for("the end", lambda: "STOPPED" in self.task_line("k"))
        bundle = self.daemon.state / "io.containerd.runtime.v2.task/default/k"
        self.assertEqual(json.loads((bundle / "exit.json").read_text())["exit_status"], 137)
        self.assertIn("137", self.ctr("tasks", "delete", "k", check=False).stderr)

    def test_killed_shim_is_cleaned_up_behind(self):
        self.running(name="s")
        for fifo in pathlib.Path("/run/containerd/fifo").glob("*/s-stdin"):  # the client's, who never comes back
            self.addCleanup(shutil.rmtree, fifo.parent, ignore_errors=True)
        pid, (shim,) = self.pid("s"), self.shim("s")
        os.kill(shim, signal.SIGKILL)
        wait_for("the container's end", lambda: not os.path.exists(f"/proc/{pid}"))
        wait_for("the unmount", lambda: not [m for m in mounts(str(self.scratch.path)) if m.endswith("/s/rootfs")])
        self.assertEqual(self.task_line("s"), "")

    def test_daemon_dies_and_comes_back(self):
        self.running(name="d")
        pid, shims = self.pid("d"), self.shim("d")
        self.daemon.kill()
        time.sleep(0.2)
        self.assertTrue(os.path.exists(f"/proc/{pid}"))
        self.daemon.start()
        wait_for("the task", lambda: "RUNNING" in self.task_line("d"))
        self.assertEqual((self.pid("d"), self.shim("d")), (pid, shims))
        self.assertEqual(self.ctr("tasks", "exec", "--exec-id", "e", "d", "echo", "again").stdout, "again\n")

    def test_events_in_order(self):
        log = open(self.scratch.path / "events", "w+")
        self.addCleanup(log.close)
        p = subprocess.Popen(self.daemon.command("events", binary=CTR), stdout=log)
        self.addCleanup(p.wait)
        self.addCleanup(p.terminate)
        time.sleep(0.3)
        self.running(name="ev")
        self.ctr("tasks", "exec", "--exec-id", "x1", "ev", "true")
        self.ctr("tasks", "pause", "ev")
        self.ctr("tasks", "resume", "ev")
        self.ctr("tasks", "kill", "-s", "SIGKILL", "ev")
        wait_for("the end", lambda: "STOPPED" in self.task_line("ev"))
        self.ctr("tasks", "delete", "ev", check=False)

        def topics():
            text = pathlib.Path(log.name).read_text()
            return [w for w in text.split() if w.startswith("/tasks/")]
        wait_for("the last event", lambda: "/tasks/delete" in topics())
        self.assertEqual(topics(), ["/tasks/" + t for t in
                                    "create start exec-added exec-started exit paused resumed exit delete".split()])

    def test_failures_are_told_and_leave_nothing(self):
        r = self.ctr("run", "--rm", self.IMAGE, "none", "/no/such/program", check=False)
        self.assertNotEqual(r.returncode, 0)
        self.assertIn("OCI runtime create failed", r.stderr)
        self.assertIn("no such file or directory", r.stderr)
        self.running(name="f")
        r = self.ctr("tasks", "exec", "--exec-id", "n", "f", "/no/such/program", check=False)
        self.assertIn("OCI runtime exec failed", r.stderr)
        self.assertEqual(self.ctr("tasks", "exec", "--exec-id", "n", "f", "echo", "fine").stdout, "fine\n")

    def test_many_execs_at_once(self):
        self.running(name="m")
        all = [subprocess.Popen(self.daemon.command("tasks", "exec", "--exec-id", f"e{i}", "m", "sh", "-c",
                                                    f"echo {i}; exit {i}", binary=CTR),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for i in range(8)]
        for i, p in enumerate(all):
            out, err = p.communicate(timeout=30)
            self.assertEqual((out, p.returncode), (f"{i}\n", i), err)

    def test_log_files_and_programs(self):
        log = self.scratch.path / "made/out.log"
        self.ctr("run", "-d", "--log-uri", f"file://{log}", self.IMAGE, "lf", "sh", "-c", "echo one; echo two >&2")
        wait_for("the end", lambda: "STOPPED" in self.task_line("lf"))
        wait_for("the log", lambda: sorted(log.read_text().split()) == ["one", "two"])
        script = self.scratch.path / "logger"
        script.write_text("#!/bin/sh\necho \"$@ $CONTAINER_ID $CONTAINER_NAMESPACE\" >$2\nexec 5>&-\n"
                          "/bin/cat <&3 >>$2\n")
        script.chmod(0o755)
        out = self.scratch.path / "logger.out"
        self.ctr("run", "-d", "--log-uri", f"binary://{script}?f={out}", self.IMAGE, "lb", "sh", "-c", "echo three")
        wait_for("the program's output", lambda: out.exists() and "three" in out.read_text())
        self.assertEqual(out.read_text(), f"f {out} lb default\nthree\n")

    def test_output_flows_when_nobody_reads_and_is_not_lost(self):
        self.assertEqual(len(self.ctr("run", "--rm", self.IMAGE, "big", "dd", "if=/dev/zero", "bs=1024",
                                      "count=2000").stdout), 2000 * 1024)

    def test_idle_memory(self):
        self.running(name="mem")
        (shim,) = self.shim("mem")
        self.task_line("mem")
        time.sleep(2)
        with open(f"/proc/{shim}/smaps_rollup") as f:
            pss = [int(line.split()[1]) for line in f if line.startswith("Pss:")][0]
        self.assertLess(pss, 600)
        self.assertEqual(len(os.listdir(f"/proc/{shim}/task")), 1)

    def test_own_program_is_out_of_reach(self):
        self.running(name="exe")
        (shim,) = self.shim("exe")
        with self.assertRaises(OSError):
            os.open(f"/proc/{shim}/exe", os.O_WRONLY)


if __name__ == "__main__":
    unittest.main()
