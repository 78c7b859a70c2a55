/*
 * uvh5_uvw.c: antenna positions against the baselines that the correlator wrote.
 *
 * Everything later is computed from the positions; were they in another frame (east, north, up;
 * or turned to the local meridian, as UVFITS and Miriad keep them), the image would be sharp and
 * in the wrong place.  uvw_array is the file's own witness.  Of files without a version (before
 * 0.1, written by HERA's correlator until 2020) the sign is not asked: they have u, v, w of
 * antenna 1 minus antenna 2, and visibilities as in later files.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "core/err.h"
#include "pipeline/io/h5.h"
#include "pipeline/io/uvh5_parts.h"

static const double MOST = 0.01;             /* of the baselines, rms */
static const double SPAN_DAY = 30 / 86400.0; /* the earth turns by 2e-3 */

/* Rows: the ITRF directions in which u, v and w are counted, row 0 of the file. */
static void frame_of(const struct uvh5_header *h, double frame[3][3])
{
    double lon = h->info.site.lon_rad;
    double lat =
        h->info.phasing == VIS_MERIDIAN ? h->info.dec_app_rad : h->info.site.lat_rad;
    struct astro_epoch ep;

    if (h->info.phasing == VIS_SIDEREAL) {
        astro_epoch_init(&ep, h->time_jd[0], NULL, &h->info.site);
        astro_uvw_basis(&ep, h->info.phase_ra_rad, h->info.phase_dec_rad, frame);
        return;
    }
    /* east, north, up at the site; or at the point of its meridian that is looked at */
    const double enu[3][3] = {{-sin(lon), cos(lon), 0},
                              {-sin(lat) * cos(lon), -sin(lat) * sin(lon), cos(lat)},
                              {cos(lat) * cos(lon), cos(lat) * sin(lon), sin(lat)}};

    for (int k = 0; k < 3; k++)
        for (int j = 0; j < 3; j++)
            frame[k][j] = enu[k][j];
}

/* out = frame . in */
static void turn(const double frame[3][3], const double in[3][3], double out[3][3])
{
    for (int k = 0; k < 3; k++)
        for (int j = 0; j < 3; j++)
            out[k][j] = frame[k][0] * in[0][j] + frame[k][1] * in[1][j] +
                        frame[k][2] * in[2][j];
}

struct gap {
    double share;           /* rms of the differences over that of the baselines */
    double worst_m, long_m; /* the largest difference, and the baseline that has it */
    size_t row;
};

/* uvw [nblt][3] beside frame . positions. */
static struct gap gap_of(const struct uvh5_header *h, const double (*uvw)[3],
                         const double frame[3][3])
{
    struct gap g = {0};
    double off2 = 0, all2 = 0;

    for (size_t i = 0; i < h->nblt; i++) {
        const double *p = h->ant_pos_m[h->ant1[i]], *q = h->ant_pos_m[h->ant2[i]];
        double d2 = 0, b2 = 0;

        if (h->ant1[i] == h->ant2[i] || fabs(h->time_jd[i] - h->time_jd[0]) > SPAN_DAY)
            continue;
        for (int k = 0; k < 3; k++) {
            double b = frame[k][0] * (q[0] - p[0]) + frame[k][1] * (q[1] - p[1]) +
                       frame[k][2] * (q[2] - p[2]);

            d2 += (uvw[i][k] - b) * (uvw[i][k] - b);
            b2 += uvw[i][k] * uvw[i][k];
        }
        if (!isfinite(d2))
            continue;
        off2 += d2;
        all2 += b2;
        if (sqrt(d2) > g.worst_m)
            g = (struct gap){.worst_m = sqrt(d2), .long_m = sqrt(b2), .row = i};
    }
    g.share = all2 > 0 ? sqrt(off2 / all2) : 0;
    return g;
}

/* What the positions, or the rows, seem to be instead. */
static const char *guess(const struct uvh5_header *h, const double (*uvw)[3],
                         const double frame[3][3])
{
    double lon = h->info.site.lon_rad, lat = h->info.site.lat_rad, other[3][3];
    const double from_enu[3][3] = {
        {-sin(lon), -sin(lat) * cos(lon), cos(lat) * cos(lon)},
        {cos(lon), -sin(lat) * sin(lon), cos(lat) * sin(lon)},
        {0, cos(lat), sin(lat)}};
    const double from_local[3][3] = {
        {cos(lon), -sin(lon), 0}, {sin(lon), cos(lon), 0}, {0, 0, 1}};
    const double back[3][3] = {{-1, 0, 0}, {0, -1, 0}, {0, 0, -1}};

    turn(frame, from_enu, other);
    if (gap_of(h, uvw, (const double(*)[3])other).share <= MOST)
        return "; the positions look like east, north, up instead of ITRF";
    turn(frame, from_local, other);
    if (gap_of(h, uvw, (const double(*)[3])other).share <= MOST)
        return "; the positions look like turned to the local meridian";
    turn(frame, back, other);
    if (gap_of(h, uvw, (const double(*)[3])other).share <= MOST)
        return "; uvw looks like antenna 1 minus antenna 2";
    return "";
}

int uvh5_check_uvw(const struct h5 *h5, struct uvh5_header *h, struct err *e)
{
    static const char name[] = "Header/uvw_array";
    double(*uvw)[3] = NULL, frame[3][3];
    struct gap g, backward;
    int rc;

    if (!h5_has(h5, name))
        return 0;
    uvw = calloc(h->nblt, sizeof *uvw);
    if (uvw == NULL)
        return err_set(e, -ENOMEM, "%s: no memory for %zu rows", h->path, h->nblt);
    if ((rc = h5_read_f64(h5, name, uvw[0], 3 * h->nblt, e)) != 0)
        goto out;
    frame_of(h, frame);
    g = gap_of(h, (const double(*)[3])uvw, (const double(*)[3])frame);
    if (g.share > MOST && !h5_has(h5, "Header/version")) {
        for (size_t i = 0; i < h->nblt; i++)
            for (int k = 0; k < 3; k++)
                uvw[i][k] = -uvw[i][k];
        backward = gap_of(h, (const double(*)[3])uvw, (const double(*)[3])frame);
        if (backward.share <= MOST)
            goto out;
    }
    if (g.share > MOST)
        rc = err_set(e, ERR_FORMAT,
                     "%s: uvw_array contradicts antenna_positions by %.3g %%, %.4g m "
                     "on a baseline of %.4g m (antennas %lld and %lld)%s",
                     h->path, 100 * g.share, g.worst_m, g.long_m,
                     (long long)h->ant_number[h->ant1[g.row]],
                     (long long)h->ant_number[h->ant2[g.row]],
                     guess(h, (const double(*)[3])uvw, (const double(*)[3])frame));
out:
    free(uvw);
    return rc;
}
