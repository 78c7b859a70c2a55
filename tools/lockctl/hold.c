/* hold.c: `lockctl run`. */
#include "tools/lockctl/lockctl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/path.h"
#include "locks/claim.h"
#include "locks/run_held.h"

/* Try to claim until --wait is over; leases of silent owners are timed meanwhile. */
static int claim_patiently(struct claim **claim, const char *dir,
                           const struct args *args, struct err *e)
{
    struct claim_opts opts = {.task = args->task,
                              .lease_s = args->lease_s,
                              .heartbeat_s = args->heartbeat_s,
                              .strict = args->strict,
                              .foreign = args->foreign,
                              .relaxed = args->relaxed,
                              .observer = lockctl_recall(args)};
    double until = clock_boot_s() + args->wait_s;
    int rc;

    while ((rc = claim_acquire(claim, dir, args->group, &opts, e)) == -EBUSY &&
           clock_boot_s() < until)
        usleep(100000);
    observer_free(opts.observer);
    return rc;
}

int lockctl_run(const struct args *args)
{
    struct claim *claim;
    char dir[4096];
    struct err e = {0};
    int rc, code = 0;

    if (path_component(args->group, "a group's name", &e) != 0) {
        fprintf(stderr, "lockctl: %s\n", e.text);
        return EX_USAGE;
    }
    rc = path_join(dir, sizeof dir, args->dir, args->group, &e);
    if (rc == 0)
        rc = claim_patiently(&claim, dir, args, &e);
    if (rc == -EBUSY)
        return lockctl_fail(EX_TEMPFAIL, &e);
    if (rc != 0)
        return lockctl_fail(rc == -EUCLEAN ? EX_OPAQUE : lockctl_code(rc), &e);
    rc = run_held(claim, args->group, args->heartbeat_s > 0 ? args->heartbeat_s : 15,
                  args->program, &code, &e);
    if (rc == 0 && code == 0 && args->commit)
        rc = claim_commit(claim, &e);
    if (rc == 0)
        rc = claim_release(claim, code == 0 ? "done" : "failed", &e);
    else
        claim_release(claim, "failed", NULL);
    if (rc == ERR_LOST)
        return lockctl_fail(EX_LOST, &e);
    return rc != 0 ? lockctl_fail(EX_OSERR, &e) : code;
}
