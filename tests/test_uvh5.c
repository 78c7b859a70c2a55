/*
 * Files of the DSA-110 kind, a few hundred samples each, written here from the description of
 * the layout (not with the simulator), and the real files.  judge_uvh5.py reads the
 * same real files with h5py and compares every sample.
 */
#include "tests/test.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/io/h5.h"
#include "pipeline/io/uvh5.h"
#include "pipeline/io/uvh5_header.h"

/* cmocka's assert_float_equal compares floats. */
#define assert_near(got, want, tolerance)                                              \
    do {                                                                               \
        double got_ = (got), want_ = (want);                                           \
        if (!(fabs(got_ - want_) <= (tolerance)))                                      \
            fail_msg("%.17g instead of %.17g", got_, want_);                           \
    } while (0)

enum { NANT = 4, NTIME = 3, NPAIR = 7, NROW = NTIME * NPAIR, NCROSS = NTIME * 4 };
enum { NCHAN = 5, NPOL = 2, NSAMPLE = NROW * NCHAN * NPOL };
static const double STEP_HZ = 244140.625, T0 = 2461066.3, TINT_S = 12.884902;

/* Baselines as a correlator may order them: autocorrelations and one pair reversed. */
static const int64_t PAIR[NPAIR][2] = {{0, 0}, {0, 1}, {1, 1}, {0, 2},
                                       {2, 1}, {2, 2}, {1, 3}};

/* What differs from file to file in the tests. */
struct file {
    double freq0_hz; /* first (highest) channel */
    double dec_rad, ha_rad, t0_jd;
    int64_t pol[NPOL];
    int first_ant; /* number of the first antenna */
    const char *phase_type;
    const char *telescope, *key,
        *value; /* telescope_name; one more text of the header */
    double lat_deg, tint_s;
    int no_extras; /* leave out flags, nsamples and extra_keywords */
    float data[NSAMPLE][2];
    unsigned char flag[NSAMPLE];
    float count[NSAMPLE];
};

static struct file *plain(double freq0_hz)
{
    static struct file f;

    memset(&f, 0, sizeof f);
    f.freq0_hz = freq0_hz;
    f.dec_rad = 0.9524855391037991;
    f.t0_jd = T0;
    f.pol[0] = -5;
    f.pol[1] = -6;
    f.phase_type = "drift";
    f.telescope = "DSA11";
    f.lat_deg = 37.2314;
    f.tint_s = TINT_S;
    for (int i = 0; i < NSAMPLE; i++) {
        f.data[i][0] = (float)(i + 1); /* tells where it came from */
        f.data[i][1] = (float)(freq0_hz * 1e-9);
        f.count[i] = 96;
    }
    return &f;
}

static size_t at(int time, int pair, int chan, int pol)
{
    return (size_t)(((time * NPAIR + pair) * NCHAN + chan) * NPOL + pol);
}

static void put(struct h5 *h5, const char *name, enum h5_type type, int ndim,
                const size_t *dim, const void *data)
{
    struct h5_dataset set = h5_array(type, ndim, dim, data);
    struct err e;

    set.size = 5; /* of the strings */
    assert_int_equal(h5_write(h5, name, set, &e), 0);
}

static void put_rows(struct h5 *h5, const struct file *f)
{
    static double time[NROW], tint[NROW];
    static int64_t ant1[NROW], ant2[NROW];
    const size_t dim[1] = {NROW};

    for (int i = 0; i < NROW; i++) {
        time[i] = f->t0_jd + i / NPAIR * TINT_S / ASTRO_DAY_S;
        tint[i] = f->tint_s;
        ant1[i] = PAIR[i % NPAIR][0] + f->first_ant;
        ant2[i] = PAIR[i % NPAIR][1] + f->first_ant;
    }
    put(h5, "Header/time_array", H5_F64, 1, dim, time);
    put(h5, "Header/integration_time", H5_F64, 1, dim, tint);
    put(h5, "Header/ant_1_array", H5_I64, 1, dim, ant1);
    put(h5, "Header/ant_2_array", H5_I64, 1, dim, ant2);
}

static void put_header(struct h5 *h5, const struct file *f)
{
    const struct {
        const char *name;
        double value;
    } scalar[] = {
        {"Header/latitude", f->lat_deg}, {"Header/longitude", -118.2817},
        {"Header/altitude", 1222},       {"Header/channel_width", -244140.625},
        {"Header/Nblts", NROW},          {"Header/Nfreqs", NCHAN},
        {"Header/Npols", NPOL}};
    static const double pos[NANT][3] = {
        {0, 0, 1}, {10, 20, 30}, {-5, 7, 9}, {100, -50, 2}};
    const size_t npol[1] = {NPOL}, nant[2] = {NANT, 3}, nfreq[2] = {1, NCHAN};
    int64_t number[NANT];
    double freq[NCHAN];

    for (size_t i = 0; i < sizeof scalar / sizeof scalar[0]; i++)
        put(h5, scalar[i].name, H5_F64, 0, NULL, &scalar[i].value);
    for (int i = 0; i < NANT; i++)
        number[i] = f->first_ant + i;
    for (int c = 0; c < NCHAN; c++)
        freq[c] = f->freq0_hz - STEP_HZ * c;
    put(h5, "Header/telescope_name", H5_STRING, 0, NULL, f->telescope);
    if (f->key != NULL)
        put(h5, f->key, H5_VSTRING, 0, NULL, f->value);
    put(h5, "Header/phase_type", H5_VSTRING, 0, NULL, f->phase_type);
    put(h5, "Header/antenna_numbers", H5_I64, 1, nant, number);
    put(h5, "Header/antenna_names", H5_STRING, 1, nant, "DSA-1DSA-2DSA-3DSA-4");
    put(h5, "Header/antenna_positions", H5_F64, 2, nant, pos);
    put(h5, "Header/freq_array", H5_F64, 2, nfreq, freq);
    put(h5, "Header/polarization_array", H5_I64, 1, npol, f->pol);
    if (f->no_extras)
        return;
    put(h5, "Header/extra_keywords/phase_center_dec", H5_F64, 0, NULL, &f->dec_rad);
    put(h5, "Header/extra_keywords/ha_phase_center", H5_F64, 0, NULL, &f->ha_rad);
    put(h5, "Header/extra_keywords/phase_center_epoch", H5_VSTRING, 0, NULL, "HADEC");
}

static void make(const char *path, const struct file *f)
{
    const size_t dim[4] = {NROW, 1, NCHAN, NPOL};
    struct h5 *h5;
    struct err e;

    assert_int_equal(h5_create(&h5, path, &e), 0);
    put_header(h5, f);
    put_rows(h5, f);
    put(h5, "Data/visdata", H5_C64, 4, dim, f->data);
    if (!f->no_extras) {
        put(h5, "Data/flags", H5_BOOL, 4, dim, f->flag);
        put(h5, "Data/nsamples", H5_F32, 4, dim, f->count);
    }
    assert_int_equal(h5_close(h5, &e), 0);
}

static int group(struct vis **vis, const char *a, const char *b, struct err *e)
{
    const char *const path[2] = {a, b};
    const struct uvh5_opts opts = {0};

    return uvh5_read_group(vis, path, b != NULL ? 2 : 1, &opts, e);
}

static void sub_bands_join_into_one_ascending_axis(void **state)
{
    struct vis *vis;
    struct err e;

    (void)state;
    make("high.hdf5", plain(1.4e9 + 4 * STEP_HZ));
    make("low.hdf5", plain(1.4e9 - STEP_HZ));
    assert_int_equal(group(&vis, "high.hdf5", "low.hdf5", &e), 0);
    assert_true(vis->nchan == 2 * NCHAN && vis->nrow == NCROSS && vis->ntime == NTIME);
    for (size_t c = 0; c < vis->nchan; c++) {
        assert_near(vis->freq_hz[c], 1.4e9 + STEP_HZ * ((double)c - 5), 1e-6);
        assert_near(vis->width_hz[c], STEP_HZ, 0);
    }
    /* Row 0 is pair 1 (0-1); its lowest channel is the last of the low file. */
    assert_near(crealf(vis->data[0]), (double)at(0, 1, NCHAN - 1, 0) + 1, 0);
    assert_near(cimagf(vis->data[0]), (1.4e9 - STEP_HZ) * 1e-9, 1e-6);
    /* Row 7 is time 1, pair 6 (1-3); its highest is the first of the high file. */
    assert_near(crealf(vis->data[(7 * 10 + 9) * 2 + 1]), (double)at(1, 6, 0, 1) + 1, 0);
    assert_near(vis->weight[0], 2 * STEP_HZ * TINT_S, 1);
    vis_free(vis);
}

static void rows_are_turned_so_that_antenna_1_is_the_smaller(void **state)
{
    struct vis *vis;
    struct err e;

    (void)state;
    make("a.hdf5", plain(1.4e9));
    assert_int_equal(group(&vis, "a.hdf5", NULL, &e), 0);
    for (size_t row = 0; row < vis->nrow; row++)
        assert_true(vis->row_ant1[row] < vis->row_ant2[row]);
    /* Pair 4 is 2-1: row 2 of each time. */
    assert_int_equal(vis->row_ant1[6], 1);
    assert_int_equal(vis->row_ant2[6], 2);
    assert_int_equal(vis->row_time[6], 1);
    assert_near(crealf(vis->data[6 * NCHAN * NPOL]), (double)at(1, 4, NCHAN - 1, 0) + 1,
                0);
    assert_near(cimagf(vis->data[6 * NCHAN * NPOL]), -1.4, 1e-6);
    assert_near(cimagf(vis->data[7 * NCHAN * NPOL]), 1.4, 1e-6);
    vis_free(vis);
}

static void cross_hands_swap_when_the_antennas_do(void **state)
{
    struct file *f = plain(1.4e9);
    struct vis *vis;
    struct err e;

    (void)state;
    f->pol[0] = -7; /* XY */
    f->pol[1] = -8; /* YX */
    make("a.hdf5", f);
    assert_int_equal(group(&vis, "a.hdf5", NULL, &e), 0);
    assert_near(crealf(vis->data[6 * NCHAN * NPOL]), (double)at(1, 4, NCHAN - 1, 1) + 1,
                0);
    assert_near(crealf(vis->data[7 * NCHAN * NPOL]), (double)at(1, 6, NCHAN - 1, 0) + 1,
                0);
    vis_free(vis);
}

static void what_is_no_measurement_has_weight_zero(void **state)
{
    struct file *f = plain(1.4e9);
    struct vis *vis;
    struct err e;
    size_t bad[] = {at(0, 1, 4, 0), at(0, 1, 4, 1), at(0, 1, 3, 0),
                    at(0, 1, 3, 1), at(0, 1, 2, 0), at(0, 1, 2, 1)};

    (void)state;
    f->data[bad[0]][0] = NAN;
    f->data[bad[1]][1] = INFINITY;
    f->data[bad[2]][0] = f->data[bad[2]][1] = 0;
    f->data[bad[3]][0] = 1e36F;
    f->flag[bad[4]] = 1;
    f->count[bad[5]] = 0;
    f->count[at(0, 1, 1, 0)] = 24;
    make("a.hdf5", f);
    assert_int_equal(group(&vis, "a.hdf5", NULL, &e), 0);
    for (size_t i = 0; i < 6; i++) { /* channels are reversed: the first six of row 0 */
        assert_near(vis->weight[i], 0, 0);
        assert_near(cabsf(vis->data[i]), 0, 0);
    }
    assert_near(vis->weight[6] / vis->weight[7], 0.25, 1e-6);
    assert_near(vis_valid_fraction(vis), 1 - 6.0 / (NCROSS * NCHAN * NPOL), 1e-9);
    vis_free(vis);
}

static void drift_files_point_to_the_meridian(void **state)
{
    struct uvh5_info info;
    struct vis *vis;
    struct err e;
    double v[3];

    (void)state;
    make("a.hdf5", plain(1.4e9));
    assert_int_equal(group(&vis, "a.hdf5", NULL, &e), 0);
    assert_int_equal(vis->phasing, VIS_MERIDIAN);
    assert_near(vis->dec_app_rad, 0.9524855391037991, 0);
    astro_meridian(&vis->site, vis->dec_app_rad, v);
    assert_memory_equal(vis->stop[2], v, sizeof v);
    assert_memory_equal(vis->pointing[2], v, sizeof v);
    assert_string_equal(vis->ant_name[3], "DSA-4");
    assert_near(vis->time_jd[2], T0 + 2 * TINT_S / ASTRO_DAY_S, 1e-9);
    assert_near(vis->tint_s[2], TINT_S, 0);
    assert_near(vis->ant_pos_m[3][1], -50, 0);
    assert_int_equal(uvh5_info("a.hdf5", &info, &e), 0);
    assert_true(info.ntime == NTIME && info.nrow == NCROSS && info.nchan == NCHAN);
    assert_near(info.t1_jd, vis->time_jd[2], 0);
    assert_near(info.freq_lo_hz, 1.4e9 - 4 * STEP_HZ, 0);
    assert_near(info.freq_hi_hz, 1.4e9, 0);
    assert_near(info.dec_app_rad, 0.9524855391037991, 0);
    assert_string_equal(info.telescope, "DSA11");
    vis_free(vis);
}

static void without_extras_a_drift_file_is_not_phased(void **state)
{
    struct file *f = plain(1.4e9);
    struct vis *vis;
    struct err e;

    (void)state;
    f->no_extras = 1;
    make("a.hdf5", f);
    assert_int_equal(group(&vis, "a.hdf5", NULL, &e), 0);
    assert_int_equal(vis->phasing, VIS_UNPHASED);
    assert_near(vis->stop[1][2], 0, 0);
    assert_near(vis->pointing[1][2], sin(37.2314 * ASTRO_DEG), 1e-12); /* the zenith */
    assert_near(vis_valid_fraction(vis), 1, 0);
    vis_free(vis);
}

/* Make b.hdf5 of *f and join it with a.hdf5, which must fail and name both. */
static void refuse(const struct file *f, const char *why)
{
    struct vis *vis;
    struct err e;

    make("b.hdf5", f);
    assert_int_equal(group(&vis, "a.hdf5", "b.hdf5", &e), ERR_SHAPE);
    assert_null(vis);
    if (strstr(e.text, why) == NULL || strstr(e.text, "a.hdf5") == NULL ||
        strstr(e.text, "b.hdf5") == NULL)
        fail_msg("%s", e.text);
    assert_int_equal(unlink("b.hdf5"), 0);
}

static void files_that_do_not_belong_together_are_refused(void **state)
{
    const double next = 1.4e9 + NCHAN * STEP_HZ;
    struct file *f;

    (void)state;
    make("a.hdf5", plain(1.4e9));
    refuse(plain(1.4e9), "overlap in frequency");
    refuse(plain(next - STEP_HZ), "overlap in frequency");
    refuse(plain(1.4e9 - STEP_HZ / 2), "overlap in frequency"); /* like a comb */
    f = plain(next);
    f->t0_jd += TINT_S / ASTRO_DAY_S;
    refuse(f, "times");
    f = plain(next);
    f->dec_rad += 0.011 * ASTRO_DEG;
    refuse(f, "pointing");
    f = plain(next);
    f->no_extras = 1;
    refuse(f, "pointing");
    f = plain(next);
    f->pol[1] = -7;
    refuse(f, "polarisations");
    f = plain(next);
    f->first_ant = 1;
    refuse(f, "antennas");
}

/* The header alone is refused, with the name of the key. */
static void refuse_key(const char *key, const char *value)
{
    struct file *f = plain(1.4e9);
    struct uvh5_info info;
    struct err e = {0};

    f->key = key;
    f->value = value;
    make("a.hdf5", f);
    assert_int_equal(uvh5_info("a.hdf5", &info, &e), ERR_FORMAT);
    if (strstr(e.text, key) == NULL || strstr(e.text, "a.hdf5") == NULL)
        fail_msg("%s", e.text);
    assert_int_equal(unlink("a.hdf5"), 0);
}

/* Every key that changes the meaning of a number is honoured or refused by its name. */
static void what_changes_the_numbers_is_refused_by_name(void **state)
{
    const double next = 1.4e9 + NCHAN * STEP_HZ;
    struct uvh5_info info;
    struct file *f;

    (void)state;
    refuse_key("Header/vis_units", "K str");
    refuse_key("Header/telescope_frame", "mcmf");
    refuse_key("Header/flex_spw_polarization_array", "1");
    f = plain(1.4e9); /* without a flux scale, gains take the factor of 2 with them */
    f->key = "Header/pol_convention";
    f->value = "sum";
    make("a.hdf5", f);
    assert_int_equal(uvh5_info("a.hdf5", &info, NULL), 0);
    assert_string_equal(info.unit, "uncalib");
    assert_int_equal(unlink("a.hdf5"), 0);

    make("a.hdf5", plain(1.4e9));
    f = plain(next);
    f->telescope = "DSA12";
    refuse(f, "telescope_name");
    f = plain(next);
    f->lat_deg += 1e-3;
    refuse(f, "the telescope's position");
    f = plain(next);
    f->tint_s *= 2;
    refuse(f, "integration_time");
    f = plain(next);
    f->key = "Header/vis_units";
    f->value = "Jy";
    refuse(f, "vis_units");
}

/* One file of half the integrations that the other one's samples have. */
static void counts_of_a_group_have_one_scale(void **state)
{
    const char *path[2] = {"a.hdf5", "b.hdf5"};
    struct uvh5_opts opts = {.threads = 2};
    struct file *f = plain(1.4e9);
    struct vis *vis;
    struct err e = {0};

    (void)state;
    make(path[0], f);
    f = plain(1.41e9);
    for (int i = 0; i < NSAMPLE; i++)
        f->count[i] = i % 2 ? 48 : 47;
    make(path[1], f);
    if (uvh5_read_group(&vis, path, 2, &opts, &e) != 0)
        fail_msg("%s", e.text);
    for (size_t r = 0; r < vis->nrow; r++) {
        const float *w = vis->weight + r * vis->nchan * NPOL;
        double most = 0, least = INFINITY;

        for (size_t k = NCHAN * NPOL; k < 2 * NCHAN * NPOL; k++) {
            most = fmax(most, (double)w[k]);
            least = fmin(least, (double)w[k]);
        }
        assert_near(most / (double)w[0], 0.5, 1e-6);
        assert_near(least / (double)w[0], 47.0 / 96, 1e-6);
    }
    vis_free(vis);
    unlink(path[0]);
    unlink(path[1]);
}

static void small_differences_of_a_group_are_let_pass(void **state)
{
    struct file *f = plain(1.4e9);
    struct vis *vis;
    struct err e;

    (void)state;
    make("a.hdf5", f);
    f = plain(1.4e9 + NCHAN * STEP_HZ);
    f->t0_jd += 0.5e-6;
    f->dec_rad += 0.009 * ASTRO_DEG;
    make("b.hdf5", f);
    assert_int_equal(group(&vis, "b.hdf5", "a.hdf5", &e), 0);
    vis_free(vis);
}

static void headers_that_cannot_be_true_are_refused(void **state)
{
    struct uvh5_info info;
    struct file *f = plain(1.4e9);
    struct h5 *h5;
    struct err e;

    (void)state;
    f->dec_rad = 54.57;
    make("degrees.hdf5", f);
    assert_int_equal(uvh5_info("degrees.hdf5", &info, &e), ERR_FORMAT);
    assert_non_null(
        strstr(e.text, "degrees.hdf5: a phase centre at declination 54.57 rad"));
    f = plain(1.4e9);
    f->ha_rad = 0.1;
    make("ha.hdf5", f);
    assert_int_equal(uvh5_info("ha.hdf5", &info, &e), ERR_FORMAT);
    f = plain(1.4e9);
    f->t0_jd = NAN;
    make("time.hdf5", f);
    assert_int_equal(uvh5_info("time.hdf5", &info, &e), ERR_FORMAT);
    f = plain(1.4e9);
    f->phase_type = "sideways";
    f->no_extras = 1;
    make("type.hdf5", f);
    assert_int_equal(uvh5_info("type.hdf5", &info, &e), ERR_FORMAT);
    assert_int_equal(h5_create(&h5, "empty.hdf5", &e), 0);
    assert_int_equal(h5_close(h5, &e), 0);
    assert_int_equal(uvh5_info("empty.hdf5", &info, &e), ERR_FORMAT);
    assert_string_equal(e.text, "empty.hdf5: not UVH5, has no Data/visdata");
    assert_int_equal(uvh5_info("nowhere.hdf5", &info, &e), -ENOENT);
}

/* ---- the real ones ---- */

static const char *data_or_skip(void)
{
    const char *data = shared_data();

    if (data == NULL) {
        print_message("skipped: no real data\n");
        skip();
    }
    return data;
}

/* Numbers from known.json beside the files. */
static void a_real_group_of_sixteen_reads_as_known(void **state)
{
    const char *data = data_or_skip();
    const struct uvh5_opts opts = {0};
    static char name[16][256];
    const char *path[16];
    struct vis *vis;
    struct err e = {0};

    (void)state;
    for (int i = 0; i < 16; i++) {
        snprintf(name[i], sizeof name[i],
                 "%s/sza-3c273/groups/2010-08-03T21:17:10_sb%02d.hdf5", data, i);
        path[i] = name[i];
    }
    assert_int_equal(uvh5_read_group(&vis, path, 16, &opts, &e), 0);
    assert_true(vis->ntime == 10 && vis->nrow == 280 && vis->nchan == 240);
    assert_true(vis->npol == 1 && vis->pol[0] == -1 && vis->phasing == VIS_SIDEREAL);
    assert_near(vis->phase_ra_rad / ASTRO_DEG, 187.277917, 1e-6);
    assert_near(vis->phase_dec_rad / ASTRO_DEG, 2.052388, 1e-6);
    assert_near(vis->tint_s[3], 29.184, 1e-3);
    assert_near(vis->freq_hz[7] * 1e-6, 27188, 1e-3);   /* middle of sub-band 15 */
    assert_near(vis->freq_hz[232] * 1e-6, 34688, 1e-3); /* of sub-band 00 */
    assert_string_equal(vis->object, "3C273");
    for (size_t c = 1; c < vis->nchan; c++)
        assert_true(vis->freq_hz[c] > vis->freq_hz[c - 1]);
    for (size_t row = 0; row < vis->nrow; row++)
        assert_in_range(vis->ant_number[vis->row_ant1[row]], 15, 22);
    assert_memory_equal(vis->stop[4], vis->pointing[4], sizeof vis->stop[4]);
    vis_free(vis);
}

static void both_layouts_of_a_real_file_give_the_same_bits(void **state)
{
    static const char *const kind[] = {"", ".new_shape"};
    const char *data = data_or_skip();
    struct vis *vis[2];
    struct err e = {0};
    size_t n;

    (void)state;
    for (int k = 0; k < 2; k++) {
        char path[512];

        snprintf(path, sizeof path,
                 "%s/hera/zen.2458116.61019.xx.HH.XRS_downselected%s.uvh5", data,
                 kind[k]);
        assert_int_equal(group(&vis[k], path, NULL, &e), 0);
    }
    n = vis[0]->nrow * vis[0]->nchan * vis[0]->npol;
    assert_int_equal(n, 60 * 1024);
    assert_memory_equal(vis[0]->data, vis[1]->data, n * sizeof *vis[0]->data);
    assert_memory_equal(vis[0]->weight, vis[1]->weight, n * sizeof *vis[0]->weight);
    vis_free(vis[0]);
    vis_free(vis[1]);
}

static void a_real_file_with_its_axes_transposed_is_refused(void **state)
{
    const char *data = data_or_skip();
    struct uvh5_info info;
    struct err e = {0};
    char path[512];

    (void)state;
    snprintf(path, sizeof path,
             "%s/hera/zen.2459114.60020.sum.downsample_transpose.new_shape.uvh5", data);
    assert_int_equal(uvh5_info(path, &info, &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "[12][4][1536], but Header/Nfreqs is 1536"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(sub_bands_join_into_one_ascending_axis),
        OWN_DIR(rows_are_turned_so_that_antenna_1_is_the_smaller),
        OWN_DIR(cross_hands_swap_when_the_antennas_do),
        OWN_DIR(what_is_no_measurement_has_weight_zero),
        OWN_DIR(drift_files_point_to_the_meridian),
        OWN_DIR(without_extras_a_drift_file_is_not_phased),
        OWN_DIR(files_that_do_not_belong_together_are_refused),
        OWN_DIR(what_changes_the_numbers_is_refused_by_name),
        OWN_DIR(counts_of_a_group_have_one_scale),
        OWN_DIR(small_differences_of_a_group_are_let_pass),
        OWN_DIR(headers_that_cannot_be_true_are_refused),
        cmocka_unit_test(a_real_group_of_sixteen_reads_as_known),
        cmocka_unit_test(both_layouts_of_a_real_file_give_the_same_bits),
        cmocka_unit_test(a_real_file_with_its_axes_transposed_is_refused),
    };

    return cmocka_run_group_tests_name("uvh5", tests, NULL, NULL);
}
