#include "pipeline/continuum/settings.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/pipeline.h"

#define AT(section, field)                                                             \
    offsetof(struct continuum_settings, section.field),                                \
        sizeof(((struct continuum_settings *)0)->section.field)

/* clang-format off */
static const struct conf_setting rows[] = {
{"instrument", "dut1_s", CONF_REAL, AT(instrument, dut1_s), -0.9, 0.9, "s", "0",
 "UT1 - UTC; 0: from the table"},
{"instrument", "earth", CONF_PATH, AT(instrument, earth), 0, 0, "", "",
 "table of earth orientation, ours or IERS finals2000A; empty: the one in the program"},
{"instrument", "stop_longitude", CONF_TEXT, AT(instrument, stop_longitude), 0, 0, "", "file",
 "degrees east at which hour angle 0 is that fringes were stopped to; file: the header's"},
{"instrument", "beam", CONF_WORD, AT(instrument, beam), 0, 0, "airy gaussian none", "airy",
 "primary beam"},
{"instrument", "dish_m", CONF_REAL, AT(instrument, dish_m), 0, 1000, "m", "0",
 "dish diameter; 0: from the file"},
{"instrument", "sefd_jy", CONF_REAL, AT(instrument, sefd_jy), 0, 1e9, "Jy", "0",
 "system equivalent flux density of a receiver; used where files have no autocorrelations"},

{"flagging", "enabled", CONF_FLAG, AT(flagging, enabled), 0, 0, "", "yes",
 "look for interference and broken antennas before anything is solved"},
{"flagging", "threshold", CONF_REAL, AT(flagging, threshold), 3, 1000, "sigma", "6",
 "a single sample is interference above this; longer stretches at less"},
{"flagging", "known_bands", CONF_PATH, AT(flagging, known_bands), 0, 0, "", "",
 "CSV of bands that are always flagged; empty: none"},
{"flagging", "max_share", CONF_REAL, AT(flagging, max_share), 0, 1, "", "0.5",
 "a group with interference in a larger share of its valid samples has failed"},

{"calibration", "calibrator", CONF_TEXT, AT(calibration, calibrator), 0, 0, "", "auto",
 "auto, none, NAME, or NAME,RA_DEG,DEC_DEG,FLUX_JY,FREQ_MHZ[,SPIX]"},
{"calibration", "min_beam", CONF_REAL, AT(calibration, min_beam), 0, 1, "", "0.3",
 "a calibrator counts where the primary beam is at least this"},
{"calibration", "min_flux_jy", CONF_REAL, AT(calibration, min_flux_jy), 0, 1e6, "Jy", "0.5",
 "smallest apparent flux of a calibrator"},
{"calibration", "bandpass_valid_h", CONF_REAL, AT(calibration, bandpass_valid_h), 0, 87600, "h",
 "24", "a bandpass may be used this long before and after"},
{"calibration", "bandpass_snr", CONF_REAL, AT(calibration, bandpass_snr), 0, 1e9, "", "10",
 "a bandpass is good, and a group uses its own, when its gains have this signal to noise"},
{"calibration", "min_uv_lambda", CONF_REAL, AT(calibration, min_uv_lambda), 0, 1e9, "lambda", "0",
 "shorter baselines take no part in solving: the Sun, cross-talk, what is extended"},
{"calibration", "solution_snr", CONF_REAL, AT(calibration, solution_snr), 0, 1e6, "", "10",
 "as many channels or integrations share a gain as give it this signal to noise; 0: one each"},
{"calibration", "clip_sigma", CONF_REAL, AT(calibration, clip_sigma), 0, 1000, "sigma", "5",
 "samples this far from the model take no part in solving; 0: all do"},
{"calibration", "refant", CONF_COUNT, AT(calibration, refant), -1, 1e6, "", "-1",
 "reference antenna's number; -1: automatic"},
{"calibration", "model_rounds", CONF_COUNT, AT(calibration, model_rounds), 0, 100, "", "4",
 "times at most to solve again with the field's own sources in the model"},
{"calibration", "phase_rounds", CONF_COUNT, AT(calibration, phase_rounds), 0, 100, "", "0",
 "so many of them, the first, solve for phases alone"},

{"imaging", "engine", CONF_WORD, AT(imaging, engine), 0, 0, "own wsclean", "own",
 "what makes the images: our own imager, or WSClean"},
{"imaging", "engine_timeout_s", CONF_REAL, AT(imaging, engine_timeout_s), 1, 2592000, "s", "3600",
 "WSClean is killed when it takes longer"},
{"imaging", "size", CONF_COUNT, AT(imaging, size), 0, 32768, "pixels", "0",
 "pixels a side; 0: from the beam and the cell"},
{"imaging", "cell_arcsec", CONF_REAL, AT(imaging, cell_arcsec), 0, 3600, "arcsec", "0",
 "side of a pixel; 0: from the longest baseline"},
{"imaging", "weighting", CONF_WORD, AT(imaging, weighting), 0, 0, "briggs natural", "briggs",
 "weights of the visibilities"},
{"imaging", "robust", CONF_REAL, AT(imaging, robust), -2, 2, "", "0.5",
 "of briggs: -2 is uniform, 2 is natural"},
{"imaging", "niter", CONF_COUNT, AT(imaging, niter), 0, 1e8, "", "100000",
 "CLEAN components at most; 0: dirty image"},
{"imaging", "auto_mask", CONF_REAL, AT(imaging, auto_mask), 0, 1000, "sigma", "5",
 "CLEAN takes peaks above this"},
{"imaging", "auto_threshold", CONF_REAL, AT(imaging, auto_threshold), 0, 1000, "sigma", "1",
 "and follows them down to this; at most auto_mask"},
{"imaging", "mgain", CONF_REAL, AT(imaging, mgain), 0.01, 1, "", "0.995",
 "part of the peak removed before the whole image sees it"},
{"imaging", "correct_smearing", CONF_FLAG, AT(imaging, correct_smearing), 0, 0, "", "no",
 "divide by what averaging over an integration costs, together with the primary beam"},
{"imaging", "keep_ms", CONF_WORD, AT(imaging, keep_ms), 0, 0, "no yes full", "no",
 "keep calibrated visibilities as a Measurement Set; full: weights by channel, too"},

{"mosaic", "tiles", CONF_COUNT, AT(mosaic, tiles), 1, 1000, "", "10", "tiles of a mosaic"},
{"mosaic", "overlap", CONF_COUNT, AT(mosaic, overlap), 0, 999, "", "2",
 "tiles shared with the mosaic before; less than tiles"},
{"mosaic", "max_gap_s", CONF_REAL, AT(mosaic, max_gap_s), 1, 864000, "s", "420",
 "between the starts of successive tiles"},
{"mosaic", "pb_cut", CONF_REAL, AT(mosaic, pb_cut), 0, 0.99, "", "0.2",
 "no tile is used where its primary beam is below this"},
{"mosaic", "dec_tolerance_deg", CONF_REAL, AT(mosaic, dec_tolerance_deg), 0, 180, "deg", "0.1",
 "tiles of a mosaic agree in declination to this"},

{"qa", "catalogue", CONF_PATH, AT(qa, catalogue), 0, 0, "", "",
 "CSV of sources to compare with; empty: the built-in calibrators"},
{"qa", "find_sigma", CONF_REAL, AT(qa, find_sigma), 1, 1000, "sigma", "7",
 "a source is a peak above this"},
{"qa", "noise_warn", CONF_REAL, AT(qa, noise_warn), 0, 1e6, "", "2",
 "an image is doubtful when its noise is above this times the expected; 0: not judged"},
{"qa", "noise_fail", CONF_REAL, AT(qa, noise_fail), 0, 1e6, "", "5",
 "and has failed above this; 0: not judged"},
{"qa", "dynamic_range", CONF_REAL, AT(qa, dynamic_range), 0, 1e9, "", "1000",
 "noise of the peak over this is expected beside the receivers'; 0: none"},
{"qa", "valid_warn", CONF_REAL, AT(qa, valid_warn), 0, 1, "", "0.5",
 "doubtful with less valid data than this share; 0: not judged"},
{"qa", "valid_fail", CONF_REAL, AT(qa, valid_fail), 0, 1, "", "0.2",
 "failed with less than this; 0: not judged"},
{"qa", "phase_warn_deg", CONF_REAL, AT(qa, phase_warn_deg), 0, 104, "deg", "25",
 "doubtful when calibrated phases scatter more than noise and this; 0: not judged"},
{"qa", "phase_fail_deg", CONF_REAL, AT(qa, phase_fail_deg), 0, 104, "deg", "45",
 "failed when they scatter more than this; 0: not judged"},
{"qa", "solutions_warn", CONF_REAL, AT(qa, solutions_warn), 0, 1, "", "0.2",
 "doubtful when a larger share of the gains has no solution; 0: not judged"},
{"qa", "solutions_fail", CONF_REAL, AT(qa, solutions_fail), 0, 1, "", "0.5",
 "failed when a larger share than this has none; 0: not judged"},
{"qa", "min_dynamic_range", CONF_REAL, AT(qa, min_dynamic_range), 0, 1e6, "", "5",
 "failed with a peak below this times the noise"},
{"qa", "min_found", CONF_REAL, AT(qa, min_found), 0, 1, "", "0.6",
 "doubtful when a smaller share of the catalogue's sources is found"},
{"qa", "max_flux_error", CONF_REAL, AT(qa, max_flux_error), 0, 100, "", "0.2",
 "doubtful when fluxes differ by more than this share from the catalogue's"},
{"qa", "max_flux_move", CONF_REAL, AT(qa, max_flux_move), 0, 100, "", "0.02",
 "doubtful when the last round of self-calibration moved more than this share of the flux"},
};
/* clang-format on */

bool settings_stop_longitude(const struct continuum_settings *s, double *deg)
{
    const char *text = s->instrument.stop_longitude;
    char *end;

    *deg = NAN;
    if (strcmp(text, "file") == 0)
        return true;
    *deg = strtod(text, &end);
    return end != text && *end == '\0' && fabs(*deg) <= 360;
}

static const char *wrong(const void *values)
{
    const struct continuum_settings *s = values;

    double lon_deg;

    if (!settings_stop_longitude(s, &lon_deg))
        return "[instrument] stop_longitude must be file, or degrees from -360 to 360";
    if (s->imaging.auto_threshold > s->imaging.auto_mask)
        return "[imaging] auto_threshold must be at most auto_mask";
    if (s->imaging.correct_smearing && strcmp(s->imaging.engine, "own") != 0)
        return "[imaging] correct_smearing needs engine = own, whose weights are known";
    return NULL;
}

const struct conf_part continuum_part = {.row = rows,
                                         .nrow = sizeof rows / sizeof rows[0],
                                         .size = sizeof(struct continuum_settings),
                                         .wrong = wrong};

const struct continuum_settings *continuum_settings(const struct conf *conf)
{
    return conf_values(conf, &continuum_part);
}

void mosaic_window(const struct conf *conf, struct window_opts *opts)
{
    const struct continuum_settings *s = continuum_settings(conf);

    *opts = (struct window_opts){.tiles = (size_t)s->mosaic.tiles,
                                 .overlap = (size_t)s->mosaic.overlap,
                                 .max_gap_s = s->mosaic.max_gap_s,
                                 .dec_tolerance_deg = s->mosaic.dec_tolerance_deg};
}
