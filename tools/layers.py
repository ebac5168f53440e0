#!/usr/bin/env python3
"""Fail where a folder of src/ includes a folder it may not depend on.

`LAYERS` is the dependency direction of the project, written down once: each folder names the
folders it may include directly.  "proto" stands for the generated interface structs."""
import pathlib
import re
import sys

LAYERS = {
    "libc":    "base",
    "base":    "",
    "os":      "base",
    "loop":    "base os",
    "wire":    "base os loop proto",
    "oci":     "base",
    "cgroup":  "base os oci",
    "runtime": "base os proto oci cgroup",
    "shim":    "base os loop wire proto oci cgroup runtime",
    "store":   "base os loop",
    "net":     "base os loop oci",
    "image":   "base os loop wire oci store",
    "task":    "base os loop wire proto oci store",
    "nri":     "base os loop wire proto",
    "engine":  "base os loop oci cgroup store image net task nri",
    "cri":     "base os loop proto oci cgroup store image net task nri engine",
    "api":     "base os loop wire proto oci engine cri image store task",
    "cmd":     "base os loop wire proto oci cgroup runtime shim store image net task nri engine cri api",
}
PROTO_ROOTS = {"containerd", "google", "grpc", "ttrpc", "cgroups", "criu", "opentelemetry"}


def main(src):
    bad = 0
    documented = (pathlib.Path(src).parent / "ARCHITECTURE.md")
    tour = documented.read_text() if documented.exists() else ""
    for folder in sorted(p.name for p in pathlib.Path(src).iterdir() if p.is_dir()):
        if tour and f"{folder}/" not in tour:
            print(f"ARCHITECTURE.md: does not mention {folder}/")
            bad = 1
    for path in sorted(pathlib.Path(src).rglob("*.[ch]")):
        here = path.relative_to(src).parts[0]
        allowed = set(LAYERS.get(here, "").split()) | {here}
        for n, line in enumerate(path.read_text().splitlines(), 1):
            m = re.match(r'#include "([a-z0-9_]+)/', line)
            if not m:
                continue
            # nri is a folder of both: the generated ones are told by their name
            used = "proto" if m[1] in PROTO_ROOTS or ".pb-c.h" in line else m[1]
            if used not in allowed:
                print(f"{path}:{n}: {here}/ may not include {used}/")
                bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
