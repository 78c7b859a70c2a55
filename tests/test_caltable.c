/*
 * test_caltable.c: gain tables go to disk and come back in the order of other data.
 *
 * For tests/judge_caltable.py:
 *   test_caltable --write TABLE         the table of `known_gain` below
 *   test_caltable --apply TABLE RAW CAL RAW divided by the table, against CAL: the median
 *                                       and 95 % relative difference and the number of samples
 */
#include "tests/test.h"

#include <complex.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "core/err.h"
#include "core/path.h"
#include "pipeline/io/h5.h"
#include "pipeline/cal/apply.h"
#include "pipeline/cal/gains.h"
#include "pipeline/io/caltable.h"
#include "pipeline/io/uvh5.h"
#include "pipeline/sky/vis.h"

enum { NANT = 5, NTIME = 3, NCHAN = 4, NPOL = 3 };

/* Antennas 3, 10, 17, 24, 31, the last without rows; XX, XY, YY. */
static struct vis *make_vis(void)
{
    static const int pol[NPOL] = {-5, -7, -6};
    struct vis *vis;
    struct err e;
    size_t row = 0;

    assert_int_equal(vis_alloc(&vis, NANT, NTIME, NTIME * 6, NCHAN, NPOL, &e), 0);
    snprintf(vis->telescope, sizeof vis->telescope, "OVRO_MMA");
    vis->site.lat_rad = 0.65;
    vis->site.lon_rad = -2.06;
    vis->site.alt_m = 1222;
    for (int a = 0; a < NANT; a++) {
        vis->ant_number[a] = 3 + 7 * a;
        snprintf(vis->ant_name[a], VIS_NAME, "DSA-%03d", 3 + 7 * a);
        vis->ant_pos_m[a][0] = 10.0 * a;
        vis->ant_pos_m[a][1] = -3.0 * a;
    }
    for (int t = 0; t < NTIME; t++) {
        vis->time_jd[t] = 2461000.25 + t * 12.5 / 86400;
        vis->tint_s[t] = 12.5;
    }
    for (int c = 0; c < NCHAN; c++) {
        vis->freq_hz[c] = 1.4e9 + c * 250e3;
        vis->width_hz[c] = 250e3;
    }
    memcpy(vis->pol, pol, sizeof pol);
    for (int t = 0; t < NTIME; t++) {
        for (int a = 0; a < 4; a++) {
            for (int b = a + 1; b < 4; b++, row++) {
                vis->row_time[row] = t;
                vis->row_ant1[row] = a;
                vis->row_ant2[row] = b;
            }
        }
    }
    return vis;
}

/* The judge knows this formula too; 10 (index 1) has no solution in YY at channel 2. */
static float complex known_gain(int t, int c, int number, int pol)
{
    if (number == 31 || pol == -7 || (number == 10 && pol == -6 && c == 2))
        return 0;
    return (float complex)((0.5 + 0.01 * number + 0.1 * c) *
                           cexp(I * (0.2 * number + 0.3 * c + 0.5 * t + (pol == -6))));
}

static struct gains *make_gains(const struct vis *vis)
{
    struct gains *g;
    struct err e;

    assert_int_equal(gains_alloc(&g, NANT, NTIME, NCHAN, NPOL, &e), 0);
    memcpy(g->time_jd, vis->time_jd, sizeof *g->time_jd * NTIME);
    memcpy(g->freq_hz, vis->freq_hz, sizeof *g->freq_hz * NCHAN);
    g->refant = 2;
    for (int t = 0; t < NTIME; t++) {
        for (int c = 0; c < NCHAN; c++) {
            for (int a = 0; a < NANT; a++) {
                for (int p = 0; p < NPOL; p++) {
                    int at = ((t * NCHAN + c) * NANT + a) * NPOL + p;

                    g->g[at] = known_gain(t, c, vis->ant_number[a], vis->pol[p]);
                    g->snr[at] = (float)(10 * a + c);
                }
            }
        }
    }
    return g;
}

static const struct caltable_info info = {.calibrator = "0834+555",
                                          .group = "2026-01-25T22:26:05",
                                          .kind = "bandpass",
                                          .t_jd = 2461000.2501};

static int write_table(const char *path, struct err *e)
{
    struct vis *vis = make_vis();
    struct gains *g = make_gains(vis);
    int rc = caltable_write(path, g, vis, &info, e);

    gains_free(g);
    vis_free(vis);
    return rc;
}

static void a_table_comes_back_as_it_was_written(void **state)
{
    struct vis *vis = make_vis();
    struct gains *g;
    struct caltable_info back;
    struct err e = {0};

    (void)state;
    if (write_table("bp.calh5", &e) != 0)
        fail_msg("%s", e.text);
    if (caltable_read(&g, &back, "bp.calh5", vis, &e) != 0)
        fail_msg("%s", e.text);
    assert_string_equal(back.telescope, "OVRO_MMA");
    assert_string_equal(back.calibrator, info.calibrator);
    assert_string_equal(back.group, info.group);
    assert_string_equal(back.kind, info.kind);
    assert_true(fabs(back.t_jd - info.t_jd) < 1e-9);
    assert_int_equal(g->refant, 2);
    assert_int_equal(g->ntime, NTIME);
    assert_int_equal(g->nchan, NCHAN);
    for (int t = 0; t < NTIME; t++) {
        assert_true(g->time_jd[t] == vis->time_jd[t]);
        for (int c = 0; c < NCHAN; c++) {
            for (int a = 0; a < NANT; a++) {
                for (int p = 0; p < NPOL; p++) {
                    float complex want =
                        known_gain(t, c, vis->ant_number[a], vis->pol[p]);

                    assert_true(g->g[((t * NCHAN + c) * NANT + a) * NPOL + p] == want);
                    assert_true(g->snr[((t * NCHAN + c) * NANT + a) * NPOL + p] ==
                                (want != 0 ? (float)(10 * a + c) : 0));
                }
            }
        }
    }
    gains_free(g);
    vis_free(vis);
}

/* Other data: antennas in another order with one that the table lacks, the upper two channels a
 * tenth of a channel off, polarisations the other way round. */
static void gains_are_re_ordered_for_other_data(void **state)
{
    static const int number[3] = {17, 99, 3};
    struct vis *vis;
    struct gains *g;
    struct caltable_info back;
    struct err e = {0};

    (void)state;
    assert_int_equal(write_table("bp.calh5", &e), 0);
    assert_int_equal(vis_alloc(&vis, 3, 1, 1, 2, 2, &e), 0);
    snprintf(vis->telescope, sizeof vis->telescope, "OVRO_MMA");
    memcpy(vis->ant_number, number, sizeof number);
    vis->row_ant2[0] = 2;
    vis->pol[0] = -6;
    vis->pol[1] = -5;
    for (int c = 0; c < 2; c++) {
        vis->freq_hz[c] = 1.4e9 + (c + 2.1) * 250e3;
        vis->width_hz[c] = 250e3;
    }
    if (caltable_read(&g, &back, "bp.calh5", vis, &e) != 0)
        fail_msg("%s", e.text);
    assert_int_equal(g->nchan, 2);
    for (int t = 0; t < NTIME; t++) {
        for (int c = 0; c < 2; c++) {
            for (int a = 0; a < 3; a++) {
                for (int p = 0; p < 2; p++) {
                    float complex want =
                        a == 1 ? 0 : known_gain(t, c + 2, number[a], vis->pol[p]);

                    assert_true(g->g[((t * 2 + c) * 3 + a) * 2 + p] == want);
                }
            }
        }
    }
    gains_free(g);
    vis_free(vis);
}

static void gains_of_one_channel_fit_any_band(void **state)
{
    struct vis *vis = make_vis();
    struct gains *g, *back;
    struct caltable_info got;
    struct err e = {0};

    (void)state;
    assert_int_equal(gains_alloc(&g, NANT, NTIME, 1, NPOL, &e), 0);
    for (int t = 0; t < NTIME; t++) {
        g->time_jd[t] = vis->time_jd[t];
        g->g[(t * NANT + 3) * NPOL + 2] = 2 + (float)t * I;
    }
    g->freq_hz[0] = 1.400375e9;
    if (caltable_write("g.calh5", g, vis, &info, &e) != 0)
        fail_msg("%s", e.text);
    vis->freq_hz[0] = 5e9; /* no such channel in the table */
    if (caltable_read(&back, &got, "g.calh5", vis, &e) != 0)
        fail_msg("%s", e.text);
    assert_int_equal(back->nchan, 1);
    assert_true(fabs(back->freq_hz[0] - 1.400375e9) < 1);
    assert_true(back->g[(2 * NANT + 3) * NPOL + 2] == 2 + 2 * I);
    assert_true(back->g[0] == 0);
    gains_free(g);
    gains_free(back);
    vis_free(vis);
}

static void misfits_are_refused_with_a_sentence(void **state)
{
    struct vis *vis = make_vis();
    struct gains *g;
    struct caltable_info back;
    struct err e = {0};

    (void)state;
    assert_int_equal(write_table("bp.calh5", &e), 0);
    assert_true(write_table("bp.calh5", &e) < 0); /* never replaced */

    vis->freq_hz[3] += 130e3;
    assert_int_equal(caltable_read(&g, &back, "bp.calh5", vis, &e), ERR_SHAPE);
    assert_null(g);
    assert_string_equal(e.text,
                        "bp.calh5: no gains at 1400.880000 MHz, the nearest are "
                        "at 1400.750000 MHz");
    vis->freq_hz[3] -= 130e3;

    vis->pol[1] = -2;
    assert_int_equal(caltable_read(&g, &back, "bp.calh5", vis, &e), ERR_SHAPE);
    assert_string_equal(e.text, "bp.calh5: no gains for polarisation -2 of the data");
    vis->pol[1] = -7;

    snprintf(vis->telescope, sizeof vis->telescope, "HERA");
    assert_int_equal(caltable_read(&g, &back, "bp.calh5", vis, &e), ERR_SHAPE);
    assert_string_equal(e.text,
                        "bp.calh5: gains of telescope OVRO_MMA, the data are of HERA");
    snprintf(vis->telescope, sizeof vis->telescope, "OVRO_MMA");

    for (int a = 0; a < NANT; a++)
        vis->ant_number[a] += 1000;
    assert_int_equal(caltable_read(&g, &back, "bp.calh5", vis, &e), ERR_SHAPE);
    assert_string_equal(e.text, "bp.calh5: none of its antennas is in the data");

    assert_int_equal(caltable_read(&g, &back, "none.calh5", vis, &e), -ENOENT);
    vis_free(vis);
}

static void a_table_of_delays_is_refused(void **state)
{
    struct vis *vis = make_vis();
    struct gains *g;
    struct caltable_info back;
    struct err e = {0};
    struct h5 *h5;

    (void)state;
    assert_int_equal(h5_create(&h5, "d.calh5", &e), 0);
    assert_int_equal(h5_write(h5, "Header/cal_type", h5_bytes("delay", 5), &e), 0);
    assert_int_equal(h5_close(h5, &e), 0);
    assert_int_equal(caltable_read(&g, &back, "d.calh5", vis, &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "d.calh5: a \"delay\" table"));
    vis_free(vis);
}

/* ---- for the judge ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static int compare(const struct vis *raw, const struct vis *cal)
{
    size_t all = raw->nrow * raw->nchan * raw->npol, n = 0;
    double *rel = calloc(all, sizeof *rel);

    if (rel == NULL || cal->nrow * cal->nchan * cal->npol != all)
        return 1;
    for (size_t k = 0; k < all; k++) {
        if (raw->weight[k] > 0 && cal->weight[k] > 0)
            rel[n++] = cabsf(raw->data[k] - cal->data[k]) / cabsf(cal->data[k]);
    }
    qsort(rel, n, sizeof *rel, by_value);
    if (n > 0)
        printf("%.3g %.3g %zu\n", rel[n / 2], rel[n * 95 / 100], n);
    free(rel);
    return n == 0;
}

static int apply_table(const char *table, const char *raw_path, const char *cal_path)
{
    struct vis *raw = NULL, *cal = NULL;
    struct gains *g = NULL;
    struct caltable_info got;
    struct uvh5_opts opts = {0};
    struct err e = {0};
    int rc = uvh5_read_group(&raw, &raw_path, 1, &opts, &e);

    if (rc == 0)
        rc = uvh5_read_group(&cal, &cal_path, 1, &opts, &e);
    if (rc == 0)
        rc = caltable_read(&g, &got, table, raw, &e);
    if (rc == 0)
        rc = apply_gains(raw, &(struct apply){.gains = {g}}, &e);
    if (rc != 0)
        fprintf(stderr, "%s\n", e.text);
    else
        rc = compare(raw, cal);
    gains_free(g);
    vis_free(raw);
    vis_free(cal);
    return rc != 0;
}

/* HERA's uncalibrated file, its gains and its calibrated file. */
static void heras_gains_make_its_calibrated_file(void **state)
{
    static const char base[] = "hera/zen.2458043.40141.xx.HH.XRAA";
    const char *data = shared_data(), *one[1];
    const struct uvh5_opts opts = {0};
    struct caltable_info back;
    struct vis *raw, *done;
    struct gains *g;
    char path[512];
    double off2 = 0, all2 = 0, worst = 0;
    size_t n;
    struct err e = {0};

    (void)state;
    if (data == NULL)
        skip();
    one[0] = path;
    snprintf(path, sizeof path, "%s/%s.uncalibrated.uvh5", data, base);
    assert_int_equal(uvh5_read_group(&raw, one, 1, &opts, &e), 0);
    snprintf(path, sizeof path, "%s/%s.uvh5", data, base);
    assert_int_equal(uvh5_read_group(&done, one, 1, &opts, &e), 0);
    snprintf(path, sizeof path, "%s/%s.abs.calfits", data, base);
    if (caltable_read(&g, &back, path, raw, &e) != 0)
        fail_msg("%s", e.text);
    assert_string_equal(back.telescope, "HERA");
    assert_int_equal(g->ntime, 60);
    assert_int_equal(g->nchan, 64);
    if (apply_gains(raw, &(struct apply){.gains = {g}}, &e) != 0)
        fail_msg("%s", e.text);
    n = raw->nrow * raw->nchan * raw->npol;
    assert_int_equal(n, done->nrow * done->nchan * done->npol);
    for (size_t i = 0; i < n; i++) {
        double want = cabs((double complex)done->data[i]),
               off = cabs((double complex)raw->data[i] - (double complex)done->data[i]);

        if (!(raw->weight[i] > 0) || want == 0)
            continue;
        off2 += off * off;
        all2 += want * want;
        worst = fmax(worst, off / want);
    }
    assert_true(all2 > 0);
    print_message("rms %.1e, worst %.1e of the sample\n", sqrt(off2 / all2), worst);
    assert_true(sqrt(off2 / all2) < 1e-7);
    assert_true(worst < 4e-7); /* three factors of 24 bits */
    gains_free(g);
    vis_free(raw);
    vis_free(done);
}

/* Axes, kinds and sizes that are none of a gain table: a sentence each. */
static void what_is_no_calfits_is_refused(void **state)
{
    static const struct {
        const char *from, *to, *say;
    } bad[] = {
        {"CALTYPE = 'gain    '", "CALTYPE = 'delay   '", "CALTYPE 'delay'"},
        {"GNCONVEN= 'divide  '", "GNCONVEN= 'subtract'", "GNCONVEN 'subtract'"},
        {"CTYPE3  = 'TIME    '", "CTYPE3  = 'CLOCK   '", "has no axis TIME"},
        {"NAXIS4  =                   64", "NAXIS4  =           2000000000",
         "more than the file holds"},
        {"NAXIS1  =                    4", "NAXIS1  =                    2",
         "not gains by"},
        {"TELESCOP= 'HERA    '", "TELESCOP= 'ATA     '", "gains of telescope ATA"},
        {"TTYPE3  = 'ANTARR  '", "TTYPE3  = 'ANTXXX  '", "column"},
    };
    const char *data = shared_data(), *one[1];
    const struct uvh5_opts opts = {0};
    struct caltable_info back;
    struct vis *raw;
    struct gains *g;
    char path[512], *whole;
    size_t size;
    struct err e = {0};

    (void)state;
    if (data == NULL)
        skip();
    one[0] = path;
    snprintf(path, sizeof path, "%s/hera/zen.2458043.40141.xx.HH.XRAA.uvh5", data);
    assert_int_equal(uvh5_read_group(&raw, one, 1, &opts, &e), 0);
    snprintf(path, sizeof path, "%s/hera/zen.2458043.40141.xx.HH.XRAA.abs.calfits",
             data);
    assert_int_equal(path_read(&whole, &size, path, 1 << 26, &e), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *at = memmem(whole, size, bad[i].from, strlen(bad[i].from));

        assert_non_null(at);
        memcpy(at, bad[i].to, strlen(bad[i].to));
        assert_int_equal(path_write("bad.calfits", whole, size, &e), 0);
        memcpy(at, bad[i].from, strlen(bad[i].from));
        assert_true(caltable_read(&g, &back, "bad.calfits", raw, &e) < 0);
        assert_null(g);
        if (strstr(e.text, bad[i].say) == NULL || strstr(e.text, "bad.calfits") == NULL)
            fail_msg("%s instead of %s", e.text, bad[i].say);
    }
    assert_int_equal(path_write("bad.calfits", whole, size / 2, &e), 0);
    assert_true(caltable_read(&g, &back, "bad.calfits", raw, &e) < 0);
    free(whole);
    vis_free(raw);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(a_table_comes_back_as_it_was_written),
        OWN_DIR(gains_are_re_ordered_for_other_data),
        OWN_DIR(gains_of_one_channel_fit_any_band),
        OWN_DIR(misfits_are_refused_with_a_sentence),
        OWN_DIR(a_table_of_delays_is_refused),
        cmocka_unit_test(heras_gains_make_its_calibrated_file),
        OWN_DIR(what_is_no_calfits_is_refused),
    };
    struct err e = {0};

    if (argc == 3 && strcmp(argv[1], "--write") == 0)
        return write_table(argv[2], &e) != 0;
    if (argc == 5 && strcmp(argv[1], "--apply") == 0)
        return apply_table(argv[2], argv[3], argv[4]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
