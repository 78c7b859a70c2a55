/*
 * tile_qa.c: how good a tile is: noise, sources, catalogue, verdict.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/continuum/settings.h"
#include "core/err.h"
#include "pipeline/continuum/tile.h"
#include "pipeline/continuum/verdict.h"
#include "pipeline/sky/image.h"

/* The noise around every pixel after division by the beam. */
static float *noise_map(const struct tile_run *run)
{
    const struct image *residual = run->residual;
    size_t n = run->pb->nx * run->pb->ny;
    float *map = malloc(n * sizeof *map);

    if (map != NULL && qa_noise_map(map, residual->pix, residual->nx, residual->ny,
                                    run->psf->bmaj_rad / run->psf->wcs.cell_rad,
                                    run->env->threads) != 0) {
        free(map);
        return NULL;
    }
    for (size_t i = 0; map != NULL && i < n; i++)
        map[i] = run->pb->pix[i] > 0 ? map[i] / run->pb->pix[i] : NAN;
    return map;
}

int tile_qa(void *arg, struct err *e)
{
    struct tile_run *run = arg;
    const struct continuum_settings *set = run->set;
    size_t n = run->flat->nx * run->flat->ny;
    struct source solved = {.freq_hz = run->flat->freq_hz};
    float *noise;
    int rc;

    if (run->cal != NULL) {
        solved.ra_rad = run->cal->ra_rad;
        solved.dec_rad = run->cal->dec_rad;
    }
    run->noise_jy = qa_noise(run->residual->pix, n);
    run->peak_jy = 0;
    for (size_t i = 0; i < n; i++)
        if (run->flat->pix[i] > run->peak_jy)
            run->peak_jy = run->flat->pix[i];
    noise = noise_map(run);
    if (noise == NULL)
        return err_set(e, -ENOMEM, "out of memory for the noise map of %s", run->group);
    rc = qa_find(&run->sources, run->corrected, noise, set->qa.find_sigma, e);
    run->match = (struct qa_match){0, 0, NAN, NAN, NAN, NAN};
    if (rc == 0 && tile_calibrated(run)) /* else fluxes are in another unit */
        rc =
            verdict_catalogue(&run->match, run->corrected, noise, &run->sources,
                              &(struct source_list){run->cal != NULL, &solved}, set, e);
    free(noise);
    if (rc == 0)
        rc = tile_judge(run, e);
    if (rc != 0)
        return rc;
    snprintf(run->env->detail, sizeof run->env->detail,
             "noise %.3g %s, thermal %.3g, peak %.4g, dynamic range %.0f, %zu sources, "
             "%s",
             run->noise_jy, run->flat->unit, run->thermal_jy, run->peak_jy,
             run->peak_jy / run->noise_jy, run->sources.n,
             json_array_size(run->verdict.reasons) > 0
                 ? json_string_value(json_array_get(run->verdict.reasons, 0))
                 : verdict_word(run->verdict.grade));
    return 0;
}
