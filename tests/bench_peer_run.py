#!/usr/bin/python3
"""bench_peer_run.py COMMAND...: wall_s, cpu_s and rss_mib of a command; its words go to nobody."""
import resource
import subprocess
import sys
import time

start = time.monotonic()
p = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
wall = time.monotonic() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
if p.returncode != 0:
    sys.exit("%s ended with %d: %s" % (sys.argv[1], p.returncode, p.stderr[-300:]))
print("wall_s=%.3f cpu_s=%.3f rss_mib=%.1f" % (wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024))
