"""The profile that our own ctr gives a container with --seccomp."""
import os
import pathlib
import platform
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
from casco import DaemonTest  # noqa: E402
from test_seccomp import AF_ALG, AF_INET, AF_VSOCK, I386, NUMBERS, PROBE, SOCK_DGRAM, SOCK_SEQPACKET  # noqa: E402

CLONE_NEWUSER = 0x10000000
IMAGE = "docker.io/library/busybox:latest"


class DefaultProfile(DaemonTest):
    def probe(self, *calls, flags=("--seccomp",)):
        probe = self.scratch.path / "probe"
        if not probe.exists():
            subprocess.run(["gcc", "-O1", "-static", "-D_GNU_SOURCE", "-o", probe, PROBE], check=True)
        r = self.ctr("run", "--rm", *flags, "--mount", f"type=bind,src={probe},dst=/probe,options=bind:ro", IMAGE,
                     f"probe-{os.getpid()}", "/probe", *calls, check=False)
        return [line.split(": ")[1] for line in r.stdout.splitlines()], r

    def test_families(self):
        """CVE-2026-31431, AF_VSOCK: sockets into the kernel's crypto and to the host's hypervisor."""
        n = NUMBERS["socket"]
        # the kernel looks at the lower half of the register, a filter at all of it
        high = 1 << 32
        answers, r = self.probe(f"{n},{AF_INET},{SOCK_DGRAM}", f"{n},{AF_VSOCK},{SOCK_DGRAM}", f"{n},{AF_ALG},{SOCK_SEQPACKET}",
                                f"{n},{high + AF_VSOCK},{SOCK_DGRAM}", f"{n},{high + AF_ALG},{SOCK_SEQPACKET}")
        self.assertEqual(answers, ["OK"] + ["EPERM"] * 4, r.stderr)

    @unittest.skipUnless(platform.machine() == "x86_64", "the old gate is x86's")
    def test_families_by_the_old_gate(self):
        """CVE-2026-123876: the same by a 32-bit call."""
        answers, r = self.probe(f"i386:{I386['socket']},{AF_ALG},{SOCK_SEQPACKET}", f"i386:{I386['socket']},{AF_VSOCK},{SOCK_DGRAM}")
        self.assertEqual(answers, ["EPERM", "EPERM"], r.stderr)

    def test_kernel_surface(self):
        """CVE-2022-0185, CVE-2022-0492 and what is behind keyctl, bpf, userfaultfd, perf, io_uring."""
        calls = [f"{NUMBERS['unshare']},{CLONE_NEWUSER}", "425,1,0", "430,0,0"]  # io_uring_setup, fsopen
        calls += [str(NUMBERS[n]) for n in ("add_key", "keyctl", "bpf", "userfaultfd", "perf_event_open", "mount", "kexec_load")]
        answers, r = self.probe(*calls)
        self.assertEqual(answers, ["EPERM"] * len(calls), r.stderr)

    def test_calls_of_tomorrow(self):
        answers, r = self.probe("1000")
        self.assertEqual(answers, ["ENOSYS"], r.stderr)


if __name__ == "__main__":
    unittest.main()
