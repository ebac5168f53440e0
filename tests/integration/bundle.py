"""Bundles for tests that call runc itself: the default spec with one change, a busybox rootfs of
our own, and a check that nothing is left behind."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from casco import program

APPLETS = ("sh cat echo id ls sleep true false pwd tty stty touch test mount umount grep hostname env kill ps "
           "head wc mkdir ln readlink stat").split()


def cgroups_named(name):
    """Folders of that name below all hierarchies; those of others come and go meanwhile."""
    return [folder for folder, _, _ in os.walk("/sys/fs/cgroup") if os.path.basename(folder) == name]


class Bundle:
    def __init__(self, where):
        self.path = pathlib.Path(where)
        self.root = self.path / "rootfs"
        for folder in ("bin", "proc", "sys", "dev", "tmp", "etc"):
            (self.root / folder).mkdir(parents=True)
        shutil.copy("/bin/busybox", self.root / "bin/busybox")
        for name in APPLETS:
            os.symlink("busybox", self.root / "bin" / name)
        (self.root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n1000:x:0:0::/named:/bin/sh\nu:x:1000:1001::/home/u:\n")
        subprocess.run([program("runc"), "spec", "-b", self.path], check=True)
        self.config = json.loads((self.path / "config.json").read_text())
        self.config["process"]["terminal"] = False

    def write(self):
        (self.path / "config.json").write_text(json.dumps(self.config))

    def mount(self, destination, **fields):
        self.config["mounts"].append({"destination": destination, **fields})


class RuncTest(unittest.TestCase):
    """self.b is a fresh bundle; self.runc() calls runc; everything is checked to be gone at the end."""

    def setUp(self):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="casco-runc-"))
        self.state = self.top / "state"
        self.b = Bundle(self.top / "bundle")
        self.id = "t" + self.top.name.replace("-", "")
        self.addCleanup(self.check_gone)

    def check_gone(self):
        self.runc("delete", "-f", self.id)
        left = [str(p) for p in self.state.glob("[!.]*")]
        left += [l for l in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if str(self.top) in l]
        left += cgroups_named(self.id)
        shutil.rmtree(self.top)
        self.assertEqual(left, [])

    def runc(self, *args, **kw):
        return subprocess.run([program("runc"), "--root", self.state, *args], cwd=self.b.path, timeout=30, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **kw)

    def run_in(self, *args, **kw):
        self.b.config["process"]["args"] = list(args)
        self.b.write()
        return self.runc("run", self.id, **kw)

    def sh(self, script, status=0):
        r = self.run_in("sh", "-c", script)
        self.assertEqual(r.returncode, status, r.stdout + r.stderr)
        return r.stdout

    def fails(self, text, *args):
        """run must fail with this in its one sentence, and leave nothing."""
        r = self.run_in(*(args or ("true",)))
        self.assertNotEqual(r.returncode, 0, r.stdout)
        self.assertIn(text, r.stderr.replace("\\", ""))  # quotes in a log line
        self.assertEqual(list(self.state.glob("[!.]*")), [])
        self.assertEqual(cgroups_named(self.id), [])

    def background(self, *args):
        self.b.config["process"]["args"] = list(args) or ["sleep", "60"]
        self.b.write()
        with open(self.top / "out", "w") as out:
            subprocess.run([program("runc"), "--root", self.state, "run", "-d", self.id], cwd=self.b.path, check=True,
                           stdin=subprocess.DEVNULL, stdout=out, stderr=out)
