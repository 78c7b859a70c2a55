/*
 * explore.h: threads that take turns at the steps and looks of locks/, for
 * tests/test_explore.c: what an actor is, whose turn it is, which states were met before.
 */
#ifndef TESTS_EXPLORE_H
#define TESTS_EXPLORE_H

#include "tests/test.h"
#include "tests/kept_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdbool.h>
#include <string.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "core/err.h"
#include "locks/claim.h"
#include "locks/observer.h"
#include "locks/crashpoint.h"

enum {
    ACTORS = 3,
    DEPTH = 400,  /* decisions in one run */
    GEN_MAX = 32, /* generations in one run */
    DIR_FD = 100, /* the directory, in everybody's table; a crash closes the others */
    MORE = 3,     /* claims of the one that claims often */
    ANY = 99,     /* turns: as many as there are */
};

struct actor;
typedef void role_fn(struct actor *me);

struct actor {
    char name; /* 'A'.. */
    role_fn *role;
    pthread_t thread;
    sem_t go;
    enum { READY, DONE, CRASHED } state;
    bool inside;    /* somewhere in its role, dead or alive */
    const char *at; /* the step before which it stands */
    uint64_t seen;  /* everything that it can have learnt, hashed */
    /* the generation that it holds and has not begun to let go; 0 none */
    uint64_t holds;
    struct owner owner;
};

/* A place where something else could have happened. */
struct decision {
    int taken, options;
    bool crash; /* the last option is a crash */
    uint64_t key, leaves;
};

/* What was met before, and how many interleavings follow from it. */
struct met {
    uint64_t key, leaves;
};

static struct {
    const struct scenario *scenario;
    int turns_max, crashes_max;
    struct actor actor[ACTORS];
    struct decision path[DEPTH];
    int depth, known; /* of this run; decisions that are a repetition */
    int turns, crashes;
    bool aborting, quit, dirty, pruned;
    uint64_t pruned_leaves, dir; /* hash of the directory's names */
    sem_t over;
    struct met *met;
    size_t nmet, met_slots;
    uint64_t runs, interleavings;
    /* what must stay true */
    uint64_t owned[GEN_MAX], ended[GEN_MAX]; /* how often */
    uint64_t top_owned, top_committed;
    char wrong[256];
    char trace[16384];
    size_t traced;
} x;

struct scenario {
    const char *what;
    role_fn *role[ACTORS];
    bool far;       /* each actor is another machine, where kernel locks say nothing */
    bool exclusive; /* nobody may hold beside another, no living one may be broken */
    bool claimable_at_end; /* by one who comes when all are done or dead */
    bool kept; /* at the start a free kept file of an earlier version is there */
};

static _Thread_local struct actor *me;

static uint64_t mix(uint64_t h, uint64_t v)
{
    h ^= v + 0x9e3779b97f4a7c15U + (h << 6) + (h >> 2);
    h *= 0xbf58476d1ce4e5b9U;
    return h ^ h >> 29;
}

static uint64_t hash_text(const char *text)
{
    uint64_t h = 0xcbf29ce484222325U;

    for (; *text != '\0'; text++)
        h = (h ^ (unsigned char)*text) * 0x100000001b3U;
    return h;
}

/* What a kept file says, and whether it has its second name. */
static uint64_t hash_kept(int fd, const char *name)
{
    char text[2 * OLD_SLOT + 1] = "";
    int file = openat(fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (file == -1 || pread(file, text, sizeof text - 1, 0) != sizeof text - 1)
        abort();
    close(file);
    return mix(hash_text(text), hash_text(text + OLD_SLOT));
}

/* The names in the directory; of temporary ones only the number. */
static uint64_t hash_dir(int fd)
{
    _Alignas(struct dirent64) char buf[8192];
    uint64_t h = 0;
    ssize_t n;

    lseek(fd, 0, SEEK_SET);
    while ((n = getdents64(fd, buf, sizeof buf)) > 0)
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *d = (const struct dirent64 *)(void *)(buf + at);

            if (d->d_name[0] != '.')
                h += mix(1, hash_text(d->d_name[0] == 't' ? "t" : d->d_name)) +
                     (d->d_name[0] == 'k' ? hash_kept(fd, d->d_name) : 0);
            at += d->d_reclen;
        }
    return h;
}

__attribute__((format(printf, 1, 2))) static void violated(const char *fmt, ...)
{
    va_list ap;

    if (x.wrong[0] != '\0' || x.aborting)
        return;
    va_start(ap, fmt);
    vsnprintf(x.wrong, sizeof x.wrong, fmt, ap);
    va_end(ap);
}

static void trace(char who, const char *what)
{
    if (x.traced < sizeof x.trace)
        x.traced += (size_t)snprintf(x.trace + x.traced, sizeof x.trace - x.traced,
                                     "%c: %s\n", who, what);
}

/* ---- states met before ---- */

static struct met *met_at(uint64_t key)
{
    size_t i = key & (x.met_slots - 1);

    while (x.met[i].key != 0 && x.met[i].key != key)
        i = (i + 1) & (x.met_slots - 1);
    return &x.met[i];
}

static void remember(uint64_t key, uint64_t leaves)
{
    if (2 * (x.nmet + 1) > x.met_slots) {
        struct met *old = x.met;
        size_t n = x.met_slots;

        x.met_slots = n != 0 ? 2 * n : 1024;
        x.met = calloc(x.met_slots, sizeof *x.met);
        if (x.met == NULL)
            abort();
        for (size_t i = 0; i < n; i++)
            if (old[i].key != 0)
                *met_at(old[i].key) = old[i];
        free(old);
    }
    *met_at(key) = (struct met){key, leaves};
    x.nmet++;
}

static uint64_t state_key(const struct actor *at)
{
    uint64_t h = mix(x.dir, (uint64_t)(x.turns_max < ANY ? x.turns * 16 : 0) +
                                (uint64_t)x.crashes);

    h = mix(h, (uint64_t)at->name + 64 * (uint64_t)at->state);
    for (int i = 0; i < ACTORS; i++) {
        const struct actor *a = &x.actor[i];

        h = mix(h, a->seen);
        h = mix(h, hash_text(a->state == READY && a->at != NULL ? a->at : ""));
        h = mix(h, 8 * a->holds + (uint64_t)a->state);
    }
    h = mix(h, x.top_owned * GEN_MAX + x.top_committed);
    return h != 0 ? h : 1;
}

/* ---- whose turn ---- */

static int others(const struct actor *a, int pick)
{
    for (int i = 0; i < ACTORS; i++)
        if (&x.actor[i] != a && x.actor[i].state == READY && pick-- == 0)
            return i;
    return -1;
}

static int count_others(const struct actor *a)
{
    int n = 0;

    while (others(a, n) >= 0)
        n++;
    return n;
}

/* What happens next, with `a` standing before its next step, or at its end?  Fills the path
 * on. */
static int decide(struct actor *a, bool private, bool can_crash)
{
    bool goes_on = a->state == READY;
    int n = count_others(a), options;
    struct decision *d = &x.path[x.depth];

    if (goes_on && (private || x.turns >= x.turns_max))
        n = 0;
    can_crash = can_crash && goes_on && x.crashes < x.crashes_max;
    options = n + goes_on + can_crash;
    if (options <= 1)
        return 0;
    if (x.depth >= DEPTH - 1)
        abort();
    if (x.depth >= x.known) {
        struct met *before;
        uint64_t key;

        if (x.dirty)
            x.dir = hash_dir(DIR_FD);
        x.dirty = false;
        key = state_key(a);
        before = x.met_slots != 0 ? met_at(key) : NULL;
        if (before != NULL && before->key == key) {
            x.pruned = true;
            x.pruned_leaves = before->leaves;
            return -1;
        }
        *d = (struct decision){.options = options, .crash = can_crash, .key = key};
    }
    x.depth++;
    return d->taken;
}

static void learn(struct actor *a, const char *what)
{
    if (x.dirty)
        x.dir = hash_dir(DIR_FD);
    x.dirty = false;
    a->seen = mix(mix(a->seen, hash_text(what)), x.dir);
}

/* Give the turn to another one, or say that the run is over. */
static void hand_over(struct actor *to)
{
    sem_post(to != NULL ? &to->go : &x.over);
}

static void wait_turn(struct actor *a)
{
    while (sem_wait(&a->go) != 0)
        continue;
}

/* The actor has come to its end, or died: whose turn is it? */
static void after_end(struct actor *a)
{
    int taken = decide(a, false, false);
    int next = taken < 0 ? -1 : others(a, taken);

    hand_over(next >= 0 ? &x.actor[next] : NULL);
}

/* What dies closes its descriptors and does nothing more that counts.  When the run has been
 * judged it goes on, in vain, to free its memory. */
static void die(const char *what)
{
    trace(me->name, "dies before");
    trace(me->name, what);
    x.crashes++;
    x.dirty = true; /* its kernel locks are gone */
    me->state = CRASHED;
    me->holds = 0;
    close_range(3, DIR_FD - 1, 0);
    close_range(DIR_FD + 1, ~0U, 0);
    after_end(me);
    wait_turn(me);
}

/* Dying before a look is dying before the change that comes after it: nobody can tell. */
static bool is_look(const char *what)
{
    return what[strlen(what) - 1] == '?';
}

/* The hook: every step and look of an actor comes by here before it happens. */
static void before_step(const char *what)
{
    int taken;

    if (me == NULL || x.aborting)
        return;
    me->at = what;
    taken = decide(me, strncmp(what, "own", 3) == 0, !is_look(what));
    if (taken < 0) { /* met before */
        hand_over(NULL);
        wait_turn(me);
    } else if (taken > 0 && x.path[x.depth - 1].crash &&
               taken == x.path[x.depth - 1].options - 1) {
        die(what);
    } else if (taken > 0) {
        x.turns++;
        hand_over(&x.actor[others(me, taken - 1)]);
        wait_turn(me);
    }
    if (x.aborting)
        return;
    trace(me->name, what);
    learn(me, what);
    x.dirty = !is_look(what);
}

static void *actor_main(void *arg)
{
    me = arg;
    if (unshare(CLONE_FILES) != 0)
        abort();
    owner_pretend(x.scenario->far ? &me->owner : NULL);
    hand_over(NULL); /* from now on our descriptors are our own */
    for (;;) {
        wait_turn(me);
        if (x.quit)
            return NULL;
        me->inside = true;
        me->role(me);
        me->inside = false;
        if (x.aborting) {
            hand_over(NULL);
        } else {
            me->state = DONE;
            after_end(me);
        }
    }
}

#endif
