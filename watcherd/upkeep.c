#include "watcherd/upkeep.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/notify.h"
#include "watcherd/crew/crew.h"
#include "watcherd/base/disks.h"

struct upkeep {
    struct disks *disks;
    struct crew *crew;
    uv_timer_t watchdog;
    char told[256]; /* why no task is started */
};

static void on_told(void *arg, enum disk_level level, const char *text)
{
    static const enum log_level log[] = {
        [DISK_FINE] = LOG_INFO, [DISK_WARN] = LOG_WARN, [DISK_STOP] = LOG_ERROR};
    struct upkeep *u = arg;

    log_event(log[level], "disk", "reason", text, NULL);
    if (level == DISK_STOP)
        snprintf(u->told, sizeof u->told, "%s", text);
}

static void on_turned(void *arg, bool stop)
{
    struct upkeep *u = arg;

    crew_hold(u->crew, stop ? u->told : NULL);
}

/* From the loop itself: one that hangs says nothing. */
static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    notify_alive();
}

int upkeep_new(struct upkeep **out, uv_loop_t *loop, const struct conf *conf,
               struct crew *crew, struct err *e)
{
    struct upkeep *u = mem_calloc(1, sizeof *u);
    double period_s = notify_watchdog_s();
    int rc;

    *out = NULL;
    u->crew = crew;
    uv_timer_init(loop, &u->watchdog);
    *out = u; /* the loop has a handle in it */
    rc = disks_new(
        &u->disks,
        &(struct disks_opts){
            .loop = loop, .conf = conf, .tell = on_told, .turned = on_turned, .arg = u},
        e);
    if (rc != 0)
        return rc;
    snprintf(u->told, sizeof u->told, "the disks have not been looked at yet");
    if (disks_stop(u->disks))
        crew_hold(crew, u->told);
    if (period_s > 0) {
        uint64_t ms = (uint64_t)fmax(500 * period_s, 1);

        uv_timer_start(&u->watchdog, on_watchdog, ms, ms);
    }
    return 0;
}

void upkeep_ready(struct upkeep *u)
{
    (void)u;
    notify_ready(NULL);
}

void upkeep_reloading(struct upkeep *u)
{
    (void)u;
    notify_reloading();
}

void upkeep_reloaded(struct upkeep *u, const struct conf *conf)
{
    disks_set(u->disks, conf);
    notify_ready(NULL);
}

void upkeep_stopping(struct upkeep *u)
{
    (void)u;
    notify_stopping();
}

const struct disks *upkeep_disks(const struct upkeep *u)
{
    return u->disks;
}

static void close_once(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void upkeep_close(struct upkeep *u)
{
    if (u == NULL)
        return;
    disks_close(u->disks);
    close_once((uv_handle_t *)&u->watchdog);
}

void upkeep_free(struct upkeep *u)
{
    if (u == NULL)
        return;
    disks_free(u->disks);
    free(u);
}
