/*
 * uvh5_header.c: read one UVH5 file's header and refuse what cannot be true.
 *
 * References: UVH5 memo (pyuvdata, docs/references), versions 0.1 to 1.2.
 */
#include "pipeline/io/uvh5_header.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/err.h"
#include "pipeline/io/h5.h"
#include "pipeline/io/uvh5_parts.h"

static const double SAME_TIME_DAY = 1e-7; /* 9 ms: one integration */
static const double MOST_ALT_M = 2e4;     /* above or below the ellipsoid */
static const double MOST_POS_M = 1.3e7;   /* the earth's diameter */
static const double LEAST_DISH_M = 0.05, MOST_DISH_M = 1000;

void uvh5_header_free_rows(struct uvh5_header *h)
{
    free(h->time_jd);
    free(h->tint_s);
    free(h->ant1);
    free(h->ant2);
    h->time_jd = h->tint_s = NULL;
    h->ant1 = h->ant2 = NULL;
}

void uvh5_header_free(struct uvh5_header *h)
{
    uvh5_header_free_rows(h);
    free(h->freq_hz);
    free(h->width_hz);
    free(h->order);
    free(h->ant_name);
    free(h->ant_number);
    free(h->ant_pos_m);
    free(h->ant_diameter_m);
}

static void *array(size_t n, size_t size)
{
    return calloc(n > 0 ? n : 1, size);
}

/* ---- small readers ---- */

static size_t count_of(const size_t *dim, int ndim)
{
    size_t n = 1;

    for (int i = 0; i < ndim; i++)
        n *= dim[i];
    return n;
}

int uvh5_read_one(const struct h5 *h5, const char *name, double *x, struct err *e)
{
    int rc = h5_read_f64(h5, name, x, 1, e);

    if (rc == 0 && !isfinite(*x))
        rc = err_set(e, ERR_FORMAT, "%s: %s: not a finite number", h5_path(h5), name);
    return rc;
}

int uvh5_read_label(const struct h5 *h5, const char *name, char *out, size_t size,
                    struct err *e)
{
    out[0] = '\0';
    return h5_has(h5, name) ? h5_read_text(h5, name, out, size, e) : 0;
}

/* An array of n values or one value for all. */
static int read_spread(const struct h5 *h5, const char *name, double *out, size_t n,
                       struct err *e)
{
    size_t dim[H5_MAXDIM];
    int ndim, rc = h5_shape(h5, name, dim, &ndim, e);

    if (rc != 0)
        return rc;
    if (count_of(dim, ndim) != 1 || n == 1)
        return h5_read_f64(h5, name, out, n, e);
    rc = h5_read_f64(h5, name, out, 1, e);
    for (size_t i = 1; rc == 0 && i < n; i++)
        out[i] = out[0];
    return rc;
}

/* ---- shape, site, antennas ---- */

/* visdata's extents, which the header's own counts must confirm. */
static int read_shape(const struct h5 *h5, struct uvh5_header *h, struct err *e)
{
    static const char *const count_name[] = {"Header/Nblts", "Header/Nfreqs",
                                             "Header/Npols"};
    size_t dim[H5_MAXDIM];
    int ndim, rc = h5_shape(h5, "Data/visdata", dim, &ndim, e);

    if (rc != 0)
        return rc == -ENOENT ? err_set(e, ERR_FORMAT,
                                       "%s: not UVH5, has no Data/visdata", h->path)
                             : rc;
    if (ndim == 4 && dim[1] == 1) {
        dim[1] = dim[2];
        dim[2] = dim[3];
        ndim = 3;
    }
    if (ndim != 3)
        return err_set(e, ERR_FORMAT,
                       "%s: Data/visdata: shape is neither [Nblts][Nfreqs][Npols] nor "
                       "[Nblts][1][Nfreqs][Npols]",
                       h->path);
    for (int k = 0; k < 3; k++) {
        int64_t want;

        rc = h5_read_i64(h5, count_name[k], &want, 1, e);
        if (rc != 0)
            return rc;
        if (want < 1 || (uint64_t)want != dim[k])
            return err_set(
                e, ERR_FORMAT, "%s: Data/visdata is [%zu][%zu][%zu], but %s is %lld",
                h->path, dim[0], dim[1], dim[2], count_name[k], (long long)want);
    }
    if (dim[0] > INT_MAX || dim[1] > INT_MAX || dim[2] > VIS_MAXPOL)
        return err_set(e, ERR_FORMAT,
                       "%s: %zu rows, %zu channels, %zu polarisations are "
                       "more than can be",
                       h->path, dim[0], dim[1], dim[2]);
    h->nblt = dim[0];
    h->info.nchan = dim[1];
    h->info.npol = dim[2];
    return 0;
}

/* A text of the header that must be this (or that, unless NULL) when it is there, whatever the
 * case. */
static int one_of(const struct h5 *h5, const char *name, const char *this,
                  const char *that, char out[32], struct err *e)
{
    int rc = uvh5_read_label(h5, name, out, 32, e);

    if (rc != 0 || out[0] == '\0' || strcasecmp(out, this) == 0 ||
        (that != NULL && strcasecmp(out, that) == 0))
        return rc;
    return err_set(e, ERR_FORMAT, "%s: %s: '%s' is not supported, only %s%s%s",
                   h5_path(h5), name, out, this, that != NULL ? " and " : "",
                   that != NULL ? that : "");
}

/* Feeds against polarisation codes: hands of circles and crosses of dipoles do not mix. */
static int check_feeds(const struct h5 *h5, const struct uvh5_header *h, struct err *e)
{
    static const char name[] = "Header/feed_array";
    size_t dim[H5_MAXDIM], n;
    int ndim, rc;
    char(*feed)[4];

    if (!h5_has(h5, name))
        return 0;
    if ((rc = h5_shape(h5, name, dim, &ndim, e)) != 0)
        return rc;
    n = count_of(dim, ndim);
    if (n > 2 * h->info.nant)
        return err_set(e, ERR_FORMAT, "%s: %s: %zu feeds for %zu antennas", h->path,
                       name, n, h->info.nant);
    feed = array(n, sizeof *feed);
    if (feed == NULL)
        return err_set(e, -ENOMEM, "%s: no memory for %zu feeds", h->path, n);
    rc = h5_read_texts(h5, name, feed[0], n, sizeof *feed, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        for (size_t p = 0; rc == 0 && p < h->info.npol; p++) {
            const char *want = h->info.pol[p] <= -5 ? "xyXY" : "rlRL";

            if (h->info.pol[p] < 0 && feed[i][0] != '\0' &&
                strchr(want, feed[i][0]) == NULL)
                rc = err_set(e, ERR_FORMAT,
                             "%s: %s: a feed '%s' contradicts polarisation code %d",
                             h->path, name, feed[i], h->info.pol[p]);
        }
    free(feed);
    return rc;
}

/* Factors that an antenna's digital part has put on its samples.  Gains take them with them;
 * samples in Jy have to be rid of them. */
static int check_eq_coeffs(const struct h5 *h5, const struct uvh5_header *h,
                           struct err *e)
{
    static const char name[] = "Header/eq_coeffs";
    size_t dim[H5_MAXDIM], n;
    double *factor;
    int ndim, rc;

    if (!h5_has(h5, name) || strcmp(h->info.unit, "Jy") != 0)
        return 0;
    if ((rc = h5_shape(h5, name, dim, &ndim, e)) != 0)
        return rc;
    n = count_of(dim, ndim);
    if (n > h->info.nant * h->info.nchan)
        return err_set(e, ERR_FORMAT,
                       "%s: %s: has %zu values for %zu antennas and %zu "
                       "channels",
                       h->path, name, n, h->info.nant, h->info.nchan);
    factor = array(n, sizeof *factor);
    if (factor == NULL)
        return err_set(e, -ENOMEM, "%s: no memory for %zu values", h->path, n);
    rc = h5_read_f64(h5, name, factor, n, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (factor[i] != 1)
            rc = err_set(e, ERR_FORMAT,
                         "%s: %s: samples in Jy with a factor of %g still in them are "
                         "not supported",
                         h->path, name, factor[i]);
    free(factor);
    return rc;
}

/* Mounts turn the feeds, which Stokes I does not show; an orbit moves the dish. */
static int check_mounts(const struct h5 *h5, const struct uvh5_header *h, struct err *e)
{
    static const char name[] = "Header/mount_type";
    size_t n = h->info.nant;
    char(*mount)[32];
    int rc;

    if (!h5_has(h5, name))
        return 0;
    mount = array(n, sizeof *mount);
    if (mount == NULL)
        return err_set(e, -ENOMEM, "%s: no memory for %zu antennas", h->path, n);
    rc = h5_read_texts(h5, name, mount[0], n, sizeof *mount, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (strcmp(mount[i], "orbiting") == 0)
            rc = err_set(e, ERR_FORMAT, "%s: %s: '%s' is not supported", h->path, name,
                         mount[i]);
    free(mount);
    return rc;
}

/*
 * What changes the meaning of every number (UVH5 memo, optional parameters): the unit; whether
 * Stokes I is the mean or the sum of the hands; the clock; polarisations that differ from window
 * to window; a position on another body, or on a sphere.  What cannot be honoured is refused by
 * its name.  blt_order, flex_spw_id_array and spw_array tell of an order that is not relied on.
 */
static int read_meaning(const struct h5 *h5, struct uvh5_header *h, struct err *e)
{
    static const char flex[] = "Header/flex_spw_polarization_array";
    char text[32];
    int rc;

    if ((rc = one_of(h5, "Header/vis_units", "Jy", "uncalib", text, e)) != 0)
        return rc;
    snprintf(h->info.unit, sizeof h->info.unit, "%s",
             strcasecmp(text, "Jy") == 0 ? "Jy" : "uncalib");
    if ((rc = one_of(h5, "Header/telescope_frame", "itrs", "itrf", text, e)) != 0 ||
        (rc = one_of(h5, "Header/ellipsoid", "WGS84", NULL, text, e)) != 0 ||
        (rc = one_of(h5, "Header/timesys", "UTC", NULL, text, e)) != 0 ||
        (rc = one_of(h5, "Header/x_orientation", "east", "north", h->info.x_orientation,
                     e)) != 0 ||
        (rc = one_of(h5, "Header/pol_convention", "avg", "sum", h->info.convention,
                     e)) != 0)
        return rc;
    if (strcmp(h->info.unit, "Jy") == 0) /* else gains take a factor of 2 with them */
        rc = one_of(h5, "Header/pol_convention", "avg", NULL, text, e);
    if (rc == 0 && h5_has(h5, flex))
        rc = err_set(e, ERR_FORMAT, "%s: %s: not supported", h->path, flex);
    if (rc == 0)
        rc = check_feeds(h5, h, e);
    if (rc == 0)
        rc = check_eq_coeffs(h5, h, e);
    return rc == 0 ? check_mounts(h5, h, e) : rc;
}

static int read_site(const struct h5 *h5, struct uvh5_header *h, struct err *e)
{
    struct site *site = &h->info.site;
    double lat, lon;
    int rc;

    if ((rc = uvh5_read_one(h5, "Header/latitude", &lat, e)) != 0 ||
        (rc = uvh5_read_one(h5, "Header/longitude", &lon, e)) != 0 ||
        (rc = uvh5_read_one(h5, "Header/altitude", &site->alt_m, e)) != 0 ||
        (rc = uvh5_read_label(h5, "Header/telescope_name", h->info.telescope,
                              sizeof h->info.telescope, e)) != 0 ||
        (rc = uvh5_read_label(h5, "Header/instrument", h->info.instrument,
                              sizeof h->info.instrument, e)) != 0 ||
        (rc = uvh5_read_label(h5, "Header/object_name", h->info.object,
                              sizeof h->info.object, e)) != 0)
        return rc;
    if (fabs(lat) > 90 || fabs(lon) > 360 || fabs(site->alt_m) > MOST_ALT_M)
        return err_set(
            e, ERR_FORMAT,
            "%s: no such place: latitude %g, longitude %g deg, altitude %g m", h->path,
            lat, lon, site->alt_m);
    h->info.dut1_s = NAN;
    if (h5_has(h5, "Header/dut1") &&
        (rc = h5_read_f64(h5, "Header/dut1", &h->info.dut1_s, 1, e)) != 0)
        return rc;
    site->lat_rad = lat * ASTRO_DEG;
    site->lon_rad = lon * ASTRO_DEG;
    return 0;
}

/* Names are for people only; where there are none, numbers stand in. */
static int read_ant_names(const struct h5 *h5, struct uvh5_header *h, struct err *e)
{
    if (h5_has(h5, "Header/antenna_names"))
        return h5_read_texts(h5, "Header/antenna_names", h->ant_name[0], h->info.nant,
                             VIS_NAME, e);
    for (size_t i = 0; i < h->info.nant; i++)
        snprintf(h->ant_name[i], VIS_NAME, "%lld", (long long)h->ant_number[i]);
    return 0;
}

static int read_antennas(const struct h5 *h5, struct uvh5_header *h, struct err *e)
{
    size_t dim[H5_MAXDIM], n;
    int ndim, rc = h5_shape(h5, "Header/antenna_numbers", dim, &ndim, e);

    if (rc != 0)
        return rc;
    h->info.nant = n = count_of(dim, ndim);
    if (n < 2 || n > USHRT_MAX)
        return err_set(e, ERR_FORMAT, "%s: %zu antennas are not an array", h->path, n);
    h->ant_number = array(n, sizeof *h->ant_number);
    h->ant_name = array(n, sizeof *h->ant_name);
    h->ant_pos_m = array(n, sizeof *h->ant_pos_m);
    h->ant_diameter_m = array(n, sizeof *h->ant_diameter_m);
    if (!h->ant_number || !h->ant_name || !h->ant_pos_m || !h->ant_diameter_m)
        return err_set(e, -ENOMEM, "%s: no memory for %zu antennas", h->path, n);
    if ((rc = h5_read_i64(h5, "Header/antenna_numbers", h->ant_number, n, e)) != 0 ||
        (rc = read_ant_names(h5, h, e)) != 0 ||
        (rc = h5_read_f64(h5, "Header/antenna_positions", h->ant_pos_m[0], 3 * n, e)) !=
            0)
        return rc;
    if (h5_has(h5, "Header/antenna_diameters"))
        rc = read_spread(h5, "Header/antenna_diameters", h->ant_diameter_m, n, e);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        double *dish_m = &h->ant_diameter_m[i];

        if (h->ant_number[i] < INT_MIN || h->ant_number[i] > INT_MAX)
            rc = err_set(e, ERR_FORMAT, "%s: Header/antenna_numbers: %lld cannot be",
                         h->path, (long long)h->ant_number[i]);
        else if (!(*dish_m > 0))
            *dish_m = 0; /* not known */
        else if (*dish_m < LEAST_DISH_M || *dish_m > MOST_DISH_M)
            rc = err_set(e, ERR_FORMAT, "%s: Header/antenna_diameters: %g m cannot be",
                         h->path, *dish_m);
    }
    return rc;
}

/* ---- rows ---- */

struct numbered {
    int64_t number;
    size_t index;
};

static int by_number(const void *a, const void *b)
{
    int64_t x = ((const struct numbered *)a)->number,
            y = ((const struct numbered *)b)->number;

    return (x > y) - (x < y);
}

/* Antenna numbers of the rows to indices into the antenna arrays. */
static int index_antennas(struct uvh5_header *h, struct err *e)
{
    size_t n = h->info.nant;
    struct numbered *map = array(n, sizeof *map);
    int rc = 0;

    if (map == NULL)
        return err_set(e, -ENOMEM, "%s: no memory for %zu antennas", h->path, n);
    for (size_t i = 0; i < n; i++)
        map[i] = (struct numbered){h->ant_number[i], i};
    qsort(map, n, sizeof *map, by_number);
    for (size_t i = 1; i < n && rc == 0; i++)
        if (map[i].number == map[i - 1].number)
            rc = err_set(e, ERR_FORMAT,
                         "%s: Header/antenna_numbers: %lld stands there twice", h->path,
                         (long long)map[i].number);
    h->info.nrow = 0;
    for (size_t i = 0; i < 2 * h->nblt && rc == 0; i++) {
        int64_t *ant = i < h->nblt ? &h->ant1[i] : &h->ant2[i - h->nblt];
        struct numbered key = {*ant, 0};
        const struct numbered *hit = bsearch(&key, map, n, sizeof *map, by_number);

        if (hit == NULL)
            rc = err_set(e, ERR_FORMAT,
                         "%s: a baseline has antenna %lld, which the header "
                         "does not know",
                         h->path, (long long)*ant);
        else
            *ant = (int64_t)hit->index;
    }
    for (size_t i = 0; i < h->nblt && rc == 0; i++)
        h->info.nrow += h->ant1[i] != h->ant2[i];
    if (rc == 0 && h->info.nrow == 0)
        rc = err_set(e, ERR_FORMAT, "%s: has no cross-correlations", h->path);
    free(map);
    return rc;
}

/* Antennas that no baseline has may be anywhere, or NaN. */
static int check_positions(const struct uvh5_header *h, struct err *e)
{
    for (size_t i = 0; i < 2 * h->nblt; i++) {
        size_t ant = (size_t)(i < h->nblt ? h->ant1[i] : h->ant2[i - h->nblt]);
        const double *p = h->ant_pos_m[ant];

        if (!(fabs(p[0]) <= MOST_POS_M && fabs(p[1]) <= MOST_POS_M &&
              fabs(p[2]) <= MOST_POS_M))
            return err_set(e, ERR_FORMAT,
                           "%s: Header/antenna_positions: antenna %lld is at (%g, %g, "
                           "%g) m",
                           h->path, (long long)h->ant_number[ant], p[0], p[1], p[2]);
    }
    return 0;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int uvh5_header_times(const struct uvh5_header *h, double **out, size_t *n,
                      struct err *e)
{
    double *t = array(h->nblt, sizeof *t);
    size_t k = 0;

    *out = t;
    *n = 0;
    if (t == NULL)
        return err_set(e, -ENOMEM, "%s: no memory for %zu times", h->path, h->nblt);
    memcpy(t, h->time_jd, h->nblt * sizeof *t);
    qsort(t, h->nblt, sizeof *t, ascending);
    for (size_t i = 0; i < h->nblt; i++)
        if (k == 0 || t[i] - t[k - 1] > SAME_TIME_DAY)
            t[k++] = t[i];
    *n = k;
    return 0;
}

static int read_rows(const struct h5 *h5, struct uvh5_header *h, struct err *e)
{
    double *t = NULL;
    int rc;

    h->time_jd = array(h->nblt, sizeof *h->time_jd);
    h->tint_s = array(h->nblt, sizeof *h->tint_s);
    h->ant1 = array(h->nblt, sizeof *h->ant1);
    h->ant2 = array(h->nblt, sizeof *h->ant2);
    if (!h->time_jd || !h->tint_s || !h->ant1 || !h->ant2)
        return err_set(e, -ENOMEM, "%s: no memory for %zu rows", h->path, h->nblt);
    if ((rc = h5_read_f64(h5, "Header/time_array", h->time_jd, h->nblt, e)) != 0 ||
        (rc = read_spread(h5, "Header/integration_time", h->tint_s, h->nblt, e)) != 0 ||
        (rc = h5_read_i64(h5, "Header/ant_1_array", h->ant1, h->nblt, e)) != 0 ||
        (rc = h5_read_i64(h5, "Header/ant_2_array", h->ant2, h->nblt, e)) != 0)
        return rc;
    for (size_t i = 0; i < h->nblt; i++) {
        /* 1858 to 2100; a slip of units or an unset clock is far outside. */
        if (!(h->time_jd[i] >= 2400000.5 && h->time_jd[i] <= 2488070))
            return err_set(e, ERR_FORMAT, "%s: Header/time_array: %g is no Julian date",
                           h->path, h->time_jd[i]);
        if (!(h->tint_s[i] > 0 && h->tint_s[i] < ASTRO_DAY_S))
            return err_set(e, ERR_FORMAT, "%s: Header/integration_time: %g s cannot be",
                           h->path, h->tint_s[i]);
    }
    if ((rc = index_antennas(h, e)) != 0 || (rc = check_positions(h, e)) != 0 ||
        (rc = uvh5_header_times(h, &t, &h->info.ntime, e)) != 0)
        goto out;
    h->info.t0_jd = t[0];
    h->info.t1_jd = t[h->info.ntime - 1];
    h->info.tint_s = h->tint_s[0];
out:
    free(t);
    return rc;
}

/* ---- channels and polarisations ---- */

static int by_frequency(const void *a, const void *b, void *freq_hz)
{
    const double *f = freq_hz;

    return ascending(&f[*(const size_t *)a], &f[*(const size_t *)b]);
}

static int read_channels(const struct h5 *h5, struct uvh5_header *h, struct err *e)
{
    size_t n = h->info.nchan;
    int rc;

    h->freq_hz = array(n, sizeof *h->freq_hz);
    h->width_hz = array(n, sizeof *h->width_hz);
    h->order = array(n, sizeof *h->order);
    if (!h->freq_hz || !h->width_hz || !h->order)
        return err_set(e, -ENOMEM, "%s: no memory for %zu channels", h->path, n);
    if ((rc = h5_read_f64(h5, "Header/freq_array", h->freq_hz, n, e)) != 0 ||
        (rc = read_spread(h5, "Header/channel_width", h->width_hz, n, e)) != 0)
        return rc;
    for (size_t c = 0; c < n; c++) {
        h->width_hz[c] = fabs(h->width_hz[c]);
        h->order[c] = c;
        if (!(h->freq_hz[c] > 0 && h->freq_hz[c] < 1e13))
            return err_set(e, ERR_FORMAT, "%s: Header/freq_array: %g Hz cannot be",
                           h->path, h->freq_hz[c]);
        if (!(h->width_hz[c] > 0 && h->width_hz[c] < 1e12))
            return err_set(e, ERR_FORMAT, "%s: Header/channel_width: %g Hz cannot be",
                           h->path, h->width_hz[c]);
    }
    qsort_r(h->order, n, sizeof *h->order, by_frequency, h->freq_hz);
    for (size_t c = 1; c < n; c++)
        if (h->freq_hz[h->order[c]] == h->freq_hz[h->order[c - 1]])
            return err_set(e, ERR_FORMAT,
                           "%s: Header/freq_array: %.6f MHz stands there twice",
                           h->path, h->freq_hz[h->order[c]] * 1e-6);
    for (size_t c = 1; c < n; c++) {
        size_t i = h->order[c - 1], j = h->order[c];
        double wide_hz = (h->width_hz[i] + h->width_hz[j]) / 2;

        if (h->freq_hz[j] - h->freq_hz[i] < 0.99 * wide_hz)
            return err_set(e, ERR_FORMAT,
                           "%s: Header/channel_width: channels %.6g kHz wide are %.6g "
                           "kHz apart at %.6f MHz",
                           h->path, wide_hz * 1e-3,
                           (h->freq_hz[j] - h->freq_hz[i]) * 1e-3,
                           h->freq_hz[i] * 1e-6);
    }
    h->info.freq_lo_hz = h->freq_hz[h->order[0]];
    h->info.freq_hi_hz = h->freq_hz[h->order[n - 1]];
    h->info.width_hz = h->width_hz[0];
    return 0;
}

static int read_pols(const struct h5 *h5, struct uvh5_header *h, struct err *e)
{
    int64_t pol[VIS_MAXPOL];
    int rc = h5_read_i64(h5, "Header/polarization_array", pol, h->info.npol, e);

    for (size_t p = 0; rc == 0 && p < h->info.npol; p++) {
        if (pol[p] < -8 || pol[p] > 4 || pol[p] == 0)
            rc = err_set(e, ERR_FORMAT,
                         "%s: Header/polarization_array: %lld is no AIPS code", h->path,
                         (long long)pol[p]);
        for (size_t q = 0; rc == 0 && q < p; q++)
            if (pol[q] == pol[p])
                rc = err_set(e, ERR_FORMAT,
                             "%s: Header/polarization_array: %lld stands there twice",
                             h->path, (long long)pol[p]);
        h->info.pol[p] = (int)pol[p];
    }
    return rc;
}

/* ---- a whole header ---- */

int uvh5_header_read(struct uvh5_header *h, const char *path, struct err *e)
{
    static int (*const part[])(const struct h5 *, struct uvh5_header *,
                               struct err *) = {
        read_shape, read_site,         read_antennas, read_rows,     read_channels,
        read_pols,  uvh5_read_phasing, read_meaning,  uvh5_check_uvw};
    struct h5 *h5;
    int rc;

    *h = (struct uvh5_header){.path = path};
    if ((rc = h5_open(&h5, path, e)) != 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < sizeof part / sizeof part[0]; i++)
        rc = part[i](h5, h, e);
    h5_close(h5, NULL);
    if (rc != -ENOENT)
        return rc;
    if (e != NULL) /* a data set that is not there makes the file not UVH5 */
        e->code = ERR_FORMAT;
    return ERR_FORMAT;
}

int uvh5_info(const char *path, struct uvh5_info *info, struct err *e)
{
    struct uvh5_header h;
    int rc = uvh5_header_read(&h, path, e);

    if (rc == 0)
        *info = h.info;
    uvh5_header_free(&h);
    return rc;
}
