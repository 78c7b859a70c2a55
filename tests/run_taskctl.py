"""What run_taskctl.sh cannot do in the shell.

live COMMAND...     run it in a terminal: a page, another size, q; the terminal is as before
plain COMMAND...    run it in a terminal: no colours
daemon DIR          answer at DIR/control.sock: the first with a count, the second with an error; print both
"""
import fcntl
import json
import os
import pty
import select
import signal
import socket
import struct
import sys
import termios


def resize(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def begin(command):
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(command[0], command)
    return pid, fd


def read_until(fd, done, got=b""):
    while not done(got):
        ready, _, _ = select.select([fd], [], [], 20)
        assert ready, "nothing more comes: %r" % got[-400:]
        try:
            more = os.read(fd, 65536)
        except OSError:  # EIO: the other end is closed
            more = b""
        assert more or done(got), "it ended: %r" % got[-400:]
        got += more
        if not more:
            break
    return got


def live(command):
    pid, fd = begin(command)
    before = termios.tcgetattr(fd)
    resize(fd, 60, 100)
    got = read_until(fd, lambda g: g.count(b"Commands") >= 2)
    assert got.startswith(b"\033[?1049h\033[?25l"), got[:40]
    assert b"\033[32m" in got, "no colours"
    assert b"q: end" in got
    assert not termios.tcgetattr(fd)[3] & termios.ICANON
    resize(fd, 10, 30)
    os.kill(pid, signal.SIGWINCH)
    got = read_until(fd, lambda g: b"make the window taller" in g)
    os.write(fd, b"q")
    got = read_until(fd, lambda g: b"\033[?25h\033[?1049l" in g, got)
    assert termios.tcgetattr(fd) == before or os.waitpid(pid, 0), "the terminal is not as before"
    try:
        _, status = os.waitpid(pid, 0)
        assert status == 0, status
    except ChildProcessError:
        pass


def plain(command):
    pid, fd = begin(command)
    got = read_until(fd, lambda g: b"journalctl -fu" in g)
    assert b"\033" not in got, got
    assert os.waitpid(pid, 0)[1] == 0


def daemon(state):
    server = socket.socket(socket.AF_UNIX)
    os.chdir(state)
    server.bind("control.new")
    server.listen()
    os.rename("control.new", "control.sock")
    for answer in ({"count": 3}, {"error": "no more room"}):
        peer, _ = server.accept()
        line = b""
        while not line.endswith(b"\n"):
            line += peer.recv(4096)
        print(json.dumps(json.loads(line), separators=(",", ":")), flush=True)
        peer.sendall(json.dumps(answer).encode() + b"\n")
        peer.close()
    os.unlink("control.sock")


{"live": live, "plain": plain}[sys.argv[1]](sys.argv[2:]) if sys.argv[1] != "daemon" else daemon(sys.argv[2])
