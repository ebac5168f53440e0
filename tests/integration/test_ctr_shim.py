"""ctr shim: a shim asked directly, with the daemon out of the way."""
import json
import os
import unittest

from casco import DaemonTest, wait_for


class Shim(DaemonTest):
    def shim(self, id, *args, **kw):
        return self.ctr("shim", "--id", id, *args, **kw)

    def test_life_without_the_daemon(self):
        self.ctr("containers", "create", "--cpuset-cpus", "0", "--cpuset-mems", "0", self.IMAGE, "box", "sleep", "100")
        self.ctr("tasks", "start", "-d", "box")
        self.daemon.kill()  # nobody is there but the shim
        for version in ("2", "3"):
            state = json.loads(self.shim("box", "state", "--api-version", version).stdout)
            self.assertEqual((state["id"], state["status"]), ("box", "RUNNING"))
        fifos = {k: str(self.scratch.path / k) for k in ("stdin", "stdout", "stderr")}
        for path in fifos.values():
            os.mkfifo(path)
        process = self.scratch.path / "process.json"
        process.write_text(json.dumps({"args": ["sh", "-c", "echo $A; pwd; read x; echo $x >&2; grep Cpus_allowed_list /proc/self/status"],
                                       "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}}))
        r = self.shim("box", "exec", "-a", "-e", "A=b", "--cwd", "/tmp", "--spec", process, *[w for k, p in fifos.items() for w in (f"--{k}", p)],
                      "e1", input="typed\n")
        self.assertRegex(r.stdout, r"^exec running with pid \d+\nb\n/tmp\nCpus_allowed_list:\t0\n$")
        self.assertEqual(r.stderr, "typed\n")
        self.assertIn("connect to", self.shim("nobody", "state", check=False).stderr)
        self.assertIn("--shim-address must be given", self.ctr("shim", "state", check=False).stderr)
        os.kill(state["pid"], 9)
        wait_for("the end", lambda: json.loads(self.shim("box", "state").stdout)["status"] == "STOPPED")
        self.assertEqual(self.shim("box", "delete").stdout, "container deleted and returned exit status 137\n")
        self.shim("box", "shutdown")
        self.daemon.start()
        self.assertEqual(self.ctr("tasks", "ls", "-q").stdout, "")


if __name__ == "__main__":
    unittest.main()
