"""runc as a user without any rights: one id or several, no cgroup or a delegated one, and words about what is missing.

The user exists in a mount namespace of each call only: the host's passwd and subuid files stay as they are."""
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

import bundle
from casco import SHARE, program, wait_for

HERE = pathlib.Path(__file__).resolve().parent
UID = 1234
VIEW_V2 = "umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup\n"


class User(unittest.TestCase):
    """self.user(COMMAND…) runs as the user; self.prelude is what root does before, in that namespace."""

    def setUp(self):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="casco-rootless-"))
        self.addCleanup(shutil.rmtree, self.top)
        (self.top / "runc").mkdir()
        shutil.copy(program("runc"), self.top / "runc")  # a place that the user can reach
        self.b = bundle.Bundle(self.top / "bundle")
        (self.top / "etc").mkdir()
        (self.top / "run").mkdir(0o700)
        (self.top / "etc/passwd").write_text(f"root:x:0:0::/root:/bin/sh\nnobody-else:x:{UID}:{UID}::{self.top}:/bin/sh\n")
        (self.top / "etc/group").write_text(f"root:x:0:\nnobody-else:x:{UID}:\n")
        for kind in ("subuid", "subgid"):
            (self.top / "etc" / kind).write_text("nobody-else:200000:65536\n")
        self.own(self.top)
        self.prelude, self.before = "", []
        self.id = "r" + self.top.name.replace("-", "")
        self.spec()
        self.addCleanup(self.check_gone)

    def own(self, folder):
        subprocess.run(["chown", "-R", f"{UID}:{UID}", folder], check=True)

    def spec(self):
        (self.b.path / "config.json").unlink()
        self.assertEqual(self.runc("spec", "--rootless").stderr, "")
        self.config = json.loads((self.b.path / "config.json").read_text())
        self.config["process"]["terminal"] = False

    def user(self, *command, path="/usr/sbin:/usr/bin:/sbin:/bin", cwd=None, **kw):
        binds = "".join(f"[ -e /etc/{f} ] && mount --bind {self.top}/etc/{f} /etc/{f}\n" for f in ("passwd", "group", "subuid", "subgid"))
        script = f"set -e; {binds}{self.prelude}exec \"$@\""
        return subprocess.run(
            ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", *self.before, "setpriv", f"--reuid={UID}", f"--regid={UID}",
             "--clear-groups", "env", "-i", f"HOME={self.top}", f"XDG_RUNTIME_DIR={self.top}/run", f"PATH={path}", *map(str, command)],
            cwd=cwd or self.b.path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=90,
            check=False, **kw)

    def runc(self, *args, **kw):
        return self.user(self.top / "runc/runc", *args, **kw)

    def write(self, *args):
        if args:
            self.config["process"]["args"] = list(args)
        (self.b.path / "config.json").write_text(json.dumps(self.config))

    def sh(self, script):
        self.write("sh", "-c", script)
        r = self.runc("run", self.id)
        self.assertEqual((r.returncode, r.stderr), (0, ""), r.stdout)
        return r.stdout

    def fails(self, text, **kw):
        self.write("true")
        r = self.runc("run", self.id, **kw)
        self.assertNotEqual(r.returncode, 0)
        self.assertIn(text, r.stderr.replace("\\", ""))
        self.assertEqual(list((self.top / "run/runc").glob("[!.]*")), [])

    def check_gone(self):
        self.runc("delete", "-f", self.id)
        self.assertEqual(list((self.top / "run/runc").glob("[!.]*")), [])


class OneId(User):
    LOOK = """id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; touch /x 2>&1; touch /dev/shm/f && ls /dev/shm
        echo x >/dev/null && grep -c . /proc/keys; ls /sys/kernel >/dev/null && mkdir /sys/x 2>&1; grep ' /sys ' /proc/mounts"""

    def look(self):
        out = self.sh(self.LOOK + "; true")
        self.assertEqual(out.split()[:9], ["0", "0", "0", str(UID), "1", "0", str(UID), "1", "deny"])
        for text in ("touch: /x: Read-only", "\nf\n0\n", "/sys/x': Read-only"):
            self.assertIn(text, out)
        self.assertLessEqual({"ro", "nosuid", "nodev", "noexec"}, set(out.splitlines()[-1].split()[3].split(",")))

    def test_the_rootless_spec(self):
        self.look()

    def test_with_old_ways(self):
        for error in ("ENOSYS", "EPERM"):
            with self.subTest(error):
                self.before = [sys.executable, str(HERE / "without.py"), error, "all"]
                self.look()

    def test_life(self):
        self.write("sleep", "100")
        with open(self.top / "out", "w") as out:
            # its output must not hold our pipes open
            r = self.user("sh", "-c", f"exec {self.top}/runc/runc run -d {self.id} >/dev/null 2>{self.top}/run/err")
        self.assertEqual(r.returncode, 0, (self.top / "run/err").read_text())
        r = self.runc("exec", self.id, "sh", "-c", "id -u; cat /proc/self/uid_map; readlink /proc/self/ns/user; readlink /proc/1/ns/user; ls /proc/self/fd | wc -w")
        out = r.stdout.split()
        self.assertEqual(out[:4], ["0", "0", str(UID), "1"], r.stderr)
        self.assertEqual((out[4], out[6]), (out[5], "4"))
        self.assertEqual(json.loads(self.runc("list", "-f", "json").stdout)[0]["owner"], "nobody-else")
        self.assertEqual(self.runc("kill", self.id, "KILL").returncode, 0)
        wait_for("its end", lambda: json.loads(self.runc("state", self.id).stdout)["status"] == "stopped")
        r = self.runc("delete", self.id)
        self.assertEqual((r.returncode, r.stderr), (0, ""))

    def background(self):
        self.write("sleep", "100")
        r = self.user("sh", "-c", f"exec {self.top}/runc/runc run -d {self.id} >/dev/null 2>{self.top}/run/err")
        self.assertEqual(r.returncode, 0, (self.top / "run/err").read_text())

    def test_exec_leads_a_session(self):
        """Also with a terminal, which only the leader of a session may have."""
        self.background()
        script = "cut -d' ' -f6 /proc/$$/stat; echo $$"
        first, second = self.runc("exec", self.id, "sh", "-c", script).stdout.split()
        self.assertEqual(first, second)
        r = self.runc("exec", "-t", self.id, "sh", "-c", script + "; tty")
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        first, second, tty = r.stdout.split()
        self.assertEqual(first, second)
        self.assertTrue(tty.startswith("/dev/pts/"))

    def test_exec_into_what_was_created(self):
        """Whoever looks at it finds nothing of the environment of who made it."""
        self.write("sleep", "100")
        r = self.user("sh", "-c", f"SECRET=in-the-environment {self.top}/runc/runc create {self.id} </dev/null >/dev/null 2>{self.top}/run/err")
        self.assertEqual(r.returncode, 0, (self.top / "run/err").read_text())
        pid = json.loads(self.runc("state", self.id).stdout)["pid"]
        self.assertNotIn(b"SECRET", pathlib.Path(f"/proc/{pid}/environ").read_bytes())
        r = self.runc("exec", self.id, "echo", "inside")
        self.assertEqual((r.stdout, r.stderr), ("inside\n", ""))

    def test_the_listener_of_a_filter(self):
        self.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": f"{self.top}/run/agent",
                                           "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}
        with socket.socket(socket.AF_UNIX) as agent:
            agent.bind(f"{self.top}/run/agent")
            os.chmod(f"{self.top}/run/agent", 0o777)
            agent.listen()
            agent.settimeout(30)
            self.sh("true")
            taken, _ = agent.accept()
            with taken:
                state, fds, _, _ = socket.recv_fds(taken, 65536, 4)
            for fd in fds:
                os.close(fd)
        self.assertEqual((len(fds), json.loads(state)["state"]["id"]), (1, self.id))

    def test_a_ptmx_among_the_devices(self):
        self.config["linux"]["devices"] = [{"path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2}]
        self.assertEqual(self.sh("readlink /dev/ptmx"), "pts/ptmx\n")

    def test_a_clock_of_its_own(self):
        if not os.path.exists("/proc/self/timens_offsets"):
            self.skipTest("no time namespaces")
        self.config["linux"]["namespaces"].append({"type": "time"})
        self.config["linux"]["timeOffsets"] = {"boottime": {"secs": 7881, "nanosecs": 2718281}}
        self.assertEqual(self.sh("grep boottime /proc/self/timens_offsets").split(), ["boottime", "7881", "2718281"])

    def test_another_containers_user_namespace(self):
        self.background()
        pid = json.loads(self.runc("state", self.id).stdout)["pid"]
        self.config["linux"]["namespaces"] = [n if n["type"] != "user" else dict(n, path=f"/proc/{pid}/ns/user")
                                              for n in self.config["linux"]["namespaces"]]
        self.config["linux"].update(uidMappings=[], gidMappings=[])
        self.write("readlink", "/proc/self/ns/user")
        r = self.runc("run", self.id + "b")
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        self.assertEqual(r.stdout.strip(), os.readlink(f"/proc/{pid}/ns/user"))

    def test_neither_cgroup_nor_pid_namespace(self):
        self.config["linux"]["namespaces"] = [n for n in self.config["linux"]["namespaces"] if n["type"] != "pid"]
        for m in self.config["mounts"]:
            if m["type"] == "proc":
                m.update(type="none", source="/proc", options=["rbind", "nosuid", "nodev", "noexec"])
        self.write("true")
        r = self.runc("run", self.id)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("Such configuration is strongly discouraged", r.stderr)

    @unittest.skipUnless(os.path.isdir("/sys/fs/cgroup/pids"), "no hierarchy of v1")
    def test_the_cgroups_he_is_in_are_shown(self):
        mounts = [m for m in self.config["mounts"] if m["destination"] != "/sys/fs/cgroup"]
        self.config["mounts"] = [*mounts, {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]}]
        self.sh("test -e /sys/fs/cgroup/pids/tasks && test -e /sys/fs/cgroup/memory/tasks")

    def test_a_network_of_its_own_or_the_hosts(self):
        self.assertEqual(self.sh("readlink /proc/self/ns/net").strip(), os.readlink("/proc/self/ns/net"))
        self.config["linux"]["namespaces"].append({"type": "network"})
        self.assertNotEqual(self.sh("readlink /proc/self/ns/net").strip(), os.readlink("/proc/self/ns/net"))

    def test_a_locked_option_stays(self):
        """A source that is nosuid and read-only on the host can't be had without, and needs no words to be had with."""
        self.prelude = f"mkdir -p {self.top}/etc/m; mount -t tmpfs -o nosuid,nodev,ro m {self.top}/etc/m\n"
        bind = {"destination": "/mnt", "type": "bind", "source": f"{self.top}/etc/m", "options": ["bind", "noexec"]}
        self.config["mounts"].append(bind)
        for before in ([], [sys.executable, str(HERE / "without.py"), "EPERM", "mount"]):
            self.before = before
            bind["options"] = ["bind", "noexec"]
            self.assertLessEqual({"ro", "nosuid", "nodev", "noexec"}, set(self.sh("grep ' /mnt ' /proc/mounts").split()[3].split(",")))
            bind["options"] = ["bind", "suid"]
            self.fails("set mount attributes of /mnt: operation not permitted")

    def test_groups_can_not_be_had(self):
        self.config["process"]["user"]["additionalGids"] = [5]
        self.fails("cannot set any additional groups in a rootless container")

    def test_more_ids_without_a_helper(self):
        self.config["linux"]["uidMappings"].append({"containerID": 1, "hostID": 200000, "size": 10})
        self.fails("cannot map more than your own id without newuidmap: install it", path="/bin/none")

    def test_a_limit_without_a_cgroup(self):
        self.config["linux"]["resources"] = {"pids": {"limit": 5}}
        self.fails("pids")

    def test_it_is_undumpable_when_it_can_be_seen(self):
        """Dumpable while the maps are written, and no longer: what it holds of runc is not the user's other containers'."""
        self.config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", f"cat >{self.top}/run/st; stat -c %u /proc/$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/' {self.top}/run/st)/environ >{self.top}/run/owner"]}]}
        self.sh("true")
        self.assertEqual((self.top / "run/owner").read_text(), "0\n")


@unittest.skipUnless(shutil.which("newuidmap"), "newuidmap (Debian's uidmap) is not installed")
class SeveralIds(User):
    def setUp(self):
        super().setUp()
        for kind in ("uidMappings", "gidMappings"):
            self.config["linux"][kind].append({"containerID": 1, "hostID": 200000, "size": 65536})

    def test_another_user_inside(self):
        self.config["process"]["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [5]}
        out = self.sh("id -u; id -G; cat /proc/self/uid_map /proc/self/setgroups").split()
        self.assertEqual(out, ["1000", "1001", "5", "0", str(UID), "1", "1", "200000", "65536", "allow"])

    def test_a_range_that_is_not_ones_own(self):
        self.config["linux"]["uidMappings"][-1]["hostID"] = 300000
        self.fails("not allowed")

    def test_root_inside_is_not_the_user(self):
        """The rootfs and sources are opened by who may."""
        os.chmod(self.top, 0o700)
        for kind in ("uidMappings", "gidMappings"):
            self.config["linux"][kind] = [{"containerID": 0, "hostID": 200000, "size": 1000}, {"containerID": 1000, "hostID": UID, "size": 1}]
        self.config["mounts"].append({"destination": "/mnt", "type": "bind", "source": str(self.top / "run"), "options": ["bind"]})
        self.config["process"]["user"] = {"uid": 1000, "gid": 1000}
        self.sh("echo from inside >/mnt/file")
        st = os.stat(self.top / "run/file")
        self.assertEqual((st.st_uid, st.st_gid), (UID, UID))


class Delegated(User):
    """A cgroup of v2 that is the user's."""

    def test_limits(self):
        name = self.id
        self.prelude = VIEW_V2 + f"""d=/sys/fs/cgroup/{name}; mkdir -p $d/own
            if grep -q hugetlb /sys/fs/cgroup/cgroup.controllers; then echo +hugetlb >/sys/fs/cgroup/cgroup.subtree_control; fi
            chown {UID} $d $d/cgroup.procs $d/cgroup.subtree_control $d/own $d/own/cgroup.procs; echo $$ >$d/own/cgroup.procs
            """
        self.addCleanup(subprocess.run, ["unshare", "-m", "--propagation", "private", "sh", "-c", VIEW_V2 + f"rmdir /sys/fs/cgroup/{name}/own /sys/fs/cgroup/{name}"],
                        check=True)
        self.config["linux"]["cgroupsPath"] = f"/{name}/box"
        self.assertEqual(self.sh("cat /proc/self/cgroup").splitlines()[-1], f"0::/{name}/box")
        self.config["linux"]["namespaces"].append({"type": "cgroup"})
        self.assertEqual(self.sh("cat /proc/self/cgroup; ls /sys/fs/cgroup/cgroup.procs").splitlines()[-2:], ["0::/", "/sys/fs/cgroup/cgroup.procs"])


@unittest.skipUnless(shutil.which("podman") and shutil.which("newuidmap"), "podman or newuidmap is not installed")
class Podman(User):
    """Limits, stats, update and pause need a cgroup with controllers: tests/vm/test_vm_podman.py."""

    def prepare(self, runtime):
        """podman's command line, with the image loaded."""
        for name, text in (("containers.conf", '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n[containers]\nseccomp_profile = ""\n'
                            'default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'), ):
            (self.top / name).write_text(text)
        shutil.copy(SHARE / "busybox.tar", self.top / "image.tar")
        self.own(self.top)
        base = ["env", f"CONTAINERS_CONF={self.top}/containers.conf", f"TMPDIR={self.top}/run", "podman", "--root", f"{self.top}/podman", "--runroot", f"{self.top}/run/podman",
                "--tmpdir", f"{self.top}/run/tmp", "--storage-driver", "vfs", "--runtime", runtime, "--cgroup-manager", "cgroupfs"]
        self.addCleanup(self.user, *base, "system", "reset", "-f")
        r = self.user(*base, "load", "-i", self.top / "image.tar")
        self.assertEqual(r.returncode, 0, r.stderr)
        return base

    def test_limits_where_he_has_no_cgroup(self):
        """podman leaves them out and says so, and refuses what needs them: with ours as with Debian's."""
        run = ("run", "--network", "none", "--security-opt", "seccomp=unconfined", "--memory", "64m", "--cpus", "0.5", "--pids-limit", "50")
        image = "docker.io/library/busybox:latest"
        calls = [(*run, "--rm", image, "echo", "runs"), (*run, "-d", "--name", "bg", image, "sleep", "300"), ("stats", "--no-stream", "bg"),
                 ("update", "--memory", "96m", "bg"), ("pause", "bg"), ("exec", "bg", "id", "-u"), ("rm", "-f", "-t", "0", "bg")]
        told = []
        for runtime in (f"{self.top}/runc/runc", "/usr/sbin/runc"):
            if not os.path.exists(runtime):
                self.skipTest(f"{runtime}, to be compared with, is not installed")
            base = self.prepare(runtime)
            answers = [self.user(*base, *c) for c in calls]
            # podman's own sentence is the last one
            told.append([(c[0], r.returncode, r.stdout, "".join(re.sub(r"podman\d+|\b[0-9a-f]{64}\b", "_", r.stderr.replace(runtime, "RUNTIME"))
                                                                .splitlines()[-1:])) for c, r in zip(calls, answers)])
            told[-1][1] = (*told[-1][1][:2], "_", told[-1][1][3])  # of `run -d`: the id
        self.maxDiff = None
        self.assertEqual(told[0], told[1])
        self.assertEqual(told[0][0][1:3], (0, "runs\n"))
        if os.path.isdir("/sys/fs/cgroup/memory"):
            self.assertEqual(told[0][0][3], "Resource limits are not supported and ignored on cgroups V1 rootless systems")
            self.assertEqual([code for _, code, _, _ in told[0]], [0, 0, 125, 125, 125, 0, 0], told[0])

    def test_run_and_exec(self):
        base = self.prepare(f"{self.top}/runc/runc")

        def podman(*args):
            r = self.user(*base, *args)
            self.assertEqual(r.returncode, 0, r.stderr)
            return r.stdout
        run = ("run", "--network", "none", "--security-opt", "seccomp=unconfined")
        image = "docker.io/library/busybox:latest"
        out = podman(*run, "--rm", "--user", "7:8", image, "sh", "-c", "id -u; cat /proc/self/uid_map").split()
        self.assertEqual(out, ["7", "0", str(UID), "1", "1", "200000", "65536"])
        # himself inside, a root that can't be written, a tmpfs, a device, and no more rights than he has
        script = "id -u; touch /x 2>/dev/null || echo read-only; touch /scratch/x && echo made; test -c /dev/zero && echo device; grep NoNewPrivs /proc/self/status"
        out = podman(*run, "--rm", "--userns", "keep-id", "--read-only", "--tmpfs", "/scratch:mode=1777", "--device", "/dev/zero", "--security-opt",
                     "no-new-privileges", image, "sh", "-c", script).split()
        self.assertEqual(out, [str(UID), "read-only", "made", "device", "NoNewPrivs:", "1"])
        podman(*run, "-d", "--name", "bg", image, "sleep", "300")
        self.assertEqual(podman("exec", "bg", "sh", "-c", "echo inside; id -u"), "inside\n0\n")
        podman("rm", "-f", "-t", "0", "bg")


if __name__ == "__main__":
    unittest.main()
