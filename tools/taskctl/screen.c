#include "tools/taskctl/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/text.h"

#define OTHER_PAGE "\033[?1049h\033[?25l"
#define OWN_PAGE   "\033[?25h\033[?1049l"
#define ELLIPSIS   "\xe2\x80\xa6"

/* Set by screen_begin, for screen_end. */
static struct termios before;
static bool keys; /* stdin is a terminal, and `before` holds */
static volatile sig_atomic_t resized, stopped;

static void on_signal(int number)
{
    if (number == SIGWINCH)
        resized = 1;
    else
        stopped = 1;
}

static void write_all(const char *s, size_t n)
{
    while (n > 0) {
        ssize_t k = write(STDOUT_FILENO, s, n);

        if (k == -1 && errno == EINTR)
            continue;
        if (k == -1) {
            stopped = 1; /* the terminal is gone */
            return;
        }
        s += k;
        n -= (size_t)k;
    }
}

bool screen_begin(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};
    struct sigaction act = {.sa_handler = on_signal};
    struct termios raw;
    sigset_t set;

    if (!isatty(STDOUT_FILENO))
        return false;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        sigaddset(&set, signals[i]);
        sigaction(signals[i], &act, NULL);
    }
    sigprocmask(SIG_BLOCK, &set, NULL); /* they arrive in screen_wait only */
    keys = tcgetattr(STDIN_FILENO, &before) == 0;
    if (keys) {
        raw = before;
        raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO | ISIG);
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    write_all(OTHER_PAGE, sizeof OTHER_PAGE - 1);
    return true;
}

void screen_end(void)
{
    write_all(OWN_PAGE, sizeof OWN_PAGE - 1);
    if (keys)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
}

/* ---- fitting ---- */

static void put_bytes(FILE *out, const char *s, size_t n)
{
    fwrite(s, 1, n, out);
}

/* Length of the colour code at s, 0 when it is none. */
static size_t colour(const char *s)
{
    size_t n;

    if (s[0] != '\033' || s[1] != '[')
        return 0;
    n = 2 + strspn(s + 2, "0123456789;");
    return s[n] == 'm' ? n + 1 : 0;
}

/* One line, cut; the place behind it. */
static const char *put_line(FILE *out, const char *s, unsigned columns)
{
    const char *end = strchrnul(s, '\n');
    size_t wide = 0, left = 0;

    for (const char *p = s; p < end;) { /* how wide is it? */
        size_t k = colour(p);

        wide += k == 0;
        k = k > 0 ? k : text_utf8(p);
        p += k > 0 ? k : 1;
    }
    left = wide <= columns ? wide : columns > 0 ? columns - 1 : 0;
    while (s < end) {
        size_t k = colour(s), skip = k > 0 ? k : text_utf8(s);

        skip = skip > 0 ? skip : 1;
        if (k > 0 || left > 0)
            put_bytes(out, s, skip);
        left -= k == 0 && left > 0;
        s += skip;
    }
    if (wide > columns)
        fputs(ELLIPSIS, out);
    return *end == '\n' ? end + 1 : end;
}

static size_t count_lines(const char *s)
{
    size_t n = 0;

    for (; *s != '\0'; s++)
        n += *s == '\n' || s[1] == '\0';
    return n;
}

char *screen_fit(const char *text, unsigned rows, unsigned columns, size_t *n)
{
    size_t lines = count_lines(text), shown = lines;
    char *out = NULL;
    FILE *f = mem_must(open_memstream(&out, n));

    if (lines > rows)
        shown = rows > 0 ? rows - 1 : 0;
    fputs("\033[H", f);
    for (size_t i = 0; i < shown; i++) {
        text = put_line(f, text, columns);
        fputs("\033[0m\033[K", f);
        if (i + 1 < shown || shown < lines)
            fputs("\r\n", f);
    }
    if (shown < lines && rows > 0)
        fprintf(f, "%zu more lines: make the window taller\033[K", lines - shown);
    fputs("\033[J", f);
    fclose(f);
    return out;
}

void screen_show(const char *text)
{
    struct winsize w = {.ws_row = 24, .ws_col = 80};
    size_t n;
    char *out;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) != 0 || w.ws_row == 0 || w.ws_col == 0)
        w = (struct winsize){.ws_row = 24, .ws_col = 80};
    out = screen_fit(text, w.ws_row, w.ws_col, &n);
    write_all(out, n);
    free(out);
}

/* ---- waiting ---- */

/* What the keys say; SCREEN_TIME when they say nothing. */
static enum screen_news read_keys(void)
{
    char key[32];
    ssize_t n = read(STDIN_FILENO, key, sizeof key);

    if (n <= 0)
        return SCREEN_QUIT; /* the terminal is gone */
    for (ssize_t i = 0; i < n; i++) {
        if (key[i] == 'q' || key[i] == 'Q' || key[i] == 3) /* Ctrl-C */
            return SCREEN_QUIT;
        if (key[i] == ' ' || key[i] == 'r' || key[i] == 12) /* Ctrl-L */
            return SCREEN_REFRESH;
    }
    return SCREEN_TIME;
}

enum screen_news screen_wait(double s)
{
    double end = clock_boot_s() + s, left;
    enum screen_news news;
    sigset_t none;

    sigemptyset(&none);
    while (!stopped && (left = end - clock_boot_s()) > 0) {
        struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
        struct timespec t = {.tv_sec = (time_t)left,
                             .tv_nsec = (long)(1e9 * (left - (double)(time_t)left))};
        int n = ppoll(&p, keys, &t, &none);

        if (resized) {
            resized = 0;
            return SCREEN_RESIZED;
        }
        if (n > 0 && (news = read_keys()) != SCREEN_TIME)
            return news;
    }
    return stopped ? SCREEN_QUIT : SCREEN_TIME;
}
