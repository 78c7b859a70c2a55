/*
 * ms.h where it refuses or fails; what a Measurement Set holds is judged by judge_ms.py.
 */
#include "tests/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "core/err.h"
#include "pipeline/io/ms.h"
#include "pipeline/sky/vis.h"

/* Not square, more rows than antennas, every number another. */
static struct vis *made(void)
{
    struct vis *vis;
    size_t row = 0;

    assert_int_equal(vis_alloc(&vis, 40, 5, 5 * 40 * 39 / 2, 64, 2, NULL), 0);
    vis->site = (struct site){0.65, -2.06, 1222};
    vis->pol[0] = -5;
    vis->pol[1] = -6;
    for (size_t a = 0; a < vis->nant; a++) {
        snprintf(vis->ant_name[a], VIS_NAME, "A%zu", a);
        vis->ant_pos_m[a][1] = 11.0 * (double)(a * a);
    }
    for (size_t t = 0; t < vis->ntime; t++) {
        vis->time_jd[t] = 2461066.8 + 1e-4 * (double)t;
        vis->tint_s[t] = 8;
        vis->pointing[t][0] = 1;
        for (int a = 0; a < 40; a++)
            for (int b = a + 1; b < 40; b++, row++) {
                vis->row_time[row] = (int)t;
                vis->row_ant1[row] = a;
                vis->row_ant2[row] = b;
            }
    }
    for (size_t c = 0; c < vis->nchan; c++) {
        vis->freq_hz[c] = 1.4e9 + 1e6 * (double)c;
        vis->width_hz[c] = 1e6;
    }
    for (size_t i = 0; i < vis->nrow * vis->nchan * vis->npol; i++) {
        vis->data[i] = (float)i;
        vis->weight[i] = (float)(i % 17);
    }
    vis_rephase(vis, 2.2, 0.9);
    return vis;
}

/* What is in a folder, itself and its parent apart. */
static int entries(const char *folder)
{
    DIR *d = opendir(folder);
    int n = -2;

    assert_non_null(d);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

static int stop_at_once(void *arg, double share)
{
    (void)share;
    return ++*(int *)arg;
}

static void what_exists_is_refused(void **state)
{
    const struct ms_opts opts = {.field = "f"};
    struct vis *vis = made();
    struct err e;

    (void)state;
    assert_int_equal(mkdir("a.ms", 0755), 0);
    assert_int_equal(ms_write("a.ms", vis, &opts, &e), -EEXIST);
    assert_string_equal(e.text, "a.ms exists already");
    assert_int_equal(symlink("nowhere", "b.ms"), 0);
    assert_int_equal(ms_write("b.ms", vis, &opts, &e), -EEXIST);
    assert_int_equal(entries("."), 2);
    assert_int_equal(ms_write("c.ms/", vis, &opts, &e), 0);
    assert_int_equal(access("c.ms/table.dat", F_OK), 0);
    assert_int_equal(entries("."), 3);
    vis_free(vis);
}

static void what_cannot_be_told_is_refused(void **state)
{
    const struct ms_opts opts = {.field = "f"};
    struct vis *vis = made();
    struct err e;

    (void)state;
    vis->pol[1] = -9;
    assert_int_equal(ms_write("a.ms", vis, &opts, &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "-9"));
    vis->pol[1] = -6;
    vis->phasing = VIS_MERIDIAN;
    assert_int_equal(ms_write("a.ms", vis, &opts, &e), -EINVAL);
    vis->phasing = VIS_SIDEREAL;
    assert_int_equal(ms_write("no/such/a.ms", vis, &opts, &e), -ENOENT);
    assert_non_null(strstr(e.text, "no/such/a.ms"));
    assert_int_equal(entries("."), 0);
    vis_free(vis);
}

static void who_is_stopped_leaves_nothing(void **state)
{
    int calls = 0;
    const struct ms_opts opts = {.progress = stop_at_once, .arg = &calls};
    struct vis *vis = made();
    struct err e;

    (void)state;
    assert_int_equal(ms_write("a.ms", vis, &opts, &e), -ECANCELED);
    assert_int_equal(calls, 1);
    assert_int_equal(entries("."), 0);
    vis_free(vis);
}

/* A small disk, and somebody who fills it, but for so many bytes, while we write. */
struct filler {
    off_t leave;
};

static int fill_the_disk(void *arg, double share)
{
    const struct filler *f = arg;
    static const char some[1 << 16];
    int fd = open("disk/fill", O_WRONLY | O_CREAT, 0644);
    off_t n = 0;
    ssize_t k;

    (void)share;
    assert_true(fd != -1);
    while ((k = write(fd, some, sizeof some)) > 0)
        n += k;
    assert_int_equal(ftruncate(fd, n > f->leave ? n - f->leave : 0), 0);
    close(fd);
    return 0;
}

static void a_disk_that_fills_leaves_nothing(void **state)
{
    static const off_t leave[] = {0, 1 << 12, 1 << 16, 700000, 1 << 20, 3000000};
    struct filler filler;
    const struct ms_opts opts = {.progress = fill_the_disk, .arg = &filler};
    struct vis *vis = made();
    struct err e;

    (void)state;
    assert_int_equal(mkdir("disk", 0755), 0);
    if (mount("tmpfs", "disk", "tmpfs", 0, "size=24m") != 0) {
        print_message("skipped: cannot mount a small tmpfs\n");
        vis_free(vis);
        skip();
    }
    for (size_t i = 0; i < sizeof leave / sizeof leave[0]; i++) {
        filler.leave = leave[i];
        assert_int_equal(ms_write("disk/a.ms", vis, &opts, &e), -ENOSPC);
        assert_string_equal(e.text, "cannot write disk/a.ms: No space left on device");
        assert_int_equal(entries("disk"), 1);
        assert_int_equal(unlink("disk/fill"), 0);
    }
    filler.leave = 8 << 20;
    assert_int_equal(ms_write("disk/a.ms", vis, &opts, &e), 0);
    filler.leave = 1 << 20;
    assert_int_equal(fill_the_disk(&filler, 0), 0);
    assert_int_equal(ms_write("disk/b.ms", vis, &opts, &e), -ENOSPC);
    assert_non_null(strstr(e.text, "no room for disk/b.ms"));
    assert_int_equal(entries("disk"), 2);
    vis_free(vis);
    assert_int_equal(umount("disk"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(what_exists_is_refused),
        OWN_DIR(what_cannot_be_told_is_refused),
        OWN_DIR(who_is_stopped_leaves_nothing),
        OWN_DIR(a_disk_that_fills_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
