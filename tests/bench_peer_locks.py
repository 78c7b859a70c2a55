#!/usr/bin/python3
"""bench_peer_locks.py: what others do with locks, for tests/bench.

  rate soft|flock DIR NGROUPS ROUNDS   acquire and release by python3-filelock, one process
  takeover DIR N                       N times: kill -9 a holder of its FileLock while another waits
  pidfiles DIR N                       write N lock files with PIDs, half of them dead
  list DIR                             list them, as the seeds' scripts do
"""
import os
import pathlib
import signal
import sys
import time


def rate(kind, top, ngroups, rounds):
    import filelock

    make = {"soft": filelock.SoftFileLock, "flock": filelock.FileLock}[kind]
    start = time.monotonic()
    for _ in range(rounds):
        for i in range(ngroups):
            with make(f"{top}/g{i:06d}.lock", timeout=0):
                pass
    print(f"again_per_s={ngroups * rounds / (time.monotonic() - start):.0f}")


def holder(path, say):
    import filelock

    pid = os.fork()
    if pid:
        return pid
    lock = filelock.FileLock(path)  # released when it is collected
    lock.acquire(poll_interval=0.01)
    os.write(say, f"{time.monotonic():.9f}\n".encode())
    while True:
        signal.pause()


def takeover(top, n):
    hear, say = os.pipe()
    took = []
    owner = holder(f"{top}/taken.lock", say)
    os.read(hear, 64)
    for i in range(n):
        waiting = holder(f"{top}/taken.lock", say)
        time.sleep(0.030 + 0.001 * (i % 10))
        start = time.monotonic()
        os.kill(owner, signal.SIGKILL)
        took.append(1e3 * (float(os.read(hear, 64)) - start))
        os.waitpid(owner, 0)
        owner = waiting
    os.kill(owner, signal.SIGKILL)
    took.sort()
    print(f"p50_ms={took[n // 2]:.2f} max_ms={took[-1]:.2f}")


def pidfiles(top, n):
    for i in range(n):
        pid = os.getppid() if i % 2 else 4194304 + i  # above any PID of Linux
        pathlib.Path(f"{top}/g{i:06d}.lock").write_text(f"{pid}\n")


def show(top):
    for path in sorted(pathlib.Path(top).rglob("*.lock")):
        age = time.time() - path.stat().st_mtime
        pid = int(path.read_text().split()[0])
        try:
            os.kill(pid, 0)
            state = "ACTIVE"
        except ProcessLookupError:
            state = "DEAD"
        except PermissionError:
            state = "ACTIVE"
        print(f"[{state}] {path} pid {pid} age {age:.0f} s")


verb, args = sys.argv[1], sys.argv[2:]
if verb == "rate":
    rate(args[0], args[1], int(args[2]), int(args[3]))
elif verb == "takeover":
    takeover(args[0], int(args[1]))
elif verb == "pidfiles":
    pidfiles(args[0], int(args[1]))
elif verb == "list":
    show(args[0])
else:
    sys.exit(__doc__)
