/*
 * model.c: what the array should see of a point source.
 */
#include "pipeline/cal/model.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "core/err.h"
#include "pipeline/cal/gains.h"
#include "pipeline/sky/beam.h"
#include "pipeline/sky/calibrator.h"
#include "pipeline/sky/vis.h"

/* Channels between two exact sines of a row; in between the phasor is turned step by step. */
enum { EXACT_EVERY = 32 };

/* Apparent flux by integration and channel: flux [ntime][nchan] Jy. */
static int apparent_flux(double *flux_jy, double (*dir)[3], const struct vis *vis,
                         const struct calibrator *cal, const struct beam *beam,
                         struct err *e)
{
    for (size_t t = 0; t < vis->ntime; t++) {
        struct astro_epoch ep;

        astro_epoch_init(&ep, vis->time_jd[t], vis->dut1_s);
        astro_icrs_to_itrf(&ep, cal->ra_rad, cal->dec_rad, dir[t]);
        for (size_t c = 0; c < vis->nchan; c++) {
            double s_jy = 0;
            int rc = calibrator_flux(cal, vis->freq_hz[c], &s_jy, e);

            if (rc != 0)
                return rc;
            flux_jy[t * vis->nchan + c] =
                s_jy * beam_power_at(beam, vis->pointing[t], dir[t], vis->freq_hz[c]);
        }
    }
    return 0;
}

/* out[c] = flux[c] exp(2 pi i freq[c] tau). */
static void fringe(float complex *out, const double *flux_jy, const double *freq_hz,
                   size_t nchan, double tau_s)
{
    double re = 0, im = 0, step_re = 1, step_im = 0, step_hz = 0;

    for (size_t c = 0; c < nchan; c++) {
        double here_hz = c > 0 ? freq_hz[c] - freq_hz[c - 1] : 0;

        if (c % EXACT_EVERY == 0 || fabs(here_hz - step_hz) > 1e-9 * step_hz) {
            double turns = freq_hz[c] * tau_s;

            sincos(2 * M_PI * (turns - rint(turns)), &im, &re);
            step_hz = c + 1 < nchan ? freq_hz[c + 1] - freq_hz[c] : 0;
            sincos(2 * M_PI * step_hz * tau_s, &step_im, &step_re);
        } else {
            double was = re;

            re = re * step_re - im * step_im;
            im = was * step_im + im * step_re;
        }
        out[c] = gain_of((float)(flux_jy[c] * re), (float)(flux_jy[c] * im));
    }
}

int model_point(float complex *model, const struct vis *vis,
                const struct calibrator *cal, const struct beam *beam, struct err *e)
{
    double *flux_jy = calloc(vis->ntime * vis->nchan, sizeof *flux_jy);
    double(*dir)[3] = calloc(vis->ntime, sizeof *dir);
    int rc;

    if (flux_jy == NULL || dir == NULL)
        rc =
            err_set(e, -ENOMEM, "no memory for the fluxes of %zu channels", vis->nchan);
    else
        rc = apparent_flux(flux_jy, dir, vis, cal, beam, e);
    for (size_t row = 0; rc == 0 && row < vis->nrow; row++) {
        const double *p1 = vis->ant_pos_m[vis->row_ant1[row]];
        const double *p2 = vis->ant_pos_m[vis->row_ant2[row]];
        size_t t = (size_t)vis->row_time[row];
        double path_m = 0;

        for (int k = 0; k < 3; k++)
            path_m += (p2[k] - p1[k]) * (dir[t][k] - vis->stop[t][k]);
        fringe(model + row * vis->nchan, flux_jy + t * vis->nchan, vis->freq_hz,
               vis->nchan, path_m / ASTRO_C_M_S);
    }
    free(flux_jy);
    free(dir);
    return rc;
}
