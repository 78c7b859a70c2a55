#include "tools/taskctl/modes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "core/control_client.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/store/queue_json.h"
#include "core/text.h"

#define LOOK_S   1.0  /* drain: between two looks when the store tells nothing */
#define ANSWER_S 20.0 /* a daemon that scans a slow disk answers after it */

/* ---- the mode ---- */

struct change {
    enum queue_mode was, is;
    char reason[QUEUE_TEXT];
    size_t pending, claimed;
};

static int look(struct change *c, struct ctl *ctl, struct err *e)
{
    struct task_counts counts;
    int rc = task_counts_read(&counts, ctl->q, e);

    c->pending = counts.of[TASK_PENDING];
    c->claimed = counts.of[TASK_CLAIMED];
    task_counts_clear(&counts);
    return rc;
}

static int set_mode(struct change *c, struct ctl *ctl, enum queue_mode mode,
                    struct err *e)
{
    double since;
    int rc = queue_get_mode(ctl->q, &c->was, c->reason, sizeof c->reason, &since, e);

    c->is = mode;
    snprintf(c->reason, sizeof c->reason, "%s",
             mode != QUEUE_RUNS && ctl->reason != NULL ? ctl->reason : "");
    if (rc == 0)
        rc = queue_set_mode(ctl->q, mode, c->reason[0] != '\0' ? c->reason : NULL, e);
    return rc == 0 ? look(c, ctl, e) : rc;
}

static json_t *change_json(const struct change *c)
{
    json_t *o = json_pack("{s:s, s:s, s:I, s:I}", "mode", queue_mode_name(c->is), "was",
                          queue_mode_name(c->was), "pending", (json_int_t)c->pending,
                          "claimed", (json_int_t)c->claimed);

    text_set(o, "reason", c->reason);
    return o;
}

/* Set it, and say what that means, followed by how much there is. */
static int change_mode(struct ctl *ctl, enum queue_mode mode, const char *meaning)
{
    struct change c = {.was = mode};
    struct err e = {0};
    int rc = set_mode(&c, ctl, mode, &e);

    if (rc != 0)
        return ctl_fail(rc, &e);
    if (ctl->json)
        return ctl_print_json(change_json(&c));
    printf("%s%s: %s; %zu pending, %zu being worked on\n", queue_mode_name(mode),
           c.was == mode ? " (as before)" : "", meaning, c.pending, c.claimed);
    return EX_OK;
}

int modes_pause(struct ctl *ctl)
{
    return change_mode(ctl, QUEUE_PAUSED, "nothing is claimed until taskctl resume");
}

int modes_resume(struct ctl *ctl)
{
    return change_mode(ctl, QUEUE_RUNS, "tasks are queued and claimed");
}

/* ---- drain ---- */

/* Until nothing is left.  The time is over, or the user has had enough: there is. */
static int wait_drained(struct ctl *ctl, struct change *c, struct err *e)
{
    double from = clock_boot_s();
    int rc;

    ctl_catch_signals();
    while ((rc = look(c, ctl, e)) == 0 && c->pending + c->claimed > 0) {
        double spent = clock_boot_s() - from;
        double left = ctl->timeout_s >= 0 ? ctl->timeout_s - spent : LOOK_S;
        char age[32];

        ctl_progress("draining: %zu pending, %zu being worked on, %s", c->pending,
                     c->claimed, text_age(spent, age));
        if (left <= 0 || !ctl_wait(ctl, left < LOOK_S ? left : LOOK_S))
            break;
    }
    ctl_progress("%s", "");
    return rc;
}

static int say_drained(struct ctl *ctl, const struct change *c, bool undone)
{
    bool drained = c->pending + c->claimed == 0;

    if (ctl->json) {
        json_t *o = change_json(c);

        json_object_set_new(o, "drained", json_boolean(drained));
        return ctl_print_json(o);
    }
    if (drained)
        puts("drained: nothing is pending or being worked on; taskctl resume goes on");
    else
        printf("%s: %zu pending and %zu being worked on; the queue is %s%s\n",
               ctl_interrupted() ? "interrupted" : "not drained in time", c->pending,
               c->claimed, queue_mode_name(c->is),
               undone ? " as before" : " until taskctl resume");
    return EX_OK;
}

int modes_drain(struct ctl *ctl)
{
    struct change c = {.was = QUEUE_DRAINS};
    struct err e = {0};
    bool undone;
    int rc, code;

    if (!ctl->wait && ctl->timeout_s < 0) {
        if (ctl->undo)
            return ctl_wrong("--undo belongs to drain --wait or --timeout");
        return change_mode(ctl, QUEUE_DRAINS,
                           "the daemons queue nothing new, workers go on");
    }
    rc = set_mode(&c, ctl, QUEUE_DRAINS, &e);
    if (rc == 0)
        rc = wait_drained(ctl, &c, &e);
    undone = rc == 0 && ctl->undo && c.pending + c.claimed > 0;
    if (undone) {
        rc = queue_set_mode(ctl->q, c.was, NULL, &e);
        c.is = c.was;
    }
    if (rc != 0)
        return ctl_fail(rc, &e);
    code = say_drained(ctl, &c, undone);
    return code != EX_OK ? code : c.pending + c.claimed > 0 ? EX_TEMPFAIL : EX_OK;
}

/* ---- scale ---- */

int modes_scale(struct ctl *ctl)
{
    json_t *request, *answer = NULL;
    struct err e = {0};
    const char *error;
    char *end = NULL;
    long n = ctl->nword == 1 ? strtol(ctl->word[0], &end, 10) : -1;
    int rc, code = EX_OK;

    if (n < 0 || n > 1024 || *end != '\0')
        return ctl_wrong("how many workers?  taskctl scale N, from 0 to 1024");
    request = json_pack("{s:s, s:i}", "ask", "scale", "count", (int)n);
    rc = client_call(ctl->conf.paths.state, request, ANSWER_S, &answer, &e);
    json_decref(request);
    if (rc != 0)
        return ctl_fail(rc, &e);
    error = json_string_value(json_object_get(answer, "error"));
    if (ctl->json)
        code = ctl_print_json(json_incref(answer));
    else if (error != NULL)
        fprintf(stderr, "taskctl: %s\n", error);
    else
        printf("%ld worker%s from now on, %lld before; to stay: [workers] count in the "
               "settings\n",
               n, n == 1 ? "" : "s",
               (long long)json_integer_value(json_object_get(answer, "before")));
    json_decref(answer);
    return error != NULL ? EX_NOT_DONE : code;
}
