"""The tutorial, word for word, on the default paths, with a registry on loopback that stands in for
docker.io: once over HTTPS with a test CA, once over plain HTTP."""
import json
import os
import pathlib
import shutil
import unittest

from casco import wait_for
from machine import Machine
from registry import Authority, Registry, busybox_layer, layer, write_hosts

ALPINE = "docker.io/library/alpine:latest"


class Tutorial:
    tls = False

    @classmethod
    def setUpClass(cls):
        cls.machine = Machine()
        cls.addClassCleanup(cls.machine.remove)
        authority = Authority(cls.machine.path / "ca") if cls.tls else None
        cls.registry = Registry(cls.machine.path / "registry", authority)
        cls.addClassCleanup(cls.registry.stop)
        # the image that is called alpine is made from busybox-static, with a second small layer
        cls.digest = cls.registry.push("library/alpine", "latest",
                                       [busybox_layer(), layer([("etc/alpine-release", b"3.99\n")])], index=True)
        write_hosts(cls.machine.inside("/etc/containerd") / "certs.d", "docker.io", cls.registry)
        cls.machine.start_daemon()

    def say(self, words, **kw):
        return self.machine.run(words, **kw).stdout

    def status(self, task):
        for line in self.say("ctr tasks list").splitlines()[1:]:
            if line.split()[0] == task:
                return line.split()[2]
        return ""

    def test_1_nothing_runs_at_first(self):
        self.assertEqual(self.say("ctr tasks list").split(), ["TASK", "PID", "STATUS"])

    def test_2_pull(self):
        out = self.machine.run(f"ctr image pull {ALPINE}")
        self.assertIn("alpine", out.stdout + out.stderr)
        listed = self.say("ctr images list")
        self.assertIn(ALPINE, listed)
        self.assertIn(self.digest, listed)
        self.assertIn("linux/amd64", listed)

    def test_3_an_interactive_shell(self):
        t = self.machine.terminal(f"ctr run --rm -t {ALPINE} meucontainer /bin/sh", rows=30, cols=100)
        self.addCleanup(t.close)
        t.expect("# ")
        t.type("cat /etc/alpine-release; echo $((6*7))\n")
        t.expect("3.99")
        t.expect("42")
        t.type("stty size\n")
        t.expect("30 100")
        t.resize(50, 120)
        wait_for("the new size", lambda: self.asks_size(t, "50 120"), 10)
        t.type("sleep 100\n")
        t.expect("sleep 100")
        wait_for("sleep to run", lambda: len(self.say("ctr task ps meucontainer").splitlines()) == 3)
        t.type("\x03")  # Ctrl-C ends sleep, not the shell
        t.expect("# ")
        t.type("echo still here\n")
        t.expect("still here\r\n")
        t.type("exit 7\n")
        self.assertEqual(t.wait(), 7)
        self.assertNotIn("meucontainer", self.say("ctr containers list"))
        self.assertNotIn("meucontainer", self.say("ctr snapshots list"))

    @staticmethod
    def asks_size(t, want):
        t.type("stty size\n")
        try:
            t.expect(want, 1.0)
            return True
        except AssertionError:
            return False

    def test_4_detached_kill_attach(self):
        self.say(f"ctr run -d {ALPINE} meucontainer /bin/sh -c".split() +
                 ["trap 'echo got TERM' TERM; while :; do echo tick; sleep 0.2; done"])
        self.assertEqual(self.status("meucontainer"), "RUNNING")
        t = self.machine.terminal("ctr tasks attach meucontainer")
        self.addCleanup(t.close)
        t.expect("tick")
        self.say("ctr task kill meucontainer")
        t.expect("got TERM")
        t.expect("tick")
        self.assertEqual(self.status("meucontainer"), "RUNNING")
        self.say("ctr task kill -s SIGKILL meucontainer")
        wait_for("the task to stop", lambda: self.status("meucontainer") != "RUNNING")
        self.assertEqual(t.wait(), 137)
        self.machine.run("ctr tasks delete meucontainer", check=False)
        self.say("ctr containers delete meucontainer")
        self.assertEqual(self.say("ctr containers list -q").strip(), "")

    def test_5_short_reference(self):
        self.say("ctr image pull alpine:latest")
        self.assertEqual(self.say("ctr run --rm alpine:latest short echo hello"), "hello\n")

    def test_6_remove_the_image(self):
        self.say(f"ctr images remove {ALPINE}")
        self.assertNotIn(ALPINE, self.say("ctr images list"))
        wait_for("the collection of its content", lambda: not self.say("ctr content list -q").strip(), 15)
        wait_for("the collection of its snapshots",
                 lambda: len(self.say("ctr snapshots list").splitlines()) <= 1, 15)


class OverHTTPS(Tutorial, unittest.TestCase):
    tls = True


class OverPlainHTTP(Tutorial, unittest.TestCase):
    tls = False


class RuncAlone(unittest.TestCase):
    """`runc create my-container`, `runc start my-container`, and the brief's config.json."""

    BRIEF = {"ociVersion": "1.0.2",
             "process": {"terminal": True, "user": {"uid": 0, "gid": 0}, "args": ["/bin/sh"]},
             "root": {"path": "rootfs"},
             "linux": {"namespaces": [{"type": t} for t in ("pid", "network", "ipc", "uts", "mount")],
                       "cgroups": {"memory": {"limit": 536870912}}}}

    def setUp(self):
        self.machine = Machine()
        self.addCleanup(self.machine.remove)
        self.bundle = self.machine.path / "bundle"
        (self.bundle / "rootfs" / "bin").mkdir(parents=True)
        shutil.copy("/bin/busybox", self.bundle / "rootfs" / "bin")
        for name in ("sh", "sleep", "cat", "echo"):
            os.symlink("busybox", self.bundle / "rootfs" / "bin" / name)
        before = os.getcwd()
        os.chdir(self.bundle)
        self.addCleanup(os.chdir, before)

    def write(self, config):
        (self.bundle / "config.json").write_text(json.dumps(config))

    def memory_limit(self, pid):
        with open(f"/proc/{pid}/cgroup") as f:
            lines = [line.strip().split(":", 2) for line in f]
        for _, controllers, path in lines:
            if "memory" in controllers.split(","):
                return int(pathlib.Path(f"/sys/fs/cgroup/memory{path}/memory.limit_in_bytes").read_text())
        path = next(p for n, _, p in lines if n == "0")
        return int(pathlib.Path(f"/sys/fs/cgroup{path}/memory.max").read_text())

    def test_the_file_as_it_stands(self):
        self.write(self.BRIEF)
        t = self.machine.terminal("runc run my-container")
        self.addCleanup(t.close)
        out = t.expect("# ")
        self.assertIn("linux.resources", out)  # the two kind warnings name the right fields
        self.assertIn("process.cwd", out)
        state = json.loads(self.machine.run("runc state my-container").stdout)
        self.assertEqual(state["status"], "running")
        self.assertEqual(self.memory_limit(state["pid"]), 536870912)
        t.type("echo in $PWD; exit 3\n")
        t.expect("in /")
        self.assertEqual(t.wait(), 3)
        self.assertEqual(self.machine.run("runc list -q").stdout, "")

    def test_create_then_start(self):
        config = json.loads(json.dumps(self.BRIEF))
        config["process"].update(terminal=False, args=["/bin/sleep", "100"], cwd="/")
        self.write(config)
        # the container keeps the streams of `create`: they must not be pipes that the test waits for
        self.machine.run(["sh", "-c", "runc create my-container </dev/null >log 2>&1"])
        self.assertEqual(json.loads(self.machine.run("runc state my-container").stdout)["status"], "created")
        self.machine.run("runc start my-container")
        state = json.loads(self.machine.run("runc state my-container").stdout)
        self.assertEqual(state["status"], "running")
        self.assertEqual(self.memory_limit(state["pid"]), 536870912)
        self.machine.run("runc kill my-container KILL")
        wait_for("it to stop", lambda: json.loads(
            self.machine.run("runc state my-container").stdout)["status"] == "stopped")
        self.machine.run("runc delete my-container")
        r = self.machine.run("runc state my-container", check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn("does not exist", r.stderr)


if __name__ == "__main__":
    unittest.main()
