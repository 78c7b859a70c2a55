#!/usr/bin/python3
"""bench_peer_celery.py DIR N: tasks a second through Celery and Redis, tasks that do nothing.

Redis listens on a socket in DIR and keeps nothing on disk; Celery runs as delivered, a prefork pool of 2.
Prints n= rate=, counted from the first task's begin to the last one's end.
"""
import os
import subprocess
import sys
import time

import celery
import redis

where = os.path.abspath(sys.argv[1])
sock = where + "/redis.sock"
app = celery.Celery("bench_peer_celery", broker="redis+socket://" + sock)
app.conf.worker_hijack_root_logger = False
counter = redis.Redis(unix_socket_path=sock)


@app.task(name="noop")
def noop():
    counter.set("first", time.time(), nx=True)
    counter.incr("done")


def wait_for(what):
    end = time.monotonic() + 120
    while not what():
        if time.monotonic() > end:
            raise SystemExit("celery: nothing happens")
        time.sleep(0.02)


def main():
    n = int(sys.argv[2])
    server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", sock, "--save", "",
                               "--dir", where], stdout=subprocess.DEVNULL)
    worker = None
    try:
        wait_for(lambda: os.path.exists(sock))
        for _ in range(n):
            noop.delay()
        env = dict(os.environ, PYTHONPATH=os.path.dirname(os.path.abspath(__file__)))
        worker = subprocess.Popen([sys.executable, "-c", "import sys; sys.argv = ['b', %r, '0']\n"
                                   "import bench_peer_celery as b\n"
                                   "b.app.worker_main(['worker', '-c', '2', '-l', 'ERROR'])" % where],
                                  env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: int(counter.get("done") or 0) >= n)
        print("n=%d rate=%.0f" % (n, n / (time.time() - float(counter.get("first")))))
    finally:
        for p in (worker, server):
            if p is not None:
                p.terminate()
                p.wait()


if __name__ == "__main__":
    main()
