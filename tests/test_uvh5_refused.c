/*
 * The corpus of headers: one small file for each reason to refuse it, each with the words that
 * must be in the sentence; and beside it what looks odd and is right.
 */
#include "tests/test.h"

#include <math.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/io/h5.h"
#include "pipeline/io/uvh5.h"
#include "pipeline/io/uvh5_header.h"

enum { NANT = 5, NTIME = 3, NPAIR = 7, NROW = NTIME * NPAIR, NCHAN = 4, NPOL = 2 };
enum { MAXSET = 40 };

/* Antenna 4 has no baseline. */
static const int64_t PAIR[NPAIR][2] = {{0, 0}, {0, 1}, {1, 1}, {0, 2},
                                       {1, 2}, {2, 2}, {1, 3}};
static const double LAT = 37.2314 * ASTRO_DEG, LON = -118.2817 * ASTRO_DEG;

/* One data set of a file; what it holds is the file's own copy. */
struct set {
    const char *name;
    struct h5_dataset data;
    size_t dim[4];
    double f64[NROW * 3];
    int64_t i64[NROW];
    char text[512];
};

struct file {
    struct set set[MAXSET];
    size_t n;
    enum h5_type samples; /* type of visdata */
    int flat;             /* visdata [Nblts][Nfreqs][Npols] */
};

/* The place of this name, a new one when it is not there. */
static struct set *slot(struct file *f, const char *name)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->set[i].name, name) == 0)
            return &f->set[i];
    assert_true(f->n < MAXSET);
    f->set[f->n].name = name;
    return &f->set[f->n++];
}

static void drop(struct file *f, const char *name)
{
    *slot(f, name) = f->set[f->n - 1];
    f->n--;
}

/* [rows][columns] numbers; rows 0: a scalar; columns 0: one dimension. */
static void numbers(struct file *f, const char *name, const double *x, size_t rows,
                    size_t columns)
{
    struct set *s = slot(f, name);
    size_t n = (rows > 0 ? rows : 1) * (columns > 0 ? columns : 1);

    memcpy(s->f64, x, n * sizeof *x);
    s->dim[0] = rows;
    s->dim[1] = columns;
    s->data = h5_array(H5_F64, rows == 0 ? 0 : columns == 0 ? 1 : 2, s->dim, s->f64);
}

static void number(struct file *f, const char *name, double x)
{
    numbers(f, name, &x, 0, 0);
}

static void integers(struct file *f, const char *name, const int64_t *x, size_t n)
{
    struct set *s = slot(f, name);

    memcpy(s->i64, x, n * sizeof *x);
    s->dim[0] = n;
    s->data = h5_array(H5_I64, 1, s->dim, s->i64);
}

static void text(struct file *f, const char *name, const char *x)
{
    struct set *s = slot(f, name);

    snprintf(s->text, sizeof s->text, "%s", x);
    s->data = h5_scalar(H5_VSTRING, s->text);
}

/* n strings of one letter. */
static void letters(struct file *f, const char *name, const char *x)
{
    struct set *s = slot(f, name);

    snprintf(s->text, sizeof s->text, "%s", x);
    s->dim[0] = strlen(x);
    s->data = h5_array(H5_STRING, 1, s->dim, s->text);
    s->data.size = 1;
}

static void rows(struct file *f)
{
    double time[NROW], tint[NROW];
    int64_t ant1[NROW], ant2[NROW];

    for (int i = 0; i < NROW; i++) {
        time[i] = 2461066.3 + i / NPAIR * 12.9 / ASTRO_DAY_S;
        tint[i] = 12.9;
        ant1[i] = PAIR[i % NPAIR][0];
        ant2[i] = PAIR[i % NPAIR][1];
    }
    numbers(f, "Header/time_array", time, NROW, 0);
    numbers(f, "Header/integration_time", tint, NROW, 0);
    integers(f, "Header/ant_1_array", ant1, NROW);
    integers(f, "Header/ant_2_array", ant2, NROW);
}

static const double POS[NANT][3] = {
    {0, 0, 1}, {310, 20, 30}, {-5, 407, 9}, {100, -50, 212}, {3, 4, 5}};

/* u, v, w of the zenith: of the baselines between these positions (ITRF), `sign` 1 or -1 */
static void uvw(struct file *f, const double pos[NANT][3], double sign)
{
    const double enu[3][3] = {{-sin(LON), cos(LON), 0},
                              {-sin(LAT) * cos(LON), -sin(LAT) * sin(LON), cos(LAT)},
                              {cos(LAT) * cos(LON), cos(LAT) * sin(LON), sin(LAT)}};
    double x[NROW][3];

    for (int i = 0; i < NROW; i++)
        for (int k = 0; k < 3; k++) {
            const double *p = pos[PAIR[i % NPAIR][0]], *q = pos[PAIR[i % NPAIR][1]];

            x[i][k] = 0;
            for (int j = 0; j < 3; j++)
                x[i][k] += sign * enu[k][j] * (q[j] - p[j]);
        }
    numbers(f, "Header/uvw_array", x[0], NROW, 3);
}

static void plain(struct file *f)
{
    static const int64_t number_of[NANT] = {0, 1, 2, 3, 7}, pol[NPOL] = {-5, -6};
    static const double freq[NCHAN] = {1.4003e9, 1.4002e9, 1.4001e9, 1.4e9};

    memset(f, 0, sizeof *f);
    f->samples = H5_C64;
    text(f, "Header/version", "1.1");
    text(f, "Header/telescope_name", "DSA11");
    number(f, "Header/latitude", LAT / ASTRO_DEG);
    number(f, "Header/longitude", LON / ASTRO_DEG);
    number(f, "Header/altitude", 1222);
    number(f, "Header/Nblts", NROW);
    number(f, "Header/Nfreqs", NCHAN);
    number(f, "Header/Npols", NPOL);
    integers(f, "Header/antenna_numbers", number_of, NANT);
    numbers(f, "Header/antenna_positions", POS[0], NANT, 3);
    integers(f, "Header/polarization_array", pol, NPOL);
    numbers(f, "Header/freq_array", freq, 1, NCHAN);
    number(f, "Header/channel_width", -1e5);
    text(f, "Header/phase_type", "drift");
    rows(f);
    uvw(f, POS, 1);
}

static void make(const char *path, const struct file *f)
{
    static double complex wide[NROW * NCHAN * NPOL];
    static float complex narrow[NROW * NCHAN * NPOL];
    const size_t four[4] = {NROW, 1, NCHAN, NPOL}, three[3] = {NROW, NCHAN, NPOL};
    struct h5_dataset data;
    struct h5 *h5;
    struct err e;

    for (int i = 0; i < NROW * NCHAN * NPOL; i++)
        narrow[i] = (float complex)(wide[i] = i + 1 - 0.25 * I);
    data = h5_array(f->samples, f->flat ? 3 : 4, f->flat ? three : four,
                    f->samples == H5_C64 ? (const void *)narrow : wide);
    unlink(path);
    assert_int_equal(h5_create(&h5, path, &e), 0);
    for (size_t i = 0; i < f->n; i++) {
        struct h5_dataset set = f->set[i].data;

        set.dim = f->set[i].dim;
        if (set.type == H5_STRING || set.type == H5_VSTRING)
            set.data = f->set[i].text;
        else
            set.data = set.type == H5_I64 ? (const void *)f->set[i].i64
                                          : (const void *)f->set[i].f64;
        if (h5_write(h5, f->set[i].name, set, &e) != 0)
            fail_msg("%s", e.text);
    }
    assert_int_equal(h5_write(h5, "Data/visdata", data, &e), 0);
    assert_int_equal(h5_close(h5, &e), 0);
}

/* ---- what is wrong with them ---- */

static void turned(struct file *f, const double matrix[3][3])
{
    double pos[NANT][3];

    for (int a = 0; a < NANT; a++)
        for (int k = 0; k < 3; k++)
            pos[a][k] = matrix[k][0] * POS[a][0] + matrix[k][1] * POS[a][1] +
                        matrix[k][2] * POS[a][2];
    numbers(f, "Header/antenna_positions", pos[0], NANT, 3);
}

static void positions_enu(struct file *f)
{
    const double enu[3][3] = {{-sin(LON), cos(LON), 0},
                              {-sin(LAT) * cos(LON), -sin(LAT) * sin(LON), cos(LAT)},
                              {cos(LAT) * cos(LON), cos(LAT) * sin(LON), sin(LAT)}};

    turned(f, enu);
}

static void positions_local(struct file *f)
{
    const double local[3][3] = {
        {cos(LON), sin(LON), 0}, {-sin(LON), cos(LON), 0}, {0, 0, 1}};

    turned(f, local);
}

static void positions_off(struct file *f)
{
    double pos[NANT][3];

    memcpy(pos, POS, sizeof pos);
    pos[1][2] += 12;
    numbers(f, "Header/antenna_positions", pos[0], NANT, 3);
}

static void uvw_backwards(struct file *f)
{
    uvw(f, POS, -1);
}

static void position_of(struct file *f, int ant, double x)
{
    double pos[NANT][3];

    memcpy(pos, POS, sizeof pos);
    pos[ant][1] = x;
    numbers(f, "Header/antenna_positions", pos[0], NANT, 3);
}

static void position_nan(struct file *f)
{
    position_of(f, 3, NAN);
}

static void position_far(struct file *f)
{
    position_of(f, 2, 1e300);
}

static void altitude(struct file *f)
{
    number(f, "Header/altitude", 1e300);
}

static void latitude(struct file *f)
{
    number(f, "Header/latitude", 91);
}

static void dish_small(struct file *f)
{
    number(f, "Header/antenna_diameters", 1e-300);
}

static void dish_large(struct file *f)
{
    number(f, "Header/antenna_diameters", 1e6);
}

static void units_kelvin(struct file *f)
{
    text(f, "Header/vis_units", "K str");
}

static void sum_in_jy(struct file *f)
{
    text(f, "Header/vis_units", "Jy");
    text(f, "Header/pol_convention", "sum");
}

static void frame_moon(struct file *f)
{
    text(f, "Header/telescope_frame", "mcmf");
}

static void sphere(struct file *f)
{
    text(f, "Header/ellipsoid", "SPHERE");
}

static void clock_tai(struct file *f)
{
    text(f, "Header/timesys", "TAI");
}

static void x_of_nowhere(struct file *f)
{
    text(f, "Header/x_orientation", "up");
}

static void flexible_pols(struct file *f)
{
    static const int64_t pol = -5;

    integers(f, "Header/flex_spw_polarization_array", &pol, 1);
}

static void feeds_of_another_kind(struct file *f)
{
    letters(f, "Header/feed_array", "rlrlrlrlrl");
}

static void mount_in_orbit(struct file *f)
{
    struct set *s = slot(f, "Header/mount_type");

    memcpy(s->text, "fixed\0\0\0fixed\0\0\0fixed\0\0\0orbitingfixed\0\0\0", 40);
    s->dim[0] = NANT;
    s->data = h5_array(H5_STRING, 1, s->dim, s->text);
    s->data.size = 8;
}

static void factors_in_jy(struct file *f)
{
    double x[NANT * NCHAN];

    for (int i = 0; i < NANT * NCHAN; i++)
        x[i] = i == 9 ? 2 : 1;
    text(f, "Header/vis_units", "Jy");
    numbers(f, "Header/eq_coeffs", x, NANT, NCHAN);
}

static void pol_twice(struct file *f)
{
    integers(f, "Header/polarization_array", (const int64_t[]){-6, -6}, 2);
}

static void pol_unknown(struct file *f)
{
    integers(f, "Header/polarization_array", (const int64_t[]){-6, 7}, 2);
}

static void channels_overlap(struct file *f)
{
    number(f, "Header/channel_width", 1.2e5);
}

static void channel_twice(struct file *f)
{
    static const double freq[NCHAN] = {1.4e9, 1.41e9, 1.42e9, 1.41e9};

    numbers(f, "Header/freq_array", freq, NCHAN, 0);
}

static void frequency_too_many(struct file *f)
{
    static const double freq[NCHAN + 1] = {1.4e9, 1.41e9, 1.42e9, 1.43e9, 1.44e9};

    numbers(f, "Header/freq_array", freq, NCHAN + 1, 0);
}

static void count_wrong(struct file *f)
{
    number(f, "Header/Nblts", NROW + 1);
}

static void no_times(struct file *f)
{
    drop(f, "Header/time_array");
}

static void time_seconds(struct file *f)
{
    slot(f, "Header/time_array")->f64[4] = 5.1e9;
}

static void integration_zero(struct file *f)
{
    slot(f, "Header/integration_time")->f64[4] = 0;
}

static void antenna_unknown(struct file *f)
{
    slot(f, "Header/ant_2_array")->i64[4] = 4;
}

static void antenna_twice(struct file *f)
{
    slot(f, "Header/antenna_numbers")->i64[4] = 2;
}

static void antenna_huge(struct file *f)
{
    slot(f, "Header/antenna_numbers")->i64[4] = INT64_C(1) << 40;
}

static void only_autos(struct file *f)
{
    integers(f, "Header/ant_2_array", slot(f, "Header/ant_1_array")->i64, NROW);
}

static void phase_sideways(struct file *f)
{
    text(f, "Header/phase_type", "sideways");
}

/* A catalogue of one entry, as text; all rows have this id. */
static void catalogue(struct file *f, int64_t id, const char *json)
{
    int64_t all[NROW];

    for (int i = 0; i < NROW; i++)
        all[i] = id;
    integers(f, "Header/phase_center_id_array", all, NROW);
    text(f, "Header/phase_center_catalog", json);
}

static void json_torn(struct file *f)
{
    catalogue(f, 0, "{\"zenith\": {\"cat_id\": 0, ");
}

static void json_of_another_id(struct file *f)
{
    catalogue(f, 1, "{\"zenith\": {\"cat_id\": 0, \"cat_type\": \"unprojected\"}}");
}

static void json_ephemeris(struct file *f)
{
    catalogue(f, 0, "{\"Sun\": {\"cat_id\": 0, \"cat_type\": \"ephem\"}}");
}

static void json_moving(struct file *f)
{
    catalogue(f, 0,
              "{\"star\": {\"cat_id\": 0, \"cat_type\": \"sidereal\", \"cat_lon\": 1, "
              "\"cat_lat\": 0.5, \"cat_frame\": \"icrs\", \"cat_pm_ra\": 3.5}}");
}

static void json_fk4(struct file *f)
{
    catalogue(f, 0,
              "{\"star\": {\"cat_id\": 0, \"cat_type\": \"sidereal\", \"cat_lon\": 1, "
              "\"cat_lat\": 0.5, \"cat_frame\": \"fk4\", \"cat_epoch\": 1950}}");
}

static void two_centres(struct file *f)
{
    catalogue(f, 0, "{\"zenith\": {\"cat_id\": 0, \"cat_type\": \"unprojected\"}}");
    slot(f, "Header/phase_center_id_array")->i64[3] = 1;
}

static void one_refused_file_for_each_reason(void **state)
{
    static const struct {
        void (*spoil)(struct file *);
        const char *say;
    } reason[] = {
        {positions_enu, "the positions look like east, north, up"},
        {positions_local, "turned to the local meridian"},
        {positions_off, "uvw_array contradicts antenna_positions by"},
        {uvw_backwards, "antenna 1 minus antenna 2"},
        {position_nan, "antenna_positions: antenna 3 is at (100, nan, 212) m"},
        {position_far, "antenna_positions: antenna 2 is at"},
        {altitude, "no such place"},
        {latitude, "no such place"},
        {dish_small, "antenna_diameters: 1e-300 m"},
        {dish_large, "antenna_diameters: 1e+06 m"},
        {units_kelvin, "vis_units: 'K str'"},
        {sum_in_jy, "pol_convention: 'sum'"},
        {frame_moon, "telescope_frame: 'mcmf'"},
        {sphere, "ellipsoid: 'SPHERE'"},
        {clock_tai, "timesys: 'TAI'"},
        {x_of_nowhere, "x_orientation: 'up'"},
        {flexible_pols, "flex_spw_polarization_array"},
        {feeds_of_another_kind, "feed_array: a feed 'r' contradicts"},
        {mount_in_orbit, "mount_type: 'orbiting'"},
        {factors_in_jy, "eq_coeffs: samples in Jy with a factor of 2"},
        {pol_twice, "polarization_array: -6 stands there twice"},
        {pol_unknown, "polarization_array: 7 is no AIPS code"},
        {channels_overlap, "channel_width: channels 120 kHz wide are 100 kHz apart"},
        {channel_twice, "freq_array: 1410.000000 MHz stands there twice"},
        {frequency_too_many, "freq_array: has 5 values instead of 4"},
        {count_wrong, "but Header/Nblts is 22"},
        {no_times, "has no Header/time_array"},
        {time_seconds, "time_array: 5.1e+09 is no Julian date"},
        {integration_zero, "integration_time: 0 s cannot be"},
        {antenna_unknown, "a baseline has antenna 4"},
        {antenna_twice, "antenna_numbers: 2 stands there twice"},
        {antenna_huge, "antenna_numbers: 1099511627776 cannot be"},
        {only_autos, "has no cross-correlations"},
        {phase_sideways, "phase_type: unknown type 'sideways'"},
        {json_torn, "phase_center_catalog: not JSON"},
        {json_of_another_id, "phase_center_catalog: has no phase centre 1"},
        {json_ephemeris, "type 'ephem' is not supported"},
        {json_moving, "a phase centre that moves"},
        {json_fk4, "frame fk4 of epoch 1950"},
        {two_centres, "more than one phase centre"},
    };
    static struct file f;
    struct uvh5_info info;
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < sizeof reason / sizeof reason[0]; i++) {
        int rc;

        plain(&f);
        reason[i].spoil(&f);
        make("a.hdf5", &f);
        rc = uvh5_info("a.hdf5", &info, &e);
        if ((rc != ERR_FORMAT && rc != ERR_SHAPE) ||
            strstr(e.text, "a.hdf5: ") == NULL || strstr(e.text, reason[i].say) == NULL)
            fail_msg("%s: %d %s", reason[i].say, rc, rc == 0 ? "is read" : e.text);
    }
}

/* ---- what looks odd and is right ---- */

static void nothing(struct file *f)
{
    (void)f;
}

static void unused_nan(struct file *f)
{
    position_of(f, 4, NAN);
}

static void no_uvw(struct file *f)
{
    drop(f, "Header/uvw_array");
}

static void backwards_before_versions(struct file *f)
{
    uvw(f, POS, -1);
    drop(f, "Header/version");
}

static void wide_samples(struct file *f)
{
    f->samples = H5_C128;
}

static void three_deep(struct file *f)
{
    static const double freq[NCHAN] = {1.4e9, 1.4001e9, 1.4002e9, 1.4003e9};
    static const double width[NCHAN] = {1e5, 1e5, -1e5, 1e5};

    f->flat = 1;
    numbers(f, "Header/freq_array", freq, NCHAN, 0);
    numbers(f, "Header/channel_width", width, NCHAN, 0);
}

static void all_that_is_optional(struct file *f)
{
    text(f, "Header/vis_units", "uncalib");
    text(f, "Header/pol_convention", "sum"); /* gains take the 2 with them */
    text(f, "Header/telescope_frame", "ITRS");
    text(f, "Header/timesys", "UTC");
    text(f, "Header/x_orientation", "EAST");
    text(f, "Header/blt_order", "time, baseline");
    letters(f, "Header/feed_array", "xyxyxyxyxy");
    integers(f, "Header/flex_spw_id_array", (const int64_t[]){1, 1, 2, 2}, NCHAN);
    number(f, "Header/antenna_diameters", 4.65);
}

static void json_by_name(struct file *f)
{
    catalogue(f, 3,
              "{\"other\": {\"cat_id\": 0, \"cat_type\": \"ephem\"}, \"zenith\": "
              "{\"cat_id\": 3, \"cat_type\": \"unprojected\"}}");
}

static void json_by_id(struct file *f)
{
    catalogue(f, 3,
              "{\"3\": {\"cat_name\": \"zenith\", \"cat_type\": \"unprojected\"}}");
}

static void what_looks_odd_and_is_right_is_read(void **state)
{
    static void (*const change[])(struct file *) = {
        nothing,     unused_nan,           no_uvw,       backwards_before_versions,
        three_deep,  all_that_is_optional, json_by_name, json_by_id,
        wide_samples};
    const char *const path[1] = {"a.hdf5"};
    const struct uvh5_opts opts = {0};
    static struct file f;
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < sizeof change / sizeof change[0]; i++) {
        struct vis *vis;

        plain(&f);
        change[i](&f);
        make("a.hdf5", &f);
        if (uvh5_read_group(&vis, path, 1, &opts, &e) != 0)
            fail_msg("%zu: %s", i, e.text);
        assert_true(vis->nrow == NTIME * 4 && vis->nchan == NCHAN);
        assert_int_equal(vis->phasing, VIS_UNPHASED);
        /* row 0 is pair 1; the lowest channel is the last of a descending file */
        assert_true(crealf(vis->data[0]) == (change[i] == three_deep ? 9 : 15));
        assert_true(vis->freq_hz[1] - vis->freq_hz[0] == 1e5);
        vis_free(vis);
    }
}

static void members_of_two_conventions_disagree(void **state)
{
    static const struct {
        const char *name, *one, *two, *say;
    } key[] = {
        {"Header/pol_convention", "sum", "avg", "disagree in pol_convention"},
        {"Header/x_orientation", "east", "north", "disagree in x_orientation"},
    };
    const char *const path[2] = {"a.hdf5", "b.hdf5"};
    static const double freq[NCHAN] = {1.41e9, 1.4101e9, 1.4102e9, 1.4103e9};
    const struct uvh5_opts opts = {0};
    static struct file f;
    struct vis *vis;
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        plain(&f);
        if (i < 2)
            text(&f, key[i].name, key[i].one);
        make(path[0], &f);
        numbers(&f, "Header/freq_array", freq, NCHAN, 0);
        if (i < 2)
            text(&f, key[i].name, key[i].two);
        else
            slot(&f, "Header/integration_time")->f64[9] *= 2; /* of one row */
        make(path[1], &f);
        assert_int_equal(uvh5_read_group(&vis, path, 2, &opts, &e), ERR_SHAPE);
        if (strstr(e.text, i < 2 ? key[i].say : "disagree in integration_time") == NULL)
            fail_msg("%s", e.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(one_refused_file_for_each_reason),
        OWN_DIR(what_looks_odd_and_is_right_is_read),
        OWN_DIR(members_of_two_conventions_disagree),
    };

    return cmocka_run_group_tests_name("uvh5_refused", tests, NULL, NULL);
}
