/* test_group.c: groups depend on the set of files only; the real inventory of the telescope. */
#include "tests/test.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "core/group.h"

enum { EXPECTED = 16, TOLERANCE_S = 120, MAX_FILES = 40000, MAX_GROUPS = 6000 };

static const struct group_opts dsa110 = {
    .tolerance_s = TOLERANCE_S, .expected = EXPECTED, .deadline_s = 600};

static const struct file_id id0 = {
    .dev = 1, .ino = 2, .size = 145348600, .mtime_ns = 3};

static void stamp(time_t t, char out[GROUP_NAME])
{
    struct tm tm;

    gmtime_r(&t, &tm);
    strftime(out, GROUP_NAME, "%Y-%m-%dT%H:%M:%S", &tm);
}

static time_t seconds_of(const char *s)
{
    struct tm tm = {0};

    assert_non_null(strptime(s, "%Y-%m-%dT%H:%M:%S", &tm));
    return timegm(&tm);
}

/* Add sub-band `index` of time `when` ("2025-...") from folder `dir`. */
static void add_from(struct group_table *t, const char *dir, const char *when,
                     int index, double now)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s_sb%02d.hdf5", dir, when, index);
    assert_int_equal(group_add(t, path, &id0, now), 0);
}

static void add(struct group_table *t, const char *when, int index, double now)
{
    add_from(t, "/in", when, index, now);
}

/* ---- what was told ---- */

struct told {
    int n[8]; /* by enum group_what */
    char name[MAX_GROUPS][GROUP_NAME];
    size_t ncomplete;
    char last_path[128];
    struct group_table *mark; /* mark complete groups enqueued */
    int present;
    char member5[128]; /* path of member 5 of the last complete group */
};

static void note(void *arg, const struct group_news *news)
{
    struct told *told = arg;

    told->n[news->what]++;
    told->present = news->group->present;
    if (news->path != NULL)
        snprintf(told->last_path, sizeof told->last_path, "%s", news->path);
    if (news->what != GROUP_IS_COMPLETE)
        return;
    assert_true(told->ncomplete < MAX_GROUPS);
    strcpy(told->name[told->ncomplete++], news->group->name);
    if (news->group->expected > 5)
        snprintf(told->member5, sizeof told->member5, "%s",
                 news->group->member[5].path);
    if (told->mark != NULL)
        assert_int_equal(group_mark(told->mark, news->group->name, GROUP_ENQUEUED), 0);
}

static struct told *ready(struct group_table *t, double now)
{
    static struct told told;

    memset(&told, 0, sizeof told);
    group_ready(t, now, note, &told);
    return &told;
}

/* ---- the inventory ---- */

struct sample {
    time_t t;
    int index, copy;
};
static struct sample all[MAX_FILES];
static size_t nall;
static char offline[MAX_GROUPS][GROUP_NAME]; /* first times of the complete clusters */
static char latest[MAX_GROUPS]
                  [GROUP_NAME]; /* last times, for those with over 16 files */
static size_t noffline, nclusters;

static int by_time(const void *a, const void *b)
{
    const struct sample *x = a, *y = b;

    return (x->t > y->t) - (x->t < y->t);
}

/*
 * Read time and number of sub-bands of each row; the inventory does not say which sub-bands,
 * so the k-th file of a run without gaps above the tolerance is given sub-band k % 16 (the
 * k / 16-th copy of it).  Clusters are counted here by gaps alone, in a few lines of their own.
 */
static int read_inventory(void)
{
    char path[4200], line[256], when[32];
    FILE *f;
    int n;

    if (shared_data() == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/dsa110-ops/inventory-9d8d2db.csv", shared_data());
    f = fopen(path, "r");
    if (f == NULL)
        return -1;
    nall = noffline = nclusters = 0;
    while (fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "%*[^,],%19[^,],%d,", when, &n) == 2)
            for (int i = 0; i < n; i++)
                all[nall++].t = seconds_of(when);
    fclose(f);
    qsort(all, nall, sizeof all[0], by_time);
    for (size_t lo = 0, hi; lo < nall; lo = hi, nclusters++) {
        for (hi = lo;
             hi < nall && (hi == lo || all[hi].t - all[hi - 1].t <= TOLERANCE_S);
             hi++) {
            all[hi].index = (int)((hi - lo) % EXPECTED);
            all[hi].copy = (int)((hi - lo) / EXPECTED);
        }
        if (hi - lo >= EXPECTED) {
            stamp(all[lo].t, offline[noffline]);
            stamp(all[hi - lo > EXPECTED ? hi - 1 : lo].t, latest[noffline++]);
        }
    }
    return 0;
}

static void add_sample(struct group_table *t, const struct sample *s, double now)
{
    char when[GROUP_NAME], dir[16];

    stamp(s->t, when);
    snprintf(dir, sizeof dir, "/in/%d", s->copy);
    add_from(t, dir, when, s->index, now);
}

static void shuffle(unsigned long long seed)
{
    for (size_t i = nall - 1; i > 0; i--) {
        struct sample s = all[i];
        size_t k;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        k = (size_t)(seed >> 33) % (i + 1);
        all[i] = all[k];
        all[k] = s;
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

/*
 * Two rows of the inventory are no observations (240 and 80 files of one second, within the
 * tolerance of a real group): which of the files make the one group of such a cluster
 * depends on who was frozen first.  Everywhere else the name must be the first time.
 */
static void assert_offline(struct told *told)
{
    assert_int_equal(told->ncomplete, noffline);
    qsort(told->name, told->ncomplete, sizeof told->name[0], by_name);
    for (size_t i = 0; i < noffline; i++) {
        assert_true(strcmp(told->name[i], offline[i]) >= 0);
        assert_true(strcmp(told->name[i], latest[i]) <= 0);
    }
}

/* Everything about every group, as one number. */
static void digest(void *arg, const struct group_view *v)
{
    uint64_t *h = arg;

    for (const char *c = v->name; *c != '\0'; c++)
        *h = (*h ^ (uint64_t)*c) * 1099511628211u;
    for (int i = 0; i < v->expected; i++)
        for (const char *c = v->member[i].path == NULL ? "-" : v->member[i].path;
             *c != '\0'; c++)
            *h = (*h ^ (uint64_t)*c) * 1099511628211u;
    *h = (*h ^ (uint64_t)(v->duplicates * 64 + v->surplus)) * 1099511628211u;
}

static uint64_t digest_of(struct group_table *t)
{
    uint64_t h = 14695981039346656037u;

    group_each(t, digest, &h);
    return h;
}

static uint64_t digest_when_added(unsigned long long seed, bool reversed, size_t batch)
{
    struct group_table *t = group_table_new(&dsa110);
    struct group_stats stats;
    uint64_t h;

    if (seed != 0)
        shuffle(seed);
    else
        qsort(all, nall, sizeof all[0], by_time);
    for (size_t i = 0; i < nall; i++) {
        add_sample(t, &all[reversed ? nall - 1 - i : i], (double)i);
        if (i % batch == batch - 1)
            group_stats(t, &stats); /* looks, and so forms groups of what is there */
    }
    group_stats(t, &stats);
    assert_int_equal(stats.files, nall);
    assert_int_equal(stats.complete, noffline);
    h = digest_of(t);
    group_table_free(t);
    return h;
}

/* known.json says 2,208 of 2,231 for the fullest inventory; this one is an earlier state, in
 * which clustering by gaps gives the numbers printed. */
static void the_inventory_gives_the_same_groups_in_any_order(void **state)
{
    uint64_t h;

    (void)state;
    if (read_inventory() != 0) {
        print_message("skipped: no inventory of the telescope\n");
        skip();
    }
    print_message("%zu files, %zu clusters, %zu complete\n", nall, nclusters, noffline);
    assert_int_equal(nall, 28571); /* awk -F, '{s += $3} END {print s}' */
    h = digest_when_added(0, false, nall);
    assert_true(digest_when_added(0, false, 16) == h);
    assert_true(digest_when_added(0, true, 16) == h);
    assert_true(digest_when_added(1, false, 64) == h);
    assert_true(digest_when_added(2, false, 1000) == h);
    assert_true(digest_when_added(3, true, nall) == h);
}

/* The daemon's way: ask after every file, freeze what is complete; then another daemon with
 * another order, and one that is restarted in the middle. */
static void groups_frozen_as_they_come_are_the_offline_groups(void **state)
{
    static struct told told, after;

    (void)state;
    if (read_inventory() != 0) {
        print_message("skipped: no inventory of the telescope\n");
        skip();
    }
    for (unsigned long long seed = 0; seed < 3; seed++) {
        struct group_table *t = group_table_new(&dsa110);

        memset(&told, 0, sizeof told);
        told.mark = t;
        if (seed > 0)
            shuffle(seed);
        for (size_t i = 0; i < nall; i++) {
            add_sample(t, &all[i], 0);
            if (seed == 0 || i % 16 == 15 || i == nall - 1)
                group_ready(t, 0, note, &told);
        }
        assert_offline(&told);
        group_table_free(t);
    }
    /* restart: what the queue knows is marked first, then every file is seen again */
    memset(&after, 0, sizeof after);
    after.mark = group_table_new(&dsa110);
    for (size_t i = 0; i < noffline; i += 2)
        assert_int_equal(group_mark(after.mark, told.name[i], GROUP_DONE), 0);
    for (size_t i = 0; i < nall; i++)
        add_sample(after.mark, &all[i], 0);
    group_ready(after.mark, 0, note, &after);
    assert_int_equal(after.ncomplete, noffline - (noffline + 1) / 2);
    for (size_t i = 0; i < after.ncomplete; i++)
        assert_string_equal(after.name[i], told.name[2 * i + 1]);
    group_table_free(after.mark);
}

static void real_names_give_five_groups(void **state)
{
    struct group_table *t = group_table_new(&dsa110);
    char path[4200], line[128];
    struct told *told;
    FILE *f;

    (void)state;
    if (shared_data() == NULL) {
        print_message("skipped: no real file names\n");
        group_table_free(t);
        skip();
    }
    snprintf(path, sizeof path, "%s/dsa110-ops/real-subband-filenames.txt",
             shared_data());
    f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        assert_int_equal(group_add(t, line, &id0, 0), 0);
    }
    fclose(f);
    told = ready(t, 1);
    assert_int_equal(told->ncomplete, 5); /* SOURCE.md */
    /* the earliest second of a group spread over two: _sb02 and _sb10 lead it */
    assert_string_equal(told->name[0], "2025-05-07T00:04:06");
    group_table_free(t);
}

/* ---- names ---- */

static void only_real_dates_and_exact_names_are_parsed(void **state)
{
    static const char *const bad[] = {
        "",
        "2025-05-07T00:04:06_sb02.hdf",
        "2025-05-07T00:04:06_sb02.hdf5x",
        "2025-05-07T00:04:06_sb2.hdf5",
        "2025-05-07T00:04:06_sb002.hdf5",
        "2025-05-07T00:04:06_sb-1.hdf5",
        "2025-05-07T00:04:06_sb+1.hdf5",
        "2025-05-07 00:04:06_sb01.hdf5",
        "2025-05-07T00:04:06.5_sb01.hdf5",
        "2025-02-29T00:04:06_sb01.hdf5",
        "2100-02-29T00:04:06_sb01.hdf5",
        "2025-13-01T00:04:06_sb01.hdf5",
        "2025-00-01T00:04:06_sb01.hdf5",
        "2025-06-31T00:04:06_sb01.hdf5",
        "2025-05-07T24:00:00_sb01.hdf5",
        "2025-05-07T23:60:00_sb01.hdf5",
        "2025-05-07T23:59:60_sb01.hdf5",
        "2025-05-07T00:04:06_sb01_incomplete.hdf5",
        "x025-05-07T00:04:06_sb01.hdf5",
        "2025-05-07T00:04:06_SB01.hdf5",
        "9999-05-07T00:04:06_sb01.hdf5",
    };
    struct groupname_hit hit;
    struct groupname rule;

    (void)state;
    assert_int_equal(groupname_compile(&rule, "subband", NULL), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(groupname_parse(&rule, bad[i], &hit), -EINVAL);
    assert_int_equal(groupname_parse(&rule, "2024-02-29T23:59:58_sb07.uvh5", &hit), 0);
    assert_int_equal(hit.member, 7);
    assert_int_equal(hit.key, 1709251198); /* date -ud 2024-02-29T23:59:58 +%s */
    assert_int_equal(groupname_parse(&rule, "2000-01-01T00:00:00_sb99.hdf5", &hit), 0);
    assert_int_equal(hit.key, 946684800);
    assert_int_equal(hit.member, 99);
}

static void foreign_names_are_counted_and_not_kept(void **state)
{
    struct group_table *t = group_table_new(&dsa110);
    struct group_stats stats;

    (void)state;
    assert_int_equal(group_add(t, "/in/notes.hdf5", &id0, 0), -EINVAL);
    group_stats(t, &stats);
    assert_int_equal(stats.foreign, 1);
    assert_int_equal(stats.files, 0);
    group_table_free(t);
}

/* ---- rules, with three members a group ---- */

static const struct group_opts three = {
    .tolerance_s = 100, .expected = 3, .deadline_s = 50};

static void the_name_is_the_earliest_member_whatever_comes_first(void **state)
{
    struct group_table *t = group_table_new(&three);
    struct told *told;

    (void)state;
    add(t, "2025-01-01T00:00:09", 2, 0);
    assert_int_equal(group_find(t, "2025-01-01T00:00:09", NULL, NULL), 0);
    add(t, "2025-01-01T00:00:07", 0, 0);
    assert_int_equal(group_find(t, "2025-01-01T00:00:09", NULL, NULL), -ENOENT);
    add(t, "2025-01-01T00:00:08", 1, 0);
    told = ready(t, 0);
    assert_int_equal(told->ncomplete, 1);
    assert_string_equal(told->name[0], "2025-01-01T00:00:07");
    assert_int_equal(ready(t, 0)->ncomplete, 1); /* until marked */
    assert_int_equal(group_mark(t, "2025-01-01T00:00:07", GROUP_ENQUEUED), 0);
    assert_int_equal(ready(t, 0)->ncomplete, 0);
    group_table_free(t);
}

static void the_tolerance_counts_from_the_earliest_file(void **state)
{
    struct group_table *t = group_table_new(&three);

    (void)state;
    add(t, "2025-01-01T00:00:00", 0, 0);
    add(t, "2025-01-01T00:01:40", 1, 0); /* 100 s: in */
    add(t, "2025-01-01T00:01:41", 2, 0); /* 101 s: out, though near the second */
    assert_int_equal(ready(t, 0)->ncomplete, 0);
    assert_int_equal(group_find(t, "2025-01-01T00:01:41", NULL, NULL), 0);
    group_table_free(t);
}

static void keep(void *arg, const struct group_view *v)
{
    *(struct group_view *)arg = *v;
}

static struct group_view view(struct group_table *t, const char *name)
{
    struct group_view v;

    assert_int_equal(group_find(t, name, keep, &v), 0);
    return v;
}

static void of_two_files_for_a_member_the_one_nearest_the_median_is_kept(void **state)
{
    static const int order[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}};

    (void)state;
    for (int k = 0; k < 3; k++) {
        struct group_table *t = group_table_new(&three);
        struct told *told;

        for (int i = 0; i < 4; i++) {
            static const struct {
                const char *when;
                int index;
            } f[] = {{"2025-01-01T00:00:00", 1}, /* a stray copy of sb01 */
                     {"2025-01-01T00:00:50", 0},
                     {"2025-01-01T00:00:51", 1},
                     {"2025-01-01T00:00:52", 2}};

            add(t, f[order[k][i]].when, f[order[k][i]].index, 0);
        }
        told = ready(t, 0);
        assert_int_equal(told->ncomplete, 1);
        assert_string_equal(told->name[0], "2025-01-01T00:00:50");
        assert_string_equal(view(t, told->name[0]).member[1].path,
                            "/in/2025-01-01T00:00:51_sb01.hdf5");
        assert_int_equal(view(t, told->name[0]).duplicates, 1);
        assert_int_equal(group_mark(t, "2025-01-01T00:00:50", GROUP_ENQUEUED), 0);
        told = ready(t, 0);
        assert_int_equal(told->n[GROUP_HAS_DUPLICATE], 1);
        assert_string_equal(told->last_path, "/in/2025-01-01T00:00:00_sb01.hdf5");
        assert_int_equal(ready(t, 0)->n[GROUP_HAS_DUPLICATE], 0); /* said once */
        group_table_free(t);
    }
}

static void a_surplus_index_is_recorded_and_never_a_member(void **state)
{
    struct group_table *t = group_table_new(&three);
    struct told *told;

    (void)state;
    add(t, "2025-01-01T00:00:00", 3, 0); /* earliest, but there are only 0, 1, 2 */
    for (int i = 0; i < 3; i++)
        add(t, "2025-01-01T00:00:05", i, 0);
    told = ready(t, 0);
    assert_int_equal(told->ncomplete, 1);
    assert_string_equal(told->name[0], "2025-01-01T00:00:05");
    group_mark(t, told->name[0], GROUP_DONE);
    assert_int_equal(ready(t, 0)->n[GROUP_HAS_SURPLUS], 1);
    group_table_free(t);
}

static void late_files_never_change_a_frozen_group(void **state)
{
    struct group_table *t = group_table_new(&three);
    struct told *told;

    (void)state;
    for (int i = 0; i < 3; i++)
        add(t, "2025-01-01T00:01:00", i, 0);
    assert_int_equal(group_mark(t, "2025-01-01T00:01:00", GROUP_ENQUEUED), 0);
    add(t, "2025-01-01T00:00:30", 0, 1); /* earlier */
    add(t, "2025-01-01T00:01:30", 1, 1);
    told = ready(t, 1);
    assert_int_equal(told->ncomplete, 0);
    assert_int_equal(told->n[GROUP_HAS_LATE], 2);
    assert_int_equal(view(t, "2025-01-01T00:01:00").late, 2);
    assert_string_equal(view(t, "2025-01-01T00:01:00").member[0].path,
                        "/in/2025-01-01T00:01:00_sb00.hdf5");
    group_table_free(t);
}

/* matrix: watch 6 rewritten while processing (the group's part) */
static void a_rewritten_member_of_a_frozen_group_is_told_once(void **state)
{
    struct file_id other = id0;
    struct group_table *t = group_table_new(&three);

    (void)state;
    for (int i = 0; i < 3; i++)
        add(t, "2025-01-01T00:01:00", i, 0);
    group_mark(t, "2025-01-01T00:01:00", GROUP_ENQUEUED);
    add(t, "2025-01-01T00:01:00", 1, 1); /* seen again, the same */
    assert_int_equal(ready(t, 1)->n[GROUP_HAS_REWRITTEN], 0);
    other.mtime_ns++;
    assert_int_equal(group_add(t, "/in/2025-01-01T00:01:00_sb01.hdf5", &other, 2), 0);
    assert_int_equal(ready(t, 2)->n[GROUP_HAS_REWRITTEN], 1);
    assert_int_equal(ready(t, 2)->n[GROUP_HAS_REWRITTEN], 0);
    /* gone while it is rewritten, then back with a third content */
    assert_int_equal(group_remove(t, "/in/2025-01-01T00:01:00_sb01.hdf5"), 0);
    assert_int_equal(view(t, "2025-01-01T00:01:00").present, 2);
    other.size++;
    assert_int_equal(group_add(t, "/in/2025-01-01T00:01:00_sb01.hdf5", &other, 3), 0);
    assert_int_equal(ready(t, 3)->n[GROUP_HAS_REWRITTEN], 1);
    assert_int_equal(view(t, "2025-01-01T00:01:00").present, 3);
    group_table_free(t);
}

static void a_partial_group_follows_the_policy_after_the_deadline(void **state)
{
    static const enum group_what what[] = {GROUP_IS_PARTIAL, GROUP_IS_PROCESSABLE,
                                           GROUP_IS_QUARANTINED};

    (void)state;
    for (int policy = GROUP_HOLD; policy <= GROUP_QUARANTINE; policy++) {
        struct group_opts opts = three;
        struct group_table *t;

        opts.policy = (enum group_policy)policy;
        opts.min_members = 2;
        t = group_table_new(&opts);
        add(t, "2025-01-01T00:00:00", 0, 10);
        assert_float_equal(group_next_s(t, 20), 40, 1e-9);
        add(t, "2025-01-01T00:00:00", 2, 30);
        assert_float_equal(group_next_s(t, 30), 50, 1e-9); /* from the last arrival */
        assert_int_equal(ready(t, 79.9)->n[what[policy]], 0);
        assert_int_equal(ready(t, 80)->n[what[policy]], 1);
        assert_int_equal(ready(t, 81)->n[what[policy]], policy != GROUP_HOLD);
        assert_int_equal(view(t, "2025-01-01T00:00:00").state, GROUP_PARTIAL);
        add(t, "2025-01-01T00:00:00", 1, 90);
        assert_int_equal(ready(t, 90)->n[GROUP_IS_COMPLETE], 1);
        group_table_free(t);
    }
}

static void
too_few_members_are_held_even_when_partial_groups_are_processed(void **state)
{
    struct group_opts opts = three;
    struct group_table *t;
    struct told *told;

    (void)state;
    opts.policy = GROUP_PROCESS;
    opts.min_members = 2;
    t = group_table_new(&opts);
    add(t, "2025-01-01T00:00:00", 0, 0);
    told = ready(t, 60);
    assert_int_equal(told->n[GROUP_IS_PROCESSABLE], 0);
    assert_int_equal(told->n[GROUP_IS_PARTIAL], 1);
    group_table_free(t);
}

static void removing_files_takes_back_what_they_did(void **state)
{
    struct group_table *t = group_table_new(&three);

    (void)state;
    for (int i = 0; i < 3; i++)
        add(t, "2025-01-01T00:01:00", i, 0);
    add(t, "2025-01-01T00:00:10", 0, 0);
    assert_int_equal(ready(t, 0)->ncomplete, 1);
    assert_int_equal(group_remove(t, "/in/2025-01-01T00:01:00_sb01.hdf5"), 0);
    assert_int_equal(group_remove(t, "/in/2025-01-01T00:01:00_sb01.hdf5"), -ENOENT);
    assert_int_equal(ready(t, 0)->ncomplete, 0);
    assert_int_equal(group_remove(t, "/in/2025-01-01T00:01:00_sb00.hdf5"), 0);
    assert_int_equal(group_remove(t, "/in/2025-01-01T00:01:00_sb02.hdf5"), 0);
    assert_int_equal(group_find(t, "2025-01-01T00:00:10", NULL, NULL), 0);
    assert_int_equal(group_remove(t, "/in/2025-01-01T00:00:10_sb00.hdf5"), 0);
    assert_int_equal(group_find(t, "2025-01-01T00:00:10", NULL, NULL), -ENOENT);
    group_table_free(t);
}

/* matrix: watch 14 restart (the group's part) */
static void marks_of_an_earlier_life_hold_before_and_after_the_files_come(void **state)
{
    (void)state;
    for (int before = 0; before < 2; before++) {
        struct group_table *t = group_table_new(&three);

        if (before)
            assert_int_equal(group_mark(t, "2025-01-01T00:01:00", GROUP_DONE), 0);
        add(t, "2025-01-01T00:00:30", 2, 0); /* had come too late in that life */
        for (int i = 0; i < 3; i++)
            add(t, "2025-01-01T00:01:00", i, 0);
        add(t, "2025-01-01T00:10:00", 0, 0); /* the next group */
        if (!before) {
            ready(t, 0);
            assert_int_equal(group_mark(t, "2025-01-01T00:01:00", GROUP_DONE), 0);
        }
        assert_int_equal(ready(t, 0)->ncomplete, 0);
        assert_int_equal(view(t, "2025-01-01T00:01:00").present, 3);
        assert_int_equal(view(t, "2025-01-01T00:10:00").present, 1);
        /* the operator wants it again */
        assert_int_equal(group_mark(t, "2025-01-01T00:01:00", GROUP_COLLECTING), 0);
        assert_int_equal(ready(t, 0)->ncomplete, 1);
        group_table_free(t);
    }
}

static void a_done_group_is_forgotten_with_its_last_file(void **state)
{
    struct group_table *t = group_table_new(&three);
    struct group_stats stats;

    (void)state;
    for (int i = 0; i < 3; i++)
        add(t, "2025-01-01T00:01:00", i, 0);
    group_mark(t, "2025-01-01T00:01:00", GROUP_DONE);
    for (int i = 0; i < 3; i++) {
        char path[64];

        snprintf(path, sizeof path, "/in/2025-01-01T00:01:00_sb%02d.hdf5", i);
        assert_int_equal(group_remove(t, path), 0);
    }
    group_stats(t, &stats);
    assert_int_equal(stats.groups + stats.files, 0);
    group_table_free(t);
}

static void why_says_what_is_missing(void **state)
{
    struct group_table *t = group_table_new(&dsa110);
    char text[512];

    (void)state;
    for (int i = 0; i < EXPECTED; i++)
        if (i != 3 && i != 7)
            add(t, "2025-01-15T12:00:00", i, 100);
    add(t, "2025-01-15T12:00:40", 5, 100);
    group_why(t, "2025-01-15T12:00:00", text, sizeof text, 141);
    assert_string_equal(text,
                        "collecting, 14 of 16: missing sb03 sb07; last arrival 41 s "
                        "ago, partial in 559 s; duplicate: "
                        "2025-01-15T12:00:40_sb05.hdf5");
    group_why(t, "2025-01-15T12:01:00", text, sizeof text, 141);
    assert_string_equal(text,
                        "no file of such a group has arrived; the nearest group is "
                        "2025-01-15T12:00:00, 60 s earlier");
    group_why(t, "yesterday", text, sizeof text, 141);
    assert_non_null(strstr(text, "the name is not like"));
    assert_true(group_why(t, "2025-01-15T12:00:00", text, 10, 141) >
                100); /* cut, safely */
    assert_int_equal(strlen(text), 9);
    group_table_free(t);
}

static void impossible_options_are_refused(void **state)
{
    struct group_opts opts = three;

    (void)state;
    opts.expected = 0;
    assert_null(group_table_new(&opts));
    opts.expected = GROUP_MAX_EXPECTED + 1;
    assert_null(group_table_new(&opts));
    opts = three;
    opts.tolerance_s = NAN;
    assert_null(group_table_new(&opts));
    group_table_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_inventory_gives_the_same_groups_in_any_order),
        cmocka_unit_test(groups_frozen_as_they_come_are_the_offline_groups),
        cmocka_unit_test(real_names_give_five_groups),
        cmocka_unit_test(only_real_dates_and_exact_names_are_parsed),
        cmocka_unit_test(foreign_names_are_counted_and_not_kept),
        cmocka_unit_test(the_name_is_the_earliest_member_whatever_comes_first),
        cmocka_unit_test(the_tolerance_counts_from_the_earliest_file),
        cmocka_unit_test(of_two_files_for_a_member_the_one_nearest_the_median_is_kept),
        cmocka_unit_test(a_surplus_index_is_recorded_and_never_a_member),
        cmocka_unit_test(late_files_never_change_a_frozen_group),
        cmocka_unit_test(a_rewritten_member_of_a_frozen_group_is_told_once),
        cmocka_unit_test(a_partial_group_follows_the_policy_after_the_deadline),
        cmocka_unit_test(
            too_few_members_are_held_even_when_partial_groups_are_processed),
        cmocka_unit_test(removing_files_takes_back_what_they_did),
        cmocka_unit_test(marks_of_an_earlier_life_hold_before_and_after_the_files_come),
        cmocka_unit_test(a_done_group_is_forgotten_with_its_last_file),
        cmocka_unit_test(why_says_what_is_missing),
        cmocka_unit_test(impossible_options_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
