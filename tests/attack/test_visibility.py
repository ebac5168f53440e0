"""What a container sees of a process of the runtime's that shares a pid namespace with it, at each
point where that process stands still."""
import contextlib
import json
import os
import pathlib
import subprocess
import unittest

import attack
from attack import Attack

# Names of descriptors can be listed by any root; what they lead to must not be found out.
LOOK = ("for d in /proc/[0-9]*; do p=${d#/proc/};"
        " for f in $d/fd/* $d/map_files/*; do readlink $f >/dev/null 2>&1 && echo $p ${f#$d/}; done;"
        " for f in exe cwd root ns/mnt; do readlink $d/$f >/dev/null 2>&1 && echo $p $f; done;"
        " for f in environ maps mem auxv; do (exec 3<$d/$f) 2>/dev/null && echo $p $f; done; done")


class Visibility(Attack):
    def look(self, name):
        """{pid: what can be read of it}, by root of the container."""
        r = self.runc("exec", name, "/bin/sh", "-c", LOOK)
        seen = {}
        for line in r.stdout.splitlines():
            pid, what = line.split()
            seen.setdefault(int(pid), set()).add(what)
        return seen

    def inner_pid(self, pid):
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
        return int(next(line for line in text.splitlines() if line.startswith("NSpid:")).split()[-1])

    @contextlib.contextmanager
    def created(self, config):
        self.write(config)
        self.count += 1
        name = f"attack-{os.getpid()}-{self.count}"
        with open(self.scratch.path / "create.log", "wb") as log:
            r = subprocess.run(self.command("create", "--bundle", self.bundle, name), stdin=subprocess.DEVNULL, stdout=log,
                               stderr=log, timeout=attack.TIMEOUT, check=False)
        try:
            self.assertEqual(r.returncode, 0, (self.scratch.path / "create.log").read_text())
            yield name, json.loads(self.runc("state", name).stdout)["pid"]
        finally:
            self.runc("delete", "--force", name)

    def test_a_created_container_shows_nothing(self):
        """CVE-2016-9962: it waits for start with the runtime's memory, as root, before its program runs.

        Control: with PR_SET_DUMPABLE at 1 in init_main() and protect.c the watcher reads its links and memory."""
        with self.running(self.config("/bin/sleep", "1000")) as watcher:
            pid = json.loads(self.runc("state", watcher).stdout)["pid"]
            config = self.config("/bin/sleep", "1000")
            for n in config["linux"]["namespaces"]:
                if n["type"] == "pid":
                    n["path"] = f"/proc/{pid}/ns/pid"
            with self.created(config) as (_, waiting):
                inner = self.inner_pid(waiting)
                seen = self.look(watcher)
                self.assertIn("exe", seen.get(1, set()), "the watcher sees its own kin: the look works")
                self.assertEqual(seen.get(inner, set()), set())

    def test_a_created_container_of_another_user_shows_nothing(self):
        """The change of the user makes it dumpable again on some systems (fs.suid_dumpable)."""
        with self.running(self.config("/bin/sleep", "1000")) as watcher:
            pid = json.loads(self.runc("state", watcher).stdout)["pid"]
            config = self.config("/bin/sleep", "1000", user={"uid": 1000, "gid": 1000})
            for n in config["linux"]["namespaces"]:
                if n["type"] == "pid":
                    n["path"] = f"/proc/{pid}/ns/pid"
            with self.created(config) as (_, waiting):
                self.assertEqual(self.look(watcher).get(self.inner_pid(waiting), set()), set())

    def test_what_a_created_container_holds(self):
        """Three streams, the fifo it waits on, and nothing else: seen from the host."""
        with self.created(self.config("/bin/sleep", "1000")) as (name, waiting):
            links = {os.readlink(f"/proc/{waiting}/fd/{n}") for n in os.listdir(f"/proc/{waiting}/fd")}
            fifo = str(self.root / name / "exec.fifo")
            # its path is of the host: the container has no such name, so that it shows as the mount's own
            rest = {x for x in links if not x.endswith("/exec.fifo") and x not in ("/dev/null", str(self.scratch.path / "create.log"))}
            self.assertEqual(rest - {fifo}, set())

    def test_the_runtime_is_not_traced_by_its_child(self):
        """A process of the container has no relation to the runtime that it could trace it by."""
        r = self.run_config(self.config("/bin/sh", "-c", "grep -E '^(PPid|TracerPid|NSpid)' /proc/self/status"))
        fields = dict(line.split(":", 1) for line in r.stdout.splitlines())
        self.assertEqual(fields["TracerPid"].strip(), "0")
        self.assertIn(fields["PPid"].strip(), ("0", "1"))


if __name__ == "__main__":
    unittest.main()
