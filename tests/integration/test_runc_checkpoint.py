"""checkpoint and restore: with the machine's criu where that works on its kernel, and with a stub of it that shows
what is asked and answers badly."""
import json
import os
import pathlib
import re
import socket
import subprocess
import time
import unittest

from bundle import cgroups_named
from casco import program, wait_for
from checkpointed import Checkpointed, StubbedCriu, why_no_criu

CHECKPOINT = ("--image-path --work-path --parent-path --leave-running --tcp-established --tcp-skip-in-flight --link-remap "
              "--ext-unix-sk --shell-job --lazy-pages --status-fd --page-server --file-locks --pre-dump --manage-cgroups-mode "
              "--empty-ns --auto-dedup")
RESTORE = ("--console-socket --image-path --work-path --tcp-established --ext-unix-sk --shell-job --file-locks "
           "--manage-cgroups-mode --bundle --detach --pid-file --no-subreaper --no-pivot --empty-ns --auto-dedup --lazy-pages "
           "--lsm-profile --lsm-mount-context")
MASKED = next(p for p in ("/proc/kcore", "/proc/keys", "/proc/timer_list") if os.path.exists(p))


class Flags(Checkpointed):
    def test_help(self):
        for name, flags in (("checkpoint", CHECKPOINT), ("restore", RESTORE)):
            text = self.runc(name, "--help").stdout
            self.assertEqual(re.findall(r"^   (--[a-z-]+)", text, re.M), flags.split())

    def test_words(self):
        self.assertIn("container does not exist", self.runc("checkpoint", self.id).stderr)
        self.assertIn("requires exactly 1 argument(s)", self.runc("checkpoint").stderr)
        self.assertIn("requires exactly 1 argument(s)", self.runc("restore", "a", "b").stderr)
        self.background()
        for flags, text in ((["--manage-cgroups-mode", "x"], "Invalid manage-cgroups-mode value"),
                            (["--page-server", "x"], "Use --page-server ADDRESS:PORT to specify page server"),
                            (["--page-server", "x:y"], "Invalid port number"),
                            (["--empty-ns", "pid"], 'namespace "pid" is not supported'),
                            (["--parent-path", "/x"], "--parent-path must be relative"),
                            (["--parent-path", "x"], "invalid --parent-path")):
            r = self.runc("checkpoint", *flags, "--image-path", self.images, self.id)
            self.assertEqual(r.returncode, 1)
            self.assertIn(text, r.stderr.replace("\\", ""))
        self.assertEqual(self.status(), "running")
        self.runc("kill", self.id, "KILL")
        wait_for("the end", lambda: self.status() == "stopped")
        self.assertIn("Container cannot be checkpointed in stopped state", self.runc("checkpoint", self.id).stderr)


class Stub(StubbedCriu):
    """What criu is asked, and what happens when it answers badly."""

    def test_dump_asks_by_tokens(self):
        (self.b.root / "link").symlink_to("real")
        (self.b.root / "real").mkdir()
        self.b.config["mounts"].append({"destination": "/link/m", "type": "bind", "source": str(self.top / "data"), "options": ["bind"]})
        self.counter()
        r = self.say("", "checkpoint", "--leave-running", "--tcp-established", "--file-locks", "--shell-job", "--link-remap",
                     "--manage-cgroups-mode", "full", "--page-server", "127.0.0.1:77", *self.paths(), self.id)
        self.assertEqual(r.returncode, 0, r.stderr)
        version, dump = self.asked()
        self.assertEqual((version["type"], dump["type"], dump["args"]), ("VERSION", "DUMP", ["swrk", "3"]))
        o = dump["opts"]
        mounts = dict(o[23 if 23 in o else "23"])
        self.assertEqual({k: v for k, v in mounts.items() if v.startswith("casco-mount")},
                         {"/real/m": "casco-mount-7", "/data": "casco-mount-8"})
        self.assertEqual(mounts[MASKED], "casco-null")
        self.assertFalse([v for v in mounts.values() if "/" in v])
        self.assertEqual([o[k] for k in ("3", "5", "7", "8", "18", "34", "38")],
                         [[1], [1], [1], [1], [1], [4], [0x40000000]])
        self.assertEqual(o["11"], [["127.0.0.1", 77]])
        self.assertTrue(o["44"][0].endswith(self.id) or "44" not in o)
        self.assertEqual(json.loads((self.images / "descriptors.json").read_text())[0], "/dev/null")
        self.assertEqual(self.status(), "running")

    def test_dump_that_succeeds_ends_the_container(self):
        self.counter()
        self.assertEqual(self.say("notify=network-lock notify=post-dump", "checkpoint", *self.paths(), self.id).returncode, 0)
        self.assertIn("container does not exist", self.runc("state", self.id).stderr)

    def test_bad_answers(self):
        self.counter()
        self.images.mkdir()
        self.work.mkdir()
        (self.work / "dump.log").write_text("(0.1) fine\n(0.2) Error (x.c:1): because\n")
        for words, text in (("fail", "criu failed: type DUMP errno 5"), ("eof", "unexpected EOF"),
                            ("garbage", "unable to parse the response"), ("version=31000", "CRIU version 31000 must be 31100 or higher")):
            r = self.say(words, "checkpoint", *self.paths(), self.id)
            self.assertEqual(r.returncode, 1, words)
            self.assertIn(text, r.stderr)
            self.assertEqual("because" in r.stderr, "version" not in words, r.stderr)
        self.assertEqual(self.status(), "running")
        r = self.runc("checkpoint", *self.paths(), self.id, env={"PATH": "/nonexistent"})
        self.assertIn('exec: "criu": executable file not found in $PATH', r.stderr.replace("\\", ""))

    def test_restore_asks_by_tokens(self):
        data = self.top / "data"
        data.mkdir()
        self.b.mount("/data", type="bind", source=str(data), options=["bind"])
        self.prepare_restore()
        r = self.say("fail", "restore", "-d", "--lsm-profile", "apparmor:x", *self.paths(), self.id)
        self.assertEqual(r.returncode, 1)
        self.assertIn("criu failed: type RESTORE errno 5", r.stderr)
        o = self.asked()[1]["opts"]
        mounts = dict(o["23"])
        self.assertEqual((mounts["casco-mount-7"], mounts["casco-null"]), (str(data), "/dev/null"))
        self.assertEqual(o["27"], [["pipe:[12]", 1]], "only pipes are inherited")
        self.assertTrue(o["13"][0].endswith("/criu-root"))
        self.assertEqual((o["26"], o["53"]), ([1], ["apparmor:x"]))
        self.assertTrue(any(path.endswith(self.id) for _, path in o["25"]), o["25"])
        self.assertTrue((self.b.root / "data").is_dir(), "the mount point was made")
        self.nothing_left()

    def test_restore_without_a_check_is_none(self):
        self.prepare_restore()
        r = self.say("pid notify=post-restore", "restore", "-d", *self.paths(), self.id)
        self.assertEqual(r.returncode, 1)
        self.assertIn("did not ask before the processes went on", r.stderr)
        self.nothing_left()

    def test_restore_of_another_thing(self):
        """The stub's "restored" process is one of the host's: its root, mounts and rights are not config.json's."""
        self.prepare_restore()
        r = self.say("pid notify=post-restore notify=pre-resume", "restore", "-d", *self.paths(), self.id)
        self.assertEqual(r.returncode, 1)
        self.assertIn("the images do not fit config.json", r.stderr)
        self.nothing_left()

    def test_restore_refuses_what_nobody_would_do(self):
        self.prepare_restore()
        for field, value in (("intelRdt", {"closID": "x"}), ("netDevices", {"e0": {}})):
            self.b.config["linux"][field] = value
            self.b.write()
            r = self.runc("restore", "-d", *self.paths(), self.id)
            self.assertEqual(r.returncode, 1)
            self.assertIn(f"linux.{field} can't be restored", r.stderr)
            del self.b.config["linux"][field]

    def test_restore_that_is_killed(self):
        """Its cgroups were made: whoever deletes it finds them, and what is in them."""
        self.prepare_restore()
        env = {**os.environ, "PATH": self.path, "STUB_CRIU": "hang", "STUB_CRIU_LOG": str(self.log)}
        with subprocess.Popen([program("runc"), "--root", self.state, "restore", "-d", *self.paths(), self.id], cwd=self.b.path, env=env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as p:
            wait_for("the request", lambda: self.log.exists() and len(self.asked()) == 2)
            p.kill()
        self.assertTrue(cgroups_named(self.id))
        self.assertEqual(self.runc("delete", "-f", self.id).returncode, 0)
        self.nothing_left()

    def test_folder_of_the_notify_socket(self):
        """A mount that config.json does not have: known by a token, and there again for one that needs it."""
        self.b.config["process"]["args"] = ["sleep", "100"]
        self.b.write()
        subprocess.run([program("runc"), "--root", self.state, "create", self.id], cwd=self.b.path, check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "NOTIFY_SOCKET": "/nonexistent"})
        self.runc("start", self.id)  # and waits for nobody, without NOTIFY_SOCKET
        self.say("fail", "checkpoint", *self.paths(), self.id)
        self.assertEqual(dict(self.asked()[-1]["opts"]["23"])["/run/notify"], "casco-notify")
        self.runc("delete", "-f", self.id)
        self.say("fail", "restore", "-d", *self.paths(), self.id)
        self.assertEqual(dict(self.asked()[-1]["opts"]["23"])["casco-notify"], str(self.state / self.id / "notify"))
        self.nothing_left()

    def test_descriptors_that_are_none(self):
        for text, why in (("[", "descriptors.json"), ("{}", "not a list"), ("[" + "1," * 40000 + "1]", "not a short file")):
            self.prepare_restore(text)
            self.assertIn(why, self.say("", "restore", "-d", *self.paths(), self.id).stderr)
        (self.images / "descriptors.json").unlink()
        os.mkfifo(self.images / "descriptors.json")
        self.assertIn("not a short file", self.say("", "restore", "-d", *self.paths(), self.id).stderr)
        (self.images / "descriptors.json").unlink()
        (self.images / "descriptors.json").symlink_to("/etc/passwd")
        self.assertEqual(self.say("", "restore", "-d", *self.paths(), self.id).returncode, 1)
        self.nothing_left()


@unittest.skipIf(why_no_criu(), f"no usable criu: {why_no_criu()}")
class Real(Checkpointed):
    def test_there_and_back(self):
        self.counter()
        self.start("checkpoint", *self.paths(), self.id)
        self.assertIn("container does not exist", self.runc("state", self.id).stderr)
        stopped_at = self.number()
        time.sleep(0.2)
        self.assertEqual(self.number(), stopped_at)
        self.start("restore", "-d", "--pid-file", str(self.top / "pid"), *self.paths(), self.id)
        self.counts()
        self.assertGreater(self.number(), stopped_at, "it went on, and did not begin again")
        self.assertEqual(self.status(), "running")
        self.assertEqual(json.loads(self.runc("state", self.id).stdout)["pid"], int((self.top / "pid").read_text()))
        self.assertEqual(self.runc("exec", self.id, "sh", "-c", "cat /data/n >/dev/null; id -u").stdout, "0\n")
        self.assertEqual(self.runc("pause", self.id).returncode, 0)
        self.assertEqual(self.status(), "paused")

    def test_twice_and_leave_running(self):
        self.counter()
        self.start("checkpoint", "--leave-running", "--image-path", str(self.top / "first"), self.id)
        self.assertTrue((self.top / "first/inventory.img").exists())
        for _ in range(2):
            self.counts()
            self.start("checkpoint", *self.paths(), self.id)
            self.start("restore", "-d", *self.paths(), self.id)
        self.counts()
        self.start("checkpoint", *self.paths(), self.id)
        self.assertIn("container with given ID", self.again())

    def again(self):
        self.start("restore", "-d", *self.paths(), self.id)
        return self.start("restore", "-d", *self.paths(), self.id, status=1)

    def test_a_paused_one(self):
        self.counter()
        self.runc("pause", self.id)
        self.start("checkpoint", *self.paths(), self.id)
        self.start("restore", "-d", *self.paths(), self.id)
        self.counts()

    def test_foreground_pipes_and_exit_code(self):
        self.b.config["process"]["args"] = ["sh", "-c", "trap 'exit 7' TERM; i=0; while :; do echo line $i; i=$((i+1)); sleep 0.1; done"]
        self.b.write()
        p = subprocess.Popen([program("runc"), "--root", self.state, "run", self.id], cwd=self.b.path, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.assertEqual(p.stdout.readline(), "line 0\n")
        self.start("checkpoint", *self.paths(), self.id)
        last = (["line 0"] + p.stdout.read().splitlines())[-1]
        p.stdout.close()
        p.wait(10)
        p = subprocess.Popen([program("runc"), "--root", self.state, "restore", *self.paths(), self.id], cwd=self.b.path,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.assertGreater(int(p.stdout.readline().split()[1]), int(last.split()[1]) - 1)
        p.send_signal(15)
        self.assertEqual(p.wait(10), 7)
        p.stdout.close()
        self.assertIn("container does not exist", self.runc("state", self.id).stderr)

    def test_terminal(self):
        self.b.config["process"].update(terminal=True, args=["sh", "-c", "while read x; do echo got $x; done"])
        self.b.write()
        os.chdir(self.b.path)
        master = self.console("run", "-d")
        os.write(master, b"a\n")
        self.see(master, "got a")
        self.start("checkpoint", *self.paths(), self.id)
        os.close(master)
        master = self.console("restore", "-d", *self.paths())
        os.write(master, b"b\n")
        self.see(master, "got b")
        os.close(master)

    def console(self, *args):
        path = self.top / "console"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(1)
            listener.settimeout(20)
            self.start(*args, "--console-socket", str(path), self.id)
            c, _ = listener.accept()
            with c:
                return socket.recv_fds(c, 64, 1)[1][0]

    def see(self, fd, text):
        seen = ""
        end = time.monotonic() + 10
        os.set_blocking(fd, False)
        while text not in seen and time.monotonic() < end:
            try:
                seen += os.read(fd, 1000).decode()
            except BlockingIOError:
                time.sleep(0.02)
        self.assertIn(text, seen)

    def test_cgroup_limits_come_from_config(self):
        self.b.config["linux"]["resources"]["pids"] = {"limit": 50}
        self.counter()
        self.start("checkpoint", *self.paths(), self.id)
        self.b.config["linux"]["resources"]["pids"] = {"limit": 40}
        self.b.write()
        self.start("restore", "-d", *self.paths(), self.id)
        found = [p.read_text().strip() for p in pathlib.Path("/sys/fs/cgroup").glob(f"**/{self.id}/pids.max")]
        self.assertEqual(found, ["40"])
        self.counts()

    def test_joined_network(self):
        holder = subprocess.Popen(["unshare", "-n", "sleep", "100"], stdin=subprocess.DEVNULL)
        try:
            wait_for("the namespace", lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != os.readlink("/proc/self/ns/net"))
            for n in self.b.config["linux"]["namespaces"]:
                if n["type"] == "network":
                    n["path"] = f"/proc/{holder.pid}/ns/net"
            self.counter()
            self.start("checkpoint", *self.paths(), self.id)
            self.start("restore", "-d", *self.paths(), self.id)
            pid = json.loads(self.runc("state", self.id).stdout)["pid"]
            self.assertEqual(os.readlink(f"/proc/{pid}/ns/net"), os.readlink(f"/proc/{holder.pid}/ns/net"))
        finally:
            holder.kill()
            holder.wait()

    def back_and_forth(self):
        self.counter()
        self.start("checkpoint", *self.paths(), self.id)
        self.start("restore", "-d", *self.paths(), self.id)
        self.counts()
        self.assertFalse((self.state / self.id / "notify").exists())

    def test_cgroup_namespace_and_seccomp(self):
        self.b.config["linux"]["namespaces"].append({"type": "cgroup"})
        self.b.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW",
                                             "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}
        self.back_and_forth()
        self.assertIn("Operation not permitted", self.runc("exec", self.id, "mkdir", "/dev/x").stderr)

    def test_user_namespace(self):
        self.user_namespace()
        self.back_and_forth()
        self.assertEqual(self.images.stat().st_mode & 0o7777, 0o700)  # as it was made
        self.assertEqual(self.runc("exec", self.id, "id", "-u").stdout, "0\n")

    def test_one_with_a_notify_socket(self):
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(str(self.top / "manager"))
        os.environ["NOTIFY_SOCKET"] = str(self.top / "manager")
        self.addCleanup(os.environ.pop, "NOTIFY_SOCKET", None)
        (self.top / "data").mkdir()
        self.b.mount("/data", type="bind", source=str(self.top / "data"), options=["bind"])
        self.b.config["root"]["readonly"] = False
        self.b.config["process"]["args"] = ["sh", "-c", "i=0; while :; do i=$((i+1)); echo $i >/data/n; sleep 0.05; done"]
        self.b.write()
        self.start("create", self.id)
        del os.environ["NOTIFY_SOCKET"]  # start would wait for READY, which never comes
        self.start("start", self.id)
        self.counts()
        self.start("checkpoint", *self.paths(), self.id)
        self.start("restore", "-d", *self.paths(), self.id)
        self.counts()

    def test_pre_dump(self):
        self.counter()
        r = self.runc("checkpoint", "--pre-dump", *self.paths(), self.id)
        if "missing features: [MemTrack]" in r.stderr:
            self.skipTest("this kernel has no memory tracking (CONFIG_MEM_SOFT_DIRTY)")
        self.assertEqual(r.returncode, 0, r.stderr)
        self.counts()


@unittest.skipIf(why_no_criu(), f"no usable criu: {why_no_criu()}")
class Richer(Checkpointed):
    """Images that hold more than config.json gives: what a hostile image would."""

    def refused(self, text, **changes):
        self.start("checkpoint", *self.paths(), self.id)
        self.b.config["process"].update(changes)
        self.b.write()
        err = self.start("restore", "-d", *self.paths(), self.id, status=1)
        self.assertRegex(err, "the images do not fit config.json: " + text)
        self.assertEqual(list(self.state.glob("[!.]*")), [])
        before = self.number()
        time.sleep(0.2)
        self.assertEqual(self.number(), before, "nothing of it ran")

    def test_capabilities(self):
        caps = ["CAP_KILL", "CAP_CHOWN"]
        self.b.config["process"]["capabilities"] = {k: caps for k in ("bounding", "effective", "permitted")}
        self.counter()
        self.refused(r"process \d+ has more capabilities \(Cap",
                     capabilities={k: ["CAP_KILL"] for k in ("bounding", "effective", "permitted")})

    def test_no_new_privs(self):
        self.b.config["process"]["noNewPrivileges"] = False
        self.counter()
        self.refused(r"process \d+ has no no_new_privs", noNewPrivileges=True)

    def test_seccomp(self):
        self.counter()
        self.b.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW",
                                             "syscalls": [{"names": ["swapoff"], "action": "SCMP_ACT_ERRNO"}]}
        self.refused("there is no seccomp filter")

    def test_another_seccomp_profile(self):
        profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["swapoff"], "action": "SCMP_ACT_ERRNO"}]}
        self.b.config["linux"]["seccomp"] = profile
        self.counter()
        profile["syscalls"][0]["names"].append("mkdir")
        self.refused("another seccomp filter than its profile")

    def test_user(self):
        self.counter()
        self.refused(r"process \d+ has another uid", user={"uid": 1000, "gid": 0})

    def test_group(self):
        self.counter()
        self.refused(r"process \d+ has another gid", user={"uid": 0, "gid": 1000})

    def test_groups(self):
        self.b.config["process"]["user"] = {"uid": 0, "gid": 0, "additionalGids": [10]}
        self.counter()
        self.refused(r"process \d+ has other groups", user={"uid": 0, "gid": 0})

    def test_ids_of_the_user_namespace(self):
        self.user_namespace()
        linux = self.b.config["linux"]
        self.images.mkdir()
        self.counter()
        self.start("checkpoint", "--leave-running", *self.paths(), self.id)
        subprocess.run(["chmod", "-R", "a+rX", self.images], check=True)  # criu reads some of it as the container's root
        self.runc("delete", "-f", self.id)
        linux["uidMappings"] = [{"containerID": 0, "hostID": 200000, "size": 65536}]
        self.b.write()
        self.assertIn("the images do not fit config.json: its user namespace has other ids",
                      self.start("restore", "-d", *self.paths(), self.id, status=1))
        linux["uidMappings"] = linux["gidMappings"]
        self.b.write()
        self.start("restore", "-d", *self.paths(), self.id)
        self.counts()

    def test_limits_are_the_configs(self):
        process = self.b.config["process"]
        process["rlimits"] = [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}]
        process["oomScoreAdj"] = 100
        self.counter()
        self.start("checkpoint", *self.paths(), self.id)
        process["rlimits"] = [{"type": "RLIMIT_NOFILE", "hard": 64, "soft": 32}]
        process["oomScoreAdj"] = 300
        self.b.write()
        self.start("restore", "-d", *self.paths(), self.id)
        self.counts()
        pid = json.loads(self.runc("state", self.id).stdout)["pid"]
        self.assertEqual(pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text(), "300\n")
        self.assertRegex(pathlib.Path(f"/proc/{pid}/limits").read_text(), r"Max open files +32 +64 ")

    def test_mask(self):
        masked = self.b.config["linux"]["maskedPaths"]
        self.b.config["linux"]["maskedPaths"] = [m for m in masked if m != MASKED]
        self.counter()
        self.b.config["linux"]["maskedPaths"] = masked
        self.refused(f"not masked: {MASKED}")

    def test_writable_mount(self):
        self.counter()
        self.b.config["mounts"][-1]["options"] = ["rbind", "ro"]
        self.refused("not read-only: /data")

    def test_mount_where_a_link_leads(self):
        (self.b.root / "real/conf").mkdir(parents=True)
        (self.b.root / "conf").symlink_to("/real/conf")
        (self.top / "conf").mkdir()
        self.b.mount("/conf", type="bind", source=str(self.top / "conf"), options=["bind"])
        self.counter()
        self.start("checkpoint", *self.paths(), self.id)
        self.start("restore", "-d", *self.paths(), self.id)

    def test_mount_that_is_not_there(self):
        (self.top / "secret").mkdir()
        self.b.mount("/more", type="bind", source=str(self.top / "secret"), options=["bind"])
        self.counter()
        data = self.b.config["mounts"].pop()  # tokens keep their numbers: the last one goes
        self.b.config["mounts"].pop()
        self.b.config["mounts"].append(data)
        self.start("checkpoint", *self.paths(), self.id)
        self.b.write()
        self.start("restore", "-d", *self.paths(), self.id, status=1)
        self.assertEqual(list(self.state.glob("[!.]*")), [])


if __name__ == "__main__":
    unittest.main()
