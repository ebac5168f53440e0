#!/usr/bin/env python3
"""A man page from the Markdown that docs/man uses: `mdman.py docs/man/ctr.8.md >ctr.8`.

Known: `# NAME(8)` title, `##` sections, `###` subsections, paragraphs, `- ` lists, indented code,
`**bold**`, `*italic*`, `` `code` `` and definition lists (a line, then `:   text`)."""
import pathlib
import re
import sys


def escape(text):
    return text.replace("\\", "\\e").replace("-", "\\-")


def inline(text):
    """Roff of one line; a backslash or dot that starts a line must not read as a request."""
    parts = re.split(r"(`[^`]+`|\*\*[^*]+\*\*|\*[^*\s][^*]*\*)", text)
    out = []
    for p in parts:
        if p.startswith("**"):
            out.append(f"\\fB{escape(p[2:-2])}\\fR")
        elif p.startswith("`"):
            out.append(f"\\fB{escape(p[1:-1])}\\fR")
        elif p.startswith("*") and len(p) > 2:
            out.append(f"\\fI{escape(p[1:-1])}\\fR")
        else:
            out.append(escape(p))
    line = "".join(out)
    return "\\&" + line if line[:1] in (".", "'") else line


def convert(text, name, section):
    out, lines, i = [f'.TH "{name.upper()}" "{section}" "" "casco" "casco manual"'], text.splitlines(), 0
    code = False
    while i < len(lines):
        line = lines[i]
        is_code = line.startswith("    ") and not line.startswith("    - ")
        if is_code != code and not (code and not line.strip()):
            out.append(".nf\n.RS 4" if is_code else ".RE\n.fi")
            code = is_code
        if is_code or (code and not line.strip()):
            out.append(("\\&" + escape(line[4:])) if line.strip() else "")
        elif line.startswith("# "):
            pass
        elif line.startswith("## "):
            out.append(f".SH {escape(line[3:].upper())}")
        elif line.startswith("### "):
            out.append(f".SS {escape(line[4:])}")
        elif line.startswith("- "):
            out.append(f".IP \\(bu 2\n{inline(line[2:])}")
        elif line.startswith(":   "):
            out.append(inline(line[4:]))
        elif i + 1 < len(lines) and lines[i + 1].startswith(":   "):
            out.append(f".TP\n{inline(line)}")
        elif not line.strip():
            out.append(".PP")
        else:
            out.append(inline(line.strip()))
        i += 1
    if code:
        out.append(".RE\n.fi")
    return "\n".join(out) + "\n"


def main():
    path = pathlib.Path(sys.argv[1])
    name, _, section = path.name.removesuffix(".md").rpartition(".")
    sys.stdout.write(convert(path.read_text(), name, section))


if __name__ == "__main__":
    main()
