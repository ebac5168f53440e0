"""A container that is still being made: others reach for it, and its own hooks run."""
import contextlib
import json
import os
import pathlib
import subprocess

import casco
from attack import Attack


class HalfMade(Attack):
    @contextlib.contextmanager
    def making(self, *verb):
        """Its name and its maker, while its first process is in new namespaces and not yet in its root."""
        go, log = self.scratch.path / "go", self.scratch.path / "log"
        config = self.config("/bin/sleep", "1000")
        config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": [
            "sh", "-c", f"until test -e {go}; do sleep 0.05; done"]}]}
        self.write(config)
        go.unlink(missing_ok=True)
        name = f"{self.scratch.cgroup_mark}-{verb[0]}"
        with open(log, "wb") as out:
            p = subprocess.Popen(self.command(*verb, "--bundle", self.bundle, name), stdin=subprocess.DEVNULL,
                                 stdout=out, stderr=out)
        try:
            casco.wait_for("its state", (self.root / name / "state.json").exists)
            yield name, p
            if p.poll() is not None:
                return
            go.touch()
            self.assertEqual(p.wait(timeout=20), 0, log.read_text())
            r = self.runc("exec", name, "/bin/ls", "/etc")
            self.assertEqual((r.returncode, r.stdout), (0, ""), r.stderr)
        finally:
            go.touch()
            p.wait(timeout=20)
            self.runc("delete", "--force", name)

    def test_nobody_follows_it_into_the_hosts_root(self):
        """Whoever may exec in a container would be given the host's files to read and write."""
        for verb in (("run", "--detach"), ("create",)):
            with self.subTest(verb), self.making(*verb) as (name, _):
                r = self.runc("exec", name, "/bin/cat", self.host / "file")
                self.assert_clear_error(r)
                self.assertIn('"status": "creating"', self.runc("state", name).stdout)
                self.assert_clear_error(self.runc("start", name))
                self.assert_clear_error(self.runc("pause", name))
                self.assert_clear_error(self.runc("delete", name))

    def test_its_maker_dies(self):
        """What it leaves is stopped, not for ever in the making."""
        with self.making("create") as (name, maker):
            maker.kill()
            maker.wait()
            casco.wait_for("its end", lambda: '"status": "stopped"' in self.runc("state", name).stdout)
            r = self.runc("delete", name)
            self.assertEqual(r.returncode, 0, r.stderr)

    def test_its_own_hooks_wait_for_its_limits(self):
        """nvidia's class: such a hook may run what the image brings.  Its maker is held up before the last step."""
        if not pathlib.Path("/usr/bin/strace").exists():
            self.skipTest("no strace")
        seen = self.scratch.path / "seen"
        config = self.config("/bin/true")
        config["hooks"] = {"createContainer": [{"path": "/bin/sh", "args": [
            "sh", "-c", f"ls {self.root}/*/state.json >{seen} 2>&1; exit 0"]}]}
        slow = ["strace", "-qq", "-o", self.scratch.path / "strace", "-e", "trace=renameat,renameat2",
                "-e", "inject=renameat,renameat2:delay_enter=300000"]
        r = self.run_config(config, wrap=slow)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertEqual(seen.read_text(), f"{self.root}/attack-{os.getpid()}-1/state.json\n")


class Labels(Attack):
    def test_a_process_that_names_no_profile(self):
        """exec of a process document without one ran under the caller's: unconfined, in a confined container.  Where
        the machine has no such module, that the container's is asked for is seen by its refusal."""
        process = self.scratch.path / "process.json"
        process.write_text(json.dumps({"args": ["/bin/true"], "cwd": "/", "user": {"uid": 0, "gid": 0}}))
        with self.running(self.config("/bin/sleep", "1000")) as name:
            path = self.root / name / "state.json"
            state = json.loads(path.read_text())
            for key, module in (("apparmor_profile", "/sys/module/apparmor"), ("selinux_label", "/sys/fs/selinux/enforce")):
                if pathlib.Path(module).exists():
                    continue
                path.write_text(json.dumps({**state, key: "of-the-container"}))
                r = self.runc("exec", "--process", process, name)
                self.assert_clear_error(r)
                self.assertIn(key.split("_")[0], r.stderr)
