/* measure.c: `lockctl doctor`. */
#include "tools/lockctl/lockctl.h"

#include <stdio.h>
#include <sysexits.h>

#include "core/err.h"
#include "locks/doctor.h"

static const char *yes(bool ok)
{
    return ok ? "yes" : "NO";
}

int lockctl_doctor(const struct args *args)
{
    struct doctor d;
    struct err e = {0};
    int rc = doctor_examine(&d, args->dir, args->peer, &e);

    if (rc == 0 && !args->dry_run)
        rc = doctor_write(&d, args->dir, args->peer, &e);
    if (rc != 0)
        return lockctl_fail(lockctl_code(rc), &e);
    if (args->json) {
        lockctl_print_json(
            json_pack("{s:s, s:s, s:b, s:b, s:b, s:s, s:s, s:f, s:f, s:f}", "mode",
                      lockfs_mode_name(d.mode), "type", d.type, "excl", (int)d.excl,
                      "link", (int)d.link, "rename", (int)d.rename, "flock",
                      coherence_name(d.flock), "ofd", coherence_name(d.ofd), "name_s",
                      d.name_s, "beat_s", d.beat_s, "clock_s", d.clock_s));
        return d.mode == MODE_REFUSE ? 1 : EX_OK;
    }
    printf("%s is on %s (%s)\n", args->dir, d.type, d.options);
    if (args->peer != NULL)
        printf("%s is the same directory, on %s\n", args->peer, d.peer_type);
    printf(
        "  exclusive create   %s\n  exclusive link     %s\n  rename             %s\n",
        yes(d.excl), yes(d.link), yes(d.rename));
    printf("  flock              %s\n  fcntl (OFD)        %s\n",
           coherence_name(d.flock), coherence_name(d.ofd));
    printf("  fsync              file %s, directory %s\n", yes(d.fsync_file),
           yes(d.fsync_dir));
    printf("  new name seen in   %.3f s\n  heartbeat seen in  %.3f s\n", d.name_s,
           d.beat_s);
    printf("  its clock          %+.3f s from ours\n", d.clock_s);
    if (args->peer == NULL && d.mode == MODE_GEN)
        puts("  without --peer nothing can be said of kernel locks between machines");
    printf("mode: %s%s\n", lockfs_mode_name(d.mode),
           args->dry_run ? "" : ", written to .watcherd/fs.json");
    return d.mode == MODE_REFUSE ? 1 : EX_OK;
}
