/* explain.c: `lockctl explain` and `lockctl break`. */
#include "tools/lockctl/lockctl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/err.h"
#include "core/path.h"
#include "core/text.h"
#include "locks/claim.h"
#include "locks/locklist_json.h"

static int open_group(const struct args *args, struct err *e)
{
    char path[4096];
    int fd;

    if (path_join(path, sizeof path, args->dir, args->group, e) != 0)
        return -ENAMETOOLONG;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd != -1 ? fd
                    : err_set(e, -errno, "cannot open %s: %s", path, strerror(errno));
}

static void print_history(const json_t *rows)
{
    const json_t *row;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        const char *end = json_string_value(json_object_get(row, "end"));
        const char *over = json_string_value(json_object_get(row, "took_over"));

        printf("  generation %" JSON_INTEGER_FORMAT ": %s %s%s%s%s%s, %s\n",
               json_integer_value(json_object_get(row, "gen")),
               json_string_value(json_object_get(row, "host")),
               json_string_value(json_object_get(row, "taken")),
               over != NULL ? ", took over: " : "", over != NULL ? over : "",
               json_is_true(json_object_get(row, "committed")) ? ", committed" : "",
               end != NULL ? "" : ", no end marker", end != NULL ? end : "");
    }
}

int lockctl_explain(const struct args *args)
{
    struct observer *obs = lockctl_recall(args);
    struct lock_entry entry = {0};
    struct lock_view *view = &entry.view;
    char name[1024];
    json_t *past;
    struct err e = {0};
    int dirfd = open_group(args, &e), rc = dirfd;

    text_escape(name, sizeof name - 8, args->group);
    if (rc >= 0)
        rc = observer_look(obs, dirfd, name, view, &e);
    strcat(name, ".lock");
    observer_free(obs);
    if (rc != 0) {
        if (dirfd >= 0)
            close(dirfd);
        return lockctl_fail(lockctl_code(rc), &e);
    }
    past = lock_history_json(dirfd, &view->gens);
    close(dirfd);
    entry.name = entry.where = name;
    entry.age_s = view->rec.gen != 0 ? locklist_age_s(&view->rec) : -1;
    if (args->json) {
        json_t *json = lock_entry_json(&entry);

        json_object_set_new(json, "history", past);
        lockctl_print_json(json);
        return view->state == LOCK_OPAQUE ? EX_OPAQUE : EX_OK;
    }
    if (view->state == LOCK_FREE) {
        printf("%s is free; the next claim will be generation %" PRIu64 "\n",
               args->group, view->gens.top + 1);
    } else {
        lockctl_print_entry(&entry, true);
        if (view->rec.gen != 0)
            printf("      boot %s, PID namespace %" PRIu64 ", start %" PRIu64
                   ", pidfs %" PRIu64 "\n      %s on %s, lease %g s, heartbeat %" PRIu64
                   "\n",
                   view->rec.owner.boot, view->rec.owner.pidns, view->rec.owner.start,
                   view->rec.owner.pidfs, lockfs_mode_name(view->rec.mode),
                   view->rec.fs, view->rec.lease_s, view->beat);
    }
    print_history(past);
    json_decref(past);
    return view->state == LOCK_OPAQUE ? EX_OPAQUE : EX_OK;
}

int lockctl_break(const struct args *args)
{
    struct lock_view view;
    char why[96];
    struct err e = {0};
    int dirfd, rc;

    if (args->gen <= 0) {
        fputs("lockctl: break needs --gen N, the generation that list shows\n", stderr);
        return EX_USAGE;
    }
    dirfd = rc = open_group(args, &e);
    if (rc >= 0)
        rc = observer_look(NULL, dirfd, args->group, &view, &e);
    if (rc == 0 && view.gens.g != (uint64_t)args->gen)
        rc = err_set(&e, -ESTALE, "%s is at generation %" PRIu64 ", not %ld",
                     args->group, view.gens.g, args->gen);
    if (rc == 0 && view.state == LOCK_FREE)
        rc = err_set(&e, -ESTALE, "generation %ld of %s has already ended", args->gen,
                     args->group);
    if (rc == 0 && view.state == LOCK_HELD && !args->force &&
        strcmp(view.why, "process is running") == 0)
        rc = err_set(&e, -ESTALE,
                     "process %" PRId64
                     " is running and holds %s; --force breaks it all the "
                     "same",
                     view.rec.owner.pid, args->group);
    snprintf(why, sizeof why, "by hand, user %u", (unsigned int)getuid());
    if (rc == 0)
        rc = claim_break(dirfd, (uint64_t)args->gen, why, &e);
    if (dirfd >= 0)
        close(dirfd);
    if (rc != 0)
        return lockctl_fail(rc == -ESTALE || rc == -EEXIST ? 1 : lockctl_code(rc), &e);
    printf("Broke generation %ld of %s\n", args->gen, args->group);
    return EX_OK;
}
