#!/usr/bin/env python3
"""Run runc's own integration tests on Debian's runc and on ours, and compare them test by test.

    runc_bats.py [--release sid] [--peer PATH] [--layout LAYOUT]... [--rootless] [--lock FILE] [--keep-peer]
                 [--keep-ours] [--lazy] [--criu PATH] [--verbose] [FILE.bats...]

The suite and the peer are those of the runc that is installed, or, with --release, of the newest one of that
Debian release (built from its source: suite.py).  A test that the peer passes here and ours does not is an
error, unless runc_bats.known (or runc_bats.RELEASE.known) has it with a reason; an entry there whose test
passes is an error as well, so that the list can only shrink.

Each file runs in mount and PID namespaces of its own: what it mounts or leaves running ends with it.
In the cgroup2 layout these show a cgroup2 hierarchy alone at /sys/fs/cgroup, otherwise the host's.
The layouts vm and vm-systemd boot the virtual machine of tests/vm once for all files (bats_vm.py): there cgroup v2 has
every controller, and systemd is init; in vm-systemd runc makes its cgroups by it (--systemd-cgroup).  A user without rights
runs it in vm-rootless-idmap-cgroup and vm-rootless-systemd, whose systemd is the user's own.  As everything takes some
twenty times as long there, they run only when they are asked for, best with the names of a few files and --lazy.
With --rootless an unprivileged user runs it, with each set of the features that may be given to one (rootless.py).
Results and bats's output are kept in build/parity/results[.RELEASE]/."""
import argparse
import contextlib
import fcntl
import fnmatch
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time

import suite  # first: it says where the next ones are
import images
import bats_vm
import rootless
from casco import program

LAYOUTS = ("hybrid", "cgroup2")
UNASKED = "not run"  # the peer's result with --lazy, where nothing of ours failed
# Seconds for one bats file; the slowest take 40, those of newer suites 200.  (BATS_TEST_TIMEOUT is a sleep in the test's own
# shell, for which the tests that say `wait` would wait.)
FILE_TIMEOUT = 600
TEST_TIMEOUT = 60  # and more for a file of many tests: those of idmap.bats unpack a Debian each, 10 s on an idle machine
GRACE = 10  # seconds after the last result
RESULT = re.compile(r"(?P<not>not )?ok (?P<number>\d+) (?P<name>.*?)(?P<skip> # skip ?(?P<reason>.*))?$")

# The first process of a file's namespaces.  /dev/null is another node of the same device, as one test
# tries to make a runtime change the owner of the host's.
WITHIN = """
mount -t proc proc /proc
mknod -m 666 "$TMPDIR/null" c 1 3 && mount --bind "$TMPDIR/null" /dev/null
[ -z "$CRIU" ] || mount --bind "$CRIU" "$(command -v criu)"
if [ "$LAYOUT" = cgroup2 ]; then
	umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
"""
BATS = 'exec {}bats -t "$1"\n'


def attach(terminal):
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    for fd in range(3):
        os.dup2(terminal, fd)


def has_all(output):
    """bats has told the last result: what it may still wait for is what a failed test left running."""
    plan = re.search(rb"^1\.\.(\d+)", output, re.M)
    return plan and len(re.findall(rb"^(?:not )?ok \d+ ", output, re.M)) >= int(plan[1])


def on_terminal(command, env, seconds):
    """The command's output, and whether it came to its end.  It has a terminal of its own, which never
    ends as input: some of the tests need one."""
    outer, inner = pty.openpty()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            attach(inner)
            os.execvpe(command[0], command, env)
        os._exit(127)
    os.close(inner)
    end, out, whole = time.monotonic() + seconds, b"", True
    while True:
        left = end - time.monotonic()
        if left <= 0:
            whole = has_all(out)
            os.kill(pid, signal.SIGKILL)
            break
        if select.select([outer], [], [], left)[0]:
            try:
                data = os.read(outer, 65536)
            except OSError:  # EIO: nobody has the terminal any more
                break
            if not data:
                break
            out += data
            if has_all(out):
                end = min(end, time.monotonic() + GRACE)
        elif os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            break
    os.waitpid(pid, 0)
    os.close(outer)
    return out.decode(errors="replace").replace("\r\n", "\n"), whole


def cgroups():
    return {folder for folder, _, _ in os.walk("/sys/fs/cgroup")}


def remove_cgroups(before):
    """What a killed test left: never a cgroup that was there before, or that does not bear the suite's names."""
    for folder in sorted(cgroups() - before, key=len, reverse=True):
        if re.search(r"/(test|runc-cgroups-integration-test|ct)", folder):
            with contextlib.suppress(OSError):
                os.rmdir(folder)


def detach_loops(scratch):
    """A failed test leaves its loop device, which is the machine's and not the namespaces'."""
    listed = subprocess.run(["losetup", "-l", "-n", "-O", "NAME,BACK-FILE"], capture_output=True, text=True, check=False).stdout
    for line in listed.splitlines():
        device, _, file = line.partition(" ")
        if file.strip().startswith(f"{scratch}/"):
            subprocess.run(["losetup", "-d", device], check=False)


def timeout_of(path):
    return max(FILE_TIMEOUT, TEST_TIMEOUT * len(suite.test_names(path)))


def tests_of(output, path, whole):
    """Test name to "ok", "not ok" or "skip", with bats's words on it.  A test without a result failed."""
    found, name = {}, None
    for line in output.splitlines():
        match = RESULT.match(line)
        if match:
            name = match["name"]
            verdict = "skip" if match["skip"] else "not ok" if match["not"] else "ok"
            found[name] = [verdict, match["reason"] or ""]
        elif name and line.startswith("#") and found[name][0] == "not ok":
            found[name][1] += line[1:] + "\n"
    for missing in suite.test_names(path):
        why = "no result" if whole else "no result in time"
        found.setdefault(missing, ["not ok", f"{why}; the output's end: {output[-500:]}"])
    return found


@contextlib.contextmanager
def alone(lock):
    """While other tests of this machine that take the same lock wait."""
    with open(lock or os.devnull, "a", encoding="utf-8") as f:
        if lock:
            fcntl.flock(f, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def within(layout, scratch, path, env):
    """The script that a layout needs, the bats file's path there, and the environment."""
    if layout not in rootless.LAYOUTS:
        yield WITHIN + BATS.format(""), path, env
        return
    place = pathlib.Path(scratch) / "user"
    place.mkdir(0o711)
    with rootless.ready(layout, place, path, env) as (here, env):
        yield WITHIN + rootless.WITHIN + BATS.format(rootless.PREFIX), here, env


def run_file(runtime, layout, path, lock, criu):
    with alone(lock), tempfile.TemporaryDirectory(prefix="parity-", ignore_cleanup_errors=True) as scratch:
        os.chmod(scratch, 0o711)  # tests with a user namespace walk through it
        before, start = cgroups(), time.monotonic()
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": scratch, "TMPDIR": scratch,
               "TERM": "xterm", "LC_ALL": "C.UTF-8", "RUNC": runtime, "LAYOUT": layout, "CRIU": criu}
        with within(layout, scratch, path, env) as (script, here, env):
            output, whole = on_terminal(["unshare", "-m", "-p", "-f", "--kill-child", "--propagation", "private",
                                         "sh", "-euc", script, "sh", str(here)], env, timeout_of(path))
        remove_cgroups(before)
        detach_loops(scratch)
        seconds = time.monotonic() - start
    return output, whole, seconds


def known_file(release):
    return pathlib.Path(__file__).with_suffix(f".{release}.known" if release else ".known")


def known_list(path):
    """(layout, file, test) to reason, of lines `LAYOUT FILE: TEST # REASON`; `*-rootless*` is several layouts."""
    known = {}
    for number, line in enumerate(path.read_text().splitlines() if path.exists() else (), 1):
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r"(\S+) (\S+\.bats): (.*\S)\s+# (.+)", line)
        layouts = fnmatch.filter((*LAYOUTS, *rootless.LAYOUTS, *bats_vm.LAYOUTS), match[1]) if match else []
        if not layouts:
            raise SystemExit(f"{path}:{number}: not `LAYOUT FILE: TEST # REASON`")
        known.update({(layout, match[2], match[3]): match[4] for layout in layouts})
    return known


def paragraph(title, lines):
    print(f"\n{title}: {len(lines)}")
    for line in lines:
        print(f"  {line}")


def compare(layout, theirs, ours, known, verbose):
    """Print how one layout's results differ; the number of errors."""
    both = [(f, t) for f in ours for t in ours[f]]
    pairs = {k: (theirs[k[0]].get(k[1], ["not ok", ""]), ours[k[0]][k[1]]) for k in both}
    name = "{0[0]}: {0[1]}".format
    passed = [k for k, (a, b) in pairs.items() if a[0] == b[0] == "ok"]
    skipped = [k for k, (a, b) in pairs.items() if a[0] == b[0] == "skip"]
    failed = [k for k, (a, b) in pairs.items() if a[0] == b[0] == "not ok"]
    worse = [k for k, (a, b) in pairs.items() if a[0] == "ok" and b[0] != "ok"]
    better = [k for k, (a, b) in pairs.items() if b[0] == "ok" and a[0] in ("not ok", "skip")]
    unasked = [k for k, (a, b) in pairs.items() if a[0] == UNASKED]
    print(f"\n== {layout}: {len(pairs)} tests")
    print(f"passed by both: {len(passed)}")
    if unasked:
        print(f"theirs was not asked: {len(unasked)}, of which ours passed {sum(pairs[k][1][0] == 'ok' for k in unasked)}")
    print(f"skipped by both: {len(skipped)}")
    for k in skipped if verbose else []:
        print(f"  {name(k)} ({pairs[k][1][1]})")
    paragraph("failed by both", [name(k) for k in failed])
    paragraph("ours passes where theirs does not", [f"{name(k)} (theirs: {pairs[k][0][0]})" for k in better])
    paragraph("ours fails where theirs passes", [name(k) + (f" (known: {known[layout, *k]})" if (layout, *k) in known else "")
                                                  for k in worse])
    new = [k for k in worse if (layout, *k) not in known]
    for k in new:
        print(f"\nFAILED {layout} {name(k)}: {pairs[k][1][0]}\n{pairs[k][1][1]}")
    gone = [k for k, (a, b) in pairs.items() if (layout, *k) in known and k not in worse and (a[0] != UNASKED or b[0] == "ok")]
    for k in gone:
        print(f"ERROR {layout} {name(k)} is in the known list but does not fail: remove it there")
    stale = [k for k in known if k[0] == layout and k[1] in ours and k[2] not in ours[k[1]]]
    for k in stale:
        print(f"ERROR {layout} {k[1]}: {k[2]} is in the known list but not in the suite")
    return len(new) + len(gone) + len(stale)


def host_outputs(layout, runtimes, wanted, options):
    """As bats_vm.run gives them, from this machine."""
    for who, path in wanted:
        output, whole, seconds = run_file(runtimes[who], layout, path, options.lock, options.criu)
        yield who, path.name, output, whole, seconds


def run_layout(layout, files, source, known, options):
    place = suite.CACHE / ("results" + (f".{options.release}" if options.release else "")) / layout
    place.mkdir(parents=True, exist_ok=True)
    runtimes = {"theirs": options.peer, "ours": program("runc")}
    results, wanted = {who: {} for who in runtimes}, []
    for path in files:
        for who in runtimes:
            kept = place / f"{path.name}.{who}.json"
            if options.keep_ours and kept.exists() or who == "theirs" and options.keep_peer and kept.exists():
                results[who][path.name] = json.loads(kept.read_text())
            else:
                wanted.append((who, path))
    if options.lazy:
        run_wanted(layout, source, [w for w in wanted if w[0] == "ours"], place, runtimes, results, options)
        failed = [name for name, tests in results["ours"].items()
                  if any(v[0] == "not ok" and (layout, name, t) not in known for t, v in tests.items())]
        for who, path in wanted:
            if who == "theirs" and path.name not in failed:
                results[who][path.name] = {t: [UNASKED, ""] for t in results["ours"][path.name]}
        wanted = [w for w in wanted if w[0] == "theirs" and w[1].name in failed]
    run_wanted(layout, source, wanted, place, runtimes, results, options)
    return results


def run_wanted(layout, source, wanted, place, runtimes, results, options):
    """Fill `results` for the (who, path) pairs, and keep them in the folder `place`."""
    if layout not in bats_vm.LAYOUTS:
        outputs = host_outputs(layout, runtimes, wanted, options)
    else:
        outputs = bats_vm.run(source, layout, runtimes, [(who, path.name) for who, path in wanted]) if wanted else ()
    for who, name, output, whole, seconds in outputs:
        tests = tests_of(output, next(path for _, path in wanted if path.name == name), whole)
        (place / f"{name}.{who}.tap").write_text(output)
        if whole:
            (place / f"{name}.{who}.json").write_text(json.dumps(tests, indent=1))
        results[who][name] = tests
        counts = [sum(v[0] == kind for v in tests.values()) for kind in ("ok", "not ok", "skip")]
        print(f"{layout} {name} {who}: {counts[0]} ok, {counts[1]} not ok, {counts[2]} skipped, {seconds:.1f} s", flush=True)
    for who, path in wanted:
        results[who].setdefault(path.name, tests_of("", path, False))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--layout", action="append", choices=(*LAYOUTS, *rootless.LAYOUTS, *bats_vm.LAYOUTS),
                   help="only these (default: hybrid and cgroup2)")
    p.add_argument("--rootless", action="store_true", help="as a user without rights: all layouts of that kind")
    p.add_argument("--peer", help="the runc to compare with (default: the installed one, or the release's)")
    p.add_argument("--release", help="a Debian release whose suite and runc to take, as sid")
    p.add_argument("--keep-peer", action="store_true", help="take the peer's results of an earlier run where there are any")
    p.add_argument("--keep-ours", action="store_true", help="the same of all results: go on with a run that was broken off")
    p.add_argument("--lazy", action="store_true", help="run the peer only on the files in which a test of ours fails that is not in the known list")
    p.add_argument("--criu", default="", help="a criu to put in the place of the installed one, which knows older kernels only")
    p.add_argument("--lock", help="a file that is locked while a bats file runs")
    p.add_argument("--verbose", action="store_true", help="name the tests that both skip")
    p.add_argument("files", nargs="*", help="names of bats files, in the order to run them (default: all)")
    options = p.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("runc_bats.py: needs root")
    try:
        source = suite.prepared(options.release)
    except images.Missing as e:
        raise SystemExit(f"runc_bats.py: {e}") from e
    options.peer = options.peer or (str(source / suite.PEER) if options.release else
                                    shutil.which("runc", path="/usr/sbin:/usr/bin:/sbin:/bin"))
    files = suite.files(source)
    if options.files:
        files = sorted((f for f in files if f.name in options.files), key=lambda f: options.files.index(f.name))
    known, errors = known_list(known_file(options.release)), 0
    for layout in options.layout or (rootless.LAYOUTS if options.rootless else LAYOUTS):
        here = [f for f in files if layout not in bats_vm.LAYOUTS or f.name not in bats_vm.LEFT_OUT]
        try:
            results = run_layout(layout, here, source, known, options)
        except images.Missing as e:
            raise SystemExit(f"runc_bats.py: {e}") from e
        errors += compare(layout, results["theirs"], results["ours"], known, options.verbose)
    print(f"\n{errors} errors")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
