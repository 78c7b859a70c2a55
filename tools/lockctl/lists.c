/* lists.c: `lockctl list` and `lockctl cleanup`. */
#include "tools/lockctl/lockctl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "locks/idle.h"
#include "locks/locklist_json.h"

/* Warn of what could not be read; the exit code that follows. */
static int report_unreadable(const struct locklist *list)
{
    if (list->unreadable == 0)
        return EX_OK;
    fprintf(stderr, "lockctl: %s%s\n", list->first_unreadable,
            list->unreadable > 1 ? ", and more" : "");
    return 1;
}

int lockctl_list(const struct args *args)
{
    struct observer *obs = lockctl_recall(args);
    struct idle *idle = idle_load(args->dir);
    struct locklist list;
    struct err e = {0};
    int rc = locklist_read(&list, args->dir, obs, idle, &e);

    if (rc == 0)
        idle_save(idle, args->dir);
    idle_free(idle);
    observer_free(obs);
    if (rc != 0)
        return lockctl_fail(lockctl_code(rc), &e);
    if (args->json) {
        lockctl_print_json(locklist_json(&list));
    } else {
        printf("Found %zu lock files%s\n", list.n, list.n > 0 ? ":" : "");
        for (size_t i = 0; i < list.n; i++)
            lockctl_print_entry(&list.item[i], args->verbose);
    }
    rc = report_unreadable(&list);
    locklist_clear(&list);
    return rc;
}

/* "1 hour", "2 hours", "10 min", "90 s" */
static void spell_duration(char out[32], double s)
{
    long whole = (long)s;

    if (whole >= 3600 && whole % 3600 == 0)
        snprintf(out, 32, "%ld hour%s", whole / 3600, whole == 3600 ? "" : "s");
    else if (whole >= 60 && whole % 60 == 0)
        snprintf(out, 32, "%ld min", whole / 60);
    else
        snprintf(out, 32, "%g s", s);
}

/* Should it go, and for which reason? */
static bool is_garbage(const struct lock_entry *entry, const struct args *args,
                       char why[OWNER_WHY])
{
    char limit[32];

    if (entry->view.state == LOCK_DEAD) {
        snprintf(why, OWNER_WHY, "%s", entry->view.why);
        return true;
    }
    if (entry->view.state != LOCK_EXPIRED || args->strict ||
        entry->age_s < args->timeout_s)
        return false;
    spell_duration(limit, args->timeout_s);
    snprintf(why, OWNER_WHY, "age > %s", limit);
    return true;
}

/* Look again and again until no owner is undecided or the time is up. */
static int read_patiently(struct locklist *list, struct observer *obs,
                          const struct args *args, struct err *e)
{
    double until = clock_boot_s() + args->wait_s;
    struct idle *idle = idle_load(args->dir);
    int rc;

    for (;;) {
        size_t undecided = 0;

        rc = locklist_read(list, args->dir, obs, idle, e);
        for (size_t i = 0; i < list->n && rc == 0; i++)
            undecided += list->item[i].view.unmoved_s >= 0 &&
                         list->item[i].view.state != LOCK_EXPIRED;
        if (rc != 0 || undecided == 0 || clock_boot_s() >= until)
            break;
        locklist_clear(list);
        usleep(200000);
    }
    if (rc == 0 && !args->dry_run)
        idle_save(idle, args->dir);
    idle_free(idle);
    return rc;
}

static void count_removal(const struct lock_entry *entry, const char *why,
                          const struct args *args, json_t *removed)
{
    if (removed != NULL)
        json_array_append_new(
            removed, json_pack("{s:s, s:s}", "lock", entry->name, "reason", why));
    else
        printf("%s dead lock: %s (%s)\n", args->dry_run ? "Would remove" : "Removed",
               entry->name, why);
}

int lockctl_cleanup(const struct args *args)
{
    struct observer *obs = lockctl_recall(args);
    json_t *removed = args->json ? json_array() : NULL;
    struct locklist list = {0};
    struct err e = {0};
    size_t gone = 0, failed = 0;
    int rc;

    if (!args->json)
        printf("Scanning for dead locks in: %s\n", args->dir);
    fflush(stdout);
    rc = read_patiently(&list, obs, args, &e);
    for (size_t i = 0; i < list.n && rc == 0 && !args->dry_run; i++)
        if (list.item[i].view.unmoved_s >= 0) { /* there is a silence to be timed */
            lockctl_remember(obs, args);
            break;
        }
    observer_free(obs);
    if (rc != 0) {
        json_decref(removed);
        return lockctl_fail(lockctl_code(rc), &e);
    }
    if (!args->json)
        printf("Found %zu lock files\n", list.n);
    for (size_t i = 0; i < list.n; i++) {
        char why[OWNER_WHY];

        if (!is_garbage(&list.item[i], args, why))
            continue;
        rc = args->dry_run ? 0 : locklist_clean(args->dir, &list.item[i], why, &e);
        if (rc == 0) {
            gone++;
            count_removal(&list.item[i], why, args, removed);
        } else if (rc != -EEXIST && rc != -EBUSY && rc != -ENOENT) {
            failed++;
            fprintf(stderr, "lockctl: %s: %s\n", list.item[i].name, e.text);
        }
    }
    if (args->json)
        lockctl_print_json(json_pack("{s:I, s:o, s:b}", "found", (json_int_t)list.n,
                                     "removed", removed, "dry_run",
                                     (int)args->dry_run));
    else
        printf("%s %zu dead lock files\n", args->dry_run ? "Would remove" : "Removed",
               gone);
    rc = report_unreadable(&list);
    locklist_clear(&list);
    return failed > 0 ? 1 : rc;
}
