#include "tools/taskctl/follow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/text.h"

/* A log grows without the store saying so. */
#define LOOK_S 0.3

static bool has_ended(const struct task *t)
{
    return t->status != TASK_PENDING && t->status != TASK_CLAIMED;
}

static void take(void *arg, const struct task *t)
{
    struct task *out = arg;

    task_clear(out);
    ctl_copy(out, t);
}

/* What the task is now; its id stays.  EX_OK, EX_NOT_DONE: it is gone; or as ctl_fail. */
static int look_again(struct ctl *ctl, struct task *t)
{
    char id[QUEUE_ID];
    struct task_filter f = {.id = id};
    struct err e = {0};
    int rc;

    memcpy(id, t->id, sizeof id);
    task_clear(t);
    rc = queue_each(ctl->q, &f, take, t, &e);
    if (rc != 0)
        return ctl_fail(rc, &e);
    return t->id[0] != '\0' ? EX_OK : EX_NOT_DONE;
}

/* ---- log ---- */

static int log_of(char path[PATH_MAX], const struct ctl *ctl, const char *id)
{
    char name[QUEUE_ID + 16];

    snprintf(name, sizeof name, "logs/%.36s.log", id);
    return path_join(path, PATH_MAX, ctl->conf.paths.state, name, NULL);
}

/* What there is more of it; a line that is not whole waits for the next time, unless it is the
 * last. */
static void print_more(FILE *f, bool last)
{
    char *line = NULL, *text = NULL;
    size_t room = 0, want = 0;
    ssize_t n;

    clearerr(f);
    while ((n = getline(&line, &room, f)) > 0) {
        if (line[n - 1] != '\n' && !last) {
            fseek(f, -(long)n, SEEK_CUR);
            break;
        }
        if (line[n - 1] == '\n')
            line[n - 1] = '\0';
        if (4 * (size_t)n + 1 > want)
            text = mem_realloc(text, want = 4 * (size_t)n + 1);
        text_escape(text, want, line);
        puts(text);
    }
    free(line);
    free(text);
    fflush(stdout);
}

static int follow(struct ctl *ctl, struct task *t, const char *path, FILE **f)
{
    int code = EX_OK;

    ctl_catch_signals();
    while (code == EX_OK && !has_ended(t) && !ctl_interrupted()) {
        if (*f == NULL)
            *f = fopen(path, "re");
        if (*f != NULL)
            print_more(*f, false);
        ctl_wait(ctl, LOOK_S);
        code = look_again(ctl, t);
    }
    if (*f == NULL)
        *f = fopen(path, "re");
    if (*f != NULL)
        print_more(*f, true);
    return code;
}

int follow_log(struct ctl *ctl)
{
    char path[PATH_MAX] = "";
    struct task t;
    FILE *f = NULL;
    int code;

    if (ctl->nword != 1)
        return ctl_wrong("the log of which task?  taskctl log KEY [-f]");
    code = ctl_find(ctl, ctl->word[0], &t);
    if (code == EX_OK && log_of(path, ctl, t.id) == 0)
        f = fopen(path, "re");
    if (code == EX_OK && ctl->follow)
        code = follow(ctl, &t, path, &f);
    else if (f != NULL)
        print_more(f, true);
    if (code == EX_OK && f == NULL) {
        fprintf(stderr, "taskctl: there is no log %s: %s\n", path,
                errno == ENOENT ? "not begun, cleaned up, or on another machine"
                                : strerror(errno));
        code = EX_NOT_DONE;
    }
    if (f != NULL)
        fclose(f);
    task_clear(&t);
    return code;
}

/* ---- watch ---- */

struct told {
    struct ctl *ctl;
    double until;  /* steps told so far were finished by then */
    double newest; /* of those told in this round */
};

static void tell(const struct ctl *ctl, const char *what, const char *text)
{
    char at[32], escaped[1100];
    double now = ctl->now;

    queue_now(ctl->q, &now, NULL);
    clock_iso(now, at);
    text_escape(escaped, sizeof escaped, text);
    if (ctl->json)
        ctl_print_json(json_pack("{s:s, s:s, s:o}", "at", at, "event", what, "text",
                                 text_json(text)));
    else
        printf("%.8s %-9s %s\n", at + 11, what, escaped);
    fflush(stdout);
}

static void tell_step(void *arg, const struct task_step *s)
{
    struct told *told = arg;
    char text[QUEUE_TEXT + 96];

    if (s->at <= told->until)
        return;
    if (s->at > told->newest)
        told->newest = s->at;
    snprintf(text, sizeof text, "%s, %.2f s%s%s", s->step, s->took_s,
             s->detail[0] != '\0' ? ": " : "", s->detail);
    tell(told->ctl, "step", text);
}

static void tell_status(const struct ctl *ctl, const struct task *t)
{
    const char *text = t->status == TASK_COMPLETED ? t->result : t->error;

    if (t->status == TASK_CLAIMED)
        text = t->worker;
    tell(ctl, task_status_name(t->status), text != NULL ? text : "");
}

static int watch(struct ctl *ctl, struct task *t)
{
    double end = ctl->timeout_s > 0 ? clock_boot_s() + ctl->timeout_s : 0;
    struct told told = {.ctl = ctl};
    enum task_status was = TASK_NONE;
    struct err e = {0};
    int code = EX_OK, rc;

    ctl_catch_signals();
    while (code == EX_OK) {
        told.until = told.newest;
        rc = queue_steps(ctl->q, t->id, tell_step, &told, &e);
        if (rc != 0)
            return ctl_fail(rc, &e);
        if (t->status != was)
            tell_status(ctl, t);
        was = t->status;
        if (has_ended(t))
            return t->status == TASK_COMPLETED ? EX_OK : EX_NOT_DONE;
        if (ctl_interrupted() || (end > 0 && clock_boot_s() > end))
            return EX_TEMPFAIL;
        ctl_wait(ctl, LOOK_S);
        code = look_again(ctl, t);
    }
    return code;
}

int follow_watch(struct ctl *ctl)
{
    struct task t;
    int code;

    if (ctl->nword != 1)
        return ctl_wrong("watch which task?  taskctl watch KEY");
    code = ctl_find(ctl, ctl->word[0], &t);
    if (code == EX_OK)
        code = watch(ctl, &t);
    task_clear(&t);
    return code;
}
