/*
 * uvh5.c: UVH5 sub-band files into one struct vis.
 *
 * First all headers are read and compared, so that a group that does not fit together is
 * refused before anything large is allocated; then the files are read one after the other, each
 * into its own block of channels (uvh5_samples.c).
 */
#include "pipeline/io/uvh5.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/err.h"
#include "pipeline/io/uvh5_header.h"
#include "pipeline/io/uvh5_samples.h"

static const double AGREE_TIME_DAY = 1e-6;
static const double AGREE_DEC_RAD = 1.7e-4; /* 0.01 deg */
static const double AGREE_POS_M = 1e-3;
static const double AGREE_SITE_RAD = 2e-7, AGREE_ALT_M = 1; /* a metre on the ground */
static const double AGREE_TINT = 1e-4; /* what rounding makes of an integration */

/* ---- do the files of a group fit together? ---- */

static int same_rows(const struct uvh5_header *a, const struct uvh5_header *b)
{
    if (a->nblt != b->nblt)
        return 0;
    for (size_t i = 0; i < a->nblt; i++)
        if (a->ant1[i] != b->ant1[i] || a->ant2[i] != b->ant2[i])
            return 0;
    return 1;
}

static int same_times(const struct uvh5_header *a, const struct uvh5_header *b)
{
    for (size_t i = 0; i < a->nblt; i++)
        if (fabs(a->time_jd[i] - b->time_jd[i]) > AGREE_TIME_DAY)
            return 0;
    return 1;
}

static int same_antennas(const struct uvh5_header *a, const struct uvh5_header *b)
{
    if (a->info.nant != b->info.nant)
        return 0;
    for (size_t i = 0; i < a->info.nant; i++) {
        if (a->ant_number[i] != b->ant_number[i])
            return 0;
        for (int k = 0; k < 3; k++)
            if (fabs(a->ant_pos_m[i][k] - b->ant_pos_m[i][k]) > AGREE_POS_M)
                return 0;
    }
    return 1;
}

static int same_pointing(const struct uvh5_header *a, const struct uvh5_header *b)
{
    const struct uvh5_info *x = &a->info, *y = &b->info;

    if (x->phasing != y->phasing)
        return 0;
    if (x->phasing == VIS_MERIDIAN)
        return fabs(x->dec_app_rad - y->dec_app_rad) <= AGREE_DEC_RAD;
    if (x->phasing == VIS_SIDEREAL)
        return astro_separation(x->phase_ra_rad, x->phase_dec_rad, y->phase_ra_rad,
                                y->phase_dec_rad) <= ASTRO_ARCSEC;
    return 1;
}

static int same_site(const struct uvh5_header *a, const struct uvh5_header *b)
{
    const struct site *x = &a->info.site, *y = &b->info.site;

    return fabs(x->lat_rad - y->lat_rad) <= AGREE_SITE_RAD &&
           fabs(x->lon_rad - y->lon_rad) <= AGREE_SITE_RAD &&
           fabs(x->alt_m - y->alt_m) <= AGREE_ALT_M;
}

static int same_integrations(const struct uvh5_header *a, const struct uvh5_header *b)
{
    for (size_t i = 0; i < a->nblt; i++)
        if (!(fabs(a->tint_s[i] - b->tint_s[i]) <= AGREE_TINT * a->tint_s[i]))
            return 0;
    return 1;
}

static int agree(const struct uvh5_header *a, const struct uvh5_header *b,
                 struct err *e)
{
    const char *what = NULL;

    if (!same_antennas(a, b))
        what = "antennas";
    else if (!same_rows(a, b))
        what = "baselines";
    else if (!same_times(a, b))
        what = "times";
    else if (a->info.npol != b->info.npol ||
             memcmp(a->info.pol, b->info.pol, sizeof a->info.pol) != 0)
        what = "polarisations";
    else if (!same_pointing(a, b))
        what = "pointing";
    else if (strcmp(a->info.telescope, b->info.telescope) != 0)
        what = "telescope_name";
    else if (!same_site(a, b))
        what = "the telescope's position";
    else if (!same_integrations(a, b))
        what = "integration_time";
    else if (strcmp(a->info.unit, b->info.unit) != 0)
        what = "vis_units";
    else if (strcasecmp(a->info.convention, b->info.convention) != 0)
        what = "pol_convention";
    else if (strcasecmp(a->info.x_orientation, b->info.x_orientation) != 0)
        what = "x_orientation";
    if (what == NULL)
        return 0;
    return err_set(e, ERR_SHAPE, "%s and %s disagree in %s", a->path, b->path, what);
}

static int by_band(const void *a, const void *b)
{
    double x = ((const struct uvh5_header *)a)->info.freq_lo_hz;
    double y = ((const struct uvh5_header *)b)->info.freq_lo_hz;

    return (x > y) - (x < y);
}

/* Sorted by frequency, no file may reach into the next. */
static int check_bands(const struct uvh5_header *h, size_t nfile, struct err *e)
{
    for (size_t i = 1; i < nfile; i++) {
        const struct uvh5_header *a = &h[i - 1], *b = &h[i];
        double gap_hz = b->info.freq_lo_hz - a->info.freq_hi_hz;
        double need_hz =
            (a->width_hz[a->order[a->info.nchan - 1]] + b->width_hz[b->order[0]]) / 2;

        if (gap_hz < 0.99 * need_hz)
            return err_set(e, ERR_SHAPE, "%s and %s overlap in frequency", a->path,
                           b->path);
    }
    return 0;
}

/* ---- fill the visibilities ---- */

static void place_free(struct uvh5_place *p)
{
    free(p->kind);
    free(p->to);
}

/* XY of (i, j) is the conjugate of YX of (j, i). */
static int swapped_pol(int code)
{
    switch (code) {
    case -3:
    case -7:
        return code - 1;
    case -4:
    case -8:
        return code + 1;
    default:
        return code;
    }
}

static void fill_pols(struct vis *vis, const struct uvh5_header *h,
                      struct uvh5_place *place)
{
    for (size_t p = 0; p < vis->npol; p++) {
        vis->pol[p] = h->info.pol[p];
        place->swap[p] = -1;
        for (size_t q = 0; q < vis->npol; q++)
            if (h->info.pol[q] == swapped_pol(h->info.pol[p]))
                place->swap[p] = (int)q;
    }
}

static int time_index(const struct vis *vis, double jd)
{
    size_t lo = 0, hi = vis->ntime; /* answer in [lo, hi) */

    while (hi - lo > 1) {
        size_t mid = (lo + hi) / 2;

        if (vis->time_jd[mid] <= jd)
            lo = mid;
        else
            hi = mid;
    }
    return (int)lo;
}

static bool has_autos(const struct uvh5_header *h)
{
    for (size_t i = 0; i < h->nblt; i++)
        if (h->ant1[i] == h->ant2[i])
            return true;
    return false;
}

/* Row i is an autocorrelation: the first of its antenna and time is kept.  taken [nant][ntime] */
static void place_auto(const struct vis *vis, int ant, int time, unsigned char *taken,
                       struct uvh5_place *place, size_t i)
{
    size_t to = (size_t)ant * vis->ntime + (size_t)time;

    place->kind[i] = taken[to] ? UVH5_SKIP : UVH5_AUTO;
    place->to[i] = to;
    taken[to] = 1;
}

static void place_cross(struct vis *vis, int a, int b, int time,
                        struct uvh5_place *place, size_t i, size_t row)
{
    place->kind[i] = a > b ? UVH5_TURNED : UVH5_CROSS;
    place->to[i] = row;
    vis->row_ant1[row] = a < b ? a : b;
    vis->row_ant2[row] = a < b ? b : a;
    vis->row_time[row] = time;
    if (place->tint_s[i] > vis->tint_s[time])
        vis->tint_s[time] = place->tint_s[i];
}

static int fill_rows(struct vis *vis, const struct uvh5_header *h,
                     struct uvh5_place *place, struct err *e)
{
    unsigned char *taken = calloc(vis->nant * vis->ntime, 1);
    size_t row = 0;
    int rc = 0;

    place->tint_s = h->tint_s;
    place->kind = calloc(h->nblt, sizeof *place->kind);
    place->to = calloc(h->nblt, sizeof *place->to);
    if (has_autos(h))
        vis->autos =
            calloc(vis->nant * vis->ntime, vis->nchan * vis->npol * sizeof *vis->autos);
    if (place->kind == NULL || place->to == NULL || taken == NULL ||
        (vis->autos == NULL && has_autos(h)))
        rc = err_set(e, -ENOMEM, "%s: no memory for %zu rows", h->path, h->nblt);
    for (size_t i = 0; rc == 0 && i < h->nblt; i++) {
        int a = (int)h->ant1[i], b = (int)h->ant2[i];
        int t = time_index(vis, h->time_jd[i]);

        if (a == b)
            place_auto(vis, a, t, taken, place, i);
        else
            place_cross(vis, a, b, t, place, i, row++);
    }
    free(taken);
    return rc;
}

static void fill_directions(struct vis *vis, const struct uvh5_header *h,
                            const struct uvh5_opts *opts)
{
    struct site stop = vis->site; /* at its longitude fringes were stopped */
    struct astro_epoch ep;

    if (opts->own_stop)
        stop.lon_rad = opts->stop_lon_rad;

    vis->phasing = h->info.phasing;
    vis->phase_ra_rad = h->info.phase_ra_rad;
    vis->phase_dec_rad = h->info.phase_dec_rad;
    vis->dec_app_rad = h->info.dec_app_rad;
    for (size_t t = 0; t < vis->ntime; t++) {
        if (vis->phasing == VIS_MERIDIAN) {
            astro_meridian(&stop, vis->dec_app_rad, vis->pointing[t]);
        } else if (vis->phasing == VIS_SIDEREAL) {
            astro_epoch_init(&ep, vis->time_jd[t], &vis->earth, &vis->site);
            astro_icrs_to_itrf(&ep, vis->phase_ra_rad, vis->phase_dec_rad,
                               vis->pointing[t]);
        } else {
            astro_zenith(&vis->site, vis->pointing[t]);
            continue; /* stop stays the null vector */
        }
        memcpy(vis->stop[t], vis->pointing[t], sizeof vis->stop[t]);
    }
}

/* Everything but the channels, from the header all files share. */
static int fill_common(struct vis *vis, const struct uvh5_header *h,
                       const double *time_jd, struct uvh5_place *place,
                       const struct uvh5_opts *opts, struct err *e)
{
    snprintf(vis->telescope, sizeof vis->telescope, "%s", h->info.telescope);
    snprintf(vis->instrument, sizeof vis->instrument, "%s", h->info.instrument);
    snprintf(vis->object, sizeof vis->object, "%s", h->info.object);
    snprintf(vis->unit, sizeof vis->unit, "%s", h->info.unit);
    vis->site = h->info.site;
    memcpy(vis->ant_name, h->ant_name, vis->nant * sizeof *vis->ant_name);
    memcpy(vis->ant_pos_m, h->ant_pos_m, vis->nant * sizeof *vis->ant_pos_m);
    memcpy(vis->ant_diameter_m, h->ant_diameter_m,
           vis->nant * sizeof *vis->ant_diameter_m);
    memcpy(vis->time_jd, time_jd, vis->ntime * sizeof *vis->time_jd);
    for (size_t i = 0; i < vis->nant; i++)
        vis->ant_number[i] = (int)h->ant_number[i];
    fill_pols(vis, h, place);
    fill_directions(vis, h, opts);
    return fill_rows(vis, h, place, e);
}

/* The channels of one file from chan0 on. */
static void fill_channels(struct vis *vis, const struct uvh5_header *h, size_t chan0)
{
    for (size_t c = 0; c < h->info.nchan; c++) {
        vis->freq_hz[chan0 + c] = h->freq_hz[h->order[c]];
        vis->width_hz[chan0 + c] = h->width_hz[h->order[c]];
    }
}

/* The turn to the mean pointing; NULL: not wanted or nothing to turn. */
static struct vis_turn *turn_new(const struct vis *vis, const struct uvh5_opts *opts)
{
    double ra_rad, dec_rad;

    if (!opts->one_centre || vis->phasing != VIS_MERIDIAN)
        return NULL;
    vis_mean_pointing(vis, &ra_rad, &dec_rad);
    return vis_turn_new(vis, ra_rad, dec_rad);
}

/* Weights were made by each file's own largest count: put them on the group's scale. */
static void share_counts(struct vis *vis, const struct uvh5_header *h, size_t nfile,
                         const double *full)
{
    double most = 0;
    size_t chan0 = 0;

    for (size_t i = 0; i < nfile; i++)
        most = fmax(most, full[i]);
    for (size_t i = 0; i < nfile; chan0 += h[i++].info.nchan) {
        size_t n = h[i].info.nchan * vis->npol;
        float share = full[i] > 0 ? (float)(full[i] / most) : 1;

        for (size_t r = 0; share < 1 && r < vis->nrow; r++) {
            float *w = vis->weight + (r * vis->nchan + chan0) * vis->npol;

            for (size_t k = 0; k < n; k++)
                w[k] *= share;
        }
    }
}

static int fill_samples(struct vis *vis, const struct uvh5_header *h, size_t nfile,
                        struct uvh5_place *place, const struct uvh5_opts *opts,
                        struct err *e)
{
    struct uvh5_scatter *scatter;
    struct vis_turn *turn;
    double *full = calloc(nfile, sizeof *full); /* count of a full sample */
    size_t chan0 = 0;
    int rc = 0;

    if (full == NULL)
        return err_set(e, -ENOMEM, "no memory for %zu files", nfile);
    for (size_t i = 0; i < nfile; chan0 += h[i++].info.nchan)
        fill_channels(vis, &h[i], chan0);
    place->turn = turn = turn_new(vis, opts);
    scatter = uvh5_scatter_begin(vis, place, opts->threads);
    chan0 = 0;
    for (size_t i = 0; rc == 0 && i < nfile; chan0 += h[i++].info.nchan)
        rc = uvh5_scatter_file(scatter, &h[i], chan0, &full[i], e);
    uvh5_scatter_end(scatter);
    if (rc == 0)
        share_counts(vis, h, nfile, full);
    free(full);
    if (turn != NULL)
        vis_turn_done(turn, vis);
    vis_turn_free(turn);
    return rc;
}

/* Read all headers, compare them with the first, sort by frequency.  The rows of the first
 * file are handed over in *rows, those of the others are freed at once. */
static int read_headers(struct uvh5_header *h, struct uvh5_header *rows,
                        const char *const *path, size_t nfile, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < nfile; i++) {
        rc = uvh5_header_read(&h[i], path[i], e);
        if (rc == 0 && i > 0)
            rc = agree(&h[0], &h[i], e);
        if (i > 0)
            uvh5_header_free_rows(&h[i]);
        if (rc != 0)
            return rc;
    }
    *rows = h[0];
    h[0].time_jd = h[0].tint_s = NULL;
    h[0].ant1 = h[0].ant2 = NULL;
    qsort(h, nfile, sizeof *h, by_band);
    return check_bands(h, nfile, e);
}

int uvh5_read_group(struct vis **out, const char *const *path, size_t nfile,
                    const struct uvh5_opts *opts, struct err *e)
{
    struct uvh5_header *h = calloc(nfile, sizeof *h), rows = {0};
    struct uvh5_place place = {0};
    struct vis *vis = NULL;
    double *time_jd = NULL;
    size_t ntime, nchan = 0;
    int rc;

    *out = NULL;
    if (h == NULL || nfile == 0) {
        rc = err_set(e, nfile == 0 ? ERR_SHAPE : -ENOMEM, "no files in the group");
        goto out;
    }
    if ((rc = read_headers(h, &rows, path, nfile, e)) != 0 ||
        (rc = uvh5_header_times(&rows, &time_jd, &ntime, e)) != 0)
        goto out;
    for (size_t i = 0; i < nfile; i++)
        nchan += h[i].info.nchan;
    rc = vis_alloc(&vis, rows.info.nant, ntime, rows.info.nrow, nchan, rows.info.npol,
                   e);
    if (rc != 0)
        goto out;
    vis->earth = opts->earth;
    if ((rc = fill_common(vis, &rows, time_jd, &place, opts, e)) != 0)
        goto out;
    rc = fill_samples(vis, h, nfile, &place, opts, e);
out:
    if (rc == 0)
        *out = vis;
    else
        vis_free(vis);
    free(time_jd);
    place_free(&place);
    uvh5_header_free_rows(&rows); /* the rest of rows belongs to h[] */
    for (size_t i = 0; h != NULL && i < nfile; i++)
        uvh5_header_free(&h[i]);
    free(h);
    return rc;
}
