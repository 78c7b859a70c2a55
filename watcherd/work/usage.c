#include "watcherd/work/usage.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/clock.h"

static double seconds(const struct timeval *t)
{
    return (double)t->tv_sec + 1e-6 * (double)t->tv_usec;
}

static void add(struct usage *u, int who)
{
    struct rusage r;

    if (getrusage(who, &r) != 0)
        return;
    u->user_s += seconds(&r.ru_utime);
    u->sys_s += seconds(&r.ru_stime);
    if (r.ru_maxrss > u->maxrss_kib)
        u->maxrss_kib = r.ru_maxrss;
    u->in_blocks += r.ru_inblock;
    u->out_blocks += r.ru_oublock;
}

static void now(struct usage *u)
{
    *u = (struct usage){.wall_s = clock_boot_s()};
    add(u, RUSAGE_SELF);
    add(u, RUSAGE_CHILDREN);
}

void usage_begin(struct usage *begin)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

    if (fd != -1) {
        dprintf(fd, "5"); /* proc(5): forget the peak */
        close(fd);
    }
    now(begin);
}

json_t *usage_json(const struct usage *begin)
{
    struct usage u;

    now(&u);
    return json_pack("{s:f, s:f, s:I, s:I, s:I, s:f}", "user_s",
                     u.user_s - begin->user_s, "sys_s", u.sys_s - begin->sys_s,
                     "maxrss_kib", (json_int_t)u.maxrss_kib, "in_blocks",
                     (json_int_t)(u.in_blocks - begin->in_blocks), "out_blocks",
                     (json_int_t)(u.out_blocks - begin->out_blocks), "wall_s",
                     u.wall_s - begin->wall_s);
}
