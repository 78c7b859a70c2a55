#include "pipeline/sim/simplan.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"
#include "core/path.h"
#include "pipeline/sky/astro.h"
#include "pipeline/io/h5.h"
#include "pipeline/sim/simrand.h"
#include "pipeline/sky/stations.h"

enum { MAX_PATH = 4096 };

void simplan_close(struct simplan *plan)
{
    simsky_free(&plan->sky);
    free(plan->group);
    plan->group = NULL;
}

double simplan_length_s(const struct simplan *plan)
{
    return (double)plan->sim.ntime * plan->sim.tint_s;
}

/* ---- times, names, pointings ---- */

/* The first upper transit of a source after jd, and its apparent declination. */
static double transit_jd(const struct simvis *sim, const struct sim_source *src,
                         double jd, double *dec_app_rad)
{
    for (int i = 0; i < 4; i++) {
        struct astro_epoch ep;
        double v[3], east;

        astro_epoch_init(&ep, jd, &sim->earth, &sim->site);
        astro_icrs_to_itrf(&ep, src->ra_rad, src->dec_rad, v);
        east = (atan2(v[1], v[0]) - sim->site.lon_rad) / (2 * M_PI);
        east -= i == 0 ? floor(east) : round(east);
        jd += east / ASTRO_TURNS_A_DAY;
        *dec_app_rad = asin(v[2]);
    }
    return jd;
}

double simplan_transit_start(const struct simplan *plan, const struct sim_source *cal,
                             double jd_utc, double *dec_app_rad)
{
    double before_s =
        (double)(plan->ngroup / 2) * plan->cadence_s + simplan_length_s(plan) / 2;
    double transit = transit_jd(&plan->sim, cal, jd_utc, dec_app_rad);

    return round(transit * ASTRO_DAY_S - before_s) / ASTRO_DAY_S;
}

/*
 * Seconds from the earliest file name of a group to the latest, as in the telescope's log of
 * 2,231 groups: 0 s in 2 %, 1 s in 84 %, 2 s in 5 %, 13 to 22 s in 8 %, 59 to 82 s in
 * the rest.
 */
static int jitter_spread(struct simrand *r)
{
    double u = simrand_uniform(r), where = simrand_uniform(r);

    if (u < 0.02)
        return 0;
    if (u < 0.86)
        return 1;
    if (u < 0.91)
        return 2;
    if (u < 0.99)
        return 13 + (int)(10 * where);
    return 59 + (int)(24 * where);
}

/* File names: each host's own clock, whole seconds, cut off. */
static void name_files(const struct simplan *plan, struct sim_group *g)
{
    struct simrand r = simrand_start(plan->sim.seed, SIMRAND_JITTER,
                                     llround(g->start_jd * ASTRO_DAY_S), 0, 0);
    int spread = plan->jitter ? jitter_spread(&r) : 0, first, last;
    const double cut_s =
        0.499; /* rounding down, JD's own 20 microseconds allowed for */

    first = (int)((double)plan->nsub * simrand_uniform(&r));
    last = (int)((double)plan->nsub * simrand_uniform(&r));
    astro_jd_to_iso(g->start_jd - cut_s / ASTRO_DAY_S, g->name);
    for (int s = 0; s < (int)plan->nsub; s++) {
        int late = (int)((spread + 1) * simrand_uniform(&r));
        char iso[20];

        if (s == last)
            late = spread;
        if (s == first)
            late = 0;
        astro_jd_to_iso(g->start_jd + (late - cut_s) / ASTRO_DAY_S, iso);
        snprintf(g->file[s], sizeof g->file[s], "%s_sb%02d.hdf5", iso, s);
    }
}

/* Where the meridian point is in ICRS, `after_s` seconds into the group. */
static void pointing(const struct simplan *plan, const struct sim_group *g,
                     double after_s, double *ra_rad, double *dec_rad)
{
    struct astro_epoch ep;
    double v[3];

    astro_epoch_init(&ep, g->start_jd + after_s / ASTRO_DAY_S, &plan->sim.earth,
                     &plan->sim.site);
    astro_meridian(&plan->sim.site, plan->sim.dec_app_rad, v);
    astro_itrf_to_icrs(&ep, v, ra_rad, dec_rad);
}

int simplan_groups(struct simplan *plan, double start_jd, struct err *e)
{
    plan->group = calloc(plan->ngroup, sizeof *plan->group);
    if (plan->group == NULL)
        return err_set(e, -ENOMEM, "no memory for %zu groups", plan->ngroup);
    for (size_t i = 0; i < plan->ngroup; i++) {
        struct sim_group *g = &plan->group[i];

        g->start_jd = start_jd + (double)i * plan->cadence_s / ASTRO_DAY_S;
        g->t0_jd = g->start_jd + 0.5 * plan->sim.tint_s / ASTRO_DAY_S;
        pointing(plan, g, simplan_length_s(plan) / 2, &g->ra_rad, &g->dec_rad);
        name_files(plan, g);
    }
    return 0;
}

int simplan_field(struct simplan *plan, double radius_rad, double min_jy, double max_jy,
                  struct err *e)
{
    struct sim_field *field = calloc(3 * plan->ngroup, sizeof *field);
    int rc;

    if (field == NULL)
        return err_set(e, -ENOMEM, "no memory for %zu groups", plan->ngroup);
    for (size_t i = 0; i < 3 * plan->ngroup; i++) {
        double after_s = simplan_length_s(plan) * (double)(i % 3) / 2;

        field[i].radius_rad = radius_rad;
        pointing(plan, &plan->group[i / 3], after_s, &field[i].ra_rad,
                 &field[i].dec_rad);
    }
    rc = simsky_random(&plan->sky, plan->sim.seed, field, 3 * plan->ngroup, min_jy,
                       max_jy, e);
    free(field);
    return rc;
}

/* ---- the truth ---- */

/* gain [ngroup][nant][2][nsub nchan], frequencies ascending, at the middle of the group. */
static void fill_gains(const struct simplan *plan, float complex *gain)
{
    const struct simvis *sim = &plan->sim;

    for (size_t g = 0; g < plan->ngroup; g++) {
        double jd = plan->group[g].start_jd + simplan_length_s(plan) / 2 / ASTRO_DAY_S;

        for (size_t a = 0; a < sim->nant; a++)
            for (int p = 0; p < 2; p++)
                for (int s = (int)plan->nsub - 1; s >= 0; s--)
                    for (size_t c = sim->nchan; c-- > 0;)
                        *gain++ = (float complex)simvis_gain(sim, sim->number[a], p, s,
                                                             c, jd);
    }
}

static int put_gains(const struct simplan *plan, struct h5 *h5, struct err *e)
{
    const struct simvis *sim = &plan->sim;
    size_t nfreq = plan->nsub * sim->nchan,
           dim[4] = {plan->ngroup, sim->nant, 2, nfreq};
    float complex *gain = calloc(plan->ngroup * sim->nant * 2 * nfreq, sizeof *gain);
    double *freq = calloc(nfreq, sizeof *freq), *jd = calloc(plan->ngroup, sizeof *jd);
    int64_t station[STATION_ACTIVE];
    int rc;

    if (gain == NULL || freq == NULL || jd == NULL) {
        rc = err_set(e, -ENOMEM, "no memory for the gains");
        goto out;
    }
    fill_gains(plan, gain);
    for (size_t i = 0; i < nfreq; i++)
        freq[nfreq - 1 - i] = simvis_freq(sim, (int)(i / sim->nchan), i % sim->nchan);
    for (size_t g = 0; g < plan->ngroup; g++)
        jd[g] = plan->group[g].start_jd + simplan_length_s(plan) / 2 / ASTRO_DAY_S;
    for (size_t a = 0; a < sim->nant; a++)
        station[a] = sim->number[a];
    if ((rc = h5_write(h5, "gain", h5_array(H5_C64, 4, dim, gain), e)) == 0 &&
        (rc = h5_write(h5, "freq_hz", h5_array(H5_F64, 1, &nfreq, freq), e)) == 0 &&
        (rc = h5_write(h5, "time_jd", h5_array(H5_F64, 1, dim, jd), e)) == 0)
        rc = h5_write(h5, "station", h5_array(H5_I64, 1, &dim[1], station), e);
out:
    free(gain);
    free(freq);
    free(jd);
    return rc;
}

static int write_gains(const struct simplan *plan, const char *dir, struct err *e)
{
    char path[MAX_PATH], temp[MAX_PATH];
    struct h5 *h5;
    int rc = path_join(path, sizeof path, dir, "gains.h5", e), closed;

    if (rc == 0)
        rc = path_join(temp, sizeof temp, dir, "gains.h5.tmp", e);
    if (rc != 0)
        return rc;
    unlink(temp); /* of a run that was killed */
    rc = h5_create(&h5, temp, e);
    if (rc != 0)
        return rc;
    rc = put_gains(plan, h5, e);
    closed = h5_close(h5, rc == 0 ? e : NULL);
    if (rc == 0)
        rc = closed;
    if (rc == 0 && rename(temp, path) != 0)
        rc = err_set(e, -errno, "%s: %s", path, strerror(errno));
    if (rc != 0)
        unlink(temp);
    return rc;
}

/* Cells with interference: group, integration, sub-band, channel of the file. */
static int write_rfi(const struct simplan *plan, const char *dir, struct err *e)
{
    const struct simvis *sim = &plan->sim;
    char path[MAX_PATH], *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    int rc = path_join(path, sizeof path, dir, "rfi.csv", e);

    if (f == NULL)
        return err_set(e, -ENOMEM, "no memory to write %s", path);
    fputs("group,integration,subband,channel,sigma\n", f);
    for (size_t g = 0; g < plan->ngroup; g++)
        for (size_t t = 0; t < sim->ntime; t++)
            for (size_t c = 0; c < plan->nsub * sim->nchan; c++) {
                size_t s = c / sim->nchan;
                double jd =
                    plan->group[g].t0_jd + (double)t * sim->tint_s / ASTRO_DAY_S;
                double size = simvis_rfi(sim, jd, (int)s, c % sim->nchan);

                if (size > 0)
                    fprintf(f, "%s,%zu,%zu,%zu,%.1f\n", plan->group[g].name, t, s,
                            c % sim->nchan, size);
            }
    if (fclose(f) != 0 && rc == 0)
        rc = err_set(e, -ENOMEM, "no memory to write %s", path);
    if (rc == 0)
        rc = path_write(path, text, n, e);
    free(text);
    return rc;
}

int simplan_truth(const struct simplan *plan, const char *dir, struct err *e)
{
    char path[MAX_PATH];
    int rc = path_mkdirs(dir, e);

    if (rc == 0)
        rc = path_join(path, sizeof path, dir, "sky.csv", e);
    if (rc == 0)
        rc = simsky_write(&plan->sky, path, e);
    if (rc == 0)
        rc = write_gains(plan, dir, e);
    if (rc == 0 && plan->sim.rfi > 0)
        rc = write_rfi(plan, dir, e);
    return rc;
}
