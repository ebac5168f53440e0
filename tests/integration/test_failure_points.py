"""runc fails, or dies by kill -9, at each of its system calls: what failed leaves nothing, what was killed leaves nothing
that `delete --force` can't clear.  The program is a test build's (tests/fault).

CASCO_FAULT_STEP=N walks every N-th point only."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest

import bundle
from casco import TOP, processes, program

STEP = int(os.environ.get("CASCO_FAULT_STEP", "1"))
BUILD = TOP / "build" / "fault"
# Some calls are looked at long after the last step; a walk that does not end is a bug of the test.
MOST = 3000


def build():
    if not (BUILD / "build.ninja").exists():
        subprocess.run(["meson", "setup", BUILD, "-Dfault=true", "-Db_lto=false"], cwd=TOP, check=True, capture_output=True)
    subprocess.run(["ninja", "-C", BUILD, "src/cmd/runc/runc-fault"], check=True, capture_output=True)
    return str(BUILD / "src/cmd/runc/runc-fault")


class FailurePoints(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broken = build()
        cls.top = pathlib.Path(tempfile.mkdtemp(prefix="casco-fault-"))
        cls.addClassCleanup(shutil.rmtree, cls.top)
        cls.state, cls.log = cls.top / "state", cls.top / "log"
        cls.b = bundle.Bundle(cls.top / "bundle")
        cls.b.config["process"]["args"] = ["sleep", "1000"]
        cls.b.write()
        cls.id = "f" + cls.top.name.replace("-", "")

    def call(self, binary, *args, env=None):
        """(exit code, stderr); files, since a container that stays would hold a pipe open."""
        with open(self.top / "err", "w+") as err:
            r = subprocess.run([binary, "--root", self.state, *args], cwd=self.b.path, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=err, timeout=30, check=False, env=env)
            err.seek(0)
            return r.returncode, err.read()

    def runc(self, *args):
        return self.call(program("runc"), *args)

    def left(self):
        found = [str(p) for p in self.state.glob("[!.]*")]
        found += [l for l in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if str(self.top) in l]
        found += bundle.cgroups_named(self.id)
        return found + [p for p in processes(str(self.top)) if "unittest" not in p]

    def assert_nothing_left(self, what):
        end = time.monotonic() + 5  # a child that lost its parent ends at its next step
        while (left := self.left()) and time.monotonic() < end:
            time.sleep(0.02)
        self.assertEqual(left, [], what)

    def strike(self, role, how, n, *command):
        """Did it happen, and at which call; the exit code; what was said."""
        self.log.unlink(missing_ok=True)
        env = {**os.environ, "CASCO_FAULT": f"{role}:{how}:{n}", "CASCO_FAULT_LOG": str(self.log)}
        code, said = self.call(self.broken, *command, env=env)
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        struck = [l for l in lines if l.startswith(how)]
        what = f"{command[0]} {role} {how} {n} {struck}: exit {code} {said}"
        self.assertEqual([l for l in lines if l.startswith("leak")], [], what)
        if how == "kill" and role != "child" and struck:
            self.assertEqual(code, -9, what)
        return struck, code, what

    def walk(self, command, check, before=lambda: None):
        """check(role, how, code, what) at every point of the command; returns how many there were."""
        points, wrong = 0, []
        for role in ("self", "parent", "child"):
            for how in ("fail", "kill"):
                for n in range(1, MOST, STEP):
                    before()
                    struck, code, what = self.strike(role, how, n, *command)
                    points += bool(struck)
                    for probe in ([lambda: check(role, how, code, what)] if struck else []) + [lambda: self.cleared(what)]:
                        try:
                            probe()
                        except AssertionError as e:
                            wrong.append(str(e))
                    if not struck:
                        break
                else:
                    self.fail(f"{command}: more than {MOST} points")
        self.assertEqual(wrong, [], "\n\n".join(wrong))
        return points

    def cleared(self, what):
        code, said = self.runc("delete", "--force", self.id)
        self.assertEqual((code, said), (0, ""), what)
        self.assert_nothing_left(what)

    def failed_leaves_nothing(self, role, how, code, what):
        # Who is killed cleans up nothing; for a killed child its parent does.
        if code and (how == "fail" or role == "child"):
            self.assert_nothing_left(what)

    def still_there(self, role, how, code, what):
        """The container is as good as it was, but for what the command does."""
        code, said = self.runc("exec", self.id, "true")
        self.assertEqual((code, said), (0, ""), what)
        end = time.monotonic() + 5
        count = lambda: len(subprocess.run([program("runc"), "--root", self.state, "ps", self.id], capture_output=True,
                                           text=True, check=True).stdout.splitlines()) - 1
        while count() > 1 and time.monotonic() < end:
            time.sleep(0.02)
        self.assertEqual(count(), 1, what)

    def fresh(self, *command):
        def make():
            code, said = self.runc(*command, self.id)
            self.assertEqual((code, said), (0, ""))
        return make

    def test_create(self):
        self.assertGreater(self.walk(("create", self.id), self.failed_leaves_nothing), 300 // STEP)

    def test_run(self):
        self.assertGreater(self.walk(("run", "-d", self.id), self.failed_leaves_nothing), 300 // STEP)

    def test_start(self):
        self.assertGreater(self.walk(("start", self.id), lambda *_: None, self.fresh("create")), 10 // STEP)

    def test_exec(self):
        self.assertGreater(self.walk(("exec", self.id, "true"), self.still_there, self.fresh("run", "-d")), 100 // STEP)

    def test_delete(self):
        self.assertGreater(self.walk(("delete", "--force", self.id), lambda *_: None, self.fresh("run", "-d")), 10 // STEP)
        self.assertGreater(self.walk(("delete", self.id), lambda *_: None, self.fresh("create")), 10 // STEP)


if __name__ == "__main__":
    unittest.main()
