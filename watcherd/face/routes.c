#include "watcherd/face/routes.h"

#include <stddef.h>
#include <string.h>

#include "watcherd/face/reply.h"

static const struct route routes[] = {
    {"why", answer_why, true,
     "\"name\": GROUP | mosaic_... | PATH: why is it not done yet?"},
    {"status", answer_status, false, "files, groups, tasks, disks: how is the daemon?"},
    {"workers", answer_workers, false, "what each slot works on"},
    {"scale", answer_scale, false,
     "\"count\": N: so many slots, until SIGHUP or the next start"},
    {"watch-list", answer_roots, false, "the roots that are watched"},
    {"watch-add", answer_add_root, false,
     "\"path\": DIR, \"recursive\": BOOL, \"poll\": BOOL: watch it, too"},
    {"watch-remove", answer_drop_root, false, "\"path\": DIR: watch it no longer"},
    {"release", answer_release, false, "\"name\": GROUP: end a quarantine"},
};

const struct route *routes_find(const char *name)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        if (strcmp(name, routes[i].name) == 0)
            return &routes[i];
    return NULL;
}

const char *answers_text(const json_t *request, const char *key)
{
    const char *s = json_string_value(json_object_get(request, key));

    return s != NULL ? s : "";
}

void routes_answer(void *arg, struct reply *r, json_t *request)
{
    struct answers *o = arg;
    const char *ask = answers_text(request, "ask");
    const struct route *route = routes_find(ask);

    if (route == NULL)
        reply_refuse(r, "there is nothing to ask for by the name of %.60s", ask);
    else if (o->rooms == NULL && !route->alone)
        reply_refuse(r, "only a running daemon knows that");
    else
        route->answer(o, r, request);
}
