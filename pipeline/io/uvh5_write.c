#include "pipeline/io/uvh5_write.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"
#include "pipeline/io/h5.h"
#include "pipeline/sky/stations.h"

static const double DISH_M = 4.65;

/* A file being written: after the first failure later calls do nothing. */
struct writer {
    const struct uvh5_sub *sub;
    struct h5 *h5;
    size_t nbl, nrow;
    double site_m[3];
    struct err *e;
    int rc;
};

/* ---- small things ---- */

static void put_f64(struct writer *w, const char *name, double value)
{
    if (w->rc == 0)
        w->rc = h5_write(w->h5, name, h5_scalar(H5_F64, &value), w->e);
}

static void put_i64(struct writer *w, const char *name, size_t value)
{
    int64_t v = (int64_t)value;

    if (w->rc == 0)
        w->rc = h5_write(w->h5, name, h5_scalar(H5_I64, &v), w->e);
}

static void put_bytes(struct writer *w, const char *name, const char *text)
{
    if (w->rc == 0)
        w->rc = h5_write(w->h5, name, h5_bytes(text, strlen(text)), w->e);
}

static void put_text(struct writer *w, const char *name, const char *text)
{
    if (w->rc == 0)
        w->rc = h5_write(w->h5, name, h5_scalar(H5_VSTRING, text), w->e);
}

static void put_array(struct writer *w, const char *name, enum h5_type type, int ndim,
                      size_t d0, size_t d1, const void *data)
{
    size_t dim[2] = {d0, d1};

    if (w->rc == 0)
        w->rc = h5_write(w->h5, name, h5_array(type, ndim, dim, data), w->e);
}

/* ---- chunks ---- */

void uvh5_chunk(int ndim, const size_t *dim, size_t element, size_t *chunk)
{
    const double least = 8 << 10, most = 1 << 20;
    double all = (double)element, target, bytes;

    for (int i = 0; i < ndim; i++) {
        chunk[i] = i == 0 ? 1024 : dim[i];
        all *= (double)chunk[i];
    }
    target = (16 << 10) * exp2(log10(all / most));
    target = fmin(fmax(target, least), most);
    bytes = all;
    for (int i = 0; bytes > (double)element; i = (i + 1) % ndim) {
        if (bytes < most && bytes < 1.5 * target)
            break;
        bytes /= (double)chunk[i];
        chunk[i] = (chunk[i] + 1) / 2;
        bytes *= (double)chunk[i];
    }
}

/* ---- arrays with a row for every baseline and integration ---- */

/* An empty array [0][...] that put_rows fills. */
static void grow(struct writer *w, const char *name, enum h5_type type, size_t element,
                 int ndim, const size_t *dim)
{
    struct h5_dataset set = h5_array(type, ndim, dim, NULL);
    size_t chunk[H5_MAXDIM];

    uvh5_chunk(ndim, dim, element, chunk);
    set.chunk = chunk;
    if (w->rc == 0)
        w->rc = h5_write(w->h5, name, set, w->e);
}

static void grow_1d(struct writer *w, const char *name, enum h5_type type)
{
    const size_t dim[H5_MAXDIM] = {0};

    grow(w, name, type, 8, 1, dim); /* all of them hold 8-byte numbers */
}

static void put_rows(struct writer *w, const char *name, enum h5_type type,
                     const void *data)
{
    if (w->rc == 0)
        w->rc = h5_append(w->h5, name, type, w->nrow, data, w->e);
}

static void *make(struct writer *w, size_t n, size_t size)
{
    void *p = NULL;

    if (w->rc == 0 && (p = calloc(n, size)) == NULL)
        w->rc =
            err_set(w->e, -ENOMEM, "no memory for %zu bytes of a UVH5 file", n * size);
    return p;
}

/* Antenna index (0-based number) of each row; which = 1 or 2. */
static void put_ant(struct writer *w, const char *name, int which)
{
    const struct uvh5_sub *s = w->sub;
    int64_t *ant = make(w, w->nrow, sizeof *ant);
    size_t row = 0;

    if (ant == NULL)
        return;
    for (size_t t = 0; t < s->ntime; t++)
        for (size_t i = 0; i < s->nant; i++)
            for (size_t j = 0; j <= i; j++)
                ant[row++] = s->number[which == 1 ? j : i] - 1;
    put_rows(w, name, H5_I64, ant);
    free(ant);
}

static double time_jd(const struct uvh5_sub *s, size_t t)
{
    return s->t0_jd + (double)t * s->tint_s / ASTRO_DAY_S;
}

/* One number an integration, repeated for its rows. */
static void put_times(struct writer *w, const char *name,
                      double (*value)(const struct uvh5_sub *, size_t t))
{
    double *x = make(w, w->nrow, sizeof *x);

    if (x == NULL)
        return;
    for (size_t t = 0; t < w->sub->ntime; t++) {
        double v = value(w->sub, t);

        for (size_t b = 0; b < w->nbl; b++)
            x[t * w->nbl + b] = v;
    }
    put_rows(w, name, H5_F64, x);
    free(x);
}

static double length_s(const struct uvh5_sub *s, size_t t)
{
    (void)t;
    return s->tint_s;
}

static double lst_rad(const struct uvh5_sub *s, size_t t)
{
    return astro_lst(time_jd(s, t), s->earth.dut1_s, s->site.lon_rad);
}

/* Apparent direction of the tracked position; from the direction in ITRF: right ascension =
 * sidereal time - hour angle. */
static double app_dec_rad(const struct uvh5_sub *s, size_t t)
{
    struct astro_epoch ep;
    double v[3];

    astro_epoch_init(&ep, time_jd(s, t), &s->earth, &s->site);
    astro_icrs_to_itrf(&ep, s->ra_rad, s->dec_rad, v);
    return asin(v[2]);
}

static double app_ra_rad(const struct uvh5_sub *s, size_t t)
{
    struct astro_epoch ep;
    double v[3], ra;

    astro_epoch_init(&ep, time_jd(s, t), &s->earth, &s->site);
    astro_icrs_to_itrf(&ep, s->ra_rad, s->dec_rad, v);
    ra = lst_rad(s, t) - s->site.lon_rad + atan2(v[1], v[0]);
    return ra - 2 * M_PI * floor(ra / (2 * M_PI));
}

/* Rows of (u, v, w) of the stop direction.  4-D: for hour angle 0, one set for all times. */
static void uvw_basis(const struct uvh5_sub *s, size_t t, double basis[3][3])
{
    double lon = s->site.lon_rad, dec = s->dec_app_rad;
    struct astro_epoch ep;

    if (s->layout == UVH5_3D) {
        astro_epoch_init(&ep, time_jd(s, t), &s->earth, &s->site);
        astro_uvw_basis(&ep, s->ra_rad, s->dec_rad, basis);
        return;
    }
    basis[0][0] = -sin(lon), basis[0][1] = cos(lon), basis[0][2] = 0;
    basis[1][0] = -sin(dec) * cos(lon), basis[1][1] = -sin(dec) * sin(lon);
    basis[1][2] = cos(dec);
    basis[2][0] = cos(dec) * cos(lon), basis[2][1] = cos(dec) * sin(lon);
    basis[2][2] = sin(dec);
}

static void put_uvw(struct writer *w)
{
    const struct uvh5_sub *s = w->sub;
    float *uvw = make(w, 3 * w->nrow, sizeof *uvw), *row = uvw;
    double basis[3][3], pos[STATION_COUNT][3], own[3];

    if (uvw == NULL)
        return;
    for (size_t t = 0; t < s->ntime; t++) {
        uvw_basis(s, t, basis);
        for (size_t i = 0; i < s->nant; i++) {
            station_itrf(s->number[i], w->site_m, own);
            for (int k = 0; k < 3; k++)
                pos[i][k] =
                    basis[k][0] * own[0] + basis[k][1] * own[1] + basis[k][2] * own[2];
        }
        for (size_t i = 0; i < s->nant; i++)
            for (size_t j = 0; j <= i; j++, row += 3)
                for (int k = 0; k < 3; k++)
                    row[k] = (float)(pos[i][k] - pos[j][k]);
    }
    put_rows(w, "Header/uvw_array", H5_F32, uvw);
    free(uvw);
}

/* ---- the telescope ---- */

/* All 117 stations, with or without data. */
static void put_antenna_names(struct writer *w)
{
    char name[STATION_COUNT][4] = {{0}}, text[16];
    size_t n = STATION_COUNT;
    struct h5_dataset set = h5_array(H5_STRING, 1, &n, name);

    set.size = sizeof name[0];
    for (int i = 0; i < STATION_COUNT; i++) {
        snprintf(text, sizeof text, "%d", i + 1);
        memcpy(name[i], text, strlen(text)); /* no NUL when it fills its 4 bytes */
    }
    if (w->rc == 0)
        w->rc = h5_write(w->h5, "Header/antenna_names", set, w->e);
}

static void put_antenna_numbers(struct writer *w)
{
    int64_t index[STATION_COUNT];

    for (int i = 0; i < STATION_COUNT; i++)
        index[i] = i;
    put_array(w, "Header/antenna_numbers", H5_I64, 1, STATION_COUNT, 0, index);
}

static void put_diameters(struct writer *w)
{
    double diameter[STATION_COUNT];

    for (int i = 0; i < STATION_COUNT; i++)
        diameter[i] = DISH_M;
    put_array(w, "Header/antenna_diameters", H5_F64, 1, STATION_COUNT, 0, diameter);
}

static void put_positions(struct writer *w)
{
    double pos[STATION_COUNT][3];

    for (int i = 0; i < STATION_COUNT; i++)
        station_itrf(i + 1, w->site_m, pos[i]);
    put_array(w, "Header/antenna_positions", H5_F64, 2, STATION_COUNT, 3, pos);
}

/* Cable delays that the F-engine has applied, as text; made up, but of
 * their length. */
static void put_delays(struct writer *w)
{
    char text[2 * STATION_COUNT * 5 + 1];
    size_t at = 0;

    for (int i = 1; i <= STATION_COUNT; i++)
        for (int p = 0; p < 2; p++)
            at += (size_t)snprintf(text + at, sizeof text - at, at > 0 ? " %d" : "%d",
                                   1000 + 20 * i + 4 * p);
    put_bytes(w, "Header/extra_keywords/applied_delays_ns", text);
}

static void put_identity(struct writer *w)
{
    const struct uvh5_sub *s = w->sub;
    char when[20], text[128];

    /* The observation's time, not today's: the same simulation gives the same bytes. */
    astro_jd_to_iso(s->t0_jd - 0.5 * s->tint_s / ASTRO_DAY_S, when);
    snprintf(text, sizeof text, "made by uvh5sim, layout of dsa110-meridian-fs, on %s",
             when);
    put_f64(w, "Header/latitude", s->site.lat_rad / ASTRO_DEG);
    put_f64(w, "Header/longitude", s->site.lon_rad / ASTRO_DEG);
    put_f64(w, "Header/altitude", s->site.alt_m);
    put_bytes(w, "Header/telescope_name", "OVRO_MMA");
    put_bytes(w, "Header/instrument", "DSA");
    put_bytes(w, "Header/object_name", "search");
    put_bytes(w, "Header/history", text);
    put_bytes(w, "Header/phase_type", s->layout == UVH5_4D ? "drift" : "phased");
}

static void put_axes(struct writer *w)
{
    static const int64_t two[] = {-5, -6},
                         four[] = {-5, -7, -8, -6}; /* AIPS memo 117 */
    const struct uvh5_sub *s = w->sub;
    const int64_t spw = 1;
    double width[UVH5_MAXCHAN];

    if (s->layout == UVH5_4D) {
        put_array(w, "Header/freq_array", H5_F64, 2, 1, s->nchan, s->freq_hz);
        put_f64(w, "Header/channel_width", s->width_hz);
    } else {
        for (size_t i = 0; i < s->nchan; i++)
            width[i] = s->width_hz;
        put_array(w, "Header/freq_array", H5_F64, 1, s->nchan, 0, s->freq_hz);
        put_array(w, "Header/channel_width", H5_F64, 1, s->nchan, 0, width);
    }
    put_array(w, "Header/spw_array", H5_I64, 1, 1, 0, &spw);
    put_array(w, "Header/polarization_array", H5_I64, 1, s->npol, 0,
              s->npol == 4 ? four : two);
}

/* ---- where it looks ---- */

static void put_meridian(struct writer *w)
{
    put_f64(w, "Header/extra_keywords/phase_center_dec", w->sub->dec_app_rad);
    put_f64(w, "Header/extra_keywords/ha_phase_center", 0);
    put_text(w, "Header/extra_keywords/phase_center_epoch", "HADEC");
    put_bytes(w, "Header/extra_keywords/fs_table", "fringestopping_table.npz");
}

static void put_sidereal(struct writer *w)
{
    put_text(w, "Header/version", "1.1");
    put_i64(w, "Header/Nphase", 1);
    put_text(w, "Header/phase_center_catalog/0/cat_name", "mid-field");
    put_text(w, "Header/phase_center_catalog/0/cat_type", "sidereal");
    put_text(w, "Header/phase_center_catalog/0/cat_frame", "icrs");
    put_f64(w, "Header/phase_center_catalog/0/cat_lon", w->sub->ra_rad);
    put_f64(w, "Header/phase_center_catalog/0/cat_lat", w->sub->dec_rad);
    put_f64(w, "Header/phase_center_catalog/0/cat_epoch", 2000);
    grow_1d(w, "Header/phase_center_id_array", H5_I64);
    grow_1d(w, "Header/phase_center_app_ra", H5_F64);
    grow_1d(w, "Header/phase_center_app_dec", H5_F64);
    grow_1d(w, "Header/lst_array", H5_F64);
}

/* ---- samples ---- */

static void grow_samples(struct writer *w, const char *name, enum h5_type type,
                         size_t element)
{
    const struct uvh5_sub *s = w->sub;
    size_t four[4] = {0, 1, s->nchan, s->npol}, three[3] = {0, s->nchan, s->npol};

    if (s->layout == UVH5_4D)
        grow(w, name, type, element, 4, four);
    else
        grow(w, name, type, element, 3, three);
}

/* The order in which the telescope's writer makes things, which decides the size. */
static void put_structure(struct writer *w)
{
    const struct uvh5_sub *s = w->sub;
    const size_t three[2] = {0, 3};

    put_identity(w);
    if (s->layout == UVH5_4D)
        put_f64(w, "Header/phase_center_app_dec", s->dec_app_rad);
    put_i64(w, "Header/Nants_data", s->nant);
    put_i64(w, "Header/Nants_telescope", STATION_COUNT);
    put_diameters(w);
    grow_1d(w, "Header/ant_1_array", H5_I64);
    grow_1d(w, "Header/ant_2_array", H5_I64);
    put_antenna_names(w);
    put_antenna_numbers(w);
    put_i64(w, "Header/Nbls", w->nbl);
    put_i64(w, "Header/Nblts", w->nrow);
    put_i64(w, "Header/Nfreqs", s->nchan);
    put_i64(w, "Header/Npols", s->npol);
    put_i64(w, "Header/Ntimes", s->ntime);
    put_i64(w, "Header/Nspws", 1);
    grow(w, "Header/uvw_array", H5_F32, 4, 2, three);
    grow_1d(w, "Header/time_array", H5_F64);
    grow_1d(w, "Header/integration_time", H5_F64);
    put_axes(w);
    put_positions(w);
    if (s->layout == UVH5_4D)
        put_meridian(w);
    else
        put_sidereal(w);
    put_delays(w);
    grow_samples(w, "Data/visdata", H5_C64, sizeof *s->data);
    grow_samples(w, "Data/flags", H5_BOOL, 1);
    grow_samples(w, "Data/nsamples", H5_F32, sizeof(float));
}

static void put_metadata(struct writer *w)
{
    int64_t *id = NULL;

    put_times(w, "Header/time_array", time_jd);
    put_times(w, "Header/integration_time", length_s);
    put_uvw(w);
    put_ant(w, "Header/ant_1_array", 1);
    put_ant(w, "Header/ant_2_array", 2);
    if (w->sub->layout == UVH5_4D)
        return;
    put_times(w, "Header/phase_center_app_ra", app_ra_rad);
    put_times(w, "Header/phase_center_app_dec", app_dec_rad);
    put_times(w, "Header/lst_array", lst_rad);
    id = make(w, w->nrow, sizeof *id); /* zeros: entry 0 of the catalogue */
    if (id != NULL)
        put_rows(w, "Header/phase_center_id_array", H5_I64, id);
    free(id);
}

/* The correlator never flags. */
static void put_data(struct writer *w)
{
    size_t n = w->nrow * w->sub->nchan * w->sub->npol;
    unsigned char *flags = make(w, n, 1);
    float *nsamples;

    put_rows(w, "Data/visdata", H5_C64, w->sub->data);
    if (flags != NULL)
        put_rows(w, "Data/flags", H5_BOOL, flags);
    free(flags);
    nsamples = make(w, n, sizeof *nsamples);
    if (nsamples == NULL)
        return;
    for (size_t i = 0; i < n; i++)
        nsamples[i] = (float)w->sub->nsamples;
    put_rows(w, "Data/nsamples", H5_F32, nsamples);
    free(nsamples);
}

int uvh5_write(const char *path, const struct uvh5_sub *sub, struct err *e)
{
    struct writer w = {.sub = sub, .e = e, .nbl = sub->nant * (sub->nant + 1) / 2};
    int rc;

    if (sub->nant == 0 || sub->nant > STATION_COUNT || sub->nchan > UVH5_MAXCHAN)
        return err_set(e, ERR_SHAPE, "%s: %zu antennas and %zu channels do not fit",
                       path, sub->nant, sub->nchan);
    w.nrow = w.nbl * sub->ntime;
    astro_site_xyz(&sub->site, w.site_m);
    rc = h5_create(&w.h5, path, e);
    if (rc != 0)
        return rc;
    w.rc = h5_group(w.h5, "Header", e);
    if (w.rc == 0)
        w.rc = h5_group(w.h5, "Data", e);
    put_structure(&w);
    put_metadata(&w);
    put_data(&w);
    rc = h5_close(w.h5, w.rc == 0 ? e : NULL);
    if (w.rc == 0)
        w.rc = rc;
    if (w.rc != 0)
        unlink(path);
    return w.rc;
}
