#!/usr/bin/env python3
"""The programs themselves under sanitizers, run by the tests of whole programs.

    sanitized.py [--build build] address|thread [FILE...]     (no FILE: all of tests/integration and tests/attack)

address  ASan, LeakSanitizer and UBSan in all five programs
thread   TSan in containerd and containerd-transfer, which have threads; the rest as they are built otherwise

The unit tests of `make check` run under the same sanitizers; this is what they do not reach: the programs
beside each other.  A report of any process of a test counts, wherever its stderr goes; each is printed once.
Not part of `make check`: it takes half an hour.  Fails on any report, and on any failed test that UNFIT
does not name; nothing is suppressed.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = {"address": ("runc/runc", "shim/containerd-shim-runc-v2", "containerd/containerd", "ctr/ctr", "transfer/containerd-transfer"),
            "thread": ("containerd/containerd", "transfer/containerd-transfer")}
OPTIONS = {"address": "address,undefined", "thread": "thread"}
# What a sanitized program cannot do; everything else that fails is a fault.
UNFIT = {
    "address": {
        "test_idle_memory": "the shadow memory counts",
        "test_what_a_worker_may": "no limit of the address space: the shadow takes terabytes of it",
        "test_processes_are_born_inside": "runs under strace, where LeakSanitizer cannot look",
    },
    "thread": {"test_what_a_worker_may": "no limit of the address space: the shadow takes terabytes of it"},
}
# Files that need what is not built here: the library, wrapped system calls, a tree of installed files.
LEFT_OUT = {"test_failure_points", "test_library", "test_install", "test_docs"}
START = re.compile(r"^(?:=+\n==\d+==ERROR: .*|==\d+==ERROR: .*|Direct leak of .*|WARNING: ThreadSanitizer: .*|\S+: runtime error: .*)$", re.M)


def build(kind, folder):
    if not (folder / "build.ninja").exists():
        subprocess.run(["meson", "setup", str(folder), "-Dlibc=glibc", f"-Db_sanitize={OPTIONS[kind]}"], cwd=TOP, check=True,
                       stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", str(folder), *(f"src/cmd/{p}" for p in PROGRAMS[kind])], cwd=TOP, check=True)


def collect(kind, folder, plain):
    """bin and share as the tests want them; not stripped, so that reports have names."""
    shutil.rmtree(folder / "bin", ignore_errors=True)
    shutil.copytree(plain / "bin", folder / "bin")
    for p in PROGRAMS[kind]:
        shutil.copy2(folder / "src/cmd" / p, folder / "bin")


def places(report):
    """Our own source lines of a report's first stack: what two reports of one fault have in common."""
    return tuple(re.findall(r"#\d+ (?:0x\w+ in )?(\S+) (?:\.\./)*src/(?!libsanitizer)(\S+?)(?::\d+)?[ \n]", report.split("\n\n")[0] + "\n")[:6])


def reports(folder):
    """(what, places) -> text, each fault once."""
    found = {}
    for path in sorted(folder.iterdir()):
        text = path.read_text(errors="replace")
        starts = [m.start() for m in START.finditer(text)]
        for begin, end in zip(starts, starts[1:] + [len(text)]):
            report = text[begin:end]
            if "LeakSanitizer: detected" in report.split("\n\n")[0]:
                continue  # the head; leaks follow one by one
            found.setdefault(places(report) or re.sub(r"\d+", "N", report[:200]), report)
    return found


def run_file(kind, path, env, logs):
    env = dict(env, **{f"{name}_OPTIONS": f"log_path={logs}/{name}:{more}" for name, more in
                       (("ASAN", "detect_leaks=1"), ("UBSAN", "print_stacktrace=1"), ("TSAN", "exitcode=0"))})
    try:
        r = subprocess.run([sys.executable, "-m", "unittest", "-v", str(path.relative_to(TOP))], cwd=TOP, env=env, timeout=1200,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
        out, code = r.stdout, r.returncode
    except subprocess.TimeoutExpired as e:
        out, code = (e.stdout or b"").decode(errors="replace") + "\ntimed out", 1
    failed = sorted(set(re.findall(r"^(?:FAIL|ERROR): (\w+)", out, re.M)) - set(UNFIT[kind]))
    if code and not re.search(r"^(?:FAIL|ERROR): ", out, re.M):
        failed.append("did not end as it should")
    return failed, out


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default="build")
    p.add_argument("kind", choices=list(PROGRAMS))
    p.add_argument("files", nargs="*")
    a = p.parse_args()
    plain = (TOP / a.build).resolve()
    folder = plain / f"sanitized-{a.kind}"
    build(a.kind, folder)
    collect(a.kind, folder, plain)
    env = dict(os.environ, CASCO_BIN=str(folder / "bin"), CASCO_SHARE=str(plain / "share"), PYTHONDONTWRITEBYTECODE="1",
               PYTHONPATH=f"{TOP}/tests/integration:{TOP}/tests/attack")
    bad, all_reports = 0, {}
    for path in sorted(TOP.glob("tests/integration/test_*.py")) + sorted(TOP.glob("tests/attack/test_*.py")):
        if path.stem not in a.files and (a.files or path.stem in LEFT_OUT):
            continue
        with tempfile.TemporaryDirectory(prefix="casco-sanitized-") as logs:
            os.chmod(logs, 0o1777)  # programs that are not root's write there, too
            failed, out = run_file(a.kind, path, env, logs)
            found = reports(pathlib.Path(logs))
        print(f"{path.stem}: {len(found)} reports, failed: {', '.join(failed) or 'nothing'}", flush=True)
        if failed:
            print(out[-4000:], flush=True)
        for place, text in found.items():
            if place not in all_reports:
                print(text[:5000], flush=True)
            all_reports[place] = text
        bad += len(failed)
    print(f"{len(all_reports)} different reports, {bad} failed tests")
    return 1 if bad or all_reports else 0


if __name__ == "__main__":
    sys.exit(main())
