#!/usr/bin/env python3
"""Fail where a source file or a function has grown past its limit.

A file has one job: over FILE_LIMIT lines it has at least two.  Function lengths are counted from
the brace in column 0 that opens a body to the one that closes it (our format guarantees both)."""
import pathlib
import sys

FILE_LIMIT = 700
FUNCTION_LIMIT = 100


def functions(lines):
    """(first line number, length) of every brace block that starts in column 0 after a ')' line."""
    start = None
    for n, line in enumerate(lines, 1):
        if line == "{":
            start = n
        elif line == "}" and start is not None:
            yield start, n - start - 1
            start = None


def main(roots):
    bad = 0
    for root in roots:
        for path in sorted(pathlib.Path(root).rglob("*.[ch]")):
            lines = path.read_text().splitlines()
            if len(lines) > FILE_LIMIT:
                print(f"{path}: {len(lines)} lines, at most {FILE_LIMIT}: split it by job")
                bad = 1
            for at, length in functions(lines):
                if length > FUNCTION_LIMIT:
                    print(f"{path}:{at}: function of {length} lines, at most {FUNCTION_LIMIT}")
                    bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["src"]))
