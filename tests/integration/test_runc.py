"""runc alone: what config.json can say, the life of a container, bad input."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time
import unittest

from bundle import RuncTest
from casco import Terminal, program, wait_for, wait_for_foreground


class Spec(RuncTest):
    def test_default(self):
        out = self.sh("id -u; hostname; pwd; ls /dev; echo $HOME; exit 7", 7)
        self.assertEqual(out.split()[:3], ["0", "runc", "/"])
        self.assertIn("urandom", out)
        self.assertTrue(out.endswith("/root\n"), out)

    def test_user_groups_umask_env(self):
        p = self.b.config["process"]
        p["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [5, 7], "umask": 0o27}
        p["env"] += ["A=1", "A=2"]
        self.assertEqual(self.sh("id -u; id -g; id -G; umask; echo $A $HOME; grep CapEff /proc/self/status").split(),
                         ["1000", "1001", "1001", "5", "7", "0027", "2", "/home/u", "CapEff:", "0" * 16])

    def test_cwd_of_another(self):
        """Where the process could not go itself it is put; where not even root may look, it goes itself."""
        home = self.b.root / "home"
        home.mkdir(mode=0o700)
        p = self.b.config["process"]
        p["cwd"] = "/home"
        p["user"] = {"uid": 42, "gid": 42}
        self.assertEqual(self.sh("readlink /proc/self/cwd; ls . 2>/dev/null || echo no"), "/home\nno\n")
        os.chown(home, 42, 42)
        self.assertEqual(self.sh("pwd"), "/home\n")
        self.background("sleep", "60")
        r = self.runc("exec", "--user", "0", self.id, "readlink", "/proc/self/cwd")  # without CAP_DAC_OVERRIDE
        self.assertEqual(r.stdout, "/home\n", r.stderr)

    def test_rlimit_oom_nnp(self):
        self.b.config["process"].update(oomScoreAdj=100, rlimits=[{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}])
        out = self.sh("ulimit -n; cat /proc/self/oom_score_adj; grep NoNewPrivs /proc/self/status")
        self.assertEqual(out.split(), ["77", "100", "NoNewPrivs:", "1"])

    def test_mounts(self):
        data = self.top / "data"
        data.mkdir()
        (data / "f").write_text("hello")
        self.b.config["root"]["readonly"] = False
        self.b.mount("/a/b/c", type="bind", source=str(data), options=["rbind", "ro", "nosuid"])
        self.b.mount("/file", source=str(data / "f"), options=["bind"])
        self.b.mount("/t", type="tmpfs", source="tmpfs", options=["size=1m", "noexec", "mode=0700"])
        self.b.mount("/bin2", type="tmpfs", source="tmpfs", options=["nodev"])
        out = self.sh("cat /a/b/c/f /file; touch /a/b/c/x 2>/dev/null || echo ro; touch /file; "
                      "grep -E ' /t |/a/b/c' /proc/self/mountinfo")
        self.assertTrue(out.startswith("hellohelloro\n"), out)
        self.assertIn("noexec", out)
        self.assertIn("ro,nosuid", out)

    def test_tmpcopyup(self):
        (self.b.root / "etc/sub").mkdir()
        os.symlink("passwd", self.b.root / "etc/link")
        self.b.mount("/etc", type="tmpfs", source="tmpfs", options=["tmpcopyup"])
        self.assertEqual(self.sh("head -1 /etc/link; ls /etc; touch /etc/new").splitlines()[0], "root:x:0:0::/root:/bin/sh")
        self.assertFalse((self.b.root / "etc/new").exists())

    def test_sysctl_and_its_limits(self):
        sysctl = self.b.config["linux"].setdefault("sysctl", {})
        sysctl["net.ipv4.ip_forward"] = "1"
        sysctl["kernel.shm_rmid_forced"] = "1"
        self.assertEqual(self.sh("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shm_rmid_forced").split(), ["1", "1"])
        sysctl["kernel.core_pattern"] = "x"
        self.fails("is not in a separate kernel namespace")

    def test_devices(self):
        self.b.config["linux"]["devices"] = [{"path": "/dev/net/tun", "type": "c", "major": 10, "minor": 200,
                                              "fileMode": 0o600, "uid": 5, "gid": 6}]
        self.assertEqual(self.sh("stat -c '%t %T %a %u %g' /dev/net/tun").split(), ["a", "c8", "600", "5", "6"])

    def test_user_namespace(self):
        linux = self.b.config["linux"]
        linux["namespaces"].append({"type": "user"})
        linux["uidMappings"] = linux["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        os.chmod(self.top, 0o700)
        data = self.top / "data"
        data.mkdir()
        data.chmod(0o777)
        self.b.mount("/tmp", type="bind", source=str(data), options=["rbind", "rw"])
        (self.b.root / "x").mkdir()
        self.b.mount("/x", type="bind", source=str(data), options=["rbind", "ro", "nosuid", "rprivate"])
        out = self.sh("id -u; cat /proc/self/uid_map; touch /tmp/f; touch /x/g 2>/dev/null || echo ro >/tmp/h; echo x >/dev/null; ls /tmp; cat /dev/zero | head -c 1 | wc -c")
        self.assertEqual(out.split()[:4], ["0", "0", "100000", "65536"])
        self.assertEqual(sorted(os.listdir(data)), ["f", "h"])

    def test_namespace_by_path(self):
        self.background()
        pid = json.loads(self.runc("state", self.id).stdout)["pid"]
        own, self.id = self.id, self.id + "b"
        try:
            for n in self.b.config["linux"]["namespaces"]:
                if n["type"] in ("network", "ipc", "uts", "pid"):
                    n["path"] = f"/proc/{pid}/ns/" + {"network": "net"}.get(n["type"], n["type"])
            del self.b.config["hostname"]
            out = self.sh("hostname; ps | grep -c [s]leep.60; readlink /proc/self/ns/net").split()
            self.assertEqual(out[:2], ["runc", "1"])
            self.assertEqual(out[2], os.readlink(f"/proc/{pid}/ns/net"))
        finally:
            self.id = own

    def test_user_namespace_by_path(self):
        linux = self.b.config["linux"]
        linux["namespaces"].append({"type": "user"})
        linux["uidMappings"] = linux["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        self.background()
        pid = json.loads(self.runc("state", self.id).stdout)["pid"]
        own, self.id = self.id, self.id + "b"
        try:
            linux["namespaces"][-1]["path"] = f"/proc/{pid}/ns/user"
            del linux["uidMappings"], linux["gidMappings"]
            out = self.sh("id -u; readlink /proc/self/ns/user; echo $$").split()
            self.assertEqual(out, ["0", os.readlink(f"/proc/{pid}/ns/user"), "1"])
        finally:
            self.id = own
        r = self.runc("exec", self.id, "sh", "-c", "id -u; cat /proc/self/uid_map")
        self.assertEqual(r.stdout.split()[:3], ["0", "0", "100000"], r.stderr)

    def test_network_namespace_is_new_for_all_who_look(self):
        """It is made by a helper beside the start: sysfs, hooks and the program must see the same one."""
        seen = self.top / "seen"
        script = f"read s; p=${{s##*'\"pid\":'}}; readlink /proc/${{p%%,*}}/ns/net >>{seen}"
        self.b.config["hooks"] = {n: [{"path": "/bin/bash", "args": ["bash", "-c", script]}] for n in ("prestart", "createRuntime")}
        self.b.config["hooks"]["createContainer"] = [{"path": "/bin/sh", "args": ["sh", "-c", f"readlink /proc/self/ns/net >>{seen}"]}]
        inside, net = self.sh("readlink /proc/self/ns/net; ls /sys/class/net").splitlines()
        self.assertEqual((seen.read_text().split(), net), ([inside] * 3, "lo"))
        self.assertNotEqual(inside, os.readlink("/proc/self/ns/net"))
        self.b.config["mounts"] = [m for m in self.b.config["mounts"] if m["type"] != "sysfs" and m["type"] != "cgroup"]
        self.b.config["linux"]["readonlyPaths"] = self.b.config["linux"]["maskedPaths"] = []
        self.assertEqual(self.sh("readlink /proc/self/ns/net") == os.readlink("/proc/self/ns/net"), False)
        self.b.config["linux"]["namespaces"].remove({"type": "network"})
        self.assertEqual(self.sh("readlink /proc/self/ns/net").strip(), os.readlink("/proc/self/ns/net"))

    def test_cgroup_namespace_and_limit(self):
        self.b.config["linux"]["namespaces"].append({"type": "cgroup"})
        self.b.config["linux"]["resources"]["memory"] = {"limit": 32 << 20}
        out = self.sh("cat /proc/self/cgroup /sys/fs/cgroup/memory/memory.limit_in_bytes")
        self.assertIn("memory:/\n", out)
        self.assertIn(str(32 << 20), out)

    def test_seccomp(self):
        self.b.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                                             "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}
        self.assertIn("Operation not permitted", self.sh("mkdir /dev/x 2>&1; true"))
        self.background()
        r = self.runc("exec", self.id, "mkdir", "/dev/x")
        self.assertIn("Operation not permitted", r.stderr)

    def test_damaged_files_are_named(self):
        """With the container whose they are: an operator has many."""
        self.b.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                                             "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}
        self.background()
        filters, state = self.state / self.id / "seccomp.bpf", self.state / self.id / "state.json"
        filters.write_bytes(filters.read_bytes()[:-1])
        r = self.runc("exec", self.id, "true")
        self.assertIn(f"exec failed: seccomp.bpf of container {self.id} is cut off", r.stderr)
        whole = state.read_text()
        self.addCleanup(state.write_text, whole)  # comes first: what checks that all is gone deletes it
        state.write_text(whole.replace(f'"{self.id}"', '"another"'))
        r = self.runc("state", self.id)
        self.assertIn(f"{state} is of another container, another", r.stderr)

    def test_hooks(self):
        log = self.top / "hooks"
        hook = lambda name: {"path": "/bin/sh", "args": ["sh", "-c", f"echo {name} $A >>{log}; cat >>{log}.json"], "env": ["A=e"]}
        self.b.config["hooks"] = {n: [hook(n)] for n in ("prestart", "createRuntime", "createContainer", "poststart", "poststop")}
        self.b.config["hooks"]["startContainer"] = [{"path": "/bin/sh", "args": ["sh", "-c", "echo inside >/dev/shm/h"]}]
        self.assertEqual(self.sh("cat /dev/shm/h"), "inside\n")
        self.assertEqual(log.read_text().split("\n")[:5], ["prestart e", "createRuntime e", "createContainer e", "poststart e", "poststop e"])
        self.assertIn('"status":"creating"', pathlib.Path(f"{log}.json").read_text())
        self.b.config["hooks"] = {"prestart": [{"path": "/bin/sh", "args": ["sh", "-c", "echo why >&2; exit 3"]}]}
        self.fails("exit status 3, stdout: , stderr: why")
        self.b.config["hooks"] = {"prestart": [{"path": "/bin/sleep", "args": ["sleep", "30"], "timeout": 1}]}
        self.fails("hook ran past specified timeout")


class Life(RuncTest):
    def test_create_start_kill_delete(self):
        self.b.config["process"]["args"] = ["sleep", "60"]
        self.b.write()
        pid_file = self.top / "pid"
        self.runc_quiet("create", "--pid-file", pid_file, self.id)
        state = lambda: json.loads(self.runc("state", self.id).stdout)
        s = state()
        self.assertEqual((s["status"], s["pid"]), ("created", int(pid_file.read_text())))
        self.assertEqual(self.runc("create", self.id).returncode, 1)
        self.assertEqual(self.runc("start", self.id).returncode, 0)
        self.assertEqual(state()["status"], "running")
        self.assertIn("already running", self.runc("start", self.id).stderr)
        self.assertIn("not stopped", self.runc("delete", self.id).stderr)
        self.runc("pause", self.id)
        self.assertEqual(state()["status"], "paused")
        self.assertEqual(self.runc("exec", self.id, "true").returncode, 255)
        self.runc("resume", self.id)
        self.assertEqual(json.loads(self.runc("ps", "-f", "json", self.id).stdout), [s["pid"]])
        self.assertEqual(json.loads(self.runc("list", "-f", "json").stdout)[0]["id"], self.id)
        self.runc("kill", self.id, "KILL")
        for _ in range(100):
            if state()["status"] == "stopped":
                break
        self.assertIn("container not running", self.runc("kill", self.id, "TERM").stderr)
        self.assertEqual(self.runc("delete", self.id).returncode, 0)
        self.assertIn("container does not exist", self.runc("state", self.id).stderr)

    def runc_quiet(self, *args):
        with open(self.top / "out", "w") as out:
            return subprocess.run([program("runc"), "--root", self.state, *args], cwd=self.b.path, stdin=subprocess.DEVNULL,
                                  stdout=out, stderr=out, check=True)

    def test_exec(self):
        self.background()
        r = self.runc("exec", "-e", "A=b", "-u", "1000:7", "-g", "55", "--cwd", "/tmp", self.id, "sh", "-c",
                      "id -u; id -G; echo $A; pwd; exit 4")
        self.assertEqual((r.stdout.split(), r.returncode), (["1000", "7", "55", "b", "/tmp"], 4), r.stderr)
        r = self.runc("exec", "-c", "CAP_NET_RAW", self.id, "grep", "CapEff", "/proc/self/status")
        self.assertTrue(int(r.stdout.split()[1], 16) & (1 << 13), r.stdout)
        r = self.runc("exec", self.id, "nosuch")
        self.assertEqual(r.returncode, 255)
        self.assertIn('exec: "nosuch": executable file not found in $PATH', r.stderr.replace("\\", ""))
        p = self.top / "process.json"
        p.write_text(json.dumps({"args": ["sh", "-c", "echo $$"], "cwd": "/", "user": {"uid": 0, "gid": 0},
                                 "env": ["PATH=/bin"]}))
        self.assertEqual(self.runc("exec", "-p", p, self.id).returncode, 0)

    def test_exec_without_a_command(self):
        self.background()
        r = self.runc("exec", self.id)
        self.assertEqual(r.returncode, 255)
        self.assertIn("exec failed: exec args cannot be empty", r.stderr)

    def test_exec_with_a_capability_that_is_inheritable(self):
        """It becomes ambient, too: a user who is not root has it after his execve."""
        names = ["CAP_KILL", "CAP_NET_RAW"]
        self.b.config["process"]["capabilities"] = {"bounding": names, "inheritable": names, "permitted": names[:1]}
        self.background("sleep", "60")
        r = self.runc("exec", "-u", "1000", "-c", "CAP_NET_RAW", self.id, "grep", "CapAmb", "/proc/self/status")
        self.assertEqual(int(r.stdout.split()[1], 16), 1 << 13, r.stderr)

    def test_a_created_one_ends_by_a_signal(self):
        """Though the first process of a pid namespace is spared by those that it has no handler for."""
        self.b.config["process"]["args"] = ["true"]
        self.b.write()
        self.runc_quiet("create", self.id)
        self.assertEqual(self.runc("kill", self.id, "TERM").returncode, 0)
        self.wait_stopped()

    def wait_stopped(self):
        for _ in range(100):
            if json.loads(self.runc("state", self.id).stdout)["status"] == "stopped":
                return
            time.sleep(0.05)
        self.fail("it has not stopped")

    def test_kill_without_a_pid_namespace(self):
        """All of it, whether init is there or not; and no more once it is gone."""
        linux = self.b.config["linux"]
        linux["namespaces"] = [n for n in linux["namespaces"] if n["type"] != "pid"]
        self.background("sh", "-c", "sleep 61 & sleep 62 & wait")
        pids = self.runc("ps", "-f", "json", self.id).stdout
        for _ in range(100):
            pids = json.loads(self.runc("ps", "-f", "json", self.id).stdout)
            if len(pids) == 3:
                break
        os.kill(json.loads(self.runc("state", self.id).stdout)["pid"], signal.SIGKILL)
        self.wait_stopped()
        self.assertEqual(self.runc("kill", self.id, "KILL").returncode, 0)
        for _ in range(100):
            r = self.runc("kill", self.id, "KILL")
            if r.returncode:
                break
            time.sleep(0.05)
        self.assertIn("container not running", r.stderr)
        self.assertEqual([p for p in pids if os.path.exists(f"/proc/{p}/root/bin")], [])

    def test_output_of_a_terminal_in_the_foreground(self):
        """Its lines end as the program wrote them: who looks on has a terminal of his own."""
        self.b.config["process"].update(terminal=True, args=["echo", "line"])
        self.b.write()
        self.assertEqual(self.runc("run", self.id).stdout.encode(), b"line\n")

    def test_console_socket(self):
        path = str(self.top / "console")
        got = []
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(1)

            def accept():
                c, _ = listener.accept()
                with c:
                    got.extend(socket.recv_fds(c, 64, 1)[1])
            t = threading.Thread(target=accept)
            t.start()
            self.b.config["process"].update(terminal=True, args=["tty"], consoleSize={"height": 30, "width": 90})
            self.b.write()
            r = self.runc("run", "-d", "--console-socket", path, self.id)
            self.assertEqual(r.returncode, 0, r.stderr)
            t.join(5)
        self.assertEqual(os.get_terminal_size(got[0]), (90, 30))
        self.assertEqual(os.read(got[0], 100), b"/dev/pts/0\r\n")
        os.close(got[0])

    def test_preserve_fds(self):
        r, w = os.pipe()
        os.write(w, b"through")
        os.close(w)
        os.dup2(r, 3)
        os.set_inheritable(3, True)
        self.b.config["process"]["args"] = ["sh", "-c", "cat <&3; ls /proc/self/fd | wc -w"]
        self.b.write()
        out = self.runc("run", "--preserve-fds", "1", self.id, pass_fds=(3,))
        self.assertTrue(out.stdout.startswith("through"), out.stderr)

    def test_logs(self):
        log = self.top / "log"
        r = self.runc("--log", log, "--log-format", "json", "start", "nope")
        line = json.loads(log.read_text())
        self.assertEqual((line["level"], line["msg"], r.stderr), ("error", "container does not exist", "container does not exist\n"))

    def test_debug(self):
        """The steps of a start, in the log alone."""
        log = self.top / "log"
        self.b.config["process"]["args"] = ["sh", "-c", "echo out; echo err >&2; sleep 60"]
        self.b.write()
        with open(self.top / "out", "w") as out:
            subprocess.run([program("runc"), "--root", self.state, "--debug", "--log", log, "run", "-d", self.id], cwd=self.b.path,
                           check=True, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        r = self.runc("--debug", "--log", log, "--log-format", "json", "exec", self.id, "echo", "in")
        self.assertEqual((r.stdout, r.stderr), ("in\n", ""))
        wait_for("the output", lambda: (self.top / "out").read_text() == "out\nerr\n")
        lines = log.read_text().splitlines()
        protected = "runc exeseal: using /proc/self/exe clone"
        steps = [protected, "nsexec container setup", "child process in init()", "init: closing the pipe to signal completion",
                 protected, "nsexec container setup", "child process in init()", "setns_init: about to exec"]
        self.assertEqual(len(lines), len(steps), lines)
        for i, (line, step) in enumerate(zip(lines, steps)):
            self.assertIn(step, line)
            self.assertIn("level=debug" if i < 4 else '"level":"debug"', line)
        r = self.runc("--debug", "exec", self.id, "true")
        self.assertEqual(r.stderr.count("level=debug"), 4, r.stderr)


class InATerminal(RuncTest):
    EXAMPLE = """{"ociVersion":"1.0.2","process":{"terminal":true,"user":{"uid":0,"gid":0},"args":["/bin/sh"]},"root":{"path":"rootfs"},
 "linux":{"namespaces":[{"type":"pid"},{"type":"network"},{"type":"ipc"},{"type":"uts"},{"type":"mount"}],
 "cgroups":{"memory":{"limit":536870912}}}}"""

    def terminal(self):
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.b.path)
        t = Terminal([program("runc"), "--root", str(self.state), "run", self.id])
        self.addCleanup(t.close)
        t.expect("# ")
        return t

    def limit(self):
        found = [p for n in ("memory.limit_in_bytes", "memory.max")
                 for p in pathlib.Path("/sys/fs/cgroup").glob(f"**/{self.id}/{n}")]
        return [p.read_text().strip() for p in found]

    def test_the_projects_example(self):
        (self.b.path / "config.json").write_text(self.EXAMPLE)
        t = self.terminal()
        self.assertEqual(self.limit(), [str(512 << 20)])
        t.type("echo $((6*7)); ls /proc | wc -l; pwd\n")
        t.expect("42")
        t.expect("0\r\n/")
        t.type("exit 3\n")
        self.assertEqual(t.wait(), 3)

    def test_the_default_spec(self):
        self.b.config["process"]["terminal"] = True
        self.b.write()
        t = self.terminal()
        t.type("tty; stty size\n")
        t.expect("/dev/pts/0")
        t.expect("24 80")
        t.resize(40, 100)
        t.type("stty size; sleep 50.5\n")
        t.expect("40 100")
        wait_for_foreground("sleep", "50.5")
        t.type("\x03")
        t.expect("# ")
        t.type("exit 9\n")
        self.assertEqual(t.wait(), 9)

    def test_signals_that_the_caller_ignores(self):
        """A shell lets what it starts in the background ignore Ctrl-C; the container's own jobs must not."""
        self.b.config["process"]["args"] = ["grep", "SigIgn", "/proc/self/status"]
        self.b.write()
        script = "trap '' HUP INT QUIT TSTP PIPE; exec \"$@\""
        r = subprocess.run(["sh", "-c", script, "sh", program("runc"), "--root", self.state, "run", self.id], cwd=self.b.path,
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False)
        ignored = int(r.stdout.split()[1], 16) & (1 << 31) - 1  # those above are the C library's own
        self.assertEqual(ignored, 0, r.stdout + r.stderr)

    def test_input_from_a_pipe(self):
        (self.b.path / "config.json").write_text(self.EXAMPLE)
        r = subprocess.run([program("runc"), "--root", self.state, "run", self.id], cwd=self.b.path, input="echo $((2+3)); exit 4\n",
                           capture_output=True, text=True, timeout=20, check=False)
        self.assertEqual(r.returncode, 4, r.stderr)
        self.assertIn("\n5", r.stdout.replace("\r", ""))
        self.assertIn("process.cwd", r.stderr)
        self.assertIn("linux.resources", r.stderr)


class BadInput(RuncTest):
    def bad(self, text, expect):
        (self.b.path / "config.json").write_text(text)
        r = self.runc("run", self.id)
        self.assertEqual(r.returncode, 1, r.stdout)
        self.assertIn(expect, r.stderr)
        self.assertEqual(list(self.state.glob("[!.]*")), [])

    def test_documents(self):
        whole = json.dumps(self.b.config)
        self.bad(whole[:200], "unexpected end")
        self.bad("[]", "")
        self.bad(whole.replace('"uid": 0', '"uid": "x"'), "uid")
        self.bad(whole.replace('"uid": 0', '"uid": 4294967296'), "uid")
        self.bad(whole.replace('"type": "pid"', '"type": "bogus"'), "bogus")
        self.bad(whole.replace('"cwd": "/"', '"cwd": "tmp"'), "wd")

    def test_missing_things(self):
        self.b.config["root"]["path"] = "nowhere"
        self.fails("nowhere: no such file or directory")
        self.b.config["root"]["path"] = "rootfs"
        self.b.config["process"]["cwd"] = "/bin/busybox"
        self.fails("mkdir /bin/busybox: not a directory")
        self.b.config["process"]["cwd"] = "/"
        self.fails('exec: "nosuch": executable file not found in $PATH', "nosuch")
        self.b.mount("/x", type="bind", source="/does/not/exist", options=["bind"])
        self.fails("stat /does/not/exist: no such file or directory")


if __name__ == "__main__":
    unittest.main()
