#include "tools/taskctl/ctl.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/text.h"
#include "tools/taskctl/table.h"

/* ---- saying what went wrong ---- */

int ctl_code(int rc)
{
    static const struct {
        int rc, code;
    } codes[] = {
        {ERR_STORE_DOWN, EX_UNAVAILABLE},
        {-ECONNREFUSED, EX_UNAVAILABLE},
        {-ETIMEDOUT, EX_UNAVAILABLE},
        {-ENOENT, EX_UNAVAILABLE},
        {-EBUSY, EX_TEMPFAIL},
        {-EAGAIN, EX_TEMPFAIL},
        {ERR_FORMAT, EX_DATAERR},
        {-EINVAL, EX_CONFIG},
        {-ENOTSUP, EX_CONFIG},
        {-EACCES, EX_NOPERM},
        {-EPERM, EX_NOPERM},
        {-EROFS, EX_NOPERM},
    };

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].rc == rc)
            return codes[i].code;
    return rc == 0 ? EX_OK : EX_IOERR;
}

int ctl_fail(int rc, const struct err *e)
{
    ctl_progress("%s", "");
    return program_fail("taskctl", ctl_code(rc), e);
}

/* ---- the queue ---- */

int ctl_open(struct ctl *ctl)
{
    struct err e = {0};
    int rc = queue_open_conf(&ctl->q, &ctl->conf, QUEUE_AS_TOOL, &e);

    if (rc == -ENOENT) {
        fprintf(stderr,
                "taskctl: %s; watcherd makes it when it starts, or taskctl migrate\n",
                e.text);
        return EX_UNAVAILABLE;
    }
    if (rc == 0)
        rc = queue_now(ctl->q, &ctl->now, &e);
    return rc == 0 ? EX_OK : ctl_fail(rc, &e);
}

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

void ctl_catch_signals(void)
{
    struct sigaction act = {.sa_handler = on_signal};
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL); /* they arrive in ppoll only, so none is lost */
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGHUP, &act, NULL);
}

bool ctl_interrupted(void)
{
    return interrupted != 0;
}

bool ctl_wait(struct ctl *ctl, double s)
{
    double end = clock_boot_s() + s, left;
    sigset_t none;

    sigemptyset(&none);
    while (!interrupted && (left = end - clock_boot_s()) > 0) {
        struct pollfd p = {.fd = queue_fd(ctl->q), .events = POLLIN};
        struct timespec t = {.tv_sec = (time_t)left,
                             .tv_nsec = (long)(1e9 * (left - (double)(time_t)left))};

        if (ppoll(&p, p.fd >= 0, &t, &none) > 0 && queue_changed(ctl->q, NULL) == 1)
            break;
    }
    return !interrupted;
}

void ctl_progress(const char *fmt, ...)
{
    static bool shown;
    va_list ap;

    if (!isatty(STDERR_FILENO) || (fmt[0] == '\0' && !shown))
        return;
    va_start(ap, fmt);
    fputs("\r", stderr);
    vfprintf(stderr, fmt, ap);
    fputs("\033[K", stderr);
    va_end(ap);
    shown = true;
}

struct hits {
    struct task task[CTL_MOST_HITS];
    size_t n; /* of all */
};

static void take_hit(void *arg, const struct task *task)
{
    struct hits *h = arg;

    if (h->n < CTL_MOST_HITS)
        ctl_copy(&h->task[h->n], task);
    h->n++;
}

static void drop_hits(struct hits *h)
{
    for (size_t i = 0; i < h->n && i < CTL_MOST_HITS; i++)
        task_clear(&h->task[i]);
    h->n = 0;
}

/* Could it be (the start of) an id?  Then in small letters. */
static bool is_id(const char *word, char id[QUEUE_ID])
{
    size_t n = strlen(word);

    if (n < 4 || n >= QUEUE_ID)
        return false;
    for (size_t i = 0; i <= n; i++)
        id[i] = (char)tolower((unsigned char)word[i]);
    return strspn(id, "0123456789abcdef-") == n;
}

static int look_up(struct ctl *ctl, const char *word, struct hits *hits, struct err *e)
{
    const char *slash = strchr(word, '/');
    struct task_filter f = {.limit = CTL_MOST_HITS + 1};
    char text[QUEUE_ID > QUEUE_NAME ? QUEUE_ID : QUEUE_NAME];
    int rc = 0;

    /* ids begin with the time: those of one minute differ at their ends */
    for (int end = 0; rc == 0 && hits->n == 0 && end < 2 && is_id(word, text); end++) {
        f.id = text;
        f.id_end = end == 1;
        rc = queue_each(ctl->q, &f, take_hit, hits, e);
    }
    if (rc == 0 && hits->n == 0 && slash != NULL && slash - word < QUEUE_NAME) {
        f = (struct task_filter){.name = text, .key = slash + 1, .limit = 2};
        snprintf(text, sizeof text, "%.*s", (int)(slash - word), word);
        rc = queue_each(ctl->q, &f, take_hit, hits, e);
    }
    if (rc == 0 && hits->n == 0) {
        f = (struct task_filter){.key = word, .limit = CTL_MOST_HITS + 1};
        rc = queue_each(ctl->q, &f, take_hit, hits, e);
    }
    return rc;
}

int ctl_find(struct ctl *ctl, const char *word, struct task *out)
{
    struct hits hits = {.n = 0};
    char text[4 * QUEUE_TEXT];
    struct err e = {0};
    int rc = look_up(ctl, word, &hits, &e), code = EX_OK;

    text_escape(text, sizeof text, word);
    memset(out, 0, sizeof *out);
    if (rc != 0) {
        code = ctl_fail(rc, &e);
    } else if (hits.n == 0) {
        fprintf(stderr, "taskctl: there is no task %s\n", text);
        code = EX_NOT_DONE;
    } else if (hits.n > 1) {
        code = ctl_wrong("%s names several tasks; give more of the id, or NAME/KEY:",
                         text);
        ctl_print_tasks(stderr, hits.task,
                        hits.n < CTL_MOST_HITS ? hits.n : CTL_MOST_HITS);
        if (hits.n > CTL_MOST_HITS)
            fputs("and more\n", stderr);
    } else {
        ctl_copy(out, &hits.task[0]);
    }
    drop_hits(&hits);
    return code;
}

struct task_filter ctl_filter(const struct ctl *ctl)
{
    return (struct task_filter){
        .status = ctl->status, .name = ctl->name, .key = ctl->key};
}

void ctl_print_tasks(FILE *out, const struct task *t, size_t n)
{
    static const char *const head[] = {"ID", "NAME", "KEY", "STATUS", NULL};
    struct table *table = table_new(head);

    for (size_t i = 0; i < n; i++) {
        table_put(table, t[i].id);
        table_put(table, t[i].name);
        table_put(table, t[i].key);
        table_put(table, task_status_name(t[i].status));
    }
    table_print(table, out, 0);
    table_free(table);
}

static char *copy_text(const char *text)
{
    return text != NULL ? mem_strdup(text) : NULL;
}

void ctl_copy(struct task *to, const struct task *from)
{
    *to = *from;
    to->params = copy_text(from->params);
    to->result = copy_text(from->result);
}

/* ---- words ---- */

const char *ctl_age(double now, double then, char out[32])
{
    if (then == 0)
        return strcpy(out, "-");
    return text_age(now - then, out);
}

int ctl_print_json(json_t *json)
{
    return program_print_json(json, 12);
}
