"""Trees that the scenario tests move: real kinds of files, in small numbers, the same for the same seed."""

import os
import random
from pathlib import Path

# What SeaweedFS can't hold: it keeps no metadata on directory markers and stores `\\` in a key as `/`.
WEED_LEAVES = ("root", "dir_mtime")


def make_tree(root, files=300, seed=1, large=0, large_size=40 << 20, backslash=False):
    """Directories, small files of many sizes, odd names, links, an empty directory, ns times, modes; `large` big files."""
    rng = random.Random(seed)
    os.makedirs(root, exist_ok=True)
    for i in range(files):
        folder = os.path.join(root, f"d{i % 17:02d}", f"e{i % 5}")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, f"file-{i:05d}.bin")
        with open(path, "wb") as f:
            f.write(rng.randbytes(rng.choice((0, 1, 100, 4096, 20_000))))
        os.chmod(path, rng.choice((0o644, 0o600, 0o755, 0o640)))
        stamp = 1_600_000_000_000_000_000 + rng.randrange(10**17)
        os.utime(path, ns=(stamp, stamp))
    for i in range(large):
        with open(os.path.join(root, f"large-{i}.bin"), "wb") as f:
            f.write(rng.randbytes(large_size))
    odd = os.path.join(root, "odd names")
    os.makedirs(os.path.join(odd, "empty"), exist_ok=True)
    for name in ("plain+sign", "per%20cent", "ünïcode \U0001f4e6", "-rf", "new\nline", "a&b<c>", "...", "q?x=1#frag", *(["back\\slash"] if backslash else [])):
        with open(os.path.join(odd, name), "w") as f:
            f.write(name)
    os.symlink("../odd names/-rf", os.path.join(odd, "link"))
    os.symlink("/nowhere/at/all", os.path.join(odd, "dangling"))
    os.link(os.path.join(odd, "-rf"), os.path.join(odd, "zz-hard-link"))
    return root


def make_plain_tree(root):
    """A tree without what SeaweedFS can't hold or the clouds don't carry: its files, by relative path."""
    make_tree(root, files=60)
    for odd in ("link", "dangling", "zz-hard-link"):
        os.unlink(os.path.join(root, "odd names", odd))
    return files_of(root)


def files_of(root):
    """The content of every file below a directory, by relative path."""
    return {str(p.relative_to(root)): p.read_bytes() for p in Path(root).rglob("*") if p.is_file()}
