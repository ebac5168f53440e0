"""containerd-stress, the original's own load program, against our daemon: no container and no exec of it may fail.
tests/parity/stress.py builds it; it is looked for in CASCO_PEER and in PATH."""
import contextlib
import json
import os
import shutil
import unittest

from casco import CONFIG, Daemon, DaemonTest, Scratch, cgroups, run
from registry import Registry, busybox_layer, layer

STRESS = shutil.which("containerd-stress", path=f"{os.environ.get('CASCO_PEER', '')}:{os.environ.get('PATH', '')}")
SECONDS = 3
# The program runs its execs' container as the user that Alpine has under this name.
PASSWD = b"root:x:0:0:root:/:/bin/sh\ngames:x:35:35:games:/:/bin/sh\n"


@unittest.skipUnless(STRESS, "containerd-stress is neither in CASCO_PEER nor in PATH (tests/parity/stress.py builds it)")
class Stress(DaemonTest):
    images = False

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.remove)
        empty = cls.scratch.path / "empty.img"
        empty.touch()
        os.truncate(empty, 16 << 20)
        run(["mkfs.ext4", "-q", empty])
        cls.daemon = Daemon(cls.scratch.path, config=CONFIG + f"""
[plugins.'io.containerd.snapshotter.v1.blockfile']
  scratch_file = '{empty}'
""").start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.registry = Registry(cls.scratch.path / "registry")
        cls.addClassCleanup(cls.registry.stop)
        cls.registry.push("library/alpine", "latest", [busybox_layer(), layer([("etc/passwd", PASSWD), ("etc/group", b"games:x:35:\n")])])
        cls.addClassCleanup(cls.remove_namespaces)
        cls.image = f"{cls.registry.host}/library/alpine:latest"

    @staticmethod
    def remove_namespaces():
        """A namespace's own cgroup stays, as the original's does; with something in it, it can't be removed."""
        for folder in cgroups():
            if os.path.basename(folder) in ("stress", "density"):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)

    def stress(self, *more, concurrent=2):
        r = run([STRESS, "--address", self.daemon.address, "--image", self.image, "--concurrent", str(concurrent), "--duration",
                 f"{SECONDS}s", "--json", *more])
        self.assertNotIn("level=error", r.stderr)
        return json.loads(r.stdout)

    def empty(self, namespace="stress", snapshotter="overlayfs"):
        for what in (("containers",), ("tasks",), ("snapshots", "--snapshotter", snapshotter)):
            listed = self.ctr("-n", namespace, *what, "ls").stdout.splitlines()[1:]
            self.assertEqual([line for line in listed if "Committed" not in line], [])

    def test_containers(self):
        result = self.stress()
        self.assertEqual(result["failures"], 0)
        self.assertGreater(result["total"], 2)
        self.empty()

    def test_many_at_once(self):
        result = self.stress(concurrent=20)
        self.assertEqual(result["failures"], 0)
        self.assertGreater(result["total"], 20)
        self.empty()

    def test_other_snapshotters(self):
        lines = [line.split() for line in self.ctr("plugins", "list").stdout.splitlines()]
        working = [w[1] for w in lines if w[:1] == ["io.containerd.snapshotter.v1"] and w[-1] == "ok"]
        self.assertIn("native", working)
        for name in set(working) - {"overlayfs"}:
            with self.subTest(name):
                result = self.stress("--snapshotter", name, concurrent=5)
                self.assertEqual(result["failures"], 0)
                self.assertGreater(result["total"], 2)
                self.empty(snapshotter=name)

    def test_execs(self):
        result = self.stress("--exec")
        self.assertEqual((result["failures"], result["execFailures"]), (0, 0))
        self.assertGreater(result["execTotal"], 2)
        self.empty()

    def test_density(self):
        """So many containers beside each other, and the memory of their shims as the program sums it up."""
        r = run([STRESS, "--address", self.daemon.address, "--image", self.image, "density", "--count", "10"], timeout=90)
        result = json.loads(r.stdout)
        self.assertGreater(result["pss"], 0)
        self.empty("density")


if __name__ == "__main__":
    unittest.main()
