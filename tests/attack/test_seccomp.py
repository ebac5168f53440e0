"""Filters: what a profile denies stays denied by every door, and a filter takes no more than it says."""
import json
import os
import pathlib
import platform
import subprocess
import unittest

from attack import Attack

PROBE = pathlib.Path(__file__).resolve().parent / "probe.c"
X86 = platform.machine() == "x86_64"
# x86-64 and AArch64 have numbers of their own; those above 400 are the same.
NUMBERS = ({"socket": 41, "add_key": 248, "keyctl": 250, "bpf": 321, "userfaultfd": 323, "perf_event_open": 298,
            "unshare": 272, "mount": 165, "ptrace": 101, "getpid": 39, "setuid": 105, "kexec_load": 246}
           if X86 else
           {"socket": 198, "add_key": 217, "keyctl": 219, "bpf": 280, "userfaultfd": 282, "perf_event_open": 241,
            "unshare": 97, "mount": 40, "ptrace": 117, "getpid": 172, "setuid": 146, "kexec_load": 104})
I386 = {"socketcall": 102, "socket": 359, "getpid": 20}
AF_INET, AF_NETLINK, AF_ALG, AF_VSOCK = 2, 16, 38, 40
SOCK_DGRAM, SOCK_SEQPACKET = 2, 5
ARCHITECTURES = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"] if X86 else ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
CONTAINERS_COMMON = pathlib.Path("/usr/share/containers/seccomp.json")


def for_this_machine(profile, caps):
    """A profile as engines keep it → linux.seccomp, as engines do it."""
    arch = "amd64" if X86 else "arm64"
    calls = []
    for c in profile["syscalls"]:
        wanted, unwanted = c.get("includes", {}), c.get("excludes", {})
        if wanted.get("arches") and arch not in wanted["arches"] or arch in (unwanted.get("arches") or []):
            continue
        if not set(wanted.get("caps") or []) <= caps or set(unwanted.get("caps") or []) & caps:
            continue
        calls.append({k: v for k, v in c.items() if k in ("names", "action", "args", "errnoRet") and v is not None})
    return {"defaultAction": profile["defaultAction"], "defaultErrnoRet": profile.get("defaultErrnoRet", 1),
            "architectures": ARCHITECTURES, "syscalls": calls}


class Seccomp(Attack):
    @classmethod
    def setUpClass(cls):
        cls.probe = pathlib.Path(f"/tmp/casco-probe-{os.getpid()}")
        subprocess.run(["gcc", "-O1", "-static", "-D_GNU_SOURCE", "-o", cls.probe, PROBE], check=True)
        cls.addClassCleanup(cls.probe.unlink)

    def setUp(self):
        super().setUp()
        (self.rootfs / "bin" / "probe").write_bytes(self.probe.read_bytes())
        (self.rootfs / "bin" / "probe").chmod(0o755)

    def filtered(self, seccomp, *calls, **process):
        config = self.config("/bin/probe", *calls, **process)
        config["linux"]["seccomp"] = seccomp
        return config

    def answers(self, seccomp, *calls, **process):
        """{call: "OK" or errno's name}; those that did not come to be are missing."""
        r = self.run_config(self.filtered(seccomp, *calls, **process))
        return dict(line.split(": ") for line in r.stdout.splitlines()), r

    @staticmethod
    def deny(*names, action="SCMP_ACT_ERRNO", architectures=None, **more):
        return {"defaultAction": "SCMP_ACT_ALLOW", "architectures": architectures or ARCHITECTURES,
                "syscalls": [{"names": list(names), "action": action, **more}]}

    def test_socket_families(self):
        """CVE-2026-31431: a rule's arguments are joined by "and", rules by "or": ranges leave one out."""
        n = NUMBERS["socket"]
        profile = {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "architectures": ARCHITECTURES, "syscalls": [
            {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": AF_ALG, "op": "SCMP_CMP_LT"}]},
            {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 39, "op": "SCMP_CMP_EQ"}]},
            {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": AF_VSOCK, "op": "SCMP_CMP_GT"}]},
        ]}
        everything = self.deny("socket")
        profile["syscalls"].append({"names": self.all_but_socket(), "action": "SCMP_ACT_ALLOW"})
        a, r = self.answers(profile, f"{n},{AF_INET},{SOCK_DGRAM}", f"{n},{AF_ALG},{SOCK_SEQPACKET}",
                            f"{n},{AF_VSOCK},{SOCK_DGRAM}", f"{n},{AF_NETLINK},{SOCK_DGRAM}")
        self.assertEqual(list(a.values()), ["OK", "EPERM", "EPERM", "OK"], r.stderr)
        a, r = self.answers(everything, f"{n},{AF_INET},{SOCK_DGRAM}")
        self.assertEqual(list(a.values()), ["EPERM"], r.stderr)

    @staticmethod
    def all_but_socket():
        """What the probe and the runtime's last steps need."""
        return ["read", "write", "close", "fstat", "newfstatat", "mmap", "mprotect", "munmap", "brk", "rt_sigaction",
                "rt_sigprocmask", "ioctl", "readlink", "readlinkat", "arch_prctl", "set_tid_address", "set_robust_list", "rseq", "prlimit64",
                "getrandom", "execve", "exit", "exit_group", "futex", "uname", "access", "faccessat", "faccessat2",
                "setuid", "setgid", "setresuid", "setresgid", "setgroups", "capset", "capget", "prctl", "chdir", "getcwd", "stat",
                "sendmsg", "sendto", "recvmsg", "recvfrom", "umask", "openat", "seccomp", "clock_gettime"]

    @unittest.skipUnless(X86, "the old gate is x86's")
    def test_the_old_gate(self):
        """CVE-2026-123876: what is denied is denied to 32-bit calls, too.

        Control: without add_architectures() and with other machines let through, the call is made."""
        call = f"i386:{I386['socket']},{AF_ALG},{SOCK_SEQPACKET}"
        a, r = self.answers(self.deny("socket"), call, f"i386:{I386['getpid']}")
        self.assertEqual(a.get(call), "EPERM", r.stderr)
        self.assertEqual(a.get(f"i386:{I386['getpid']}"), "OK")
        # all of socketcall's calls by one number: denied by its name
        call = f"i386:{I386['socketcall']},1,0"
        a, r = self.answers(self.deny("socketcall"), call)
        self.assertEqual(a.get(call), "EPERM", r.stderr)
        # a machine that the profile does not name gets nothing at all
        call = f"i386:{I386['getpid']}"
        a, r = self.answers(self.deny("socket", architectures=["SCMP_ARCH_X86_64"]), call)
        self.assertNotEqual(a.get(call), "OK")
        self.assertNotEqual(r.returncode, 0)

    @unittest.skipUnless(X86, "x32 is x86's")
    def test_numbers_of_x32(self):
        """The same calls by numbers with bit 30: another way around a filter of x86-64's."""
        n = NUMBERS["socket"] | 0x40000000
        a, r = self.answers(self.deny("socket"), f"{n},{AF_INET},{SOCK_DGRAM}")
        self.assertNotEqual(a.get(f"{n},{AF_INET},{SOCK_DGRAM}"), "OK", r.stderr)
        a, r = self.answers(self.deny("socket", architectures=["SCMP_ARCH_X86_64"]), f"{n},{AF_INET},{SOCK_DGRAM}")
        self.assertNotEqual(a.get(f"{n},{AF_INET},{SOCK_DGRAM}"), "OK", r.stderr)

    def test_calls_of_tomorrow(self):
        """A call that is newer than the profile is ENOSYS: libc tries the older one then."""
        profile = {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "architectures": ARCHITECTURES,
                   "syscalls": [{"names": [*self.all_but_socket(), "openat2"], "action": "SCMP_ACT_ALLOW"}]}
        a, r = self.answers(profile, "1000", "1023", str(NUMBERS["socket"]))
        self.assertEqual(a, {"1000": "ENOSYS", "1023": "ENOSYS", str(NUMBERS["socket"]): "EPERM"}, r.stderr)

    def test_order_with_no_new_privileges(self):
        """The filter comes last: what it denies, the runtime's own steps before it do not need."""
        profile = self.deny("setuid", "setgid", "setresuid", "setresgid", "setgroups", "capset", "chdir", "prctl",
                            "mount", "unshare", "setns", "pivot_root")
        config = self.filtered(profile, f"{NUMBERS['setuid']},0", noNewPrivileges=True,
                               user={"uid": 1000, "gid": 1000, "additionalGids": [5]})
        r = self.run_config(config)
        self.assertEqual((r.returncode, r.stdout), (0, f"{NUMBERS['setuid']},0: EPERM\n"), r.stderr)

    def test_filter_without_no_new_privileges(self):
        """Loaded while there is the right to, and there for the program all the same."""
        r = self.run_config(self.filtered(self.deny("socket"), str(NUMBERS["socket"]), noNewPrivileges=False,
                                          user={"uid": 1000, "gid": 1000}))
        self.assertEqual(r.stdout, f"{NUMBERS['socket']}: EPERM\n", r.stderr)

    def test_exec_has_the_filter(self):
        """Also when its process brings its own words."""
        config = self.config("/bin/sleep", "1000")
        config["linux"]["seccomp"] = self.deny("socket")
        with self.running(config) as name:
            for flags in ((), ("--user", "1000:1000"), ("--cap", "CAP_SYS_ADMIN")):
                r = self.runc("exec", *flags, name, "/bin/probe", str(NUMBERS["socket"]))
                self.assertEqual(r.stdout, f"{NUMBERS['socket']}: EPERM\n", r.stderr)
            process = self.scratch.path / "process.json"
            process.write_text(json.dumps({"args": ["/bin/probe", str(NUMBERS["socket"])], "cwd": "/", "user": {"uid": 0, "gid": 0},
                                           "env": ["PATH=/bin"]}))
            r = self.runc("exec", "--process", process, name)
            self.assertEqual(r.stdout, f"{NUMBERS['socket']}: EPERM\n", r.stderr)

    def test_what_we_do_not_know_is_refused(self):
        """Never a container with half of a filter."""
        for change in ({"defaultAction": "SCMP_ACT_NOTHING"}, {"architectures": ["SCMP_ARCH_PDP11"]},
                       {"syscalls": [{"names": ["socket"], "action": "SCMP_ACT_X"}]},
                       {"syscalls": [{"names": ["socket"], "action": "SCMP_ACT_ERRNO",
                                      "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_ALMOST"}]}]},
                       {"syscalls": [{"names": ["socket"], "action": "SCMP_ACT_ERRNO",
                                      "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]}):
            with self.subTest(change):
                self.assert_clear_error(self.run_config(self.filtered({**self.deny("socket"), **change}, "39")))

    def test_a_usual_profile(self):
        """bpf, userfaultfd, perf and the like: the default of engines holds when we load it."""
        if not CONTAINERS_COMMON.exists():
            self.skipTest("golang-github-containers-common, which has the profile, is not installed")
        config = self.config()
        caps = set(config["process"]["capabilities"]["bounding"])
        profile = for_this_machine(json.loads(CONTAINERS_COMMON.read_text()), caps)
        denied = ["bpf", "userfaultfd", "perf_event_open", "kexec_load"]  # it lets mount and unshare pass
        calls = [str(NUMBERS[n]) for n in denied] + [str(NUMBERS["getpid"])]
        a, r = self.answers(profile, *calls)
        self.assertEqual(a.pop(calls[-1], None), "OK", r.stderr)
        for call, answer in a.items():
            self.assertIn(answer, ("EPERM", "ENOSYS"), call)
        self.assertEqual(len(a), len(calls) - 1)


if __name__ == "__main__":
    unittest.main()
