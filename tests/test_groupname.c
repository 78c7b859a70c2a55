#include "tests/test.h"

#include <errno.h>
#include <string.h>

#include "core/err.h"
#include "core/group.h"
#include "core/groupname.h"

static struct groupname rule;
static struct groupname_hit hit;
static struct err e;

static int parse(const char *pattern, const char *base)
{
    memset(&e, 0, sizeof e);
    assert_int_equal(groupname_compile(&rule, pattern, &e), 0);
    return groupname_parse(&rule, base, &hit);
}

static void time_and_member_stand_where_the_pattern_says(void **state)
{
    /* Unix times from date -ud ... +%s (coreutils). */
    static const struct {
        const char *pattern, *base;
        int64_t unix_s;
        int member;
    } good[] = {
        {"{time:%Y-%m-%dT%H:%M:%S}_sb{member:2}", "2025-05-07T00:04:06_sb02.hdf5",
         1746576246, 2},
        {"{time:%Y-%m-%dT%H:%M:%S}_sb{member:2}", "2025-05-07T00:04:06_sb02.fits",
         1746576246, 2},
        {"ch{member:3}@{time:%Y%m%d_%H%M}", "ch017@20240229_2359.uvh5", 1709251140, 17},
        {"{time:%Y%j-%H%M%S}", "2024366-000001.fits", 1735603201, 0},
        {"{time:%Y%j-%H%M%S}", "2024366-000001", 1735603201, 0},
        {"{{{member:1}}}{time:100%%%m~%d.%Y}", "{7}100%03~01.1999.x", 920246400, 7},
        {"{time:%d-%m-%Y}", "01-01-1970.csv", 0, 0},
        {"{time:%d-%m-%Y}", "31-12-2400.csv", 13601001600, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(parse(good[i].pattern, good[i].base), 0);
        assert_int_equal(hit.key, good[i].unix_s);
        assert_int_equal(hit.member, good[i].member);
        assert_string_equal(hit.name, "");
    }
}

static void a_name_that_does_not_match_wholly_is_foreign(void **state)
{
    static const struct {
        const char *pattern, *base;
    } bad[] = {
        {"{time:%Y%j}", "2023366.fits"}, /* no leap year */
        {"{time:%Y%j}", "2023000.fits"},
        {"{time:%Y%m%d}", "21000229.fits"}, /* nor this */
        {"{time:%Y%m%d}", "20250231.fits"},
        {"{time:%Y%m%d}", "x20250228.fits"},
        {"{time:%Y%m%d}", "20250228x.fits"},
        {"{time:%Y%m%d}", "20250228..fits"},
        {"{time:%Y%m%d}", " 2025028.fits"},
        {"{time:%Y%m%d}", "19691231.fits"},
        {"{time:%Y%m%d}_{member:2}", "20250228_1.fits"},
        {"{time:%Y%m%d}_{member:2}", "20250228_+1.fits"},
        {"{time:%Y%m%d}_{member:2}", "20250228"},
        {"{name}_{member:2}", "_01.fits"},
        {"{name}_{member:2}", "a_1x.fits"},
        {"run_{name}", "Run_a.fits"},
        {"subband", "2025-05-07T00:04:06_sb02.fits"},
        {"subband", ""},
        {"file", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(parse(bad[i].pattern, bad[i].base), -EINVAL);
}

static void a_bad_pattern_is_refused_with_a_sentence(void **state)
{
    static const struct {
        const char *pattern, *says;
    } bad[] = {
        {"", "neither {time:...} nor {name}"},
        {"abc{member:2}", "neither {time:...} nor {name}"},
        {"Subband", "neither"},
        {"{time:%Y%m%d}{name}", "both a time and a name"},
        {"{time:%Y%m%d}{time:%H}{time:%H}", "a part twice"},
        {"{name}{name}", "a part twice"},
        {"{time:%Y%m}", "either %m and %d or %j"},
        {"{time:%Y%m%d%j}", "either %m and %d or %j"},
        {"{time:%m%d}{name}", "a time without %Y"},
        {"{time:%y%m%d}", "something else than %Y"},
        {"{time:%Y%m%d%}", "ends a time in %"},
        {"{name", "an opening brace"},
        {"name}", "a closing brace without"},
        {"sub/{name}", "a slash"},
        {"{name}{member}", "a part that is not"},
        {"{name}{member:5}", "a part that is not"},
        {"{name}{member:0}", "a part that is not"},
        {"{}", "a part that is not"},
    };
    char text[200];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        memset(&e, 0, sizeof e);
        assert_int_equal(groupname_compile(&rule, bad[i].pattern, &e), -EINVAL);
        if (strstr(e.text, bad[i].says) == NULL)
            fail_msg("%s: %s", bad[i].pattern, e.text);
    }
    memset(text, 'x', sizeof text);
    text[199] = '\0';
    assert_int_equal(groupname_compile(&rule, text, &e), -EINVAL);
}

static void
a_file_gives_its_stem_made_safe_and_different_names_stay_different(void **state)
{
    static const struct {
        const char *base, *name;
    } want[] = {
        {"obs_17.fits", "obs_17"},
        {"obs.v2.fits", "obs.v2"},
        {"README", "README"},
        {".hidden", "%2Ehidden"},
        {"..fits", "%2E"},
        {"a b.fits", "a%20b"},
        {"a%20b.fits", "a%2520b"},
        {"x.gen3.fits", "x%2Egen3"},
        {"x.gen.fits", "x.gen"},
        {"x.gen3a.fits", "x.gen3a"},
        {"x.lock.fits", "x%2Elock"},
        {"x.locks.fits", "x.locks"},
        {"a\nb$(id).fits", "a%0Ab%24%28id%29"},
        {"M\xc3\xbcnchen.fits", "M%C3%BCnchen"},
        {"0123456789012345678901234567890123456789012345678901234567890123.fits", NULL},
    };
    char first[GROUPNAME_SIZE], longest[200];
    int64_t key;

    (void)state;
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        assert_int_equal(parse("file", want[i].base), 0);
        if (want[i].name != NULL)
            assert_string_equal(hit.name, want[i].name);
        assert_true(strlen(hit.name) < GROUPNAME_SIZE && strchr(hit.name, '/') == NULL);
        assert_int_equal(groupname_key(&rule, hit.name, &key), 0);
        assert_true(key == hit.key && key >= 0);
    }
    memset(longest, '.', sizeof longest); /* dots are also kept at a cut */
    memcpy(longest + 190, ".a.fits", 8);
    assert_int_equal(parse("file", longest), 0);
    snprintf(first, sizeof first, "%s", hit.name);
    longest[191] = 'b';
    assert_int_equal(parse("file", longest), 0);
    assert_string_not_equal(hit.name, first);
    assert_int_equal(strlen(hit.name), 63);
}

static void a_directory_is_named_whole(void **state)
{
    (void)state;
    assert_int_equal(parse("directory", "obs1.ms"), 0);
    assert_string_equal(hit.name, "obs1.ms");
    assert_true(rule.directory && !rule.timed && !rule.member);
}

/* ---- in the table ---- */

struct seen {
    char complete[8][GROUP_NAME];
    int ncomplete, nduplicate;
};

static void see(void *arg, const struct group_news *news)
{
    struct seen *seen = arg;

    if (news->what == GROUP_IS_COMPLETE)
        snprintf(seen->complete[seen->ncomplete++], GROUP_NAME, "%s",
                 news->group->name);
    seen->nduplicate += news->what == GROUP_HAS_DUPLICATE;
}

static struct group_table *table(const char *pattern, int expected)
{
    struct group_opts opts = {
        .tolerance_s = 120, .expected = expected, .deadline_s = 600, .rule = &rule};

    assert_int_equal(groupname_compile(&rule, pattern, NULL), 0);
    return group_table_new(&opts);
}

static void add(struct group_table *t, const char *path)
{
    static const struct file_id id = {.ino = 1, .size = 2};

    assert_int_equal(group_add(t, path, &id, 1), 0);
}

static void each_file_is_a_group_of_its_own_by_the_rule_file(void **state)
{
    struct group_table *t = table("file", 1);
    struct seen seen = {.ncomplete = 0};

    (void)state;
    add(t, "in/b.fits");
    add(t, "in/a.fits");
    add(t, "in/2025-05-07T00:04:06.fits");
    group_ready(t, 2, see, &seen);
    assert_int_equal(seen.ncomplete, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(group_mark(t, seen.complete[i], GROUP_ENQUEUED), 0);
    assert_int_equal(group_find(t, "a", NULL, NULL), 0);
    assert_int_equal(group_find(t, "c", NULL, NULL), -ENOENT);
    memset(&seen, 0, sizeof seen);
    add(t, "in/sub/a.uvh5"); /* the same name again: late, not a second group */
    group_ready(t, 3, see, &seen);
    assert_int_equal(seen.ncomplete, 0);
    assert_int_equal(group_remove(t, "in/b.fits"), 0);
    assert_int_equal(group_remove(t, "in/b.fits"), -ENOENT);
    group_table_free(t);
}

static void a_restart_knows_named_groups_by_their_marks(void **state)
{
    struct group_table *t = table("file", 1);
    struct seen seen = {.ncomplete = 0};
    char why[200];

    (void)state;
    assert_int_equal(group_mark(t, "done one", GROUP_DONE),
                     0); /* any name from the queue */
    assert_int_equal(group_mark(t, "a", GROUP_DONE), 0);
    assert_int_equal(group_mark(t, "../a", GROUP_DONE), -EINVAL);
    add(t, "in/a.fits");
    add(t, "in/z.fits");
    group_ready(t, 2, see, &seen);
    assert_int_equal(seen.ncomplete, 1);
    assert_string_equal(seen.complete[0], "z");
    group_why(t, "a", why, sizeof why, 3);
    assert_non_null(strstr(why, "done, 1 of 1"));
    group_table_free(t);
}

static void named_members_make_a_group_without_a_clock(void **state)
{
    struct group_table *t = table("{name}_part{member:1}", 2);
    struct seen seen = {.ncomplete = 0};

    (void)state;
    add(t, "in/night_part0.csv");
    add(t, "in/day_part1.csv");
    group_ready(t, 2, see, &seen);
    assert_int_equal(seen.ncomplete, 0);
    add(t, "in/night_part1.csv");
    add(t, "in/night_part1.tsv");
    group_ready(t, 3, see, &seen);
    assert_int_equal(seen.ncomplete, 1);
    assert_string_equal(seen.complete[0], "night");
    group_table_free(t);
}

static void a_pattern_of_ones_own_clusters_by_time_as_the_telescopes_does(void **state)
{
    struct group_table *t = table("{time:%Y%m%d_%H%M%S}_ch{member:3}", 3);
    struct seen seen = {.ncomplete = 0};

    (void)state;
    add(t, "in/20250507_000530_ch002.fits");
    add(t, "in/20250507_000406_ch000.fits");
    add(t, "in/20250507_000407_ch001.fits");
    add(t, "in/20250507_000915_ch000.fits");
    group_ready(t, 2, see, &seen);
    assert_int_equal(seen.ncomplete, 1);
    assert_string_equal(seen.complete[0], "2025-05-07T00:04:06");
    group_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_and_member_stand_where_the_pattern_says),
        cmocka_unit_test(a_name_that_does_not_match_wholly_is_foreign),
        cmocka_unit_test(a_bad_pattern_is_refused_with_a_sentence),
        cmocka_unit_test(
            a_file_gives_its_stem_made_safe_and_different_names_stay_different),
        cmocka_unit_test(a_directory_is_named_whole),
        cmocka_unit_test(each_file_is_a_group_of_its_own_by_the_rule_file),
        cmocka_unit_test(a_restart_knows_named_groups_by_their_marks),
        cmocka_unit_test(named_members_make_a_group_without_a_clock),
        cmocka_unit_test(a_pattern_of_ones_own_clusters_by_time_as_the_telescopes_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
