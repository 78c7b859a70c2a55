/* shared.c: see lockctl.h. */
#include "tools/lockctl/lockctl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "core/err.h"
#include "core/path.h"
#include "tools/common/program.h"

int lockctl_fail(int code, const struct err *e)
{
    return program_fail("lockctl", code, e);
}

int lockctl_code(int rc)
{
    switch (rc) {
    case -ENOENT:
    case -ENOTDIR:
        return EX_NOINPUT;
    case -EACCES:
    case -EPERM:
    case -EROFS:
        return EX_NOPERM;
    default:
        return EX_IOERR;
    }
}

/* `<dir>/.watcherd/seen.json`: what earlier runs on this machine saw of heartbeats. */
static void seen_path(char out[4096], const struct args *args)
{
    snprintf(out, 4096, "%s/.watcherd/seen.json", args->dir);
}

struct observer *lockctl_recall(const struct args *args)
{
    struct observer *obs = observer_new();
    char path[4096];

    seen_path(path, args);
    observer_load(obs, path, NULL);
    return obs;
}

void lockctl_remember(const struct observer *obs, const struct args *args)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/.watcherd", args->dir);
    if (path_mkdirs(path, NULL) != 0)
        return;
    seen_path(path, args);
    observer_save(obs, path, NULL);
}

void lockctl_print_json(json_t *json)
{
    program_print_json(json, 12);
}

void lockctl_print_entry(const struct lock_entry *entry, bool verbose)
{
    const struct record *rec = &entry->view.rec;

    printf("  [%s] %s", lock_state_name(entry->view.state), entry->name);
    if (entry->age_s >= 0)
        printf(" (age: %.1f min)", entry->age_s / 60);
    if (entry->legacy)
        fputs(" legacy", stdout);
    putchar('\n');
    if (!verbose)
        return;
    if (rec->gen != 0)
        printf("      generation %" PRIu64 ", %s on %s, process %" PRId64
               ", since %s\n",
               rec->gen, rec->owner.exe, rec->owner.host, rec->owner.pid, rec->t_utc);
    else if (rec->owner.pid != 0)
        printf("      process %" PRId64 "\n", rec->owner.pid);
    if (entry->view.why[0] != '\0')
        printf("      %s\n", entry->view.why);
}
