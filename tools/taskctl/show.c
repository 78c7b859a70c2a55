/*
 * show.c: everything about one task: `taskctl show`.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/store/queue_json.h"
#include "core/text.h"
#include "tools/taskctl/inspect.h"
#include "tools/taskctl/table.h"

enum { TAIL_LINES = 10, TAIL_BYTES = 8192 };

/* ---- attempts and steps ---- */

struct history {
    double now;
    json_t *rows;
    struct table *table;
    size_t n;
};

static void take_attempt(void *arg, const struct task_attempt *a)
{
    struct history *h = arg;
    char at[32], age[32];

    h->n++;
    if (h->rows != NULL) {
        json_array_append_new(h->rows, task_attempt_json(a));
        return;
    }
    clock_iso(a->claimed, at);
    table_putf(h->table, "%d", a->attempt);
    table_put(h->table, at);
    table_put(h->table, ctl_age(a->ended > 0 ? a->ended : h->now, a->claimed, age));
    table_put(h->table, a->ended > 0 ? a->outcome : "under way");
    table_put(h->table, a->worker);
    table_put(h->table, a->error);
}

static void take_step(void *arg, const struct task_step *s)
{
    struct history *h = arg;
    char at[32], took[32];

    h->n++;
    if (h->rows != NULL) {
        json_array_append_new(h->rows, task_step_json(s));
        return;
    }
    clock_iso(s->at, at);
    table_put(h->table, s->step);
    table_put(h->table, at);
    table_put(h->table, text_age(s->took_s, took));
    table_put(h->table, s->detail != NULL ? s->detail : "");
}

/* ---- the log ---- */

/* The last bytes of a file, malloc'ed and ended by NUL; *cut: it begins inside a line.
   NULL: cannot be read. */
static char *read_tail(const char *path, bool *cut)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    char *text = NULL;
    struct stat st;

    if (fd == -1)
        return NULL;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        off_t from = st.st_size > TAIL_BYTES ? st.st_size - TAIL_BYTES : 0;
        ssize_t n;

        text = mem_malloc(TAIL_BYTES + 1);
        n = pread(fd, text, TAIL_BYTES, from);
        text[n > 0 ? n : 0] = '\0';
        *cut = from > 0;
    }
    close(fd);
    return text;
}

typedef void line_fn(void *arg, const char *line);

/* The last TAIL_LINES whole lines of the file.  False: it cannot be read. */
static bool each_last_line(const char *path, line_fn *fn, void *arg)
{
    bool cut = false;
    char *text = read_tail(path, &cut), *from, *end;
    int lines = 0;

    if (text == NULL)
        return false;
    end = text + strlen(text);
    if (end > text && end[-1] == '\n')
        *--end = '\0';
    for (from = end; from > text; from--)
        if (from[-1] == '\n' && ++lines == TAIL_LINES)
            break;
    if (from == text && cut && strchr(text, '\n') != NULL)
        from = strchr(text, '\n') + 1;
    while (from < end) {
        char *stop = strchrnul(from, '\n'), *next = *stop != '\0' ? stop + 1 : stop;

        *stop = '\0';
        fn(arg, from);
        from = next;
    }
    free(text);
    return true;
}

static void print_line(void *arg, const char *line)
{
    char text[4096];

    (void)arg;
    text_escape(text, sizeof text, line);
    printf("    %s\n", text);
}

static void add_line(void *arg, const char *line)
{
    json_array_append_new(arg, text_json(line));
}

static void log_path(char out[PATH_MAX], const struct ctl *ctl, const char *id)
{
    char dir[PATH_MAX], name[QUEUE_ID + 8];

    snprintf(name, sizeof name, "%s.log", id);
    if (path_join(dir, sizeof dir, ctl->conf.paths.state, "logs", NULL) != 0 ||
        path_join(out, PATH_MAX, dir, name, NULL) != 0)
        out[0] = '\0';
}

/* ---- the task ---- */

static void print_field(const char *name, const char *text)
{
    char escaped[4096];

    if (text == NULL || text[0] == '\0')
        return;
    text_escape(escaped, sizeof escaped, text);
    printf("%-10s %s\n", name, escaped);
}

static void print_time(const char *name, double at, double now)
{
    char text[32], age[32];

    if (at == 0)
        return;
    clock_iso(at, text);
    if (at > now)
        printf("%-10s %s (in %s)\n", name, text, text_age(at - now, age));
    else
        printf("%-10s %s (%s ago)\n", name, text, text_age(now - at, age));
}

static void print_task(const struct task *t, double now)
{
    bool pending = t->status == TASK_PENDING;
    char age[32];

    print_field("task", t->id);
    print_field("name", t->name);
    print_field("key", t->key);
    printf("%-10s %s%s\n", "status", task_status_name(t->status),
           t->cancel ? ", asked to stop" : "");
    printf("%-10s %d\n", "priority", t->priority);
    printf("%-10s %d of %d used\n", "retries", t->retry_count, t->max_retries);
    if (t->timeout_s > 0)
        printf("%-10s %s\n", "limit", text_age(t->timeout_s, age));
    print_time("created", t->created, now);
    print_time("claimed", t->claimed, now);
    print_time("heartbeat", t->heartbeat, now);
    print_time("ended", t->ended, now);
    if (pending && t->run_after > now)
        print_time("due", t->run_after, now);
    print_field("worker", t->worker);
    print_field("error", t->error);
    print_field("params", t->params);
    print_field("result", t->result);
}

static int read_history(struct ctl *ctl, const char *id, struct history *attempts,
                        struct history *steps, struct err *e)
{
    int rc = queue_attempts(ctl->q, id, take_attempt, attempts, e);

    return rc == 0 ? queue_steps(ctl->q, id, take_step, steps, e) : rc;
}

static int show_json(struct ctl *ctl, const struct task *t)
{
    struct history attempts = {.rows = json_array()}, steps = {.rows = json_array()};
    json_t *o = task_json(t, true), *lines = json_array();
    char path[PATH_MAX];
    struct err e = {0};
    int rc = read_history(ctl, t->id, &attempts, &steps, &e);

    log_path(path, ctl, t->id);
    json_object_set_new(o, "attempts", attempts.rows);
    json_object_set_new(o, "steps", steps.rows);
    text_set(o, "log", path);
    if (each_last_line(path, add_line, lines)) {
        json_object_set_new(o, "log_tail", lines);
    } else {
        json_object_set_new(o, "log_tail", json_null());
        json_decref(lines);
    }
    if (rc == 0)
        return ctl_print_json(o);
    json_decref(o);
    return ctl_fail(rc, &e);
}

static void print_history(const char *title, struct history *h)
{
    if (h->n > 0) {
        printf("\n%s\n", title);
        table_print(h->table, stdout, table_width(stdout));
    }
    table_free(h->table);
}

static int show_words(struct ctl *ctl, const struct task *t)
{
    static const char *const attempt_head[] = {
        ">ATTEMPT", "CLAIMED", ">TOOK", "OUTCOME", "WORKER", "ERROR", NULL};
    static const char *const step_head[] = {"STEP", "FINISHED", ">TOOK", "DETAIL",
                                            NULL};
    struct history attempts = {.now = ctl->now, .table = table_new(attempt_head)};
    struct history steps = {.now = ctl->now, .table = table_new(step_head)};
    char path[PATH_MAX];
    struct err e = {0};
    int rc = read_history(ctl, t->id, &attempts, &steps, &e);

    print_task(t, ctl->now);
    print_history("attempts", &attempts);
    print_history("steps", &steps);
    log_path(path, ctl, t->id);
    if (access(path, R_OK) == 0) {
        printf("\nlog %s\n", path);
        each_last_line(path, print_line, NULL);
    } else {
        printf("\nlog %s: %s\n", path,
               errno == ENOENT
                   ? "not there (not begun, cleaned up, or on another machine)"
                   : strerror(errno));
    }
    return rc == 0 ? EX_OK : ctl_fail(rc, &e);
}

int inspect_show(struct ctl *ctl)
{
    struct task t;
    int code;

    if (ctl->nword != 1)
        return ctl_wrong("show which task?  taskctl show ID, NAME/KEY or KEY");
    code = ctl_find(ctl, ctl->word[0], &t);
    if (code == EX_OK)
        code = ctl->json ? show_json(ctl, &t) : show_words(ctl, &t);
    task_clear(&t);
    return code;
}
