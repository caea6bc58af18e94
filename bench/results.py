"""bench/RESULTS.md is made of sections between markers; each bench replaces its own."""
import pathlib

FILE = pathlib.Path(__file__).resolve().parent / "RESULTS.md"


def write_section(name, text):
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    whole = FILE.read_text() if FILE.exists() else "# Results\n"
    block = f"{begin}\n{text.strip()}\n{end}"
    if begin in whole:
        head, rest = whole.split(begin, 1)
        whole = head + block + rest.split(end, 1)[1]
    else:
        whole = whole.rstrip() + "\n\n" + block + "\n"
    FILE.write_text(whole)
