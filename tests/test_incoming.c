/* core/incoming: the names, roots and groups that everybody agrees on. */
#include "core/incoming.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/group.h"
#include "core/groupname.h"
#include "core/path.h"
#include "pipeline/pipeline.h"
#include "tests/test.h"

static bool wants(const char *extensions, const char *name)
{
    struct incoming_names names;

    assert_int_equal(incoming_names(&names, extensions, NULL), 0);
    return incoming_wants(&names, name);
}

static void extensions_are_separated_by_spaces_tabs_or_commas(void **state)
{
    static const char *const same[] = {".hdf5 .uvh5", ".hdf5,.uvh5", ".hdf5, .uvh5",
                                       "\t.uvh5\t,.hdf5 "};

    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        assert_true(wants(same[i], "a.hdf5"));
        assert_true(wants(same[i], "a b.uvh5"));
        assert_false(wants(same[i], "a.hdf5,"));
        assert_false(wants(same[i], "a.fits"));
    }
    assert_true(wants("", "anything"));
    assert_true(wants(NULL, "anything"));
    assert_true(wants(" , ", "anything"));
}

static void a_name_of_something_in_the_making_never_counts(void **state)
{
    (void)state;
    assert_false(wants("", ".hidden"));
    assert_false(wants(".hdf5", ".a.hdf5"));
    assert_false(wants("", "a.part"));
    assert_false(wants(".hdf5", "a_incomplete.hdf5"));
}

static void too_long_or_too_many_extensions_are_refused(void **state)
{
    struct incoming_names names;
    struct err e = {0};
    char many[200] = "";

    (void)state;
    assert_int_equal(incoming_names(&names, ".abcdefghijklmnop", &e), -EINVAL);
    assert_non_null(strstr(e.text, "too many or too long"));
    for (int i = 0; i <= INCOMING_ENDS; i++)
        strcat(many, ".a ");
    assert_int_equal(incoming_names(&names, many, &e), -EINVAL);
}

/* ---- roots ---- */

static struct conf *conf_at(const char *dir)
{
    struct conf *conf = calloc(1, sizeof *conf);

    assert_non_null(conf);
    conf_defaults(conf, NULL, &pipeline_settings);
    snprintf(conf->paths.incoming, sizeof conf->paths.incoming, "%s/in", dir);
    snprintf(conf->paths.state, sizeof conf->paths.state, "%s/state", dir);
    return conf;
}

static void make(const char *dir, const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

struct refused {
    int n;
    char why[256];
};

static void count_refused(void *arg, const char *path, const char *why)
{
    struct refused *r = arg;

    (void)path;
    r->n++;
    snprintf(r->why, sizeof r->why, "%s", why);
}

static void roots_of_the_settings_and_of_operators_are_one_list(void **state)
{
    char dir[] = "/tmp/watcherd-incoming-XXXXXX", path[PATH_MAX], top[PATH_MAX];
    struct conf *conf;
    struct incoming_roots r, again;
    struct refused refused = {0};
    struct err e = {0};
    struct incoming_root added = {.path = path, .poll = true, .added = true};

    (void)state;
    assert_non_null(mkdtemp(dir));
    conf = conf_at(dir);
    for (const char *const *p =
             (const char *const[]){"in", "state", "two", "in/deep", "a b", NULL};
         *p != NULL; p++)
        make(dir, *p);
    snprintf(path, sizeof path, "%s/alias", dir);
    assert_int_equal(symlink("in", path), 0);
    /* a link to incoming shows its files a second time, what lies in it does not */
    snprintf(conf->watch.also, sizeof conf->watch.also, "%s/two  %s/alias %s/in/deep",
             dir, dir, dir);
    assert_int_equal(incoming_roots_load(&r, conf, count_refused, &refused, &e), 0);
    assert_int_equal(r.n, 3);
    assert_int_equal(refused.n, 1);
    assert_non_null(strstr(refused.why, "its files are those of the root"));
    assert_string_equal(r.item[0].path, conf->paths.incoming);
    assert_false(r.item[1].added);

    snprintf(path, sizeof path, "%s/a b", dir);
    assert_int_equal(incoming_roots_fits(&r, &added, &e), 0);
    incoming_roots_put(&r, &added);
    assert_int_equal(incoming_roots_fits(&r, &added, &e), -EEXIST);
    assert_int_equal(incoming_roots_save(&r, &e), 0);

    assert_int_equal(incoming_roots_look(&again, conf, &e), 0);
    assert_int_equal(again.n, 4);
    assert_string_equal(again.item[3].path, path);
    assert_true(again.item[3].added && again.item[3].poll && !again.item[3].recursive);

    strcat(path, "/set/sub/file");
    assert_true(incoming_roots_top(&again, path, top));
    assert_string_equal(top + strlen(dir), "/a b/set");
    *strrchr(path, '/') = '\0';
    *strrchr(path, '/') = '\0';
    assert_false(incoming_roots_top(&again, path, top));

    incoming_roots_drop(&again, again.item[1].path);
    assert_int_equal(again.n, 3);
    incoming_roots_clear(&again);
    incoming_roots_clear(&r);
    free(conf);
    path_remove_tree(dir, NULL);
}

static void a_damaged_list_of_roots_is_no_answer(void **state)
{
    char dir[] = "/tmp/watcherd-incoming-XXXXXX", path[PATH_MAX];
    struct incoming_roots r;
    struct err e = {0};
    struct conf *conf;
    FILE *f;

    (void)state;
    assert_non_null(mkdtemp(dir));
    conf = conf_at(dir);
    make(dir, "state");
    snprintf(path, sizeof path, "%s/state/roots.json", dir);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs("{\"roots\": ", f);
    fclose(f);
    assert_int_equal(incoming_roots_load(&r, conf, NULL, NULL, &e), 0);
    assert_int_equal(r.n, 1);
    assert_true(r.damaged[0] != '\0');
    incoming_roots_clear(&r);
    assert_int_equal(incoming_roots_look(&r, conf, &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "roots.json"));
    incoming_roots_clear(&r);
    free(conf);
    path_remove_tree(dir, NULL);
}

/* ---- groups ---- */

static void a_rule_without_members_expects_one_file(void **state)
{
    struct conf *conf = calloc(1, sizeof *conf);
    struct group_table *groups;
    struct groupname rule;
    struct err e = {0};

    (void)state;
    assert_non_null(conf);
    conf_defaults(conf, NULL, &pipeline_settings);
    strcpy(conf->group.pattern, "file");
    assert_int_equal(incoming_groups(&groups, &rule, conf, &e), 0);
    assert_int_equal(group_add(groups, "/in/x.fits", &(struct file_id){0}, 0), 0);
    group_table_free(groups);
    strcpy(conf->group.pattern, "subband");
    conf->group.expected = GROUP_MAX_EXPECTED + 1;
    assert_int_equal(incoming_groups(&groups, &rule, conf, &e), -EINVAL);
    assert_null(groups);
    free(conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extensions_are_separated_by_spaces_tabs_or_commas),
        cmocka_unit_test(a_name_of_something_in_the_making_never_counts),
        cmocka_unit_test(too_long_or_too_many_extensions_are_refused),
        cmocka_unit_test(roots_of_the_settings_and_of_operators_are_one_list),
        cmocka_unit_test(a_damaged_list_of_roots_is_no_answer),
        cmocka_unit_test(a_rule_without_members_expects_one_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
