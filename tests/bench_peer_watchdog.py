#!/usr/bin/python3
"""bench_peer_watchdog.py DIR: print each file closed or renamed in DIR, as python3-watchdog tells of it."""
import sys
import time

from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer


class Printer(FileSystemEventHandler):
    def on_closed(self, event):
        print(event.src_path, flush=True)

    def on_moved(self, event):
        print(event.dest_path, flush=True)


observer = Observer()
observer.schedule(Printer(), sys.argv[1], recursive=True)
observer.start()
print("ready", flush=True)
while True:
    time.sleep(60)
