#include "core/store/queue_json.h"

#include "core/text.h"

json_t *task_json(const struct task *t, bool whole)
{
    json_t *o = json_object();

    text_set(o, "task_id", t->id);
    text_set(o, "task_name", t->name);
    text_set(o, "task_key", t->key);
    text_set(o, "status", task_status_name(t->status));
    json_object_set_new(o, "priority", json_integer(t->priority));
    json_object_set_new(o, "retry_count", json_integer(t->retry_count));
    json_object_set_new(o, "max_retries", json_integer(t->max_retries));
    text_set(o, "error", t->error);
    text_set(o, "worker_id", t->worker);
    json_object_set_new(o, "cancel_requested", json_boolean(t->cancel));
    text_set_time(o, "created_at", t->created);
    text_set_time(o, "claimed_at", t->claimed);
    text_set_time(o, "last_heartbeat", t->heartbeat);
    text_set_time(o, "completed_at", t->ended);
    text_set_time(o, "run_after", t->run_after);
    if (!whole)
        return o;
    json_object_set_new(o, "timeout_s",
                        t->timeout_s > 0 ? json_real(t->timeout_s) : json_null());
    json_object_set_new(o, "fence", json_integer((json_int_t)t->fence));
    json_object_set_new(o, "params",
                        t->params != NULL ? json_loads(t->params, JSON_DECODE_ANY, NULL)
                                          : json_null());
    text_set(o, "result", t->result);
    return o;
}

json_t *task_brief_json(const struct task *t)
{
    return json_pack("{s:s, s:s, s:i, s:i, s:o, s:o}", "name", t->name, "status",
                     task_status_name(t->status), "attempt", t->retry_count + 1,
                     "max_attempts", t->max_retries + 1, "error", text_json(t->error),
                     "by", text_json(t->worker));
}

json_t *task_attempt_json(const struct task_attempt *a)
{
    json_t *o =
        json_pack("{s:i, s:I}", "attempt", a->attempt, "fence", (json_int_t)a->fence);

    text_set(o, "worker_id", a->worker);
    text_set_time(o, "claimed_at", a->claimed);
    text_set_time(o, "ended_at", a->ended);
    text_set(o, "outcome", a->outcome);
    text_set(o, "error", a->error);
    json_object_set_new(
        o, "usage", a->usage[0] != '\0' ? json_loads(a->usage, 0, NULL) : json_null());
    return o;
}

json_t *task_step_json(const struct task_step *s)
{
    json_t *o =
        json_pack("{s:f, s:I}", "took_s", s->took_s, "fence", (json_int_t)s->fence);

    text_set(o, "step", s->step);
    text_set(o, "detail", s->detail);
    text_set_time(o, "at", s->at);
    return o;
}

json_t *task_totals_json(const size_t of[TASK_STATUSES])
{
    json_t *o = json_object();

    for (enum task_status s = TASK_PENDING; s < TASK_STATUSES; s++)
        json_object_set_new(o, task_status_name(s), json_integer((json_int_t)of[s]));
    return o;
}

json_t *task_counts_json(const struct task_counts *c)
{
    json_t *names = json_object();

    for (size_t i = 0; i < c->n; i++)
        json_object_set_new(names, c->row[i].name, task_totals_json(c->row[i].of));
    return json_pack("{s:o, s:o}", "status", task_totals_json(c->of), "names", names);
}

json_t *queue_worker_json(const struct queue_worker *w, const char *life,
                          const char *evidence, double now)
{
    json_t *o = json_object();

    text_set(o, "worker_id", w->id);
    text_set(o, "host", w->host);
    text_set(o, "machine", w->machine);
    json_object_set_new(o, "pid", json_integer(w->pid));
    text_set(o, "state", w->state);
    text_set(o, "life", life);
    text_set(o, "evidence", evidence);
    json_object_set_new(o, "slots", json_integer(w->slots));
    json_object_set_new(o, "running", json_integer(w->running));
    text_set_time(o, "started_at", w->started);
    text_set_time(o, "last_seen", w->seen);
    json_object_set_new(o, "seen_s", json_real(now - w->seen));
    return o;
}
