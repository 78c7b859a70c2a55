"""What run_taskctl.sh cannot do in the shell.

live COMMAND...     run it in a terminal: a page, another size, q; the terminal is as before
plain COMMAND...    run it in a terminal: no colours
daemon DIR          answer at DIR/control.sock: the first with success, the second with an error; print both
"""
import fcntl
import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import termios

PATIENCE_S = 600  # bounds a failure


def resize(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def begin(command):
    master, slave = pty.openpty()
    resize(master, 60, 100)
    before = termios.tcgetattr(slave)
    program = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    return program, master, slave, before


def read_until(fd, done):
    got = b""
    while not done(got):
        ready, _, _ = select.select([fd], [], [], PATIENCE_S)
        assert ready, "nothing more comes: %r" % got[-400:]
        got += os.read(fd, 65536)
    return got


def live(command):
    program, master, slave, before = begin(command)
    got = read_until(master, lambda g: g.count(b"Commands") >= 2)
    assert got.startswith(b"\033[?1049h\033[?25l"), got[:40]
    assert b"\033[32m" in got, "no colours"
    assert b"q: end" in got
    assert not termios.tcgetattr(slave)[3] & (termios.ICANON | termios.ECHO)
    resize(master, 10, 30)
    program.send_signal(signal.SIGWINCH)
    read_until(master, lambda g: b"make the window taller" in g)
    os.write(master, b"q")
    read_until(master, lambda g: g.endswith(b"\033[?25h\033[?1049l"))
    assert program.wait(PATIENCE_S) == 0
    assert termios.tcgetattr(slave) == before, "the terminal is not as before"
    program, master, slave, before = begin(command)
    read_until(master, lambda g: b"Commands" in g)
    program.send_signal(signal.SIGTERM)
    read_until(master, lambda g: g.endswith(b"\033[?25h\033[?1049l"))
    assert program.wait(PATIENCE_S) == 0
    assert termios.tcgetattr(slave) == before, "the terminal is not as before"


def plain(command):
    program, master, _, _ = begin(command)
    got = read_until(master, lambda g: b"journalctl -fu" in g)
    assert b"\033" not in got, got
    assert program.wait(PATIENCE_S) == 0


def daemon(state):
    server = socket.socket(socket.AF_UNIX)
    os.chdir(state)
    server.bind("control.new")
    server.listen()
    os.rename("control.new", "control.sock")
    for answer in ({"slots": 3, "before": 1}, {"error": "no more room"}):
        peer, _ = server.accept()
        line = b""
        while not line.endswith(b"\n"):
            line += peer.recv(4096)
        print(json.dumps(json.loads(line), separators=(",", ":")), flush=True)
        peer.sendall(json.dumps(answer).encode() + b"\n")
        peer.close()
    os.unlink("control.sock")


if sys.argv[1] == "daemon":
    daemon(sys.argv[2])
else:
    {"live": live, "plain": plain}[sys.argv[1]](sys.argv[2:])
