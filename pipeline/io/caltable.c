/*
 * caltable.c: gain tables on disk.
 *
 * Names, shapes and meanings are those of pyuvdata's CalH5: antennas without data are left out
 * of Data, flags say "no solution", gains of one channel for a whole band are "wide_band" with
 * a frequency range in place of the frequency axis.
 */
#include "pipeline/io/caltable.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"
#include "pipeline/cal/gains.h"
#include "pipeline/io/caltable_parts.h"
#include "pipeline/io/h5.h"
#include "pipeline/sky/astro.h"
#include "pipeline/sky/vis.h"

#define EXTRA "Header/extra_keywords/"

/* ---- writing ---- */

enum { FEEDS = 2 };

static int put_text(struct h5 *h5, const char *name, const char *text, struct err *e)
{
    size_t size = strlen(text) > 0 ? strlen(text) : 1;

    return h5_write(h5, name, h5_bytes(text, size), e);
}

static int put_i64(struct h5 *h5, const char *name, int64_t value, struct err *e)
{
    return h5_write(h5, name, h5_scalar(H5_I64, &value), e);
}

static int put_f64(struct h5 *h5, const char *name, double value, struct err *e)
{
    return h5_write(h5, name, h5_scalar(H5_F64, &value), e);
}

static int put_f64s(struct h5 *h5, const char *name, const double *v, size_t n,
                    struct err *e)
{
    return h5_write(h5, name, h5_array(H5_F64, 1, &n, v), e);
}

/* A vector of n times the same number. */
static int put_same(struct h5 *h5, const char *name, double value, size_t n,
                    struct err *e)
{
    double *v = calloc(n, sizeof *v);
    int rc;

    if (v == NULL)
        return err_set(e, -ENOMEM, "no memory to write %s", name);
    for (size_t i = 0; i < n; i++)
        v[i] = value;
    rc = put_f64s(h5, name, v, n, e);
    free(v);
    return rc;
}

static int put_texts(struct h5 *h5, const struct gains *g, const struct vis *vis,
                     const struct caltable_info *info, struct err *e)
{
    const struct {
        const char *name, *text;
    } items[] = {
        {"Header/telescope_name", vis->telescope},
        {"Header/x_orientation", "east"},
        {"Header/cal_type", "gain"},
        {"Header/cal_style", "sky"},
        {"Header/gain_convention", "divide"},
        {"Header/gain_scale", "Jy"},
        {"Header/sky_catalog", info->calibrator},
        {"Header/ref_antenna_name", vis->ant_name[g->refant]},
        {"Header/version", "1.0"},
        {"Header/observer", "watcherd " VERSION},
        {"Header/history", "Solved by watcherd from the visibilities of one group."},
        {EXTRA "calibrator", info->calibrator},
        {EXTRA "source_group", info->group},
        {EXTRA "kind", info->kind},
    };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof items / sizeof items[0]; i++)
        rc = put_text(h5, items[i].name, items[i].text, e);
    if (rc == 0)
        rc = put_f64(h5, EXTRA "t_jd", info->t_jd, e);
    return rc;
}

static int put_numbers(struct h5 *h5, const struct gains *g, const struct vis *vis,
                       size_t nants_data, size_t njones, struct err *e)
{
    unsigned char wide = g->nchan == 1;
    const struct {
        const char *name;
        size_t value;
    } items[] = {
        {"Header/Nants_telescope", vis->nant},
        {"Header/Nants_data", nants_data},
        {"Header/Nfreqs", g->nchan},
        {"Header/Ntimes", g->ntime},
        {"Header/Njones", njones},
        {"Header/Nspws", 1},
        {"Header/Nfeeds", FEEDS},
    };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof items / sizeof items[0]; i++)
        rc = put_i64(h5, items[i].name, (int64_t)items[i].value, e);
    if (rc == 0)
        rc = h5_write(h5, "Header/wide_band", h5_scalar(H5_BOOL, &wide), e);
    if (rc == 0)
        rc = put_f64(h5, "Header/latitude", vis->site.lat_rad / ASTRO_DEG, e);
    if (rc == 0)
        rc = put_f64(h5, "Header/longitude", vis->site.lon_rad / ASTRO_DEG, e);
    if (rc == 0)
        rc = put_f64(h5, "Header/altitude", vis->site.alt_m, e);
    return rc;
}

/* Ints to a vector of 64-bit numbers; pick, when not NULL, chooses which of v. */
static int put_ints(struct h5 *h5, const char *name, const int *v, const int *pick,
                    size_t n, struct err *e)
{
    int64_t *out = calloc(n, sizeof *out);
    int rc;

    if (out == NULL)
        return err_set(e, -ENOMEM, "no memory to write %s", name);
    for (size_t i = 0; i < n; i++)
        out[i] = v[pick != NULL ? pick[i] : (int)i];
    rc = h5_write(h5, name, h5_array(H5_I64, 1, &n, out), e);
    free(out);
    return rc;
}

static int put_antennas(struct h5 *h5, const struct vis *vis, const int *ants,
                        size_t nants_data, struct err *e)
{
    size_t dim[2] = {vis->nant, 3};
    struct h5_dataset names = h5_array(H5_STRING, 1, dim, vis->ant_name);
    int rc;

    names.size = VIS_NAME;
    rc = h5_write(h5, "Header/antenna_names", names, e);
    if (rc == 0)
        rc =
            put_ints(h5, "Header/antenna_numbers", vis->ant_number, NULL, vis->nant, e);
    if (rc == 0)
        rc = put_ints(h5, "Header/ant_array", vis->ant_number, ants, nants_data, e);
    if (rc == 0)
        rc = h5_write(h5, "Header/antenna_positions",
                      h5_array(H5_F64, 2, dim, vis->ant_pos_m), e);
    return rc;
}

/*
 * Feeds and mounts, which pyuvdata asks for from version 3.2 on instead of x_orientation: x towards
 * east and y north, or the two hands; of every antenna of the telescope.
 */
static int put_feeds(struct h5 *h5, const struct vis *vis, struct err *e)
{
    static const char mount[] = "alt-az";
    bool circular = vis->pol[0] < 0 && vis->pol[0] > -5;
    size_t dim[2] = {vis->nant, FEEDS}, n = vis->nant * FEEDS;
    char *feed = malloc(n), *mounts = malloc(vis->nant * sizeof mount);
    double *angle = malloc(n * sizeof *angle);
    struct h5_dataset feeds = h5_array(H5_STRING, 2, dim, feed);
    struct h5_dataset types = h5_array(H5_STRING, 1, dim, mounts);
    int rc = 0;

    if (feed == NULL || mounts == NULL || angle == NULL)
        rc = err_set(e, -ENOMEM, "no memory for the feeds of %zu antennas", vis->nant);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        feed[i] = (circular ? "rl" : "xy")[i % FEEDS];
        angle[i] = circular || i % FEEDS ? 0 : M_PI / 2;
    }
    for (size_t a = 0; rc == 0 && a < vis->nant; a++)
        memcpy(mounts + a * (sizeof mount - 1), mount, sizeof mount - 1);
    feeds.size = 1;
    types.size = sizeof mount - 1;
    if (rc == 0)
        rc = h5_write(h5, "Header/feed_array", feeds, e);
    if (rc == 0)
        rc = h5_write(h5, "Header/feed_angle", h5_array(H5_F64, 2, dim, angle), e);
    if (rc == 0)
        rc = h5_write(h5, "Header/mount_type", types, e);
    free(feed);
    free(mounts);
    free(angle);
    return rc;
}

/* Which spectral window each channel belongs to: the one there is. */
static int put_windows(struct h5 *h5, size_t nchan, struct err *e)
{
    int *zero = calloc(nchan, sizeof *zero);
    int rc = zero != NULL
                 ? put_ints(h5, "Header/flex_spw_id_array", zero, NULL, nchan, e)
                 : err_set(e, -ENOMEM, "no memory for %zu channels", nchan);

    free(zero);
    return rc;
}

static int put_axes(struct h5 *h5, const struct gains *g, const struct vis *vis,
                    const int *jones, size_t njones, struct err *e)
{
    double total_s = 0, range_hz[2];
    size_t dim[2] = {1, 2};
    const int zero = 0;
    int rc;

    for (size_t t = 0; t < vis->ntime; t++)
        total_s += vis->tint_s[t];
    range_hz[0] = vis->freq_hz[0] - 0.5 * vis->width_hz[0];
    range_hz[1] = vis->freq_hz[vis->nchan - 1] + 0.5 * vis->width_hz[vis->nchan - 1];
    rc = put_f64s(h5, "Header/time_array", g->time_jd, g->ntime, e);
    if (rc == 0)
        rc = put_same(h5, "Header/integration_time", total_s / (double)g->ntime,
                      g->ntime, e);
    if (rc == 0)
        rc = put_ints(h5, "Header/jones_array", jones, NULL, njones, e);
    if (rc == 0)
        rc = put_ints(h5, "Header/spw_array", &zero, NULL, 1, e);
    if (rc == 0 && g->nchan == 1)
        return h5_write(h5, "Header/freq_range", h5_array(H5_F64, 2, dim, range_hz), e);
    if (rc == 0)
        rc = put_windows(h5, g->nchan, e);
    if (rc == 0)
        rc = put_f64s(h5, "Header/freq_array", g->freq_hz, g->nchan, e);
    if (rc == 0 && g->nchan == vis->nchan)
        rc = put_f64s(h5, "Header/channel_width", vis->width_hz, vis->nchan, e);
    else if (rc == 0)
        rc = put_same(h5, "Header/channel_width",
                      (range_hz[1] - range_hz[0]) / (double)g->nchan, g->nchan, e);
    return rc;
}

/* Data/gains, flags and qualities, [nants_data][nchan][ntime][njones]. */
static int put_data(struct h5 *h5, const struct gains *g, const int *ants,
                    size_t nants_data, const int *pols, size_t njones, struct err *e)
{
    size_t dim[4] = {nants_data, g->nchan, g->ntime, njones};
    size_t n = nants_data * g->nchan * g->ntime * njones, at = 0;
    double complex *out = calloc(n, sizeof *out);
    unsigned char *flags = calloc(n, 1);
    double *snr = calloc(n, sizeof *snr);
    int rc;

    if (out == NULL || flags == NULL || snr == NULL) {
        rc = err_set(e, -ENOMEM, "no memory to write %zu gains", n);
        goto out;
    }
    for (size_t a = 0; a < nants_data; a++) {
        for (size_t c = 0; c < g->nchan; c++) {
            for (size_t t = 0; t < g->ntime; t++) {
                for (size_t p = 0; p < njones; p++, at++) {
                    size_t from =
                        ((t * g->nchan + c) * g->nant + (size_t)ants[a]) * g->npol +
                        (size_t)pols[p];

                    out[at] = g->g[from];
                    snr[at] = out[at] != 0 ? (double)g->snr[from] : 0;
                    flags[at] = out[at] == 0;
                    if (flags
                            [at]) /* a divisor that does no harm where flags are ignored */
                        out[at] = 1;
                }
            }
        }
    }
    rc = h5_write(h5, "Data/gains", h5_array(H5_C128, 4, dim, out), e);
    if (rc == 0)
        rc = h5_write(h5, "Data/flags", h5_array(H5_BOOL, 4, dim, flags), e);
    if (rc == 0)
        rc = h5_write(h5, "Data/qualities", h5_array(H5_F64, 4, dim, snr), e);
out:
    free(snr);
    free(out);
    free(flags);
    return rc;
}

/* Indices of antennas that any row of vis has. */
static size_t antennas_with_rows(const struct vis *vis, int *ants)
{
    size_t n = 0;

    memset(ants, 0, vis->nant * sizeof *ants);
    for (size_t r = 0; r < vis->nrow; r++)
        ants[vis->row_ant1[r]] = ants[vis->row_ant2[r]] = 1;
    for (size_t a = 0; a < vis->nant; a++) {
        if (ants[a])
            ants[n++] = (int)a;
    }
    return n;
}

int caltable_write(const char *path, const struct gains *g, const struct vis *vis,
                   const struct caltable_info *info, struct err *e)
{
    int *ants, pols[VIS_MAXPOL], jones[VIS_MAXPOL], rc, closed;
    size_t nants_data, njones = 0;
    struct h5 *h5 = NULL;

    if (g->nant != vis->nant || g->npol != vis->npol)
        return err_set(e, ERR_SHAPE,
                       "%s: gains of %zu antennas and %zu polarisations beside data of "
                       "%zu and %zu",
                       path, g->nant, g->npol, vis->nant, vis->npol);
    for (size_t p = 0; p < vis->npol; p++) {
        if (gains_parallel(vis->pol[p])) {
            pols[njones] = (int)p;
            jones[njones++] = vis->pol[p];
        }
    }
    ants = calloc(vis->nant, sizeof *ants);
    if (ants == NULL)
        return err_set(e, -ENOMEM, "%s: no memory for %zu antennas", path, vis->nant);
    nants_data = antennas_with_rows(vis, ants);
    rc = h5_create(&h5, path, e);
    if (rc != 0)
        goto out;
    rc = put_texts(h5, g, vis, info, e);
    if (rc == 0)
        rc = put_numbers(h5, g, vis, nants_data, njones, e);
    if (rc == 0)
        rc = put_antennas(h5, vis, ants, nants_data, e);
    if (rc == 0)
        rc = put_feeds(h5, vis, e);
    if (rc == 0)
        rc = put_axes(h5, g, vis, jones, njones, e);
    if (rc == 0)
        rc = put_data(h5, g, ants, nants_data, pols, njones, e);
    closed = h5_close(h5, rc == 0 ? e : NULL);
    if (rc == 0)
        rc = closed;
    if (rc != 0)
        unlink(path); /* ours, since h5_create refuses to replace a file */
out:
    free(ants);
    return rc;
}

/* ---- reading ---- */

void caltable_close(struct caltable *t)
{
    free(t->ant);
    free(t->jones);
    free(t->time_jd);
    free(t->freq_hz);
    free(t->g);
    free(t->flag);
    free(t->snr);
}

int caltable_alloc(struct caltable *t, const char *path, struct err *e)
{
    size_t n = t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3];

    t->ant = calloc(t->dim[0], sizeof *t->ant);
    t->freq_hz = calloc(t->dim[1], sizeof *t->freq_hz);
    t->time_jd = calloc(t->dim[2], sizeof *t->time_jd);
    t->jones = calloc(t->dim[3], sizeof *t->jones);
    t->g = calloc(n, sizeof *t->g);
    t->flag = calloc(n, 1);
    t->snr = calloc(n, sizeof *t->snr);
    if (t->ant == NULL || t->freq_hz == NULL || t->time_jd == NULL ||
        t->jones == NULL || t->g == NULL || t->flag == NULL || t->snr == NULL)
        return err_set(e, -ENOMEM, "%s: no memory for %zu gains", path, n);
    return 0;
}

/* The frequency axis, or the middle of the one range of a wide-band table. */
static int table_freq(struct caltable *t, const struct h5 *h5, struct err *e)
{
    double range_hz[2];
    int rc;

    if (h5_has(h5, "Header/freq_array") || !h5_has(h5, "Header/freq_range"))
        return h5_read_f64(h5, "Header/freq_array", t->freq_hz, t->dim[1], e);
    if (t->dim[1] != 1)
        return err_set(e, ERR_SHAPE, "%s: a wide-band table with %zu spectral windows",
                       h5_path(h5), t->dim[1]);
    rc = h5_read_f64(h5, "Header/freq_range", range_hz, 2, e);
    if (rc == 0)
        t->freq_hz[0] = 0.5 * (range_hz[0] + range_hz[1]);
    return rc;
}

/* That the file is a table of gains to divide by. */
static int check_kind(const struct h5 *h5, struct err *e)
{
    char type[32] = "", convention[32] = "divide";
    int rc = h5_read_text(h5, "Header/cal_type", type, sizeof type, e);

    if (rc == 0 && h5_has(h5, "Header/gain_convention"))
        rc = h5_read_text(h5, "Header/gain_convention", convention, sizeof convention,
                          e);
    if (rc != 0)
        return rc;
    if (strcmp(type, "gain") != 0 || strcmp(convention, "divide") != 0)
        return err_set(
            e, ERR_FORMAT,
            "%s: a \"%s\" table with convention \"%s\" is not gains to divide by",
            h5_path(h5), type, convention);
    return 0;
}

static int table_read(struct caltable *t, const struct h5 *h5, struct err *e)
{
    int ndim = 0, rc = check_kind(h5, e);
    size_t n;

    if (rc == 0)
        rc = h5_shape(h5, "Data/gains", t->dim, &ndim, e);
    if (rc != 0)
        return rc;
    n = ndim == 4 ? t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3] : 0;
    if (n == 0)
        return err_set(e, ERR_FORMAT,
                       "%s: Data/gains is not [antenna][channel][time][polarisation]",
                       h5_path(h5));
    rc = caltable_alloc(t, h5_path(h5), e);
    if (rc == 0)
        rc = h5_read_i64(h5, "Header/ant_array", t->ant, t->dim[0], e);
    if (rc == 0)
        rc = table_freq(t, h5, e);
    if (rc == 0)
        rc = h5_read_f64(h5, "Header/time_array", t->time_jd, t->dim[2], e);
    if (rc == 0)
        rc = h5_read_i64(h5, "Header/jones_array", t->jones, t->dim[3], e);
    if (rc == 0)
        rc = h5_read_c128(h5, "Data/gains", t->g, n, e);
    if (rc == 0)
        rc = h5_read_bool(h5, "Data/flags", t->flag, n, e);
    if (rc == 0 && h5_has(h5, EXTRA "kind") && h5_has(h5, "Data/qualities"))
        rc = h5_read_f64(h5, "Data/qualities", t->snr, n, e); /* others' mean others */
    return rc;
}

/* Ours are empty in a table that another program wrote. */
static int read_info(struct caltable_info *info, const struct h5 *h5,
                     const struct caltable *t, struct err *e)
{
    const struct {
        const char *name;
        char *text;
        size_t size;
    } items[] = {
        {"Header/telescope_name", info->telescope, sizeof info->telescope},
        {EXTRA "calibrator", info->calibrator, sizeof info->calibrator},
        {EXTRA "source_group", info->group, sizeof info->group},
        {EXTRA "kind", info->kind, sizeof info->kind},
    };
    int rc = 0;

    memset(info, 0, sizeof *info);
    for (size_t i = 0; rc == 0 && i < sizeof items / sizeof items[0]; i++) {
        if (h5_has(h5, items[i].name))
            rc = h5_read_text(h5, items[i].name, items[i].text, items[i].size, e);
    }
    for (size_t k = 0; k < t->dim[2]; k++)
        info->t_jd += t->time_jd[k] / (double)t->dim[2];
    if (rc == 0 && h5_has(h5, EXTRA "t_jd"))
        rc = h5_read_f64(h5, EXTRA "t_jd", &info->t_jd, 1, e);
    return rc;
}

/* Where each antenna, channel and polarisation of vis is in the table; -1: nowhere. */
struct places {
    int *ant, *chan; /* [vis->nant], [gains->nchan] */
    int pol[VIS_MAXPOL];
};

static int place_pols(struct places *at, const struct caltable *t,
                      const struct vis *vis, const char *path, struct err *e)
{
    for (size_t p = 0; p < vis->npol; p++) {
        at->pol[p] = -1;
        for (size_t j = 0; j < t->dim[3]; j++) {
            if (t->jones[j] == vis->pol[p])
                at->pol[p] = (int)j;
        }
        if (at->pol[p] < 0 && gains_parallel(vis->pol[p]))
            return err_set(e, ERR_SHAPE, "%s: no gains for polarisation %d of the data",
                           path, vis->pol[p]);
    }
    return 0;
}

static int place_ants(struct places *at, const struct caltable *t,
                      const struct vis *vis, const char *path, struct err *e)
{
    size_t found = 0;

    for (size_t a = 0; a < vis->nant; a++) {
        at->ant[a] = -1;
        for (size_t k = 0; k < t->dim[0]; k++) {
            if (t->ant[k] == vis->ant_number[a])
                at->ant[a] = (int)k;
        }
        found += at->ant[a] >= 0;
    }
    if (found == 0)
        return err_set(e, ERR_SHAPE, "%s: none of its antennas is in the data", path);
    return 0;
}

static int place_chans(struct places *at, const struct caltable *t,
                       const struct vis *vis, const char *path, struct err *e)
{
    for (size_t c = 0; c < vis->nchan; c++) {
        size_t best = 0;

        for (size_t k = 1; k < t->dim[1]; k++) {
            if (fabs(t->freq_hz[k] - vis->freq_hz[c]) <
                fabs(t->freq_hz[best] - vis->freq_hz[c]))
                best = k;
        }
        if (!(fabs(t->freq_hz[best] - vis->freq_hz[c]) <=
              0.5 * vis->width_hz[c] * (1 + 1e-6)))
            return err_set(e, ERR_SHAPE,
                           "%s: no gains at %.6f MHz, the nearest are at %.6f MHz",
                           path, vis->freq_hz[c] / 1e6, t->freq_hz[best] / 1e6);
        at->chan[c] = (int)best;
    }
    return 0;
}

static int place_all(struct places *at, const struct caltable *t, const struct vis *vis,
                     const char *path, struct err *e)
{
    int rc;

    at->ant = calloc(vis->nant, sizeof *at->ant);
    at->chan = calloc(vis->nchan, sizeof *at->chan);
    if (at->ant == NULL || at->chan == NULL)
        return err_set(e, -ENOMEM, "%s: no memory for %zu channels", path, vis->nchan);
    rc = place_pols(at, t, vis, path, e);
    if (rc == 0)
        rc = place_ants(at, t, vis, path, e);
    if (rc == 0 && t->dim[1] > 1)
        rc = place_chans(at, t, vis, path, e);
    return rc;
}

/* Gains of the table in vis's order; flagged and unusable numbers become 0. */
static void reorder(struct gains *g, const struct caltable *t, const struct places *at)
{
    for (size_t i = 0; i < g->ntime * g->nchan * g->nant * g->npol; i++) {
        size_t p = i % g->npol, a = i / g->npol % g->nant;
        size_t c = i / g->npol / g->nant % g->nchan,
               k = i / g->npol / g->nant / g->nchan;
        size_t from;

        if (at->ant[a] < 0 || at->pol[p] < 0)
            continue;
        from =
            (((size_t)at->ant[a] * t->dim[1] + (size_t)at->chan[c]) * t->dim[2] + k) *
                t->dim[3] +
            (size_t)at->pol[p];
        if (!t->flag[from] && isfinite(creal(t->g[from])) &&
            isfinite(cimag(t->g[from])))
            g->g[i] = gain_of((float)creal(t->g[from]), (float)cimag(t->g[from]));
        g->snr[i] = g->g[i] != 0 && t->snr[from] > 0 ? (float)t->snr[from] : 0;
    }
}

/* Index of the reference antenna by its name; 0 when the table does not say. */
static int read_refant(const struct h5 *h5, const struct vis *vis)
{
    char name[VIS_NAME] = "";

    if (!h5_has(h5, "Header/ref_antenna_name") ||
        h5_read_text(h5, "Header/ref_antenna_name", name, sizeof name, NULL) != 0)
        return 0;
    for (size_t a = 0; a < vis->nant; a++) {
        if (strcmp(vis->ant_name[a], name) == 0)
            return (int)a;
    }
    return 0;
}

/* A table of ours, or of anybody's CalH5; *refant its reference antenna among vis's. */
static int read_h5(struct caltable *t, struct caltable_info *info, int *refant,
                   const char *path, const struct vis *vis, struct err *e)
{
    struct h5 *h5 = NULL;
    int rc = h5_open(&h5, path, e);

    if (rc == 0)
        rc = table_read(t, h5, e);
    if (rc == 0)
        rc = read_info(info, h5, t, e);
    if (rc == 0)
        *refant = read_refant(h5, vis);
    h5_close(h5, NULL);
    return rc;
}

int caltable_read(struct gains **out, struct caltable_info *info, const char *path,
                  const struct vis *vis, struct err *e)
{
    struct caltable t = {0};
    struct places at = {0};
    struct gains *g = NULL;
    int refant = 0;
    int rc = calfits_is(path) ? calfits_read(&t, info, path, e)
                              : read_h5(&t, info, &refant, path, vis, e);

    *out = NULL;
    if (rc == 0 && strcmp(info->telescope, vis->telescope) != 0)
        rc = err_set(e, ERR_SHAPE, "%s: gains of telescope %s, the data are of %s",
                     path, info->telescope, vis->telescope);
    if (rc == 0)
        rc = place_all(&at, &t, vis, path, e);
    if (rc == 0)
        rc = gains_alloc(&g, vis->nant, t.dim[2], t.dim[1] > 1 ? vis->nchan : 1,
                         vis->npol, e);
    if (rc == 0) {
        memcpy(g->time_jd, t.time_jd, t.dim[2] * sizeof *g->time_jd);
        memcpy(g->freq_hz, g->nchan > 1 ? vis->freq_hz : t.freq_hz,
               g->nchan * sizeof *g->freq_hz);
        g->refant = refant;
        reorder(g, &t, &at);
        *out = g;
    }
    caltable_close(&t);
    free(at.ant);
    free(at.chan);
    return rc;
}
