"""The suite in the virtual machine of tests/vm: pure cgroup v2 with every controller, and systemd as init.

Its Debian gets what the suite asks for (bats, jq, gawk, a compiler); suite, images and helpers are a second drive,
both runtimes are in the initramfs.  All files of a run share one boot.  checkpoint.bats is left out: Debian's criu makes
that kernel panic."""
import re
import shutil
import subprocess
import time

import suite
import images
import vm
import rootless

# A layout's words in the environment of bats; in the last two, as of a user without rights (run-bats has the rest).
SYSTEMD = {"RUNC_USE_SYSTEMD": "1"}
USER = rootless.ids_env("/suite/aux")
LAYOUTS = {"vm": {}, "vm-systemd": SYSTEMD, "vm-rootless-idmap-cgroup": {"ROOTLESS_FEATURES": "idmap+cgroup", **USER},
           "vm-rootless-systemd": {"ROOTLESS_FEATURES": "idmap", **USER, **SYSTEMD}}
LEFT_OUT = ("checkpoint.bats",)
PACKAGES = ("bats", "jq", "gawk", "procps", "iproute2", "gcc", "libc6-dev", "uidmap")
MODULES = ("loop", "fuse", "bfq")
DISK_SIZE, DRIVE_SIZE = "1200M", "2500M"
MEMORY = 1536
# Files that place processes on processors want two; for the others one will do: the emulation of two costs 1.6 times as much.
TWO_PROCESSORS = {"cgroups.bats", "cpu_affinity.bats", "update.bats"}
# Without the instruction that moves bytes in one go, which is emulated byte by byte: a kernel that clears and copies pages
# otherwise needs a fifth less time.
CPU = "max,-erms,-la57"
FILE_TIMEOUT = 2400  # seconds; everything takes some 20 times as long as on the host
BOOT_TIMEOUT = 300
MARK = re.compile(r"== (?P<word>begin|end) (?P<who>theirs|ours) (?P<file>\S+\.bats)(?: (?P<seconds>\d+))?$")


def drive(source):
    """An ext4 image of what the suite consists of, with room for its bundles."""
    def make(result, scratch):
        root = scratch / "root"
        shutil.copytree(source / "tests", root / "tests", symlinks=True)
        (root / "bin").mkdir()
        go = root / "bin/go"  # the suite asks it for the machine's name
        go.write_text("#!/bin/sh\n[ \"$*\" = 'env GOARCH' ] && echo amd64\n")
        go.chmod(0o755)
        images.command("mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-d", root, result, DRIVE_SIZE)
    return images.made_once(suite.CACHE / f"{source.name}-{images.digest(DRIVE_SIZE)}.ext4", make)


def lines_of(machine, timeout):
    """What the machine writes to its second serial port, line by line as it comes."""
    with open(machine.scratch / "results", encoding="utf-8", errors="replace") as results, \
            subprocess.Popen(machine.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as qemu:
        rest, end = "", time.monotonic() + timeout
        try:
            while qemu.poll() is None and time.monotonic() < end:
                *lines, rest = (rest + results.read()).split("\n")
                yield from (line.rstrip("\r") for line in lines)
                time.sleep(1)
            yield from (rest + results.read()).replace("\r", "").split("\n")
        finally:
            qemu.kill()


def outputs(lines):
    """(who, file, bats's output, whether it came to its end, seconds) for every file that was begun."""
    current, said = None, []
    for line in lines:
        mark = MARK.search(line)
        if mark and mark["word"] == "begin":
            current, said = (mark["who"], mark["file"]), [line[:mark.start()]]
        elif mark and current:
            yield *current, "\n".join([*said, line[:mark.start()]]), True, int(mark["seconds"])
            current = None
        else:
            said.append(line)
    if current:
        yield *current, "\n".join(said), False, 0


def to_the_end(lines, machine):
    """The lines; if they break off before the machine's own last one, its console says why."""
    ended = False
    for line in lines:
        ended = ended or line == "end"
        yield line
    if not ended:
        console = (machine.scratch / "console").read_text(errors="replace").replace("\r", "")
        print(f"the machine ended before its work did; its console:\n{console[-3000:]}", flush=True)


def run(source, layout, runtimes, wanted):
    """Boot once for the (who, file name) pairs that are wanted, and give `outputs` of them."""
    words = " ".join(map("=".join, LAYOUTS[layout].items()))
    env = {"seconds": FILE_TIMEOUT, "suite": words, "is_rootless": "ROOTLESS_FEATURES" in words or "", "aux": rootless.AUX_HOST_UID,
           "ids": f"user:{rootless.UID_START}:{rootless.LENGTH}", "gids": f"user:{rootless.GID_START}:{rootless.LENGTH}"}
    more = {"run-tests": suite.TOP / "tests/parity/run-bats", "bats": "".join(f"{who} {name}\n" for who, name in wanted).encode(),
            "env": "".join(f"{key}='{value}'\n" for key, value in env.items()).encode()}
    more.update({f"runtime/{who}/runc": path for who, path in runtimes.items()})
    machine = vm.Machine((), programs=(), disk=images.disk(PACKAGES, DISK_SIZE), drives=[drive(source)], memory=MEMORY,
                         modules=MODULES, more=more, append="mitigations=off", cpu=CPU,
                         processors=2 if TWO_PROCESSORS & {name for _, name in wanted} else 1)
    try:
        yield from outputs(to_the_end(lines_of(machine, BOOT_TIMEOUT + FILE_TIMEOUT * len(wanted)), machine))
    finally:
        machine.remove()
