#include "pipeline/continuum/tile_header.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/conf.h"
#include "core/path.h"
#include "core/version.h"
#include "pipeline/continuum/tile.h"
#include "pipeline/sky/vis.h"

static void put(struct tile_header *h, const char *name, const char *text,
                double number, const char *comment)
{
    bool empty = text != NULL ? text[0] == '\0' : !isfinite(number);

    if (!empty && h->ncard + 1 < HEADER_CARDS)
        h->card[h->ncard++] = (struct fits_card){name, text, number, comment};
}

static void say(struct tile_header *h, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(struct tile_header *h, const char *format, ...)
{
    char *line;
    va_list ap;

    if (h->nline == HEADER_LINES)
        return;
    line = h->line[h->nline++];
    va_start(ap, format);
    vsnprintf(line, HEADER_LINE, format, ap);
    va_end(ap);
    put(h, "HISTORY", line, 0, NULL);
}

static void say_gains(struct tile_header *h, const struct tile_run *run)
{
    char digest[PATH_SHA256] = "of which nothing is known";

    if (run->cal != NULL)
        say(h, "calibrator %s, %.6g Jy in the primary beam; flux: %s", run->cal->name,
            run->cal_apparent_jy, run->cal->source);
    if (run->bandpass != NULL)
        say(h, "bandpass solved on it, S/N %.3g, phases to %.3g deg",
            run->bandpass_quality.snr, run->phase_rms_deg);
    if (run->stored == NULL)
        return;
    path_sha256(run->bandpass_path, digest, NULL, NULL);
    say(h, "bandpass applied: %s", run->bandpass_path);
    say(h, "sha256 of that table: %s", digest);
}

static void say_how(struct tile_header *h, const struct tile_run *run)
{
    const struct continuum_settings *set = run->set;

    say(h, "made by %s of %zu files", version_text(), run->npath);
    say_gains(h, run);
    if (!tile_calibrated(run))
        say(h, "no gains: pixels are in the unit of the data");
    say(h, "directions to %.2g arcsec: UT1-UTC %+.4f s", run->earth.error_arcsec,
        run->vis->earth.dut1_s);
    say(h, "weighting %s, robust %g, engine %s", set->imaging.weighting,
        set->imaging.robust, set->imaging.engine);
    say(h, "CLEAN: %zu components of at most %ld, in %zu major cycles",
        run->clean.niter, set->imaging.niter, run->clean.nmajor);
    say(h, "CLEAN: mask above %g sigma, down to %g sigma, mgain %g",
        set->imaging.auto_mask, set->imaging.auto_threshold, set->imaging.mgain);
    say(h, "K = %d terms of w; longest baseline %.0f wavelengths", run->info.terms,
        run->info.uvmax_lambda);
}

void tile_header(struct tile_header *h, const struct tile_run *run)
{
    const struct vis *vis = run->vis;
    double exposure_s = 0, xyz_m[3];

    for (size_t t = 0; t < vis->ntime; t++)
        exposure_s += vis->tint_s[t];
    astro_site_xyz(&vis->site, xyz_m);
    h->nline = 0;
    h->ncard = verdict_cards(h->card, &run->verdict);
    put(h, "INSTRUME", vis->instrument, 0, "");
    put(h, "OBSGEO-X", NULL, xyz_m[0], "[m] ITRF");
    put(h, "OBSGEO-Y", NULL, xyz_m[1], "[m] ITRF");
    put(h, "OBSGEO-Z", NULL, xyz_m[2], "[m] ITRF");
    put(h, "XPOSURE", NULL, exposure_s, "[s] sum of the integrations");
    put(h, "GROUP", run->group, 0, "earliest sub-band time of the group");
    put(h, "CALIB", run->cal != NULL ? run->cal->name : "none", 0,
        "calibrator in the field");
    put(h, "NOISE", NULL, run->noise_jy,
        "[unit of image.fits] robust rms of the residual");
    put(h, "THERMAL", NULL, run->thermal_jy, "noise by the receivers alone");
    put(h, "DYNRANGE", NULL, run->peak_jy / run->noise_jy, "peak over noise");
    put(h, "ENGINE", run->set->imaging.engine, 0, "what made the images: own, wsclean");
    put(h, "SMEARCOR", run->set->imaging.correct_smearing ? "yes" : "no", 0,
        "time smearing is part of the primary beam");
    put(h, "WPLANE_A", NULL, run->info.a, "w = a u + b v, fitted");
    put(h, "WPLANE_B", NULL, run->info.b, "w = a u + b v, fitted");
    say_how(h, run);
    h->card[h->ncard] = (struct fits_card){NULL, NULL, 0, NULL};
}

/* The sections that say how a product is made. */
static bool concerns_products(const char *section)
{
    static const char *const of[] = {"instrument", "flagging", "calibration",
                                     "imaging",    "mosaic",   "qa"};

    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++)
        if (strcmp(of[i], section) == 0)
            return true;
    return false;
}

json_t *tile_settings(const struct conf *conf)
{
    char *text = NULL, *save = NULL;
    json_t *all = json_object(), *in = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);

    if (f != NULL) {
        conf_print(conf, f);
        fclose(f);
    }
    for (char *line = text != NULL ? strtok_r(text, "\n", &save) : NULL; line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        char *value = strstr(line, " = ");

        if (line[0] == '[') {
            line[strcspn(line, "]")] = '\0';
            in = concerns_products(line + 1) ? json_object() : NULL;
            if (in != NULL)
                json_object_set_new(all, line + 1, in);
        } else if (line[0] != '#' && value != NULL && in != NULL) {
            *value = '\0';
            json_object_set_new(in, line, json_string(value + 3));
        }
    }
    free(text);
    return all;
}
