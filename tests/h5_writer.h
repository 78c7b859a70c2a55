/*
 * h5_writer.h: a real HDF5 writer (h5py) in another process, stopped at the stages at which a
 * file must not be read yet.
 */
#ifndef TESTS_H5_WRITER_H
#define TESTS_H5_WRITER_H

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

struct h5_writer {
    pid_t pid;
    int to, from; /* its stdin and stdout */
};

/* Each line from stdin names what to do with file number 0, 1 ...; answered by a line. */
static const char h5_writer_program[] =
    "import sys, h5py, numpy\n"
    "files = {}\n"
    "for line in sys.stdin:\n"
    "    verb, path, libver = line.split()\n"
    "    if verb == 'open':\n"
    "        files[path] = h5py.File(path, 'w', libver='latest' if libver == 'v3' else "
    "None)\n"
    "        files[path]['a'] = numpy.arange(3000.0)\n"
    "    elif verb == 'flush':\n"
    "        files[path]['b'] = numpy.arange(700)\n"
    "        files[path].flush()\n"
    "    elif verb == 'close':\n"
    "        files.pop(path).close()\n"
    "    print('done', flush=True)\n";

/* 0, or -1 when there is no h5py. */
static inline int h5_writer_start(struct h5_writer *w)
{
    static int missing = -1;
    int in[2], out[2];

    *w = (struct h5_writer){0};
    if (missing == -1)
        missing = system("/usr/bin/python3 -c 'import h5py' 2>/dev/null") != 0;
    if (missing)
        return -1;
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    w->pid = fork();
    assert_true(w->pid >= 0);
    if (w->pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        for (int fd = 3; fd < 64; fd++)
            close(fd);
        execl("/usr/bin/python3", "python3", "-c", h5_writer_program, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    w->to = in[1];
    w->from = out[0];
    return 0;
}

/* Do one thing, "open", "flush" or "close", and wait until it is done. */
static inline void h5_writer_do(struct h5_writer *w, const char *verb, const char *path,
                                const char *libver)
{
    char line[256], answer[5];
    int n = snprintf(line, sizeof line, "%s %s %s\n", verb, path, libver);

    assert_int_equal(write(w->to, line, (size_t)n), n);
    for (size_t got = 0; got < sizeof answer;) {
        ssize_t m = read(w->from, answer + got, sizeof answer - got);

        assert_true(m > 0);
        got += (size_t)m;
    }
    assert_memory_equal(answer, "done\n", 5);
}

static inline void h5_writer_kill(struct h5_writer *w)
{
    if (w->pid <= 0)
        return;
    kill(w->pid, SIGKILL);
    waitpid(w->pid, NULL, 0);
    close(w->to);
    close(w->from);
}

#endif
