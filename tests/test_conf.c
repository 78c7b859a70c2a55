#include "tests/test.h"

#include "core/conf.h"
#include "core/err.h"
#include "core/path.h"
#include "pipeline/continuum/settings.h"
#include "pipeline/pipeline.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static struct conf conf, other;
static struct err e;

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* The values of the pipelines' part. */
static struct continuum_settings *set(struct conf *c)
{
    return (struct continuum_settings *)continuum_settings(c);
}

/* conf_load of this text in the file f.conf. */
static int load(const char *text)
{
    put("f.conf", text);
    memset(&e, 0, sizeof e);
    return conf_load(&conf, "f.conf", &pipeline_settings, &e);
}

static void an_empty_file_gives_the_defaults(void **state)
{
    (void)state;
    assert_int_equal(load("# nothing\n\n"), 0);
    assert_string_equal(conf.paths.incoming, "/var/lib/watcherd/incoming");
    assert_string_equal(conf.paths.locks, "/var/lib/watcherd/locks");
    assert_true(conf.watch.stabilization_time_s == 2.0);
    assert_true(conf.group.tolerance_s == 120 && conf.group.expected == 16);
    assert_string_equal(conf.watch.extensions, ".hdf5 .uvh5");
    assert_string_equal(set(&conf)->calibration.calibrator, "auto");
    assert_true(set(&conf)->calibration.refant == -1 &&
                set(&conf)->imaging.robust == 0.5);
    assert_true(!conf.watch.recursive && set(&conf)->qa.catalogue[0] == '\0');
    conf_defaults(&other, NULL, &pipeline_settings);
    assert_memory_equal(&conf, &other, sizeof conf);
}

static void every_kind_of_value_is_read(void **state)
{
    (void)state;
    assert_int_equal(load("[Watch]\nRecursive = yes ; all of it\n"
                          "  stabilization_time_s=0.25\r\nextensions = \".uvh5;1\"\n"
                          "[workers]\ncount = 3\n[calibration]\nrefant = -1\n"
                          "calibrator = 3C48,24.42,33.16,16.5,1400\n"
                          "[imaging]\nweighting = natural # best for 3C273"),
                     0);
    assert_true(conf.watch.recursive);
    assert_true(conf.watch.stabilization_time_s == 0.25);
    assert_string_equal(conf.watch.extensions, ".uvh5;1");
    assert_int_equal(conf.workers.count, 3);
    assert_string_equal(set(&conf)->calibration.calibrator,
                        "3C48,24.42,33.16,16.5,1400");
    assert_string_equal(set(&conf)->imaging.weighting, "natural");
    assert_true(set(&conf)->mosaic.tiles == 10); /* untouched */
}

static void paths_start_at_the_files_folder_and_follow_root(void **state)
{
    char here[PATH_MAX], want[PATH_MAX + 64];

    (void)state;
    assert_non_null(realpath(".", here));
    assert_int_equal(mkdir("etc", 0755), 0);
    put("etc/w.conf", "[paths]\nroot = ./data\nproducts = /out\nscratch = tmp\n"
                      "[qa]\ncatalogue = ../sky.csv\n");
    assert_int_equal(conf_load(&conf, "etc/w.conf", &pipeline_settings, &e), 0);
    snprintf(want, sizeof want, "%s/etc/data", here);
    assert_string_equal(conf.paths.root, want);
    snprintf(want, sizeof want, "%s/etc/data/incoming", here);
    assert_string_equal(conf.paths.incoming, want);
    snprintf(want, sizeof want, "%s/etc/tmp", here);
    assert_string_equal(conf.paths.scratch, want);
    assert_string_equal(conf.paths.products, "/out");
    snprintf(want, sizeof want, "%s/etc/../sky.csv", here);
    assert_string_equal(set(&conf)->qa.catalogue, want);
    assert_int_equal(load("[paths]\nroot = .\n"), 0);
    assert_string_equal(conf.paths.root, here);
}

/* A file, and what the sentence about it must hold. */
static const struct {
    const char *text, *says;
} refused[] = {
    {"[watch]\nrescan_s = 6O\n", "f.conf:2: [watch] rescan_s = '6O' is not a number"},
    {"[watch]\nrescan_s = 60 s\n", "is not a number"},
    {"[watch]\nrescan_s = \n", "is not a number"},
    {"[watch]\nrescan_s = nan\n", "is not a number"},
    {"[watch]\nrescan_s = inf\n", "is not a number"},
    {"[watch]\nrescan_s = 0x10\n", "is not a number"},
    {"[watch]\nrescan_s = 1e999\n", "is out of range"},
    {"[watch]\nrescan_s = 0\n", "is out of range (number from 0.1 to 86400 s)"},
    {"[group]\nexpected = 16.0\n", "is not a whole number"},
    {"[group]\nexpected = 99999999999999999999\n", "is out of range"},
    {"[group]\nexpected = 0\n", "is out of range"},
    {"[watch]\nrecursive = maybe\n", "is neither yes nor no"},
    {"[imaging]\nweighting = uniform\n",
     "is none of its words (one of briggs natural)"},
    {"[imaging]\nweighting = briggs natural\n", "is none of its words"},
    {"[imaging]\nweigthing = briggs\n",
     "no setting 'weigthing'; the nearest is [imaging] weighting"},
    {"[group]\nlease_s = 60\n", "the nearest is [workers] lease_s"},
    {"[imagine]\n",
     "f.conf:1: there is no section [imagine]; the nearest is [imaging]"},
    {"[watch]\n[]\n", "there is no section []"},
    {"rescan_s = 60\n", "stands before the first [section]"},
    {"[watch]\nrescan_s = 60\n[group]\n[watch]\nRESCAN_S = 61\n",
     "f.conf:5: [watch] rescan_s is already set in line 2"},
    {"[watch]\nrescan_s 60\n", "f.conf:2: neither [section] nor name = value"},
    {"[watch\nrescan_s = 60\n", "f.conf:1: not a [section]"},
    {"[watch] 7]\n", "f.conf:1: not a [section]"},
    {"[watch]\nrescan_s = \\\n60\n", "must not end in a backslash"},
    {"[paths]\nroot = \"/data\n", "the quote is not closed"},
    {"[paths]\nroot = \"/data\"/x\n", "there is text behind the closing quote"},
    {"[paths]\nroot = /data/a;b\n", "a value with ; or # needs quotes"},
    {"[paths]\nroot =\n", "must not be empty"},
    {"[instrument]\nbeam = \"airy gaussian\"\n", "is none of its words"},
    {"[workers]\nheartbeat_s = 40\n", "heartbeat_s must be at most half of lease_s"},
    {"[workers]\nsoft_limit_s = 20000\n", "soft_limit_s must be at most hard_limit_s"},
    {"[disk]\nstop_pct = 80\n", "resume_pct must be at most stop_pct"},
    {"[imaging]\nauto_mask = 0.5\n", "auto_threshold must be at most auto_mask"},
    {"[paths]\nroot = /\n", "[paths] root must not be /"},
    {"[paths]\nroot = /./\n", "[paths] root must not be /"},
    {"[paths]\nincoming = in\nscratch = in\n",
     "scratch and incoming must be two folders"},
    {"[paths]\nroot = w\nscratch = w//./state/\n",
     "scratch and state must be two folders"},
    {"[paths]\nroot = w\nstate = w/locks\n", "state and locks must be two folders"},
    {"[paths]\nroot = w\nscratch = w\n", "scratch must not contain incoming"},
    {"[paths]\nroot = w\nscratch = w/p\nproducts = w/p/q\n",
     "scratch must not contain products"},
    {"x", "f.conf:1: neither [section] nor name = value"},
};

static void what_is_wrong_is_refused_with_file_line_and_reason(void **state)
{
    (void)state;
    conf_defaults(&conf, "/elsewhere", &pipeline_settings);
    other = conf;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        assert_int_equal(load(refused[i].text), ERR_FORMAT);
        if (strstr(e.text, refused[i].says) == NULL)
            fail_msg("case %zu: '%s' does not say '%s'", i, e.text, refused[i].says);
        assert_memory_equal(&conf, &other, sizeof conf); /* and nothing has changed */
    }
}

static void folders_that_only_look_alike_are_taken(void **state)
{
    (void)state;
    assert_int_equal(load("[paths]\nroot = w\nscratch = w/incoming2\n"), 0);
    assert_int_equal(load("[paths]\nroot = w\nscratch = w/incom\n"), 0);
    assert_int_equal(load("[paths]\nroot = w\nscratch = w/products/.scratch\n"), 0);
    assert_int_equal(load("[paths]\nroot = w\nincoming = w\n"), 0);
    assert_int_equal(load("[paths]\nroot = .\n"), 0);
}

/* iniparser cuts lines at 1024 bytes and stops strings at a NUL. */
static void lines_that_iniparser_would_cut_are_refused(void **state)
{
    char text[1300];
    FILE *f;

    (void)state;
    for (int n = 990; n <= 1030; n++) {
        int len = snprintf(text, sizeof text, "[paths]\nroot = /");

        memset(text + len, 'a', (size_t)(n - 8));
        text[8 + n] = '\0';
        assert_int_equal(load(text), n <= 1000 ? 0 : ERR_FORMAT);
        assert_true(n > 1000 || strlen(conf.paths.root) == (size_t)n - 7);
        assert_true(n <= 1000 || strstr(e.text, "f.conf:2: line longer") != NULL);
    }
    f = fopen("f.conf", "w");
    fwrite("[watch]\nrescan_s = 6\0junk\n", 1, 26, f);
    fclose(f);
    assert_int_equal(conf_load(&conf, "f.conf", &pipeline_settings, &e), ERR_FORMAT);
    assert_string_equal(e.text, "f.conf is not a text file");
    assert_int_equal(conf_load(&conf, "absent.conf", &pipeline_settings, &e), -ENOENT);
    assert_non_null(strstr(e.text, "absent.conf"));
    assert_int_equal(conf_load(&conf, ".", &pipeline_settings, &e), ERR_FORMAT);
}

static void print_to(const struct conf *c, const char *path)
{
    FILE *f = fopen(path, "w");

    conf_print(c, f);
    fclose(f);
}

/* With NULs to the end, as conf_load leaves it. */
#define SET(field, text)                                                               \
    snprintf(memset(field, 0, sizeof field), sizeof field, "%s", text)

static void what_is_printed_reads_back_the_same(void **state)
{
    (void)state;
    conf_defaults(&conf, "/data/a b", &pipeline_settings);
    SET(conf.paths.products, "/out;put #1");
    SET(conf.paths.scratch, "/scratch ");
    SET(set(&conf)->qa.catalogue, "/it's");
    SET(set(&conf)->calibration.calibrator, "'3C48'");
    SET(conf.watch.extensions, "");
    conf.group.tolerance_s = 1.0 / 3;
    set(&conf)->imaging.robust = -0.1;
    conf.watch.recursive = true;
    set(&conf)->calibration.refant = 102;
    print_to(&conf, "printed.conf");
    assert_int_equal(conf_load(&other, "printed.conf", &pipeline_settings, &e), 0);
    assert_memory_equal(&conf, &other, sizeof conf);
}

static void print_names_meaning_unit_range_and_default(void **state)
{
    char *text;

    (void)state;
    conf_defaults(&conf, NULL, &pipeline_settings);
    print_to(&conf, "printed.conf");
    assert_int_equal(path_read(&text, NULL, "printed.conf", 1 << 20, &e), 0);
    assert_non_null(strstr(text, "# side of a pixel; 0: from the longest baseline\n"
                                 "#   number from 0 to 3600 arcsec; default 0\n"
                                 "cell_arcsec = 0\n"));
    free(text);
}

/* Runs at the top of the checkout. */
static void the_file_in_etc_is_what_the_table_prints(void **state)
{
    char *file, *printed = NULL;
    size_t n, m;
    FILE *f = open_memstream(&printed, &m);

    (void)state;
    conf_defaults(&conf, NULL, &pipeline_settings);
    conf_print(&conf, f);
    fclose(f);
    assert_int_equal(path_read(&file, &n, "etc/watcherd.conf", 1 << 20, &e), 0);
    assert_string_equal(file, printed);
    assert_int_equal(conf_load(&other, "etc/watcherd.conf", &pipeline_settings, &e), 0);
    assert_memory_equal(&conf, &other, sizeof conf);
    free(file);
    free(printed);
}

/* The end of a setting's name in what conf_print wrote: "name = value" or "# name = value". */
static int name_length(const char *line)
{
    return (int)strcspn(line, " =");
}

/* Runs at the top of the checkout.  The page says of each setting, in order: its name, then
 * the line of its type, range and default. */
static void the_manual_page_names_every_setting_with_its_range_and_default(void **state)
{
    char *page, *printed = NULL, *save = NULL, *from, want[512];
    size_t n = 0, m;
    FILE *f = open_memstream(&printed, &m);

    (void)state;
    conf_defaults(&conf, NULL, &pipeline_settings);
    conf_print(&conf, f);
    fclose(f);
    assert_int_equal(path_read(&page, NULL, "etc/man/watcherd.conf.5", 1 << 20, &e), 0);
    for (from = page; *from != '\0'; from++) /* roff's backslashes */
        if (*from != '\\')
            page[n++] = *from;
    page[n] = '\0';
    from = page;
    for (char *line = strtok_r(printed, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        if (line[0] == '[') {
            snprintf(want, sizeof want, "\n.SS %s\n", line);
        } else if (strncmp(line, "#   ", 4) == 0) {
            char *name = strtok_r(NULL, "\n", &save);

            name += strncmp(name, "# ", 2) == 0 ? 2 : 0;
            snprintf(want, sizeof want, "\n.B %.*s\n%s\n", name_length(name), name,
                     line + 4);
        } else {
            continue;
        }
        from = strstr(from, want);
        if (from == NULL)
            fail_msg("etc/man/watcherd.conf.5 does not say, or not in its place:%s",
                     want);
    }
    free(page);
    free(printed);
}

static const struct conf_setting wing[] = {
    {"wing", "span_m", CONF_REAL, 0, sizeof(double), 0, 100, "m", "3", "of a wing"}};
static const struct conf_part wing_part = {wing, 1, sizeof(double), NULL};

static const char *too_long(const void *values)
{
    return *(const double *)values > 50 ? "[tail] is too long" : NULL;
}

static const struct conf_setting tail[] = {
    {"tail", "length_m", CONF_REAL, 0, sizeof(double), 0, 100, "m", "4", "of a tail"}};
static const struct conf_part tail_part = {tail, 1, sizeof(double), too_long};

/* A room above core brings its settings along; core knows none of them. */
static void parts_have_values_of_their_own_and_no_other_section_is_known(void **state)
{
    const struct conf_part *const both[] = {&wing_part, &tail_part};
    const struct conf_parts parts = {both, 2};
    char *text;

    (void)state;
    put("f.conf", "[tail]\nlength_m = 7\n[wing]\nspan_m = 9\n");
    assert_int_equal(conf_load(&conf, "f.conf", &parts, &e), 0);
    assert_true(*(const double *)conf_values(&conf, &wing_part) == 9);
    assert_true(*(const double *)conf_values(&conf, &tail_part) == 7);
    print_to(&conf, "printed.conf");
    assert_int_equal(path_read(&text, NULL, "printed.conf", 1 << 20, &e), 0);
    assert_non_null(strstr(text, "\n[wing]\n# of a wing\n#   number from 0 to 100 m; "
                                 "default 3\nspan_m = 9\n\n[tail]\n"));
    free(text);

    put("f.conf", "[tail]\nlength_m = 51\n");
    assert_int_equal(conf_load(&conf, "f.conf", &parts, &e), ERR_FORMAT);
    assert_string_equal(e.text, "f.conf: [tail] is too long");

    put("f.conf", "[tail]\n");
    assert_int_equal(conf_load(&conf, "f.conf", NULL, &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "there is no section [tail]"));
    conf_defaults(&conf, NULL, NULL);
    assert_null(conf_values(&conf, &tail_part));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(an_empty_file_gives_the_defaults),
        OWN_DIR(every_kind_of_value_is_read),
        OWN_DIR(paths_start_at_the_files_folder_and_follow_root),
        OWN_DIR(what_is_wrong_is_refused_with_file_line_and_reason),
        OWN_DIR(folders_that_only_look_alike_are_taken),
        OWN_DIR(lines_that_iniparser_would_cut_are_refused),
        OWN_DIR(what_is_printed_reads_back_the_same),
        OWN_DIR(print_names_meaning_unit_range_and_default),
        OWN_DIR(parts_have_values_of_their_own_and_no_other_section_is_known),
        cmocka_unit_test(the_file_in_etc_is_what_the_table_prints),
        cmocka_unit_test(
            the_manual_page_names_every_setting_with_its_range_and_default),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
