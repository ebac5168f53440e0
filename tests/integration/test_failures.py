"""Containers that do not start: each failure says what is wrong, in the same sentence from runc and, by shim and daemon, from
ctr, and leaves nothing.

A row is what is wrong, and the sentence."""
import copy
import errno
import os
import pathlib
import re
import shutil
import struct
import subprocess
import tempfile
import unittest

from bundle import Bundle, RuncTest
from casco import DaemonTest, cgroups, mounts, processes

TRUE = pathlib.Path("/bin/true").read_bytes()
OTHER_MACHINE = TRUE[:18] + struct.pack("<H", 183) + TRUE[20:]
INTERPRETER = "/lib64/ld-linux-x86-64.so.2" if os.uname().machine == "x86_64" else "/lib/ld-linux-aarch64.so.1"
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
PROCESSORS = pathlib.Path("/sys/devices/system/cpu/online").read_text().strip()
INTERPRETER_32 = b"/no/ld32.so\0"  # a program of 32 bits: its head, one part, and the interpreter's name
BITS_32 = (b"\x7fELF\1\1\1" + bytes(9) + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, 0x8048000, 52, 0, 0, 52, 32, 1, 0, 0, 0)
           + struct.pack("<IIIIIIII", 3, 84, 0, 0, len(INTERPRETER_32), len(INTERPRETER_32), 4, 1) + INTERPRETER_32)
RUN, INIT = "unable to start container process: ", "unable to start container process: error during container init: "


def has_32_bits():
    """Does this kernel run such programs?"""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "e")
        path.write_bytes(BITS_32)
        path.chmod(0o755)
        try:
            subprocess.run([path], check=False)
        except OSError as e:
            return e.errno == errno.ENOENT  # of the interpreter
    return False


class Row:
    """One failure; its methods say what is changed, before the container is made."""

    def __init__(self, name, text):
        self.name, self.text = name, text
        self.changes, self.args = [], ["/bin/true"]

    def file(self, name, data, mode=0o755):
        def write(b):
            path = b.root / name
            path.write_bytes(data)
            path.chmod(mode)
        self.changes.append(write)
        self.args = ["/" + name]
        return self

    def run(self, *args):
        self.args = list(args)
        return self

    def set(self, path, value):
        def change(b):
            *way, last = path.split(".")
            at = b.config
            for key in way:
                at = at.setdefault(key, {})
            at[last] = value
        self.changes.append(change)
        return self

    def mount(self, destination, **fields):
        self.changes.append(lambda b: b.mount(destination, **fields))
        return self

    def call(self, fn):
        self.changes.append(fn)
        return self

    @property
    def is_late(self):
        """Found by execve, when the container counts as started: the sentence is the last word of its own stderr."""
        return self.text.startswith(RUN + "exec /")

    def apply(self, b):
        for change in self.changes:
            change(b)
        b.config["process"]["args"] = self.args


def noexec(b):
    b.mount("/mnt", type="tmpfs", source="t")
    b.mount("/mnt/bin", type="bind", source=str(b.root / "bin"), options=["bind", "noexec"])


def network_of_nobody(b):
    for n in b.config["linux"]["namespaces"]:
        if n["type"] == "network":
            n["path"] = "/no/such/namespace"


def hook(kind, **fields):
    return lambda b: b.config.setdefault("hooks", {}).update({kind: [fields]})


def seccomp(default, **rules):
    syscalls = [{"names": names.split(), "action": action} for action, names in rules.items()]
    return {"defaultAction": default, "syscalls": syscalls}


ROWS = [
    # the program
    Row("no program", RUN + 'exec: "nothere": executable file not found in $PATH').run("nothere"),
    Row("no file", RUN + 'exec: "/bin/nothere": stat /bin/nothere: no such file or directory').run("/bin/nothere"),
    Row("a folder", RUN + 'exec: "/bin": is a directory').run("/bin"),
    Row("mode", RUN + 'exec: "/s": stat /s: permission denied: its mode is 0644, nobody may execute it').file("s", b"#!/bin/sh\n", 0o644),
    Row("noexec", RUN + 'exec: "/mnt/bin/busybox": stat /mnt/bin/busybox: permission denied: it is on a mount with noexec')
    .call(noexec).run("/mnt/bin/busybox", "true"),
    Row("interpreter of a script", RUN + 'exec /s: no such file or directory: the interpreter "/no/interp" of the script is not there')
    .file("s", b"#! /no/interp -x\n"),
    Row("mode of an interpreter", RUN + 'exec /s: permission denied: the interpreter "/etc/passwd" of the script may not be executed')
    .file("s", b"#!/etc/passwd\n"),
    Row("CRLF", RUN + "exec /s: no such file or directory: the lines of the script end as DOS's do (CR LF), so that its interpreter is "
        '"/bin/sh\\r"').file("s", b"#!/bin/sh\r\necho\r\n"),
    Row("interpreter of a program", RUN + f'exec /e: no such file or directory: the interpreter "{INTERPRETER}" of the program is not there')
    .file("e", TRUE),
    Row("other machine", RUN + f"exec /e: exec format error: the program is for {'arm64' if MACHINE != 'arm64' else 'amd64'}, "
        f"and this machine is {MACHINE}").file("e", OTHER_MACHINE),
    Row("no #!", RUN + 'exec /s: exec format error: it is neither a program nor a script that begins with "#!"').file("s", b"echo\n"),
    Row("empty", RUN + "exec /s: exec format error: the file is empty").file("s", b""),
    Row("cwd is a file", INIT + "mkdir /bin/busybox: not a directory").set("process.cwd", "/bin/busybox"),
    Row("no args", "args must not be empty").run(),
    # the root and its mounts
    Row("no root", "invalid rootfs: stat /no/such/root: no such file or directory").set("root.path", "/no/such/root"),
    Row("no source", INIT + 'error mounting "/no/source" to rootfs at "/m": stat /no/source: no such file or directory')
    .mount("/m", type="bind", source="/no/source", options=["bind"]),
    Row("file on folder", INIT + 'error mounting "/etc/hostname" to rootfs at "/tmp": attach the mount at /tmp, a file on a directory: '
        "not a directory").mount("/tmp", type="bind", source="/etc/hostname", options=["bind"]),
    Row("below a file", INIT + 'error mounting "t" to rootfs at "/bin/busybox/x": open mount point /bin/busybox/x: not a directory')
    .mount("/bin/busybox/x", type="tmpfs", source="t"),
    Row("file system", INIT + 'error mounting "x" to rootfs at "/m": open file system type nofs: no such device')
    .mount("/m", type="nofs", source="x"),
    Row("mount option", INIT + "error mounting \"x\" to rootfs at \"/m\": set option size of tmpfs: tmpfs: Bad value for 'size': invalid argument")
    .mount("/m", type="tmpfs", source="x", options=["size=banana"]),
    # what it is given
    Row("sysctl", INIT + "error setting sysctl: open /proc/sys/net/ipv4/nope: no such file or directory")
    .set("linux.sysctl", {"net.ipv4.nope": "1"}),
    Row("sysctl of the host", 'sysctl "kernel.panic" is not in a separate kernel namespace').set("linux.sysctl", {"kernel.panic": "1"}),
    Row("hostname", INIT + "sethostname: invalid argument").set("hostname", "x" * 70),
    Row("namespace", "open network namespace /no/such/namespace: no such file or directory").call(network_of_nobody),
    Row("id maps", "id mappings are given, but no user namespace")
    .set("linux.uidMappings", [{"containerID": 0, "hostID": 0, "size": 1}]),
    Row("device", 'invalid device type "q"').set("linux.devices", [{"path": "/dev/x", "type": "q", "major": 1, "minor": 1}]),
    Row("hook", INIT + "error running createRuntime hook #0: exit status 1").call(hook("createRuntime", path="/bin/false")),
    Row("no hook", INIT + "error running createRuntime hook #0: fork/exec /no/hook: no such file or directory")
    .call(hook("createRuntime", path="/no/hook")),
    Row("slow hook", INIT + "error running createRuntime hook #0: hook ran past specified timeout of 1.0s")
    .call(hook("createRuntime", path="/bin/sleep", args=["sleep", "9"], timeout=1)),
    # rights
    Row("seccomp forbids", RUN + "exec /bin/true: operation not permitted: the seccomp profile may not allow execve")
    .set("linux.seccomp", seccomp("SCMP_ACT_ALLOW", SCMP_ACT_ERRNO="execve execveat")),
    Row("seccomp kills", RUN + "container init was killed by SIGSYS: the seccomp profile kills for a system call that is needed to start the program")
    .set("linux.seccomp", seccomp("SCMP_ACT_KILL")),
    Row("seccomp's words", "string SCMP_ACT_NOPE is not a valid action for seccomp").set("linux.seccomp", seccomp("SCMP_ACT_NOPE")),
    # limits
    Row("memory", RUN + "container init was OOM-killed (memory limit too low?)").set("linux.resources.memory", {"limit": 65536}),
    Row("processors", f"this machine has processors {PROCESSORS}").set("linux.resources.cpu", {"cpus": "0-4095"}),
    Row("huge pages", "hugetlb.3MB.max: no such file or directory: the hugetlb controller is not enabled here, or the kernel does not have that file")
    .set("linux.resources.hugepageLimits", [{"pageSize": "3MB", "limit": 4096}]),
]
ROWS.append(Row("32 bits", RUN + ('exec /e: no such file or directory: the interpreter "/no/ld32.so" of the program is not there' if has_32_bits() else
                                  f"exec /e: exec format error: the program is for 386, and this machine is {MACHINE}")).file("e", BITS_32))
if not pathlib.Path("/sys/module/apparmor/parameters/enabled").exists():
    ROWS.append(Row("no AppArmor", "apparmor: config provided but apparmor not supported").set("process.apparmorProfile", "x"))


class Runc(RuncTest):
    def test_each_says_what_is_wrong(self):
        base = copy.deepcopy(self.b.config)
        for row in ROWS:
            with self.subTest(row.name):
                self.b.config = copy.deepcopy(base)
                row.apply(self.b)
                self.b.write()
                r = self.runc("run", self.id)
                if row.is_late:
                    self.assertEqual((r.returncode, r.stderr), (255, row.text.removeprefix(RUN) + "\n"))
                else:
                    self.assertEqual(r.returncode, 1, r.stderr)
                    self.assertIn(row.text, said(r.stderr))
                self.assertEqual(list(self.state.glob("[!.]*")), [])


def said(log_line):
    """The message of a line of the log, which is quoted."""
    return log_line.replace("\\\\", "\0").replace('\\"', '"').replace("\0", "\\")


class Ctr(DaemonTest):
    def test_each_says_what_is_wrong(self):
        before = cgroups()
        for number, row in enumerate(ROWS):
            with self.subTest(row.name):
                folder = self.scratch.path / f"bundle{number}"
                b = Bundle(folder)
                b.config["root"]["path"] = str(b.root)
                row.apply(b)
                b.write()
                r = self.ctr("run", "--rm", "--config", str(folder / "config.json"), f"f{number}", check=False)
                if row.is_late:
                    self.assertEqual((r.returncode, r.stderr), (255, row.text.removeprefix(RUN) + "\n"))
                else:
                    self.assertEqual(r.returncode, 1, r.stderr)
                    self.assertRegex(r.stderr, "^ctr: failed to create shim task: OCI runtime create failed: (runc create failed: )?")
                    self.assertIn(row.text, r.stderr)
                self.assertEqual(self.ctr("containers", "ls", "-q").stdout, "")
                shutil.rmtree(folder)
        self.assertEqual([p for p in processes(str(self.scratch.path)) if "shim" in p], [])
        self.assertEqual([m for m in mounts(str(self.scratch.path)) if "rootfs" in m], [])
        self.assertEqual([c for c in cgroups() - before if re.fullmatch(r"f\d+", os.path.basename(c))], [])  # others' come and go


if __name__ == "__main__":
    unittest.main()
