/* observer.c: see observer.h. */
#include "locks/observer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/path.h"
#include "locks/crashpoint.h"

/* A heartbeat may be late by half a lease before we are suspicious. */
#define LEASES_UNMOVED 1.5

enum { VERDICTS = 64 };

/* One claim as last seen. */
struct sighting {
    char *key; /* NULL: empty slot */
    uint64_t gen, beat;
    double since_s;   /* BOOTTIME at which the beat was first seen */
    double suspect_s; /* BOOTTIME of the first suspicion; < 0 none */
};

struct observer {
    double (*now_s)(void);
    pthread_mutex_t lock;   /* of all below */
    struct sighting *slots; /* open addressing, a power of two of them */
    size_t nslots, used;
    struct verdict { /* the processes last asked after, by PID: one holds many groups */
        struct owner who;
        enum owner_life life;
        char why[OWNER_WHY];
        double at_s; /* 0: none */
    } verdicts[VERDICTS];
    struct owner me; /* asked once; boot "" before */
};

struct observer *observer_new(void)
{
    struct observer *obs = mem_calloc(1, sizeof *obs);

    obs->now_s = clock_boot_s;
    pthread_mutex_init(&obs->lock, NULL);
    return obs;
}

void observer_free(struct observer *obs)
{
    if (obs == NULL)
        return;
    for (size_t i = 0; i < obs->nslots; i++)
        free(obs->slots[i].key);
    free(obs->slots);
    pthread_mutex_destroy(&obs->lock);
    free(obs);
}

void observer_set_clock(struct observer *obs, double (*now_s)(void))
{
    obs->now_s = now_s;
}

static uint64_t hash(const char *key) /* FNV-1a */
{
    uint64_t h = 0xcbf29ce484222325U;

    for (; *key != '\0'; key++)
        h = (h ^ (unsigned char)*key) * 0x100000001b3U;
    return h;
}

static struct sighting *find(const struct observer *obs, const char *key)
{
    size_t i = hash(key) & (obs->nslots - 1);

    while (obs->slots[i].key != NULL && strcmp(obs->slots[i].key, key) != 0)
        i = (i + 1) & (obs->nslots - 1);
    return &obs->slots[i];
}

static void grow(struct observer *obs)
{
    struct observer bigger = {.nslots = obs->nslots != 0 ? 2 * obs->nslots : 64};

    bigger.slots = mem_calloc(bigger.nslots, sizeof *bigger.slots);
    for (size_t i = 0; i < obs->nslots; i++)
        if (obs->slots[i].key != NULL)
            *find(&bigger, obs->slots[i].key) = obs->slots[i];
    free(obs->slots);
    obs->slots = bigger.slots;
    obs->nslots = bigger.nslots;
}

static struct sighting *sight(struct observer *obs, const char *key)
{
    struct sighting *s;

    if (2 * (obs->used + 1) > obs->nslots)
        grow(obs);
    s = find(obs, key);
    if (s->key == NULL) {
        s->key = mem_strdup(key);
        s->gen = 0;
        obs->used++;
    }
    return s;
}

/* The counter in h.N, opened anew (an open file may be served from a cache on NFS). */
static uint64_t read_beat(int dirfd, uint64_t gen)
{
    char name[RECORD_NAME], text[64] = "";
    uint64_t in_file = 0, beat = 0;
    ssize_t n;
    int fd;

    record_name(name, 'h', gen);
    crash_look("beat?");
    fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd == -1)
        return 0;
    n = pread(fd, text, sizeof text - 1, 0);
    close(fd);
    if (n <= 0 || sscanf(text, "%" SCNu64 " %" SCNu64, &in_file, &beat) != 2)
        return 0;
    return in_file == gen ? beat : 0;
}

/* How long has the heartbeat stood still, as we saw it; under the lock. */
static void time_beat(struct observer *obs, const char *key, struct lock_view *view)
{
    double now = obs->now_s();
    struct sighting *s = sight(obs, key);

    if (s->gen != view->gens.g || s->beat != view->beat || s->since_s > now) {
        s->gen = view->gens.g;
        s->beat = view->beat;
        s->since_s = now;
        s->suspect_s = -1;
    }
    view->unmoved_s = now - s->since_s;
    if (view->unmoved_s < LEASES_UNMOVED * view->rec.lease_s)
        return;
    if (s->suspect_s < 0)
        s->suspect_s = now;
    view->state = now - s->suspect_s >= view->rec.heartbeat_s && now > s->suspect_s
                      ? LOCK_EXPIRED
                      : LOCK_SUSPECT;
}

/* Time the heartbeat of an owner that is neither proved dead nor proved alive. */
static void judge_lease(struct observer *obs, int dirfd, const char *key,
                        struct lock_view *view)
{
    view->beat = read_beat(dirfd, view->gens.g);
    view->state = LOCK_HELD;
    if (obs == NULL)
        return;
    pthread_mutex_lock(&obs->lock);
    time_beat(obs, key, view);
    pthread_mutex_unlock(&obs->lock);
    if (view->state != LOCK_HELD)
        snprintf(view->why + strlen(view->why), sizeof view->why - strlen(view->why),
                 "%sno heartbeat for %.1f s", view->why[0] != '\0' ? ", " : "",
                 view->unmoved_s);
}

/* Who we are; NULL when that cannot be read. */
static const struct owner *self_of(struct observer *obs, struct owner *room)
{
    bool known;

    if (obs == NULL)
        return owner_self(room, NULL) == 0 ? room : NULL;
    pthread_mutex_lock(&obs->lock);
    known = obs->me.boot[0] != '\0' || owner_self(&obs->me, NULL) == 0;
    pthread_mutex_unlock(&obs->lock);
    return known ? &obs->me : NULL;
}

static bool same_boot(const struct owner *me, const struct owner *who)
{
    return me != NULL && strcmp(me->boot, who->boot) == 0;
}

/* Does the kernel lock of the record's file prove anything here, and is it free? */
static bool lock_is_free(int fd, const struct lock_view *view, const struct lockfs *fs,
                         const struct owner *me)
{
    if (view->rec.mode != MODE_FLOCK || fs->mode != MODE_FLOCK ||
        strcmp(fs->type, view->rec.fs) != 0)
        return false;
    if (!fs->measured && !same_boot(me, &view->rec.owner))
        return false; /* a local disk that another machine reaches through a server */
    crash_look("kernel lock?");
    if (flock(fd, LOCK_SH | LOCK_NB) != 0) /* shared: observers do not disturb */
        return false;
    flock(fd, LOCK_UN);
    return true;
}

/* A record that names another user than its file's owner was not written by whom it names.
 * Asked only where user numbers mean the same to the writer and to us. */
static bool forged(const struct lock_view *view, const struct lockfs *fs,
                   const struct owner *me)
{
    const struct owner *o = &view->rec.owner;

    return fs->local && same_boot(me, o) && me->pidns == o->pidns &&
           view->rec.file_uid != 0 && view->rec.file_uid != o->uid;
}

#define VERDICT_S 0.02 /* a verdict on a process is as good for its next group */

static bool is_of(const struct verdict *v, const struct owner *who)
{
    return v->at_s > 0 && who->pid == v->who.pid && who->start == v->who.start &&
           who->pidfs == v->who.pidfs && who->pidns == v->who.pidns &&
           strcmp(who->boot, v->who.boot) == 0 &&
           strcmp(who->machine, v->who.machine) == 0 &&
           clock_boot_s() - v->at_s < VERDICT_S;
}

static enum owner_life judge_owner(struct observer *obs, const struct owner *who,
                                   char why[OWNER_WHY])
{
    enum owner_life life;
    struct verdict *v;

    if (obs == NULL)
        return owner_judge(who, why);
    v = &obs->verdicts[who->pid & (VERDICTS - 1)];
    pthread_mutex_lock(&obs->lock);
    if (!is_of(v, who)) {
        v->who = *who;
        v->life = owner_judge(who, v->why);
        v->at_s = clock_boot_s();
    }
    life = v->life;
    memcpy(why, v->why, OWNER_WHY);
    pthread_mutex_unlock(&obs->lock);
    return life;
}

/* The newest record is a kept file of an earlier version.  Its owner holds its kernel lock,
 * and it was made on a file system of one kernel alone: on that machine the lock decides. */
static int judge_kept(int fd, const struct lockfs *fs, struct lock_view *view)
{
    bool ended = view->rec.kept_ended || view->gens.r >= view->rec.gen;

    view->kept = view->rec.kept;
    view->gens.g = view->rec.gen;
    if (view->gens.top < view->gens.g)
        view->gens.top = view->gens.g; /* its numbers are all taken */
    if (!fs->local) {
        snprintf(view->why, sizeof view->why,
                 "it is in a kept file of an earlier version: claim it once on the "
                 "machine that has the disk");
        return RECORD_OPAQUE;
    }
    crash_look("kernel lock?");
    if (flock(fd, LOCK_SH | LOCK_NB) != 0) {
        view->state = LOCK_HELD;
        snprintf(view->why, sizeof view->why,
                 "an earlier version holds it in a kept file");
        return 0;
    }
    flock(fd, LOCK_UN);
    view->gens.ended = ended;
    view->state = ended ? LOCK_FREE : LOCK_DEAD;
    if (ended)
        memset(&view->rec, 0, sizeof view->rec);
    else
        snprintf(view->why, sizeof view->why, "owner no longer holds its kernel lock");
    return 0;
}

/* The newest record, read from fd, is there and nobody has ended it. */
static int judge_record(struct observer *obs, int dirfd, int fd, const char *key,
                        const struct lockfs *fs, struct lock_view *view)
{
    struct owner room;
    const struct owner *me = self_of(obs, &room);
    enum owner_life life;

    if (forged(view, fs, me)) {
        snprintf(view->why, sizeof view->why,
                 "the record's file belongs to another user");
        return RECORD_OPAQUE;
    }
    if (view->rec.kept != 0)
        return judge_kept(fd, fs, view);
    life = judge_owner(obs, &view->rec.owner, view->why);
    if (life != OWNER_DEAD && lock_is_free(fd, view, fs, me)) {
        life = OWNER_DEAD;
        snprintf(view->why, sizeof view->why, "owner no longer holds its kernel lock");
    }
    view->state = life == OWNER_DEAD ? LOCK_DEAD : LOCK_HELD;
    if (life == OWNER_UNKNOWN)
        judge_lease(obs, dirfd, key, view);
    return 0;
}

static int judge(struct observer *obs, int dirfd, const char *key,
                 const struct lockfs *fs, struct lock_view *view)
{
    char name[RECORD_NAME];
    int fd, rc;

    record_name(name, 'g', view->gens.g);
    rc = record_read_keep(dirfd, name, view->gens.g, &view->rec, view->why, &fd);
    if (rc == 0)
        rc = judge_record(obs, dirfd, fd, key, fs, view);
    if (fd != -1)
        close(fd);
    if (rc == RECORD_OPAQUE) {
        memset(&view->rec, 0, sizeof view->rec);
        view->state = LOCK_OPAQUE;
        rc = 0;
    }
    return rc;
}

int observer_judge(struct observer *obs, int dirfd, const char *key,
                   const struct lockfs *fs, const struct generations *gens,
                   struct lock_view *view)
{
    memset(view, 0, sizeof *view);
    view->unmoved_s = -1;
    view->gens = *gens;
    return gens->g == 0 || gens->ended ? 0 : judge(obs, dirfd, key, fs, view);
}

int observer_look(struct observer *obs, int dirfd, const char *key,
                  struct lock_view *view, struct err *e)
{
    struct generations gens;
    struct lockfs fs;
    int rc = 0;

    lockfs_get(dirfd, &fs);
    for (int i = 0; i < 3; i++) {
        rc = generations_scan(dirfd, &gens);
        if (rc != 0)
            break;
        rc = observer_judge(obs, dirfd, key, &fs, &gens, view);
        if (rc != -ENOENT && rc != -ESTALE) /* else a file was deleted meanwhile */
            break;
    }
    if (rc != 0)
        return err_set(e, rc, "cannot read the claims of %s: %s", key, err_text(rc));
    return 0;
}

int observer_load(struct observer *obs, const char *path, struct err *e)
{
    struct owner me;
    json_t *json, *row;
    const char *key;
    int rc = owner_self(&me, e);

    if (rc != 0)
        return rc;
    json = json_load_file(path, 0, NULL);
    if (json_is_string(json_object_get(json, "boot")) &&
        strcmp(json_string_value(json_object_get(json, "boot")), me.boot) == 0 &&
        (uint64_t)json_integer_value(json_object_get(json, "timens")) == owner_timens())
        json_object_foreach(json_object_get(json, "seen"), key, row)
        {
            struct sighting *s = sight(obs, key);

            s->gen = (uint64_t)json_integer_value(json_array_get(row, 0));
            s->beat = (uint64_t)json_integer_value(json_array_get(row, 1));
            s->since_s = json_number_value(json_array_get(row, 2));
            s->suspect_s = json_number_value(json_array_get(row, 3));
        }
    json_decref(json);
    return 0;
}

int observer_save(const struct observer *obs, const char *path, struct err *e)
{
    json_t *json, *seen = json_object();
    struct owner me;
    char *text;
    int rc = owner_self(&me, e);

    for (size_t i = 0; i < obs->nslots && rc == 0; i++) {
        const struct sighting *s = &obs->slots[i];

        if (s->key != NULL)
            json_object_set_new(seen, s->key,
                                json_pack("[I, I, f, f]", (json_int_t)s->gen,
                                          (json_int_t)s->beat, s->since_s,
                                          s->suspect_s));
    }
    json = json_pack("{s:s, s:I, s:o}", "boot", me.boot, "timens",
                     (json_int_t)owner_timens(), "seen", seen);
    text = rc == 0 && json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    if (text != NULL)
        rc = path_write(path, text, strlen(text), e);
    free(text);
    json_decref(json);
    return rc;
}

const char *lock_state_name(enum lock_state state)
{
    static const char *const names[] = {
        [LOCK_FREE] = "FREE",       [LOCK_HELD] = "ACTIVE",
        [LOCK_DEAD] = "DEAD",       [LOCK_SUSPECT] = "SUSPECT",
        [LOCK_EXPIRED] = "EXPIRED", [LOCK_OPAQUE] = "OPAQUE",
    };

    return names[state];
}
