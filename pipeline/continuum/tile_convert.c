/*
 * tile_convert.c: sub-band files to visibilities with one phase centre.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/path.h"
#include "pipeline/continuum/budget.h"
#include "pipeline/continuum/tile.h"
#include "pipeline/io/uvh5.h"
#include "pipeline/io/uvh5_header.h"
#include "pipeline/sky/vis.h"

#define JD_UNIX_EPOCH 2440587.5

/* Dishes of telescopes whose files do not say; settings ([instrument] dish_m) win. */
static const struct {
    const char *telescope, *instrument;
    double dish_m;
} dishes[] = {
    {"OVRO_MMA", "DSA", 4.65}, /* the writer of the DSA-110 files stores 4.65 */
    {"DSA-110", NULL, 4.65},
    /* Sunyaev-Zel'dovich Array: 3.5 m, Muchovej et al. 2007, ApJ 663, 708 */
    {NULL, "SZA", 3.5},
    {"SZA", NULL, 3.5},
    {"HERA", NULL, 14.0}, /* DeBoer et al. 2017, PASP 129, 045001 */
};

/* Not inlined: gcc 12's sanitizer build warns of reads from the table's null pointers. */
__attribute__((noinline)) static bool says(const char *have, const char *want)
{
    return want == NULL || strcmp(have, want) == 0;
}

/* The dish of a file: the settings', the header's, the table's; 0: unknown. */
static double dish_m(const struct tile_run *run, const struct uvh5_header *h)
{
    double dish = run->set->instrument.dish_m;

    for (size_t a = 0; dish <= 0 && a < h->info.nant; a++)
        dish = h->ant_diameter_m[a];
    for (size_t i = 0; dish <= 0 && i < sizeof dishes / sizeof dishes[0]; i++)
        if (says(h->info.telescope, dishes[i].telescope) &&
            says(h->info.instrument, dishes[i].instrument))
            dish = dishes[i].dish_m;
    return dish;
}

static void choose_beam(struct tile_run *run, const struct uvh5_header *h)
{
    if (beam_kind_parse(run->set->instrument.beam, &run->beam.kind) != 0)
        run->beam.kind = BEAM_AIRY;
    run->beam.diameter_m = dish_m(run, h);
    if (!(run->beam.diameter_m > 0))
        run->beam.kind = BEAM_NONE;
}

static double longest_m(const struct uvh5_header *h)
{
    double longest = 0;

    for (size_t i = 0; i < h->nblt; i++) {
        const double *p = h->ant_pos_m[h->ant1[i]], *q = h->ant_pos_m[h->ant2[i]];

        longest = fmax(longest, hypot(hypot(p[0] - q[0], p[1] - q[1]), p[2] - q[2]));
    }
    return longest;
}

/* Pixels a side, about: the image's will be of the projected baselines. */
static size_t pixels_about(const struct tile_run *run, const struct uvh5_header *h,
                           double lo_hz, double hi_hz)
{
    double cell_rad = run->set->imaging.cell_arcsec * ASTRO_ARCSEC;

    if (!(cell_rad > 0))
        cell_rad = ASTRO_C_M_S / (3 * longest_m(h) * hi_hz);
    return tile_pixels(run, cell_rad, lo_hz);
}

/* The beam, and whether the group fits into memory. */
static int check_budget(struct tile_run *run, struct budget_group *g, double lo_hz,
                        double hi_hz, struct err *e)
{
    struct uvh5_header h;
    int rc = uvh5_header_read(&h, run->path[0], e);

    if (rc == 0) {
        choose_beam(run, &h);
        g->nrow = h.info.nrow;
        g->npol = h.info.npol;
        g->nant = h.info.nant;
        g->ntime = h.info.ntime;
        g->nx = pixels_about(run, &h, lo_hz, hi_hz);
        rc = budget_check(g, budget_room(), run->group, e);
    }
    uvh5_header_free(&h);
    return rc;
}

/*
 * A correlator that has lost its clock writes a wrong time with a right name (DSA-110's
 * falls back to 2009), and a swapped sub-band a wrong frequency; so the header must
 * confirm the name before the bytes are believed.
 */
static int check_headers(struct tile_run *run, struct err *e)
{
    struct budget_group g = {0};
    double lo_hz = INFINITY, hi_hz = 0;
    double tolerance_s = run->env->conf->group.header_tolerance_s;
    double freq_of[100];

    for (int i = 0; i < 100; i++)
        freq_of[i] = NAN;
    for (size_t i = 0; i < run->npath; i++) {
        const char *base = path_base(run->path[i]), *sb = strstr(base, "_sb");
        struct uvh5_info info;
        double named_s, header_s;
        int rc = uvh5_info(run->path[i], &info, e);

        if (rc != 0)
            return rc;
        g.nchan += info.nchan;
        lo_hz = fmin(lo_hz, info.freq_lo_hz);
        hi_hz = fmax(hi_hz, info.freq_hi_hz);
        if (strlen(base) < 19 || clock_parse(base, &named_s) != 0)
            continue; /* another naming rule: there is nothing to confirm */
        header_s = (info.t0_jd - JD_UNIX_EPOCH) * ASTRO_DAY_S;
        if (!(fabs(header_s - named_s) <= tolerance_s)) {
            char iso[20];

            astro_jd_to_iso(info.t0_jd, iso);
            return err_set(e, ERR_FORMAT,
                           "%s: header says %s, more than %.0f s from its name",
                           run->path[i], iso, tolerance_s);
        }
        if (sb != NULL && sb[3] >= '0' && sb[3] <= '9' && sb[4] >= '0' && sb[4] <= '9')
            freq_of[(sb[3] - '0') * 10 + sb[4] - '0'] =
                0.5 * (info.freq_lo_hz + info.freq_hi_hz);
    }
    for (int i = 0, last = -1; i < 100; i++) {
        if (isnan(freq_of[i]))
            continue;
        if (last >= 0 && freq_of[i] >= freq_of[last])
            return err_set(
                e, ERR_FORMAT,
                "%s: sub-band %02d (%.1f MHz) is not below sub-band %02d (%.1f MHz)",
                run->group, i, freq_of[i] / 1e6, last, freq_of[last] / 1e6);
        last = i;
    }
    return check_budget(run, &g, lo_hz, hi_hz, e);
}

/* How the earth stood in the middle of the group, and where its fringes were stopped. */
static int orient(struct tile_run *run, struct uvh5_opts *opts, struct err *e)
{
    struct earth_table *t = NULL;
    struct uvh5_info info;
    double lon_deg;
    int rc = uvh5_info(run->path[0], &info, e);

    if (rc == 0)
        rc = earth_table_read(&t, run->set->instrument.earth, e);
    if (rc != 0)
        return rc;
    earth_at(t, 0.5 * (info.t0_jd + info.t1_jd), run->set->instrument.dut1_s,
             info.dut1_s, &opts->earth, &run->earth);
    earth_table_free(t);
    if (settings_stop_longitude(run->set, &lon_deg) && isfinite(lon_deg)) {
        opts->own_stop = true;
        opts->stop_lon_rad = lon_deg * ASTRO_DEG;
    }
    return 0;
}

int tile_convert(void *arg, struct err *e)
{
    struct tile_run *run = arg;
    struct uvh5_opts opts = {.threads = run->env->threads, .one_centre = true};
    struct vis *vis;
    double valid;
    int rc = check_headers(run, e);

    if (rc == 0)
        rc = orient(run, &opts, e);
    if (rc == 0)
        rc = uvh5_read_group(&run->vis, run->path, run->npath, &opts, e);
    if (rc != 0)
        return rc;
    vis = run->vis;
    valid = vis_valid_fraction(vis);
    if (!(valid > 0))
        return err_set(e, ERR_QUALITY, "%s: every visibility is flagged, zero or NaN",
                       run->group);
    if (vis->phasing == VIS_UNPHASED)
        return err_set(
            e, ERR_QUALITY,
            "%s: the correlator did not track any direction (unprojected data)",
            run->group);
    run->ra_rad = vis->phase_ra_rad;
    run->dec_rad = vis->phase_dec_rad;
    snprintf(run->env->detail, sizeof run->env->detail,
             "%zu files, %zu rows, %zu channels, %zu polarisations, %.1f %% valid; "
             "directions to %.2g arcsec",
             run->npath, vis->nrow, vis->nchan, vis->npol, 100 * valid,
             run->earth.error_arcsec);
    return 0;
}
