"""What the tests of checkpoint and restore share: a container that counts, and a stub of criu."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from bundle import RuncTest, cgroups_named
from casco import our_env, program, wait_for

STUB = pathlib.Path(__file__).resolve().parent / "stub_criu.py"


def why_no_criu():
    """None, or why the machine's criu can't be used: Debian 12's own knows no kernel as new as 6.x with its vdso."""
    if not shutil.which("criu"):
        return "criu is not installed"
    with tempfile.TemporaryDirectory() as folder:  # it writes a log where it is
        r = subprocess.run(["criu", "check"], cwd=folder, capture_output=True, text=True, check=False)
    errors = [l for l in r.stderr.splitlines() if "Error" in l]
    return None if r.returncode == 0 else "criu check: " + (errors[0] if errors else f"exit {r.returncode}")


def give_stub_criu(test_class):
    """Starts a DaemonTest's daemon anew with a criu that saves nothing: what test_class.words has says how it answers, asked has
    what it was asked."""
    test_class.daemon.stop()
    folder = test_class.scratch.path / "bin"
    folder.mkdir()
    test_class.words, test_class.asked = folder / "words", folder / "log"
    test_class.words.write_text("")
    (folder / "criu").write_text(f"#!/bin/sh\nexport STUB_CRIU=\"$(cat {test_class.words})\" STUB_CRIU_LOG={test_class.asked}\n"
                                 f"exec {sys.executable} {STUB} \"$@\"\n")
    (folder / "criu").chmod(0o755)
    env = our_env()
    test_class.daemon.env = {**env, "PATH": f"{folder}:{env.get('PATH', os.environ['PATH'])}"}
    test_class.daemon.start()


class Checkpointed(RuncTest):
    images = property(lambda self: self.top / "images")
    work = property(lambda self: self.top / "work")

    def counter(self):
        """A container that counts into a file of a folder of the host's."""
        (self.top / "data").mkdir(exist_ok=True)
        self.b.mount("/data", type="bind", source=str(self.top / "data"), options=["rbind", "rw"])
        self.b.config["process"]["args"] = ["sh", "-c", "i=0; while :; do i=$((i+1)); echo $i >/data/n; sleep 0.05; done"]
        self.b.write()
        self.start("run", "-d", self.id)
        self.counts()

    def user_namespace(self):
        """The container's, whose root writes the counter's file and reaches its own folders."""
        linux = self.b.config["linux"]
        linux["namespaces"].append({"type": "user"})
        linux["uidMappings"] = linux["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        (self.top / "data").mkdir()
        (self.top / "data").chmod(0o777)
        (self.b.root / "data").mkdir()
        self.top.chmod(0o755)
        self.b.path.chmod(0o755)

    def start(self, *args, status=0):
        """With nothing of the host's on stdio, which criu could not name.  Returns what was logged."""
        log = self.top / "log"
        log.unlink(missing_ok=True)
        r = subprocess.run([program("runc"), "--log", log, "--root", self.state, *args], cwd=self.b.path, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=False)
        text = log.read_text().replace("\\", "") if log.exists() else ""
        self.assertEqual(r.returncode, status, text)
        return text

    def number(self):
        path = self.top / "data/n"  # the container makes it
        text = path.read_text().strip() if path.exists() else ""
        return int(text) if text else 0

    def counts(self):
        first = self.number()
        wait_for("counting", lambda: self.number() > first)

    def paths(self):
        return "--image-path", str(self.images), "--work-path", str(self.work)

    def status(self):
        return json.loads(self.runc("state", self.id).stdout)["status"]


class StubbedCriu(Checkpointed):
    """What criu is asked, and what happens when it answers badly."""

    def setUp(self):
        super().setUp()
        folder = self.top / "bin"
        folder.mkdir()
        (folder / "criu").write_text(f'#!/bin/sh\nexec {sys.executable} {STUB} "$@"\n')
        (folder / "criu").chmod(0o755)
        self.log = self.top / "asked"
        self.path = f"{folder}:{os.environ['PATH']}"

    def say(self, words, *args):
        env = {**os.environ, "PATH": self.path, "STUB_CRIU": words, "STUB_CRIU_LOG": str(self.log)}
        return self.runc(*args, env=env)

    def asked(self):
        return [json.loads(l) for l in self.log.read_text().splitlines()]

    def prepare_restore(self, descriptors='["/dev/null","pipe:[12]","../x"]'):
        self.b.write()
        self.images.mkdir(exist_ok=True)
        (self.images / "descriptors.json").write_text(descriptors)

    def nothing_left(self):
        self.assertEqual(list(self.state.glob("[!.]*")), [])
        self.assertEqual(cgroups_named(self.id), [])
