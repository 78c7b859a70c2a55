#include "watcherd/service.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/log.h"
#include "core/path.h"
#include "watcherd/crew/crew.h"
#include "watcherd/crew/peers.h"
#include "watcherd/folders.h"
#include "watcherd/settings.h"
#include "watcherd/base/store.h"
#include "watcherd/upkeep.h"

/* At the end, for a store that hangs. */
static const double LAST_STOP_S = 1;
enum { NAME_MAX_BYTES = 40, LOCK_TRIES = 20 };

struct service {
    struct conf *conf;
    struct service_opts opts;
    uv_loop_t loop;
    uv_signal_t signal[3];
    struct store *store;
    struct crew *crew;
    struct peers *peers;
    struct upkeep *upkeep;
    char settings[PATH_MAX];
    int lock; /* descriptor; -1 */
    bool stopping;
    size_t nfailed;
};

/* ---- what is told to us ---- */

static void stop(struct service *s, double grace_s)
{
    s->stopping = true;
    upkeep_stopping(s->upkeep);
    peers_stop(s->peers);
    crew_stop(s->crew, grace_s);
}

static void on_ended(void *arg, const struct task *task, enum crew_how how)
{
    struct service *s = arg;

    (void)task;
    s->nfailed += how == CREW_FAILED;
}

static void on_turned(void *arg)
{
    struct service *s = arg;
    struct crew_look look;

    crew_look(s->crew, &look);
    if (s->opts.once && !s->stopping && look.idle && look.empty)
        stop(s, 0);
}

static void on_stopped(void *arg)
{
    struct service *s = arg;

    uv_stop(&s->loop);
}

static void on_store(void *arg, bool changed)
{
    struct service *s = arg;

    if (!s->stopping)
        crew_wake(s->crew, changed);
}

static void on_store_turned(void *arg, bool up)
{
    struct service *s = arg;

    if (up && !s->stopping)
        peers_look(s->peers);
}

static void on_looked(void *arg)
{
    struct service *s = arg;

    crew_start(s->crew);
}

static void on_freed(void *arg, size_t tasks)
{
    struct service *s = arg;

    (void)tasks;
    crew_wake(s->crew, false);
}

static void on_signal(uv_signal_t *handle, int sig)
{
    struct service *s = handle->data;
    struct crew_look look;

    if (sig == SIGHUP) {
        upkeep_reloading(s->upkeep);
        settings_reload(s->conf, s->opts.conf_path, s->settings);
        upkeep_reloaded(s->upkeep, s->conf);
        crew_renew(s->crew);
        return;
    }
    crew_look(s->crew, &look);
    log_event(LOG_INFO, "stopping", "signal", sig == SIGTERM ? "TERM" : "INT",
              "running", log_u(look.running), NULL);
    /* A second signal does not wait for the grace. */
    stop(s, s->stopping ? 0 : s->conf->workers.stop_grace_s);
}

/* ---- its life ---- */

static int check_name(const char *name, struct err *e)
{
    if (name[0] == '\0' || strlen(name) > NAME_MAX_BYTES ||
        strspn(name,
               "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") !=
            strlen(name))
        return err_set(
            e, -EINVAL,
            "a worker's name is up to %d letters, digits, dots, - and _, not %.60s",
            NAME_MAX_BYTES, name);
    return 0;
}

/* A child of a service that was just killed may hold the lock for some milliseconds more:
   between fork and exec. */
static int take_lock(int fd)
{
    const struct timespec tick = {0, 50000000};
    int rc = -1;

    for (int i = 0; i < LOCK_TRIES && (rc = flock(fd, LOCK_EX | LOCK_NB)) != 0 &&
                    errno == EWOULDBLOCK;
         i++)
        nanosleep(&tick, NULL);
    return rc;
}

/* The kernel gives the lock back however we end. */
static int lock_name(struct service *s, struct err *e)
{
    char file[NAME_MAX_BYTES + 16], path[PATH_MAX];
    int rc;

    snprintf(file, sizeof file, "worker-%s.lock", s->opts.name);
    if ((rc = path_join(path, sizeof path, s->conf->paths.state, file, e)) != 0)
        return rc;
    s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (s->lock == -1)
        return err_set(e, -errno, "cannot make %s: %s", path, strerror(errno));
    if (take_lock(s->lock) == 0)
        return 0;
    return errno == EWOULDBLOCK
               ? err_set(e, -EBUSY,
                         "a worker of the name %s runs already (it holds %s)",
                         s->opts.name, path)
               : err_set(e, -errno, "cannot lock %s: %s", path, strerror(errno));
}

static int open_rooms(struct service *s, struct err *e)
{
    char file[NAME_MAX_BYTES + 16];
    int rc;

    snprintf(file, sizeof file, "worker-%s.conf", s->opts.name);
    if ((rc = folders_make(s->conf, e)) != 0 || (rc = lock_name(s, e)) != 0 ||
        (rc = folders_locks(s->conf, e)) != 0 ||
        (rc = path_join(s->settings, sizeof s->settings, s->conf->paths.state, file,
                        e)) != 0 ||
        (rc = settings_write(s->conf, s->settings, e)) != 0)
        return rc;
    rc = store_new(&s->store,
                   &(struct store_opts){.loop = &s->loop,
                                        .conf = s->conf,
                                        .role = QUEUE_AS_WORKER,
                                        .news = on_store,
                                        .turned = on_store_turned,
                                        .arg = s},
                   e);
    if (rc == 0)
        rc = crew_new(&s->crew,
                      &(struct crew_opts){.loop = &s->loop,
                                          .store = s->store,
                                          .conf = s->conf,
                                          .settings = s->settings,
                                          .name = s->opts.name,
                                          .slots = s->opts.slots,
                                          .once = s->opts.once,
                                          .ended = on_ended,
                                          .turned = on_turned,
                                          .stopped = on_stopped,
                                          .arg = s},
                      e);
    if (rc == 0)
        s->peers = peers_new(&(struct peers_opts){.loop = &s->loop,
                                                  .store = s->store,
                                                  .me = crew_me(s->crew),
                                                  .looked = on_looked,
                                                  .freed = on_freed,
                                                  .arg = s});
    return rc != 0 ? rc : upkeep_new(&s->upkeep, &s->loop, s->conf, s->crew, e);
}

static void begin(struct service *s)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    char text[128];

    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < 3; i++) {
        uv_signal_init(&s->loop, &s->signal[i]);
        s->signal[i].data = s;
        uv_signal_start(&s->signal[i], on_signal, signals[i]);
    }
    snprintf(text, sizeof text, "Polling for tasks on queue %s", s->conf->queue.name);
    log_event(LOG_INFO, "ready", "version", VERSION, "worker", crew_me(s->crew)->id,
              "slots", log_d(s->opts.slots), "text", text, NULL);
    peers_look(s->peers);
    upkeep_ready(s->upkeep);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

int service_run(struct conf *conf, const struct service_opts *opts, struct err *e)
{
    struct service s = {.conf = conf, .opts = *opts, .lock = -1};
    int rc;

    if (s.opts.name == NULL)
        s.opts.name = "worker";
    if (s.opts.slots == 0)
        s.opts.slots = 1;
    if ((rc = check_name(s.opts.name, e)) != 0)
        return rc;
    uv_loop_init(&s.loop);
    rc = open_rooms(&s, e);
    if (rc == 0) {
        begin(&s);
        uv_run(&s.loop, UV_RUN_DEFAULT);
        log_event(LOG_INFO, "ended", "failed", log_u(s.nfailed), NULL);
        rc = s.opts.once && s.nfailed > 0;
    }
    s.stopping = true;
    peers_stop(s.peers);
    if (store_stop(s.store, LAST_STOP_S) != 0) {
        log_event(LOG_WARN, "ended", "reason",
                  "the queue's store still does not answer; left alone", NULL);
        _exit(
            rc); /* nothing at exit() may touch, or wait for, what the thread still uses */
    }
    upkeep_close(s.upkeep);
    uv_walk(&s.loop, close_handle, NULL);
    uv_run(&s.loop, UV_RUN_DEFAULT);
    uv_loop_close(&s.loop);
    upkeep_free(s.upkeep);
    crew_free(s.crew);
    peers_free(s.peers);
    store_free(s.store);
    if (s.lock != -1)
        close(s.lock);
    return rc;
}
