#!/usr/bin/env python3
"""Everything `make check` runs, and its last line: `N passed, N failed, N skipped`.

    check.py [--build build] [lint] [unit] [integration] [tidy]      (none named: all but tidy)

lint         layers, sizes, banned calls, format, spelling, gcc and clang without warnings, clang-tidy
tidy         clang-tidy again, its analyzer as deep as it goes
unit         the unit, conformance and fuzz-corpus tests under ASan and UBSan; threads under TSan
integration  real programs: tests/integration, tests/attack and, in virtual machines, tests/vm; each
             file in a process of its own
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
FILE_TIMEOUT = 600  # seconds for one integration file
# States that clang's analyzer may look at in one function; its own default is 225000.  This many
# found all that the default did, in a fifth of the time: one minute for the tree on two processors.
QUICK_NODES = 50000


class Tally:
    def __init__(self):
        self.passed, self.failed, self.skipped = 0, [], []

    def note(self, ok, name, detail=""):
        if ok:
            self.passed += 1
        else:
            self.failed.append(name)
            print(f"FAILED {name}\n{detail}", flush=True)

    def skip(self, name, reason):
        self.skipped.append(f"{name}: {reason}")


def run(command, **kw):
    return subprocess.run(command, cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False, **kw)


def section(title):
    print(f"== {title} ({time.strftime('%H:%M:%S')})", flush=True)


def sources():
    return sorted(str(p) for root in ("src", "tests", "bench") for p in (TOP / root).rglob("*.[ch]"))


def setup(build, *options, env=None, targets=()):
    """A build folder of its own for each set of options, made once, and built."""
    if not (build / "build.ninja").exists():
        r = run(["meson", "setup", str(build), *options], env=env)
        if r.returncode:
            return r
    return run(["ninja", "-C", str(build), *targets], env=env)


def lint(build, tally):
    section("lint")
    py = sys.executable
    for name, command in (
        ("layers", [py, "tools/layers.py", "src"]),
        ("sizes", [py, "tools/sizes.py", "src"]),
        ("banned calls", [py, "tools/banned.py", "src"]),
        ("ABI of static libraries", [py, "tools/muslabi.py"]),
        ("format", [tool("clang-format"), "--dry-run", "--Werror", *sources()]),
        ("spelling", ["codespell", "-q", "3", "-I", "tools/codespell.words", "src", "docs", "README.md",
                      "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"]),
    ):
        r = run(command)
        tally.note(r.returncode == 0, f"lint: {name}", r.stdout[-6000:])

    section("compilers without warnings")
    for compiler in ("gcc", "clang"):
        # one build with musl is enough, and clang-tidy would look at every file in it a second time
        libc = "auto" if compiler == "gcc" else "glibc"
        r = setup(build / f"werror-{compiler}", "-Dwerror=true", f"-Dlibc={libc}", env=dict(os.environ, CC=cc(compiler)))
        tally.note(r.returncode == 0, f"lint: {compiler} without warnings", r.stdout[-6000:])
    # As they are released, but for the time that the optimizer needs: fortified headers and musl's have macros of their own.
    r = setup(build / "werror-clang-musl", "-Dwerror=true", "--buildtype=release", "-Doptimization=1", "-Db_lto=false",
              env=dict(os.environ, CC=cc("clang")), targets=("src/cmd/runc/runc", "src/cmd/shim/containerd-shim-runc-v2"))
    tally.note(r.returncode == 0, "lint: clang without warnings, runc and the shim as released", r.stdout[-6000:])
    clang_tidy(build / "werror-clang", tally, "lint: clang-tidy",
               [f"--extra-arg={a}" for a in ("-Xclang", "-analyzer-config", "-Xclang", f"max-nodes={QUICK_NODES}")])


def cc(compiler):
    """Through ccache where it is installed: nothing depends on it."""
    return f"ccache {compiler}" if shutil.which("ccache") else compiler


def tool(name):
    return shutil.which(name) or shutil.which(name + "-14") or name


def clang_tidy(build, tally, name, options=()):
    """One process a file, as many at once as there are processors.  Headers are checked where they are
    included; generated code and tests are not."""
    section(name)
    files = [f for f in sources() if "/src/" in f and f.endswith(".c") and not f.endswith("_test.c")]

    def check(path):
        r = run([tool("clang-tidy"), "--quiet", "-p", str(build), *options, path])
        return f"{path}\n{r.stdout[-3000:]}" if r.returncode else ""

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        bad = [out for out in pool.map(check, files) if out]
    tally.note(files and not bad, name, "\n".join(bad))


def tidy(build, tally):
    build = build / "werror-clang"
    r = setup(build, "-Dwerror=true", "-Dlibc=glibc", env=dict(os.environ, CC=cc("clang")))
    tally.note(r.returncode == 0, "tidy: clang build", r.stdout[-6000:])
    clang_tidy(build, tally, "tidy: clang-tidy in full depth")


def meson_results(build, suites, tally, label):
    args = [a for s in suites for a in ("--suite", s)]
    r = run(["meson", "test", "-C", str(build), "--no-rebuild", "--print-errorlogs",
             "--timeout-multiplier", "3", *args])
    log = build / "meson-logs" / "testlog.json"
    if "No tests defined" in r.stdout or "No suitable tests" in r.stdout or not log.exists():
        tally.note(False, f"{label}: no test ran", r.stdout[-3000:])
        return
    for line in log.read_text().splitlines():
        t = json.loads(line)
        name = f"{label}: {t['name']}"
        if t["result"] == "SKIP":
            tally.skip(name, (t.get("stdout") or "").strip().splitlines()[-1:] or "no reason given")
            continue
        note_unit(t["result"] == "OK", name, t.get("stdout") or "", t.get("stderr") or "", tally)


def note_unit(ok, name, out, err, tally):
    """One program of unit tests, which says what it ran (base/test_main.c)."""
    count = re.search(r"^(\d+) passed\n*\Z", out, re.M)  # the last thing that it says
    skipped = re.findall(r"^skip - (\S+): (.*)$", out, re.M)
    for case, reason in skipped if ok else []:
        tally.skip(f"{name} {case}", reason)
    if ok and count and int(count[1]) == 0 and skipped:
        return
    tally.passed += max(0, int(count[1]) - 1) if count else 0
    tally.note(ok, name, (out + err)[-4000:])


def unit(build, tally):
    section("unit tests under ASan and UBSan")
    asan = build / "asan"
    r = setup(asan, "-Db_sanitize=address,undefined", env=dict(os.environ, CC=cc("gcc")))
    tally.note(r.returncode == 0, "unit: sanitized build", r.stdout[-6000:])
    if r.returncode == 0:
        meson_results(asan, ["unit"] + (["root"] if os.geteuid() == 0 else []), tally, "asan")
    section("unit tests of the static programs' parts, with musl")
    release = build / "release"
    if (release / "musl-include").exists():
        r = run(["ninja", "-C", str(release), "musl-tests"])
        tally.note(r.returncode == 0, "unit: build with musl", r.stdout[-6000:])
        meson_results(release, ["musl"], tally, "musl")
    else:
        tally.skip("musl", "built with glibc")
    section("threaded unit tests under TSan")
    tsan = build / "tsan"
    r = setup(tsan, "-Db_sanitize=thread", env=dict(os.environ, CC=cc("gcc")))
    tally.note(r.returncode == 0, "unit: TSan build", r.stdout[-6000:])
    if r.returncode == 0:
        meson_results(tsan, ["threads"], tally, "tsan")


def integration(build, tally):
    section("integration and attack tests")
    if os.geteuid() != 0:
        tally.skip("integration", "needs root")
        return
    env = dict(os.environ, CASCO_BIN=str(build / "bin"), CASCO_SHARE=str(build / "share"),
               PYTHONPATH=f"{TOP}/tests/integration:{TOP}/tests/attack:{TOP}/tests/vm", PYTHONDONTWRITEBYTECODE="1")
    env.setdefault("CASCO_FAULT_STEP", "7")  # every system call is for `CASCO_FAULT_STEP=1`: some minutes
    files = {folder: sorted(TOP.glob(f"tests/{folder}/test_*.py")) for folder in ("integration", "attack", "vm")}
    # What runs in machines of its own disturbs nobody: it goes beside the rest.
    with concurrent.futures.ThreadPoolExecutor(1) as beside:
        done = [beside.submit(integration_file, path, env) for path in files["vm"]]
        for path in files["integration"] + files["attack"]:
            note_results(*integration_file(path, env), tally)
        for d in done:
            note_results(*d.result(), tally)


def integration_file(path, env):
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="casco-results-") as folder:
        results = pathlib.Path(folder, "results")
        try:
            r = run([sys.executable, "tools/testrun.py", results, str(path.relative_to(TOP))], env=env, timeout=FILE_TIMEOUT)
            out, code = r.stdout, r.returncode
        except subprocess.TimeoutExpired as e:
            out, code = (e.stdout or b"").decode(errors="replace") + "\ntimed out", 1
        lines = results.read_text().splitlines() if results.exists() else []
    print(f"   {path.stem}: {time.monotonic() - start:.0f} s", flush=True)
    return path.stem, out, code, [json.loads(l) for l in lines]


def note_results(stem, out, code, lines, tally):
    """Lines as tools/testrun.py writes them.  One that is not there is no success: a run that did not come to its
    end has failed, whatever its exit code."""
    tests = [l for l in lines if "test" in l]
    ran = lines[-1].get("ran", -1) if lines else -1
    failed = sorted({l["test"] for l in tests if l["outcome"] == "failed"})
    tally.passed += sum(l["outcome"] == "ok" for l in tests)
    for l in tests:
        if l["outcome"] == "skipped":
            tally.skip(f"{stem}.{l['test']}", l["detail"])
    for name in failed:
        tally.failed.append(f"{stem}.{name}")
    whole = ran >= 0 and len({l["test"] for l in tests}) > 0
    if failed or code or not whole:
        print(f"FAILED in {stem}\n{out[-8000:]}", flush=True)
    if code and not failed:
        tally.failed.append(f"{stem} (exit {code})")
    if not code and not whole:
        tally.failed.append(f"{stem}: " + ("ran no test" if ran == 0 else "ended before its tests did"))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default="build")
    p.add_argument("what", nargs="*", choices=[[], "lint", "unit", "integration", "tidy"])
    a = p.parse_args()
    tally, build = Tally(), (TOP / a.build).resolve()
    for step in (lint, unit, integration, tidy):
        if step.__name__ in a.what or (not a.what and step is not tidy):
            step(build, tally)
    for s in tally.skipped:
        print(f"skipped {s}")
    for f in tally.failed:
        print(f"failed {f}")
    print(f"{tally.passed} passed, {len(tally.failed)} failed, {len(tally.skipped)} skipped")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
