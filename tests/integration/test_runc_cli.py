"""runc's command line: flags, words and exit codes, compared with Debian's runc where it can do the same."""
import itertools
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from bundle import RuncTest, cgroups_named
from casco import TOP, Terminal, our_env, program, wait_for
from test_cgroups import V2_VIEW

PEER = "/usr/sbin/runc"
GLOBAL = "--debug --log --log-format --root --systemd-cgroup --rootless --help --version"
CREATE = "--bundle --console-socket --pidfd-socket --pid-file --no-pivot --no-new-keyring --preserve-fds"
FLAGS = {  # what the original's 1.3 shows
    "checkpoint": None,  # test_runc_checkpoint.py has these two
    "create": CREATE,
    "delete": "--force",
    "exec": "--console-socket --pidfd-socket --cwd --env --tty --user --additional-gids --process --detach --pid-file "
            "--process-label --apparmor --no-new-privs --cap --preserve-fds --cgroup --ignore-paused",
    "features": "",
    "kill": "",
    "list": "--format --quiet",
    "pause": "",
    "ps": "--format",
    "restore": None,
    "resume": "",
    "run": CREATE + " --detach --keep --no-subreaper",
    "spec": "--bundle --rootless",
    "start": "",
    "state": "",
}

# Each line is one call, by both; FRESH is a root of its own.
CALLS = """
bogus
--bogus
help bogus
--root
--log-format bogus list
--log-format json state nope
--log {here}/log state nope
create
create --bogus x
create -h x
create help
create ''
create --preserve-fds x y
run -b /nonexistent x
run --detach --console-socket /x nope
run --help=false
run ''
kill
kill a b c
kill -a
kill x BOGUS
kill '' 99
list x
list help
list -q
list -f json
list -f xx
list --quiet=maybe
list -- -q
h list
--help list
state
state ''
state ../x
state x y
features x
spec x
spec -b /nonexistent
start
start ''
start ..
start a b
delete
delete ''
delete -f ''
delete -f ../x
delete -f nope
delete nope -f
delete nope --force
delete nope --bogus
pause
checkpoint
checkpoint nope
restore
restore nope
pause nope
resume nope
ps
ps nope
exec
exec -t
exec x
exec x -- -q
exec '' a
exec --preserve-fds -1 nope a
exec -u abc nope a
exec --process /nonexistent nope
"""


def normal(text):
    text = re.sub(r'time="[^"]*"|"time":"[^"]*"', "TIME", text)
    return re.sub(r"/[^ \"\\]*/runc\b", "RUNC", text)


def call(binary, root, words, cwd):
    r = subprocess.run([binary, "--root", root, *words], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                       timeout=30, check=False)
    return r.returncode, normal(r.stderr), normal(r.stdout).split("\n")[0]


@unittest.skipUnless(os.path.exists(PEER), "Debian's runc is not installed")
class Words(unittest.TestCase):
    def test_calls_that_need_no_container(self):
        with tempfile.TemporaryDirectory(prefix="casco-cli-") as top:
            for line in CALLS.strip().splitlines():
                results = []
                for binary in (PEER, program("runc")):
                    here = pathlib.Path(tempfile.mkdtemp(dir=top))
                    (here / "root").mkdir()  # without it, list is another since runc 1.2
                    words = [w.replace("''", "").format(here=here) for w in line.split()]
                    results.append((*call(binary, str(here / "root"), words, here),
                                    normal((here / "log").read_text()) if (here / "log").exists() else ""))
                with self.subTest(line):
                    self.assertEqual(*results)

    def test_spec(self):
        self.compare_specs(PEER, lambda text: re.sub(r',\n\t*"ambient": \[[^]]*\]', "", text.replace('"1.0.2-dev"', '"1.2.1"')))

    def test_spec_of_a_newer_runc(self):
        if not os.environ.get("CASCO_PEER"):
            self.skipTest("CASCO_PEER names no folder with a runc 1.3")
        self.compare_specs(f"{os.environ['CASCO_PEER']}/runc", str)

    def compare_specs(self, peer, renew):
        """renew: what newer runcs do another way.  They name a newer spec, and leave ambient capabilities out, which have no
        effect without inheritable ones, and are warned of."""
        for flags, wrap in itertools.product(([], ["--rootless"]), ([], V2_VIEW)):
            with self.subTest(flags=flags, v2=bool(wrap)), tempfile.TemporaryDirectory(prefix="casco-cli-") as top:
                texts = []
                for name, binary in (("a", peer), ("b", program("runc"))):
                    os.mkdir(f"{top}/{name}")
                    subprocess.run([*wrap, binary, "spec", *flags, "-b", f"{top}/{name}"], check=True)
                    texts.append(pathlib.Path(f"{top}/{name}/config.json").read_text())
                self.assertEqual(renew(texts[0]), texts[1])


class Help(unittest.TestCase):
    def text(self, *words):
        r = subprocess.run([program("runc"), *words], capture_output=True, text=True, check=True)
        self.assertEqual(r.stderr, "")
        return r.stdout

    def test_every_flag_has_its_row(self):
        for name, flags in FLAGS.items():
            if flags is None:
                continue
            text = self.text(name, "--help")
            self.assertEqual(set(re.findall(r"^   (--[a-z-]+)", text, re.M)), set(flags.split()), name)
            self.assertTrue(text.startswith(f"NAME:\n   runc {name} - "), text)
            self.assertIn(f"\nUSAGE:\n   runc {name} ", text)
            self.assertEqual("OPTIONS:\n" in text, bool(flags))
        self.assertEqual(set(re.findall(r"^   (--[a-z-]+)", self.text("--help"), re.M)), set(GLOBAL.split()))

    def test_every_command_has_its_row(self):
        rows = re.findall(r"^   ([a-z]+)  ", self.text().split("COMMANDS:")[1].split("GLOBAL")[0], re.M)
        self.assertLessEqual(set(FLAGS), set(rows))
        self.assertEqual(self.text("help"), self.text("--help"))
        self.assertEqual(self.text("h", "run"), self.text("run", "-h"))

    def test_version(self):
        lines = self.text("--version").splitlines()
        self.assertRegex(lines[0], r"^runc version \d+\.\d+")
        self.assertRegex(lines[1], r"^commit: [0-9a-f.]+$")
        self.assertRegex(lines[2], r"^spec: 1\.\d+\.\d+$")


class Completion(unittest.TestCase):
    def complete(self, line):
        words = line.split(" ")
        quoted = " ".join(f"'{w}'" for w in words)
        script = (f"source {TOP}/dist/completion/bash/runc; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _runc; "
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        r = subprocess.run(["bash", "-c", script], env=our_env(), capture_output=True, text=True, check=True)
        self.assertEqual(r.stderr, "")
        return r.stdout.split()

    def test_bash(self):
        self.assertEqual(self.complete("runc re"), ["restore", "resume"])
        self.assertEqual(self.complete("runc --log x sp"), ["spec"])
        self.assertEqual(self.complete("runc --sys"), ["--systemd-cgroup"])
        self.assertEqual(self.complete("runc exec --pi"), ["--pidfd-socket", "--pid-file"])
        self.assertEqual(self.complete("runc list --format "), ["table", "json"])
        self.assertIn("SIGKILL", self.complete("runc kill x SIGK"))


class Features(RuncTest):
    def document(self, binary=None):
        return json.loads(subprocess.run([binary or program("runc"), "features"], capture_output=True, check=True).stdout)

    def test_shape(self):
        f = self.document()
        self.assertEqual(list(f), ["ociVersionMin", "ociVersionMax", "hooks", "mountOptions", "linux", "annotations",
                                   "potentiallyUnsafeConfigAnnotations"])
        self.assertEqual([k for k in f["linux"] if k != "memoryPolicy"],
                         ["namespaces", "capabilities", "cgroup", "seccomp", "apparmor", "selinux", "intelRdt",
                          "mountExtensions", "netDevices"])
        self.assertEqual(f["mountOptions"], sorted(f["mountOptions"]))

    @unittest.skipUnless(os.path.exists(PEER), "Debian's runc is not installed")
    def test_against_the_peer(self):
        ours, theirs = self.document(), self.document(PEER)
        gone = {"acl", "noacl"}  # POSIX ACLs are no mount option of any current file system; the original dropped them too
        self.assertLessEqual(set(theirs["mountOptions"]) - gone, set(ours["mountOptions"]))
        self.assertEqual(ours["hooks"], theirs["hooks"])
        self.assertEqual(ours["linux"]["capabilities"], theirs["linux"]["capabilities"])
        self.assertLessEqual(set(theirs["linux"]["namespaces"]), set(ours["linux"]["namespaces"]))
        for key in ("operators", "archs"):
            self.assertLessEqual(set(theirs["linux"]["seccomp"][key]), set(ours["linux"]["seccomp"][key]))

    def test_what_is_promised_is_taken(self):
        f = self.document()
        self.b.mount("/t", type="tmpfs", source="tmpfs", options=[])
        self.b.config["root"]["readonly"] = False
        for option in f["mountOptions"]:
            if option not in ("bind", "rbind", "remount", "iversion", "idmap", "ridmap"):  # for binds; some file systems only
                self.b.config["mounts"][-1]["options"] = [option]
                self.sh("true")
        seccomp = {"defaultAction": "SCMP_ACT_ALLOW"}
        self.b.config["linux"]["seccomp"] = seccomp
        for action in f["linux"]["seccomp"]["actions"]:
            if action != "SCMP_ACT_NOTIFY":  # needs a listener
                seccomp["syscalls"] = [{"names": ["swapoff"], "action": action}]
                self.sh("true")
        for arch in f["linux"]["seccomp"]["archs"]:
            seccomp["architectures"] = [arch]
            r = self.run_in("true")  # one of the other byte order is known, and can't go into the same filter
            self.assertTrue(r.returncode == 0 or "numerical argument out of domain" in r.stderr, r.stderr)
        seccomp["architectures"] = []
        for flag in f["linux"]["seccomp"]["supportedFlags"]:
            if "WAIT_KILLABLE" not in flag:  # needs a listener
                seccomp["flags"] = [flag]
                self.sh("true")
        if not f["linux"]["intelRdt"]["enabled"]:
            self.b.config["linux"]["intelRdt"] = {"closID": "x"}
            self.fails("intelRdt")


class Shown(RuncTest):
    """state, list and ps of the same container by both."""

    def peer(self, *args):
        return subprocess.run([PEER, "--root", self.state, *args], cwd=self.b.path, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=30, check=False)

    @unittest.skipUnless(os.path.exists(PEER), "Debian's runc is not installed")
    def test_state_and_list(self):
        self.b.config.update(annotations={"b": "2", "a": "1"}, ociVersion="1.0.1")
        self.background()
        # the spec that the state complies with, which is the runtime's, whatever the container's configuration names
        self.assertEqual(json.loads(self.runc("state", self.id).stdout)["ociVersion"],
                         json.loads(self.runc("features").stdout)["ociVersionMax"])
        ours = [self.runc("state", self.id).stdout, self.runc("list", "-f", "json").stdout, self.runc("list").stdout,
                self.runc("list", "-q").stdout]
        self.runc("delete", "-f", self.id)
        with open(self.top / "out", "w") as out:
            subprocess.run([PEER, "--root", self.state, "run", "-d", self.id], cwd=self.b.path, stdin=subprocess.DEVNULL,
                           stdout=out, stderr=out, check=True)
        try:
            theirs = [self.peer("state", self.id).stdout, self.peer("list", "-f", "json").stdout, self.peer("list").stdout,
                      self.peer("list", "-q").stdout]
        finally:
            self.peer("delete", "-f", self.id)
        for a, b in zip(ours, theirs):
            self.assertEqual(self.blind(a), self.blind(b))

    @staticmethod
    def blind(text):
        text = re.sub(r'"pid": ?\d+', '"pid":PID', text)
        text = re.sub(r'("ociVersion": ?)"[^"]+"', r'\1VERSION', text)
        text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
        text = re.sub(r" +\d+ +(running)", r" PID \1", text)
        text = re.sub(r" {2,}", "  ", text)
        return text

    def test_ps(self):
        self.background("sh", "-c", "sleep 61 & exec sleep 60")
        pid = json.loads(self.runc("state", self.id).stdout)["pid"]
        wait_for("two processes", lambda: len(json.loads(self.runc("ps", "-f", "json", self.id).stdout)) == 2)
        self.assertIn(pid, json.loads(self.runc("ps", "--format", "json", self.id).stdout))
        table = self.runc("ps", self.id).stdout.splitlines()
        self.assertEqual(len(table), 3)
        self.assertTrue(table[0].startswith("UID"))
        sleeps = lambda: sorted(l.split()[2] for l in self.runc("ps", self.id, "-eo", "pid,args").stdout.splitlines()[1:])
        wait_for("the two sleeps", lambda: sleeps() == ["60", "61"])
        self.assertIn("couldn't find PID field", self.runc("ps", self.id, "-eo", "args").stderr)
        r = self.runc("ps", self.id, "-o", "nosuch")  # what ps complains of is part of the error
        self.assertRegex(r.stderr, r'^time=\S+ level=error msg="exit status 1: error: unknown user-defined format specifier')

    def test_list_of_a_root_that_is_not_there(self):
        r = self.runc("--root", "/no/such/root", "list")
        self.assertEqual(r.returncode, 1)
        self.assertIn("open /no/such/root: no such file or directory", r.stderr)

    def test_list_of_a_stopped_one(self):
        self.background("true")
        wait_for("the end", lambda: json.loads(self.runc("state", self.id).stdout)["status"] == "stopped")
        row = json.loads(self.runc("list", "-f", "json").stdout)[0]
        self.assertEqual((row["pid"], row["status"]), (0, "stopped"))


class Signals(RuncTest):
    def ends_by(self, *kill):
        self.background("sh", "-c", "trap 'exit 1' TERM USR1 IO RTMIN; while :; do sleep 0.05; done")
        time.sleep(0.1)
        r = self.runc("kill", self.id, *kill)
        self.assertEqual(r.returncode, 0, r.stderr)
        wait_for(f"the end by {kill}", lambda: json.loads(self.runc("state", self.id).stdout)["status"] == "stopped")
        self.runc("delete", self.id)

    def test_names_and_numbers(self):
        for kill in ([], ["KILL"], ["9"], ["SIGUSR1"], ["sigusr1"], ["10"], ["IO"], ["--all", "KILL"]):
            self.ends_by(*kill)

    def test_what_is_none(self):
        self.background()
        self.assertEqual(self.runc("kill", self.id, "0").returncode, 0)
        for word in ("BOGUS", "-9", "999", "9x", "SIG"):
            self.assertIn("unknown signal", self.runc("kill", self.id, word).stderr, word)

    def test_all_of_a_shared_pid_namespace(self):
        spaces = self.b.config["linux"]["namespaces"]
        self.b.config["linux"]["namespaces"] = [n for n in spaces if n["type"] != "pid"]
        self.background("sh", "-c", "sleep 61 & exec sleep 60")
        wait_for("two processes", lambda: len(json.loads(self.runc("ps", "-f", "json", self.id).stdout)) == 2)
        self.assertEqual(self.runc("kill", "-a", self.id, "KILL").returncode, 0)
        wait_for("their end", lambda: not json.loads(self.runc("ps", "-f", "json", self.id).stdout))

    def test_a_line_of_the_log(self):
        self.assertRegex(self.runc("state", "nope").stderr,
                         r'^time="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ" level=error msg="container does not exist"\n$')

    def test_foreground_passes_them_on(self):
        self.b.config["process"]["args"] = ["sh", "-c", "trap 'exit 9' USR2; echo up; while :; do sleep 0.05; done"]
        self.b.write()
        p = subprocess.Popen([program("runc"), "--root", self.state, "run", self.id], cwd=self.b.path, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, text=True)
        self.assertEqual(p.stdout.readline(), "up\n")
        p.send_signal(12)
        self.assertEqual(p.wait(10), 9)
        p.stdout.close()


class Exec(RuncTest):
    def ex(self, *args, **kw):
        r = self.runc("exec", *args, **kw)
        self.assertEqual(r.returncode, 0, r.stderr)
        return r.stdout

    def test_capabilities_as_the_peer_gives_them(self):
        self.background()
        ours = self.ex("--cap", "CAP_NET_RAW", "--cap", "CAP_KILL", self.id, "grep", "Cap", "/proc/self/status")
        plain = self.ex(self.id, "grep", "Cap", "/proc/self/status")
        self.assertEqual(ours.split()[1], "0" * 16, "nothing is inheritable")
        self.assertTrue(int(ours.split()[5], 16) & (1 << 13))
        self.assertFalse(int(plain.split()[5], 16) & (1 << 13))
        if os.path.exists(PEER):
            self.runc("delete", "-f", self.id)
            with open(self.top / "out", "w") as out:
                subprocess.run([PEER, "--root", self.state, "run", "-d", self.id], cwd=self.b.path, stdin=subprocess.DEVNULL,
                               stdout=out, stderr=out, check=True)
            try:
                theirs = subprocess.run([PEER, "--root", self.state, "exec", "--cap", "CAP_NET_RAW", "--cap", "CAP_KILL", self.id,
                                         "grep", "Cap", "/proc/self/status"], capture_output=True, text=True, check=True).stdout
            finally:
                subprocess.run([PEER, "--root", self.state, "delete", "-f", self.id], check=True)
            self.assertEqual(ours, theirs)

    def test_no_new_privs(self):
        self.b.config["process"]["noNewPrivileges"] = False
        self.background()
        self.assertIn("NoNewPrivs:\t1", self.ex("--no-new-privs", self.id, "grep", "NoNewPrivs", "/proc/self/status"))
        self.assertIn("NoNewPrivs:\t0", self.ex(self.id, "grep", "NoNewPrivs", "/proc/self/status"))

    def test_process_file_has_all_to_itself(self):
        self.background()
        p = self.top / "p.json"
        p.write_text(json.dumps({"args": ["sh", "-c", "id -u; pwd; echo $A$TERM; umask"], "cwd": "/tmp", "env": ["PATH=/bin", "A=x"],
                                 "user": {"uid": 1000, "gid": 1000, "umask": 0o77}}))
        self.assertEqual(self.ex("--process", p, self.id).split(), ["1000", "/tmp", "x", "0077"])

    def test_ignore_paused(self):
        self.background()
        self.runc("pause", self.id)
        r = self.runc("exec", self.id, "true")
        self.assertIn("cannot exec in a paused container (use --ignore-paused to override)", r.stderr)
        t = threading.Timer(0.5, lambda: self.runc("resume", self.id))
        t.start()
        self.assertEqual(self.runc("exec", "--ignore-paused", self.id, "true").returncode, 0)
        t.join()

    def test_detach_and_pid_file(self):
        self.background()
        pid_file = self.top / "pid"
        with open(self.top / "out", "w") as out:
            subprocess.run([program("runc"), "--root", self.state, "exec", "-d", "--pid-file", pid_file, self.id, "sleep", "50"],
                           stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True)
        self.assertIn(int(pid_file.read_text()), json.loads(self.runc("ps", "-f", "json", self.id).stdout))

    def test_terminal(self):
        self.background()
        t = Terminal([program("runc"), "--root", str(self.state), "exec", "-t", self.id, "sh"])
        self.addCleanup(t.close)
        t.expect("# ")
        t.resize(33, 77)
        t.type("stty size; exit 6\n")
        t.expect("33 77")
        self.assertEqual(t.wait(), 6)

    def test_who_is_no_number(self):
        self.background()
        for user, why in (("daemon", r'bad uid: strconv.Atoi: parsing \"daemon\": invalid syntax'),
                          ("1:2:3", r'bad gid: strconv.Atoi: parsing \"2:3\": invalid syntax'),
                          ("4294967296", r'bad uid: strconv.Atoi: parsing \"4294967296\": value out of range')):
            r = self.runc("exec", "-u", user, self.id, "true")
            self.assertEqual(r.returncode, 255)
            self.assertIn(f"exec failed: {why}", r.stderr)
        self.assertEqual(self.runc("exec", "-u", "", self.id, "id", "-u").stdout, "0\n")  # as if it were not there
        r = self.runc("exec", "-g", "wheel", self.id, "true")
        self.assertIn(r'invalid value \"wheel\" for flag -g: strconv.ParseInt', r.stderr)
        self.assertTrue(r.stdout.startswith("Incorrect Usage: "))

    def test_console_socket_needs_both(self):
        self.background()
        r = self.runc("exec", "--console-socket", "/x", self.id, "true")
        self.assertIn("cannot use console socket if runc will not detach or allocate tty", r.stderr)
        r = self.runc("exec", "-t", "-d", self.id, "true")
        self.assertIn("cannot allocate tty if runc will detach without setting console socket", r.stderr)

    def folders(self):
        """The container's cgroup folder of each v1 hierarchy, or the one of v2."""
        return [pathlib.Path(p) for p in cgroups_named(self.id)]

    def test_cgroup(self):
        self.background()
        before = self.ex(self.id, "cat", "/proc/self/cgroup")
        for folder in self.folders():
            (folder / "sub").mkdir()
            for name in ("cpuset.cpus", "cpuset.mems"):  # a cpuset without takes nobody
                if (folder / name).exists():
                    (folder / "sub" / name).write_text((folder / name).read_text())
        try:
            self.assertEqual(self.ex("--cgroup", "sub", self.id, "cat", "/proc/self/cgroup").count("/sub\n"), len(self.folders()))
            r = self.runc("exec", "--cgroup", "nosuch", self.id, "true")
            self.assertEqual(r.returncode, 255)
            self.assertRegex(r.stderr, " adding pid .*/nosuch/cgroup.procs: no such file or directory")
            for above in ("..", "/../..", "sub/../.."):
                r = self.runc("exec", "--cgroup", above, self.id, "true")
                self.assertIn(f": {above} is not a sub cgroup path", r.stderr)
            self.assertEqual(self.ex("--cgroup", "sub/./..//", self.id, "cat", "/proc/self/cgroup"), before)
            if pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists():
                return  # v2 has one hierarchy
            out = self.ex("--cgroup", "pids,memory:sub", "--cgroup", "cpu:/sub", self.id, "cat", "/proc/self/cgroup")
            self.assertEqual({l.split(":")[1] for l in out.splitlines() if l.endswith("/sub")}, {"pids", "memory", "cpu"})
        finally:
            for folder in self.folders():
                (folder / "sub").rmdir()

    def test_cgroup_words(self):
        self.background()
        for args, text in ((["a:b:c"], "invalid --cgroup argument: a:b:c"),
                           (["a", "b"], "invalid --cgroup argument: a (missing <controller>: prefix)"),
                           (["pids:a", "pids:b"], "controller pids specified multiple times"),
                           (["bogus:a"], "unknown controller bogus in SubCgroupPaths")):
            words = [w for a in args for w in ("--cgroup", a)]
            self.assertIn(text, self.runc("exec", *words, self.id, "true").stderr)


class Sockets(RuncTest):
    def accept_fds(self, path):
        """A listener; the fds and bytes that one connection brings."""
        got = []
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(1)
        listener.settimeout(20)

        def accept():
            c, _ = listener.accept()
            with c, listener:
                got.append(socket.recv_fds(c, 64, 1)[:2])
        t = threading.Thread(target=accept)
        t.start()
        return t, got

    def check_pidfd(self, got, pid, kind):
        (name, fds), = got
        info = pathlib.Path(f"/proc/self/fdinfo/{fds[0]}").read_text()
        os.close(fds[0])
        self.assertEqual(re.search(r"^Pid:\s*(\d+)", info, re.M)[1], str(pid))
        self.assertEqual(name, kind)

    def test_pidfd(self):
        t, got = self.accept_fds(self.top / "a")
        self.b.config["process"]["args"] = ["sleep", "60"]
        self.b.write()
        with open(self.top / "out", "w") as out:
            subprocess.run([program("runc"), "--root", self.state, "run", "-d", "--pidfd-socket", self.top / "a", self.id],
                           cwd=self.b.path, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True)
        t.join(10)
        self.check_pidfd(got, json.loads(self.runc("state", self.id).stdout)["pid"], b"standard")
        t, got = self.accept_fds(self.top / "b")
        with open(self.top / "out", "w") as out:
            subprocess.run([program("runc"), "--root", self.state, "exec", "-d", "--pidfd-socket", self.top / "b", "--pid-file",
                            self.top / "pid", self.id, "sleep", "50"], stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True)
        t.join(10)
        self.check_pidfd(got, (self.top / "pid").read_text(), b"setns")
        self.assertIn("connect: no such file", self.runc("exec", "--pidfd-socket", "/nonexistent", self.id, "true").stderr)

    def test_listen_fds(self):
        r, w = os.pipe()
        os.write(w, b"through")
        os.close(w)
        self.b.config["process"]["args"] = ["sh", "-c", "echo $LISTEN_FDS $LISTEN_PID $$; cat <&3"]
        self.b.write()
        script = f'exec 3<&{r}; LISTEN_FDS=1 LISTEN_PID=$$ exec {program("runc")} --root {self.state} run {self.id}'
        out = subprocess.run(["sh", "-c", script], cwd=self.b.path, pass_fds=(r,), capture_output=True, text=True, timeout=20, check=False)
        os.close(r)
        self.assertEqual(out.stdout, "1 1 1\nthrough", out.stderr)

    def test_keep(self):
        self.b.config["process"]["args"] = ["false"]
        self.b.write()
        self.assertEqual(self.runc("run", "--keep", self.id).returncode, 1)
        self.assertEqual(json.loads(self.runc("state", self.id).stdout)["status"], "stopped")

    def test_no_pivot(self):
        self.b.config["process"]["args"] = ["ls", "/"]
        self.b.write()
        r = self.runc("run", "--no-pivot", self.id)
        self.assertEqual((r.returncode, "bin" in r.stdout.split(), "home" in r.stdout.split()), (0, True, False), r.stderr)

    def test_rootless_root(self):
        env = {"PATH": "/bin", "XDG_RUNTIME_DIR": str(self.top / "xdg")}
        (self.top / "xdg").mkdir()
        os.chmod(self.top, 0o755)
        os.chown(self.top / "xdg", 1234, 1234)
        copy = shutil.copy(program("runc"), self.top / "runc")
        r = subprocess.run([copy, "list"], env=env, user=1234, group=1234, extra_groups=[], capture_output=True, text=True, check=False)
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        self.assertEqual((self.top / "xdg/runc").stat().st_mode & 0o7777, 0o1700)
        r = subprocess.run([copy, "list"], env={**env, "XDG_RUNTIME_DIR": "/nonexistent/x"}, user=1234, group=1234, extra_groups=[],
                           capture_output=True, text=True, check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn("the path in $XDG_RUNTIME_DIR must be writable by the user", r.stderr)


class Notify(RuncTest):
    """A service manager's socket: READY of the container's process comes with the pid to watch."""
    SEND = "import socket,os,time; s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)"

    def setUp(self):
        super().setUp()
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.manager.bind(str(self.top / "manager"))
        self.manager.settimeout(20)
        # a folder of the host's where a little sender lives: busybox has none
        self.b.config["root"]["readonly"] = False
        for folder in ("/usr", "/lib", "/lib64"):
            self.b.mount(folder, type="bind", source=os.path.realpath(folder), options=["rbind", "ro"])
        self.b.config["process"]["args"] = ["/usr/bin/python3", "-c", f"""
{self.SEND}
s.connect(os.environ["NOTIFY_SOCKET"])
s.send(b"STATUS=not for the host")
s.send(b"MAINPID=1\\nREADY=1\\nSTATUS=up")
time.sleep(60)"""]
        self.b.write()
        self.env = {**os.environ, "NOTIFY_SOCKET": str(self.top / "manager")}

    def start(self, *args):
        out = open(self.top / "out", "w")
        self.addCleanup(out.close)
        p = subprocess.Popen([program("runc"), "--root", self.state, *args], cwd=self.b.path, stdin=subprocess.DEVNULL, stdout=out,
                             stderr=out, env=self.env)
        self.addCleanup(lambda: (p.poll() is None and p.kill(), p.wait()))
        return p

    def take(self, with_barrier):
        texts, fds = [], []
        for _ in range(3 if with_barrier else 2):
            text, more = socket.recv_fds(self.manager, 4096, 1)[:2]
            texts.append(text.decode())
            fds += more
        return texts, fds

    def pid(self):
        return json.loads(self.runc("state", self.id).stdout)["pid"]

    def test_detached(self):
        p = self.start("run", "-d", self.id)
        texts, fds = self.take(True)
        self.assertEqual(texts, ["READY=1\n", f"MAINPID={self.pid()}\n", "BARRIER=1"], (self.top / "out").read_text())
        self.assertIsNone(p.poll(), "it waits until the manager has read the messages")
        os.close(fds[0])
        self.assertEqual(p.wait(10), 0)

    def test_create_and_start(self):
        self.assertEqual(self.start("create", self.id).wait(10), 0)
        p = self.start("start", self.id)
        texts, fds = self.take(True)
        self.assertEqual(texts, ["READY=1\n", f"MAINPID={self.pid()}\n", "BARRIER=1"], (self.top / "out").read_text())
        os.close(fds[0])
        self.assertEqual(p.wait(10), 0)

    def test_foreground(self):
        p = self.start("run", self.id)
        texts, _ = self.take(False)
        self.assertEqual(texts, ["READY=1\n", f"MAINPID={p.pid}\n"], (self.top / "out").read_text())
        self.runc("kill", self.id, "KILL")
        self.assertEqual(p.wait(10), 137)

    def test_one_that_never_is_ready(self):
        self.b.config["process"]["args"] = ["true"]
        self.b.write()
        self.assertEqual(self.start("run", "-d", self.id).wait(10), 0)


if __name__ == "__main__":
    unittest.main()
