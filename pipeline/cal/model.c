#include "pipeline/cal/model.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/sky/beam.h"
#include "pipeline/sky/calibrator.h"
#include "pipeline/sky/vis.h"

/* Lines between two exact sines of a row; in between the phasor is turned, in double. */
enum { EXACT_EVERY = 8 };

/* Steps are equal when they differ by no more than this part of the frequency, its rounding. */
#define EVEN 1e-14

/* Apparent flux by integration, channel and polarisation, and the source's directions. */
static int apparent_flux(struct model *m, const struct vis *vis,
                         const struct calibrator *cal, const struct beam *beam,
                         struct err *e)
{
    float *flux_jy = m->flux_jy;

    for (size_t t = 0; t < vis->ntime; t++) {
        struct astro_epoch ep;

        astro_epoch_init(&ep, vis->time_jd[t], &vis->earth, &vis->site);
        astro_icrs_to_itrf(&ep, cal->ra_rad, cal->dec_rad, m->dir[t]);
        for (size_t c = 0; c < vis->nchan; c++) {
            double s_jy = 0;
            int rc = calibrator_flux(cal, vis->freq_hz[c], &s_jy, e);

            if (rc != 0)
                return rc;
            s_jy *= beam_power_at(beam, vis->pointing[t], m->dir[t], vis->freq_hz[c]);
            for (size_t p = 0; p < vis->npol; p++)
                *flux_jy++ = (float)s_jy;
        }
    }
    return 0;
}

static void find_even(size_t *until, const double *freq_hz, size_t nchan)
{
    for (size_t c = nchan; c-- > 0;) {
        until[c] = c + 2 < nchan ? c + 2 : nchan;
        if (c + 2 < nchan && fabs((freq_hz[c + 2] - freq_hz[c + 1]) -
                                  (freq_hz[c + 1] - freq_hz[c])) <= EVEN * freq_hz[c])
            until[c] = until[c + 1];
    }
}

int model_init(struct model *m, const struct vis *vis, const struct calibrator *cal,
               const struct beam *beam, struct err *e)
{
    *m = (struct model){
        .flux_jy = calloc(vis->ntime * vis->nchan * vis->npol, sizeof *m->flux_jy),
        .dir = calloc(vis->ntime, sizeof *m->dir),
        .even_until = calloc(vis->nchan, sizeof *m->even_until)};
    if (m->flux_jy == NULL || m->dir == NULL || m->even_until == NULL)
        return err_set(e, -ENOMEM, "no memory for the fluxes of %zu channels",
                       vis->nchan);
    find_even(m->even_until, vis->freq_hz, vis->nchan);
    return apparent_flux(m, vis, cal, beam, e);
}

void model_close(struct model *m)
{
    free(m->flux_jy);
    free(m->dir);
    free(m->even_until);
    *m = (struct model){0};
}

void model_row(struct model_row *r, const struct model *m, const struct vis *vis,
               size_t row, const struct line_code *code)
{
    const double *p1 = vis->ant_pos_m[vis->row_ant1[row]];
    const double *p2 = vis->ant_pos_m[vis->row_ant2[row]];
    size_t t = (size_t)vis->row_time[row];
    double path_m = 0;

    r->m = m;
    r->vis = vis;
    r->code = code;
    r->row = row;
    r->flux_jy = NULL;
    r->left = 0;
    r->step_hz = 0;
    if (m->flux_jy == NULL)
        return;
    r->flux_jy = m->flux_jy + t * vis->nchan * vis->npol;
    for (int k = 0; k < 3; k++)
        path_m += (p2[k] - p1[k]) * (m->dir[t][k] - vis->stop[t][k]);
    r->tau_s = path_m / ASTRO_C_M_S;
}

static void new_step(struct model_row *r, double step_hz)
{
    size_t npol = r->vis->npol, k = 0;
    double re = 1, im = 0, step_re, step_im;

    sincos(2 * M_PI * step_hz * r->tau_s, &step_im, &step_re);
    while (k < LINE) {
        double was = re;

        for (size_t p = 0; p < npol; p++, k++) {
            r->zr[k] = (float)re;
            r->zi[k] = (float)im;
        }
        re = re * step_re - im * step_im;
        im = was * step_im + im * step_re;
    }
    r->turn_re = re;
    r->turn_im = im;
    r->step_hz = step_hz;
    r->left = 0;
}

/* Evenly spaced channels of the point source. */
static void even_line(struct model_row *r, size_t c, size_t n, float *mr, float *mi)
{
    const double *freq_hz = r->vis->freq_hz;
    size_t npol = r->vis->npol;

    if (n > 1 && fabs(freq_hz[c + 1] - freq_hz[c] - r->step_hz) > EVEN * freq_hz[c])
        new_step(r, freq_hz[c + 1] - freq_hz[c]);
    else if (r->step_hz == 0)
        new_step(r, 0); /* a channel by itself, the first of its row */
    if (r->left <= 0 || c != r->next) {
        double turns = freq_hz[c] * r->tau_s;

        sincos(2 * M_PI * (turns - rint(turns)), &r->im, &r->re);
        r->left = EXACT_EVERY;
    }
    r->code->phasor(mr, mi, r->zr, r->zi, (float)r->re, (float)r->im,
                    r->flux_jy + c * npol, n * npol);
    r->left--;
    r->next = c + LINE / npol;
    if (n == LINE / npol) {
        double was = r->re;

        r->re = r->re * r->turn_re - r->im * r->turn_im;
        r->im = was * r->turn_im + r->im * r->turn_re;
    } else {
        r->left = 0;
    }
}

/* Onto the point source's, or by itself. */
static void add_field(const struct model_row *r, size_t c, size_t n, float *mr,
                      float *mi)
{
    float re[LINE] = {0}, im[LINE] = {0};
    float scale = r->m->field_scale != 0 ? (float)r->m->field_scale : 1;
    size_t npol = r->vis->npol;

    r->m->field(r->m->field_arg, r->row, c, n, re, im);
    if (r->flux_jy == NULL) {
        memset(mr, 0, n * npol * sizeof *mr);
        memset(mi, 0, n * npol * sizeof *mi);
    }
    if (npol == 2) {
        r->code->pair(mr, mi, re, im, scale, n);
        return;
    }
    for (size_t k = 0; k < n * npol; k++) {
        mr[k] += scale * re[k / npol];
        mi[k] += scale * im[k / npol];
    }
}

void model_row_line(struct model_row *r, size_t c, size_t n, float *mr, float *mi)
{
    size_t npol = r->vis->npol;

    for (size_t at = c; r->flux_jy != NULL && at < c + n;) {
        size_t until = r->m->even_until[at], k = (at - c) * npol;

        if (until > c + n)
            until = c + n;
        even_line(r, at, until - at, mr + k, mi + k);
        at = until;
    }
    if (r->m->field != NULL)
        add_field(r, c, n, mr, mi);
}
