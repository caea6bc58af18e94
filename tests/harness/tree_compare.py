"""Full comparison of directory trees: the twin of `testkit::tree`, for the scenario tests.

`snapshot(root)` gives {relative path (bytes): entry}; `diff(a, b)` the differences as lines. Run as a
program it compares two trees: `tree_compare.py LEFT RIGHT [--leave owner,mtime,…]`.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from dataclasses import dataclass, field

KINDS = {stat.S_IFDIR: "dir", stat.S_IFREG: "file", stat.S_IFLNK: "symlink"}
LEAVES = {"owner", "mode", "mtime", "dir_mtime", "links", "xattrs", "root", "empty_dirs"}


@dataclass
class Entry:
    kind: str
    mode: int
    owner: tuple[int, int]
    size: int
    mtime_ns: int
    links: bytes | None = None
    target: bytes | None = None
    xattrs: dict = field(default_factory=dict)
    digest: str = ""
    allocated: int = 0


def _xattrs(path: bytes) -> dict:
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return {}
    # `user.wharf.*` is the server's own mark on what it wrote, not content.
    kept = [n for n in names if n.startswith(("user.", "system.posix_acl_")) and not n.startswith("user.wharf.")]
    return {n: os.getxattr(path, n, follow_symlinks=False) for n in kept}


def _digest(path: bytes) -> str:
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def snapshot(root) -> dict[bytes, Entry]:
    root = os.fsencode(root)
    found, names, waiting = {}, {}, [b""]
    while waiting:
        path = waiting.pop()
        full = os.path.join(root, path) if path else root
        s = os.lstat(full)
        kind = KINDS.get(stat.S_IFMT(s.st_mode), "special")
        entry = Entry(
            kind=kind, mode=0 if kind == "symlink" else stat.S_IMODE(s.st_mode), owner=(s.st_uid, s.st_gid),
            size=s.st_size if kind == "file" else 0, mtime_ns=s.st_mtime_ns, allocated=s.st_blocks * 512,
        )
        if kind == "symlink":
            entry.target = os.readlink(full)
        if kind in ("dir", "file"):
            entry.xattrs = _xattrs(full)
        if kind == "file":
            entry.digest = _digest(full)
        if kind == "dir":
            waiting += [os.path.join(path, n) for n in os.listdir(full)]
        elif s.st_nlink > 1:
            names.setdefault((s.st_dev, s.st_ino), []).append(path)
        found[path] = entry
    for group in names.values():
        if len(group) > 1:
            for path in group:
                found[path].links = min(group)
    return found


def diff(left, right, leave=()) -> list[str]:
    """Differences as lines; `left` and `right` are snapshots or paths, `leave` what is not compared (see LEAVES)."""
    leave = set(leave)
    assert leave <= LEAVES, leave - LEAVES
    left = left if isinstance(left, dict) else snapshot(left)
    right = right if isinstance(right, dict) else snapshot(right)
    out = []
    for path in sorted(left.keys() | right.keys()):
        shown = os.fsdecode(path) or "."
        one, other = left.get(path), right.get(path)
        if one is None or other is None:
            present = one or other
            if not ("empty_dirs" in leave and present.kind == "dir"):
                out.append(f"{shown}: only on the {'left' if one else 'right'} ({present.kind})")
            continue
        if "root" in leave and not path:
            continue
        if one.kind != other.kind:
            out.append(f"{shown}: type {one.kind} ≠ {other.kind}")
            continue
        for what in ("mode", "owner", "size", "mtime_ns", "links", "target", "xattrs", "digest"):
            skip = what.removesuffix("_ns") in leave or (what == "mtime_ns" and "dir_mtime" in leave and one.kind == "dir")
            if not skip and getattr(one, what) != getattr(other, what):
                out.append(f"{shown}: {what} {getattr(one, what)!r} ≠ {getattr(other, what)!r}")
    return out


def assert_alike(left, right, leave=()):
    """Fails with the first differences."""
    found = diff(left, right, leave)
    assert not found, f"{len(found)} differences:\n" + "\n".join(found[:30])


if __name__ == "__main__":
    skip = sys.argv[4].split(",") if len(sys.argv) > 4 else ()
    differences = diff(sys.argv[1], sys.argv[2], skip)
    print("\n".join(differences) or "alike")
    sys.exit(bool(differences))
