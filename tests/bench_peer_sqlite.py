#!/usr/bin/python3
"""bench_peer_sqlite.py FILE N: a queue in SQLite as small Python queues keep it (litequeue's shape: one table, pop and
done, WAL with synchronous=NORMAL, so that a power cut may forget what was done).  Prints the pairs of pop and done a second."""
import sqlite3, sys, time

path, n = sys.argv[1], int(sys.argv[2])
db = sqlite3.connect(path, isolation_level=None)
db.executescript("""PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;
CREATE TABLE queue(message_id INTEGER PRIMARY KEY, data TEXT NOT NULL, status INTEGER NOT NULL DEFAULT 0,
    in_time INTEGER NOT NULL, lock_time INTEGER, done_time INTEGER);
CREATE INDEX todo ON queue(status, message_id);""")
db.execute("BEGIN")
db.executemany("INSERT INTO queue(data, in_time) VALUES (?, 0)", [("x" * 300,)] * n)
db.execute("COMMIT")
start = time.monotonic()
for _ in range(n):
    db.execute("BEGIN IMMEDIATE")
    (i,) = db.execute("UPDATE queue SET status = 1, lock_time = 1 WHERE message_id ="
                      " (SELECT message_id FROM queue WHERE status = 0 ORDER BY message_id LIMIT 1)"
                      " RETURNING message_id").fetchall()[0]
    db.execute("COMMIT")
    db.execute("UPDATE queue SET status = 2, done_time = 1 WHERE message_id = ?", (i,))
print("per_s=%.0f" % (n / (time.monotonic() - start)))
