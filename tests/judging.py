"""What the judges share: saying what is right and what is not, and running programs."""

import subprocess
import sys

faults = []  # what was said not to be right


def check(ok, what):
    print("ok  " if ok else "FAIL", what)
    if not ok:
        faults.append(what)


def run(*args):
    """A program that must end with 0; its output."""
    p = subprocess.run(args, capture_output=True, text=True)
    if p.returncode != 0:
        print(" ".join(args), "ended with", p.returncode, p.stdout[-2000:], p.stderr[-2000:])
        sys.exit(1)
    return p
