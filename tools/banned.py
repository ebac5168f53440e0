#!/usr/bin/env python3
"""Fail where a source uses a call that has a safer form here (style: Strings, Files, Processes).

Comments and string literals do not count.  ALLOWED names the one place that may use a word."""
import pathlib
import re
import sys

BANNED = {
    "strcpy": "str_add or arena_strdup", "strcat": "str_add", "sprintf": "snprintf or str_addf",
    "vsprintf": "vsnprintf", "strncpy": "xstrndup", "strtok": "strcspn", "gmtime": "gmtime_r",
    "localtime": "timefmt_rfc3339", "atoi": "base/num.h", "atol": "base/num.h", "strtol": "base/num.h",
    "strtoul": "base/num.h", "strtoll": "base/num.h", "strtoull": "base/num.h",
    "system": "os/spawn.h", "popen": "os/spawn.h", "alloca": "an arena", "mktemp": "mkdtemp or O_TMPFILE",
    "setjmp": "a return value", "longjmp": "a return value", 
    "strerror": "err_errno_text", "dup": "fd_copy",
}
# word: paths (prefixes below src/) that may use it, with the reason beside
ALLOWED = {
    "exit": ("cmd/", "base/test_main.c"),           # only programs end themselves
    "fork": ("os/", "runtime/", "shim/", "cmd/"),   # single-threaded programs, or before threads
}
NOISE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'', re.S)


def blank(match):
    return re.sub(r"[^\n]", " ", match[0])


def main(src):
    bad = 0
    for path in sorted(pathlib.Path(src).rglob("*.[ch]")):
        where = str(path.relative_to(src))
        if where == "base/banned.h" or where.endswith("_test.c"):
            continue
        text = NOISE.sub(blank, path.read_text())
        for n, line in enumerate(text.splitlines(), 1):
            for word in re.findall(r"(?<![\w.>])(\w+)\s*\(", line):
                if word in BANNED:
                    print(f"{path}:{n}: {word}() is banned: use {BANNED[word]}")
                    bad = 1
                elif word in ALLOWED and not where.startswith(ALLOWED[word]):
                    print(f"{path}:{n}: {word}() only in {', '.join(ALLOWED[word])}")
                    bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
