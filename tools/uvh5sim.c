/*
 * uvh5sim: drift-scan groups as DSA-110 would deliver them, with the truth beside them.
 *
 * The plan (times, names, sky, gains) follows from the options and the seed; the truth is
 * written first, then the files, group by group and sub-band by sub-band.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "core/err.h"
#include "core/path.h"
#include "pipeline/sky/astro.h"
#include "pipeline/sky/calibrator.h"
#include "pipeline/sky/earth.h"
#include "pipeline/sim/simplan.h"
#include "pipeline/sim/simsky.h"
#include "pipeline/sim/simvis.h"
#include "pipeline/sky/stations.h"
#include "pipeline/io/uvh5_write.h"

/* Header location of real files: observatory OVRO, WGS84. */
static const double SITE_LAT_DEG = 37.2314, SITE_LON_DEG = -118.2817, SITE_ALT_M = 1222;
/* What real files say; the clock steps by 12.884901888 s (96 raw samples). */
static const double TINT_S = 12.884902000427246;
static const double RAW_SAMPLES = 96;
static const char DEFAULT_START[] = "2026-01-25T22:26:05";
enum { NSUB = SIMVIS_SUBBANDS, MAX_PATH = 4096 };

static char truth_dir[MAX_PATH]; /* set once at start */

/* ---- options ---- */

static struct {
    const char *out, *start, *truth, *sky, *calibrator, *dead, *deaf, *beam, *layout,
        *jitter, *rfi_kind, *earth;
    double groups, antennas, integrations, channels, pols, subbands, cadence, dec, seed,
        sefd, gain_rms, bandpass_rms, drift, rfi, dish, scale, min_flux, max_flux,
        radius, dut1, pace, stop_longitude;
    bool deliver, no_field, no_smearing, json, quiet, help, version;
} opt = {
    .groups = 1,
    .antennas = 96,
    .integrations = 24,
    .channels = 48,
    .pols = 2,
    .subbands = 16,
    .dec = NAN,
    .stop_longitude = NAN,
    .seed = 1,
    .sefd = 6000,
    .gain_rms = 0.1,
    .bandpass_rms = 0.05,
    .drift = 3,
    .dish = 4.65,
    .scale = 1,
    .min_flux = 0.05,
    .max_flux = 2,
    .radius = 3.2,
    .rfi_kind = "cells",
    .beam = "airy",
    .layout = "4d",
    .jitter = "observed",
};

/* lo and hi bound a number; lo = hi = 0 means that the option takes text, or is a flag
 * when it has no argument. */
static const struct {
    const char *name, *arg;
    void *to;
    double lo, hi;
    bool whole;
    const char *help;
} OPTION[] = {
    {NULL, "What to observe", NULL, 0, 0, 0, NULL},
    {"start", "ISO", &opt.start, 0, 0, 0,
     "UTC of the first group, YYYY-MM-DDTHH:MM:SS (2026-01-25T22:26:05;\n"
     "with --calibrator: so that it transits in the middle group)"},
    {"groups", "N", &opt.groups, 1, 100000, 1,
     "groups of 16 files, one after another (1)"},
    {"cadence", "S", &opt.cadence, 1, 86400, 0,
     "seconds from group to group (309.24, or the group's length if longer)"},
    {"dec", "DEG", &opt.dec, -89.9, 89.9, 0,
     "apparent declination of the meridian point (16.3, or the calibrator's)"},
    {"sky", "FILE", &opt.sky, 0, 0, 0,
     "sources: CSV lines name,ra_deg,dec_deg,flux_jy,spix,freq_mhz"},
    {"calibrator", "NAME", &opt.calibrator, 0, 0, 0,
     "a built-in calibrator (0834+555, 3C273 ...) or NAME,RA,DEC,JY,MHZ[,SPIX],\n"
     "in a random field"},
    {"no-field", NULL, &opt.no_field, 0, 0, 0,
     "no random sources beside the calibrator"},
    {"min-flux", "JY", &opt.min_flux, 1e-4, 1e4, 0, "faintest random source (0.05)"},
    {"max-flux", "JY", &opt.max_flux, 1e-4, 1e5, 0, "brightest random source (2)"},
    {"radius", "DEG", &opt.radius, 0.1, 30, 0,
     "random sources out to here from any pointing (3.2)"},
    {"seed", "N", &opt.seed, 0, 9e15, 1, "every random number follows from it (1)"},
    {NULL, "The array", NULL, 0, 0, 0, NULL},
    {"antennas", "N", &opt.antennas, 2, 96, 1,
     "2 to 96; fewer keep both arms, outriggers, short and long baselines (96)"},
    {"integrations", "N", &opt.integrations, 1, 10000, 1, "of 12.88 s, per group (24)"},
    {"channels", "N", &opt.channels, 1, 4096, 1, "per sub-band; the band stays (48)"},
    {"pols", "N", &opt.pols, 2, 4, 1, "2 (XX YY) or 4 (XX XY YX YY) (2)"},
    {"subbands", "N", &opt.subbands, 1, 16, 1, "the N highest of the 16 (16)"},
    {"beam", "KIND", &opt.beam, 0, 0, 0, "airy, gaussian or none (airy)"},
    {"dish", "M", &opt.dish, 0.5, 1000, 0, "diameter for the beam (4.65)"},
    {NULL, "What spoils it", NULL, 0, 0, 0, NULL},
    {"noise-sefd", "JY", &opt.sefd, 0, 1e9, 0,
     "SEFD of each antenna; 0: no noise (6000)"},
    {"gain-rms", "X", &opt.gain_rms, 0, 3, 0,
     "scatter of ln |gain|; phases then fill 360 deg; 0: perfect (0.1)"},
    {"bandpass-rms", "X", &opt.bandpass_rms, 0, 1, 0, "scatter of the bandpass (0.05)"},
    {"drift", "DEG", &opt.drift, 0, 360, 0,
     "slow phase wander of each antenna, amplitude (3; 0 when --gain-rms is 0)"},
    {"rfi", "FRACTION", &opt.rfi, 0, 1, 0,
     "share of integration-channel cells with interference (0)"},
    {"rfi-kind", "KIND", &opt.rfi_kind, 0, 0, 0,
     "cells (half of it on channels that are always bad), narrow, broad, burst or\n"
     "weak: half a sigma on every baseline (cells)"},
    {"no-smearing", NULL, &opt.no_smearing, 0, 0, 0,
     "each integration as in its middle, not the mean over its 12.88 s"},
    {"dead", "A,B", &opt.dead, 0, 0, 0, "stations (1 to 117) that deliver zeros"},
    {"deaf", "A,B", &opt.deaf, 0, 0, 0, "stations that deliver noise without sky"},
    {"scale", "X", &opt.scale, 1e-9, 1e9, 0,
     "correlator units per Jy (1; production about 1/220)"},
    {"dut1", "S", &opt.dut1, -0.9, 0.9, 0, "UT1 - UTC (0: from the table)"},
    {"earth", "FILE", &opt.earth, 0, 0, 0,
     "table of earth orientation (the one in the program)"},
    {"stop-longitude", "DEG", &opt.stop_longitude, -360, 360, 0,
     "where hour angle 0 is that fringes are stopped to (the site's longitude)"},
    {NULL, "Files", NULL, 0, 0, 0, NULL},
    {"out", "DIR", &opt.out, 0, 0, 0, "where the files go (needed; made if missing)"},
    {"truth", "DIR", &opt.truth, 0, 0, 0,
     "where sky.csv, gains.h5, groups.json go (OUT/truth)"},
    {"layout", "KIND", &opt.layout, 0, 0, 0,
     "4d: production, each integration on the meridian; 3d: UVH5 1.x, tracking (4d)"},
    {"jitter", "KIND", &opt.jitter, 0, 0, 0,
     "observed: names of a group spread as in the real log; none (observed)"},
    {"deliver", NULL, &opt.deliver, 0, 0, 0,
     "as the telescope: STEM_incomplete.hdf5, renamed when whole"},
    {"pace", "S", &opt.pace, 0, 86400, 0, "wait between files (0)"},
    {"json", NULL, &opt.json, 0, 0, 0, "summary as JSON on standard output"},
    {"quiet", NULL, &opt.quiet, 0, 0, 0, "no progress on standard error"},
    {"version", NULL, &opt.version, 0, 0, 0, "print the version"},
    {"help", NULL, &opt.help, 0, 0, 0, "this text"},
};

enum { NOPTION = sizeof OPTION / sizeof OPTION[0] };

static void print_help(void)
{
    puts("uvh5sim --out DIR [options]: simulate drift-scan groups of DSA-110 as UVH5 "
         "files.\n"
         "\n"
         "Without options: one production group, 16 files of 145,348,600 bytes, random "
         "sky.");
    for (int i = 0; i < NOPTION; i++) {
        char left[40];
        const char *text = OPTION[i].help;

        if (text == NULL) {
            printf("\n%s\n", OPTION[i].arg);
            continue;
        }
        snprintf(left, sizeof left, "--%s%s%s", OPTION[i].name,
                 OPTION[i].arg != NULL ? " " : "",
                 OPTION[i].arg != NULL ? OPTION[i].arg : "");
        printf("  %-20s ", left);
        for (; *text != '\0'; text++)
            if (*text == '\n')
                printf("\n%23s", "");
            else
                putchar(*text);
        putchar('\n');
    }
    puts("\nExamples\n"
         "  uvh5sim --out /tmp/in --calibrator 0834+555 --groups 3 --antennas 32 \\\n"
         "          --integrations 8 --channels 6        a field to calibrate and map, "
         "30 MB\n"
         "  uvh5sim --out /tmp/in --sky my.csv --noise-sefd 0 --gain-rms 0 "
         "--bandpass-rms 0\n"
         "                                               perfect data of your own "
         "sources\n"
         "  uvh5sim --out /tmp/in --groups 4 --deliver --pace 1     feed a running "
         "watcherd\n"
         "\n"
         "Fluxes are Jy, V = g1 conj(g2) (sky + noise), noise sigma SEFD/sqrt(2 dnu "
         "dt) in each\n"
         "of the real and imaginary part.  uvh5sim(1) has the conventions.");
}

/* One option's value into its place; a sentence and -EINVAL when it does not fit. */
static int set_option(int i, const char *text, struct err *e)
{
    char *end;
    double x;

    if (OPTION[i].arg == NULL) {
        *(bool *)OPTION[i].to = true;
        return 0;
    }
    if (OPTION[i].lo == 0 && OPTION[i].hi == 0) {
        *(const char **)OPTION[i].to = text;
        return 0;
    }
    errno = 0;
    x = strtod(text, &end);
    if (end == text || *end != '\0' || errno != 0 || isspace((unsigned char)*text) ||
        !(x >= OPTION[i].lo && x <= OPTION[i].hi) || (OPTION[i].whole && x != floor(x)))
        return err_set(e, -EINVAL, "--%s %s: give a %snumber from %g to %g",
                       OPTION[i].name, text, OPTION[i].whole ? "whole " : "",
                       OPTION[i].lo, OPTION[i].hi);
    *(double *)OPTION[i].to = x;
    return 0;
}

/* "3,17" into the health of stations. */
static int set_health(struct simvis *sim, const char *list, enum sim_health health,
                      struct err *e)
{
    while (list != NULL && *list != '\0') {
        char *end;
        long number = strtol(list, &end, 10);

        if (end == list || (*end != ',' && *end != '\0') || number < 1 ||
            number > STATION_COUNT)
            return err_set(e, -EINVAL,
                           "\"%s\": give stations from 1 to %d, with commas", list,
                           STATION_COUNT);
        sim->health[number] = health;
        list = *end == ',' ? end + 1 : end;
    }
    return 0;
}

static int parse_options(int argc, char **argv, struct err *e)
{
    struct option list[NOPTION + 1] = {{0}};
    int n = 0, index[NOPTION], which, c;

    for (int i = 0; i < NOPTION; i++)
        if (OPTION[i].name != NULL) {
            list[n] = (struct option){OPTION[i].name, OPTION[i].arg != NULL, NULL, 'o'};
            index[n++] = i;
        }
    opterr = 0;
    while ((c = getopt_long(argc, argv, "", list, &which)) == 'o') {
        int rc = set_option(index[which], optarg, e);

        if (rc != 0)
            return rc;
    }
    if (c != -1)
        return err_set(e, -EINVAL, "%s: unknown, ambiguous or incomplete option",
                       argv[optind - 1]);
    if (opt.help || opt.version)
        return 0;
    if (optind < argc)
        return err_set(e, -EINVAL, "%s: options only", argv[optind]);
    if (opt.out == NULL)
        return err_set(e, -EINVAL, "--out DIR is needed");
    if (opt.sky != NULL && opt.calibrator != NULL)
        return err_set(e, -EINVAL, "--sky or --calibrator, not both");
    if (opt.pols == 3)
        return err_set(e, -EINVAL, "--pols 3: give 2 or 4");
    if (strcmp(opt.layout, "4d") != 0 && strcmp(opt.layout, "3d") != 0)
        return err_set(e, -EINVAL, "--layout %s: give 4d or 3d", opt.layout);
    if (strcmp(opt.jitter, "observed") != 0 && strcmp(opt.jitter, "none") != 0)
        return err_set(e, -EINVAL, "--jitter %s: give observed or none", opt.jitter);
    return 0;
}

/* ---- the plan ---- */

/* How the earth stands when it begins, for all groups. */
static int plan_earth(struct simplan *plan, double start_jd, struct err *e)
{
    struct earth_table *t;
    struct earth_note note;
    int rc = earth_table_read(&t, opt.earth, e);

    if (rc != 0)
        return rc;
    earth_at(t, start_jd, opt.dut1, NAN, &plan->sim.earth, &note);
    earth_table_free(t);
    return 0;
}

static int plan_array(struct simplan *plan, struct err *e)
{
    struct simvis *sim = &plan->sim;
    int rc;

    *sim = (struct simvis){
        .seed = (uint64_t)opt.seed,
        .site = {SITE_LAT_DEG * ASTRO_DEG, SITE_LON_DEG * ASTRO_DEG, SITE_ALT_M},
        .own_stop = isfinite(opt.stop_longitude),
        .stop_lon_rad = opt.stop_longitude * ASTRO_DEG,
        .track = strcmp(opt.layout, "3d") == 0,
        .dec_app_rad = (isnan(opt.dec) ? 16.3 : opt.dec) * ASTRO_DEG,
        .nant = (size_t)opt.antennas,
        .ntime = (size_t)opt.integrations,
        .nchan = (size_t)opt.channels,
        .npol = (size_t)opt.pols,
        .tint_s = TINT_S,
        .smear = !opt.no_smearing,
        .beam = {BEAM_AIRY, opt.dish},
        .sefd_jy = opt.sefd,
        .gain_rms = opt.gain_rms,
        .bandpass_rms = opt.bandpass_rms,
        .drift_rad = opt.gain_rms > 0 ? opt.drift * ASTRO_DEG : 0,
        .rfi = opt.rfi,
        .scale = opt.scale,
    };
    if (beam_kind_parse(opt.beam, &sim->beam.kind) != 0)
        return err_set(e, -EINVAL, "--beam %s: give airy, gaussian or none", opt.beam);
    if (sim_rfi_parse(opt.rfi_kind, &sim->rfi_kind) != 0)
        return err_set(e, -EINVAL,
                       "--rfi-kind %s: give cells, narrow, broad, burst or weak",
                       opt.rfi_kind);
    rc = stations_choose(sim->nant, sim->number);
    if (rc != 0)
        return err_set(e, rc, "--antennas %zu: give 2 to 96", sim->nant);
    rc = set_health(sim, opt.deaf, SIM_DEAF, e);
    if (rc == 0)
        rc = set_health(sim, opt.dead, SIM_DEAD, e);
    plan->nsub = (size_t)opt.subbands;
    plan->jitter = strcmp(opt.jitter, "observed") == 0;
    plan->ngroup = (size_t)opt.groups;
    plan->cadence_s =
        opt.cadence > 0 ? opt.cadence : fmax(SIMPLAN_CADENCE_S, simplan_length_s(plan));
    return rc;
}

/* The calibrator as a power law through its fluxes at the ends of the band. */
static int plan_calibrator(struct simplan *plan, struct sim_source *out, struct err *e)
{
    const double lo = simvis_freq(&plan->sim, NSUB - 1, plan->sim.nchan - 1);
    const double hi = simvis_freq(&plan->sim, 0, 0), mid = sqrt(lo * hi);
    const struct calibrator *cal = calibrator_find(opt.calibrator);
    struct calibrator own;
    double flux[3];
    int rc;

    if (cal == NULL && strchr(opt.calibrator, ',') != NULL) {
        rc = calibrator_parse(opt.calibrator, &own, e);
        if (rc != 0)
            return rc;
        cal = &own;
    }
    if (cal == NULL)
        return err_set(e, -EINVAL, "--calibrator %s: not in the built-in table",
                       opt.calibrator);
    if ((rc = calibrator_flux(cal, lo, &flux[0], e)) != 0 ||
        (rc = calibrator_flux(cal, mid, &flux[1], e)) != 0 ||
        (rc = calibrator_flux(cal, hi, &flux[2], e)) != 0)
        return rc;
    *out = (struct sim_source){.ra_rad = cal->ra_rad,
                               .dec_rad = cal->dec_rad,
                               .flux_jy = flux[1],
                               .freq_hz = mid};
    out->spix = hi > lo ? log(flux[2] / flux[0]) / log(hi / lo) : 0;
    snprintf(out->name, sizeof out->name, "%s", cal->name);
    return simsky_add(&plan->sky, out);
}

static int plan_start(struct simplan *plan, const struct sim_source *cal,
                      double *start_jd, struct err *e)
{
    const char *text = opt.start != NULL ? opt.start : DEFAULT_START;
    double dec, jd;
    int rc;

    if (astro_iso_to_jd(text, start_jd) != 0)
        return err_set(e, -EINVAL, "--start %s: give YYYY-MM-DDTHH:MM:SS", text);
    rc = plan_earth(plan, *start_jd, e);
    if (rc != 0 || cal == NULL)
        return rc;
    jd = simplan_transit_start(plan, cal, *start_jd, &dec);
    if (isnan(opt.dec)) /* as an observer would: near, not on */
        plan->sim.dec_app_rad = round(dec / ASTRO_DEG * 10) / 10 * ASTRO_DEG;
    if (opt.start == NULL)
        *start_jd = jd;
    return 0;
}

static int plan_init(struct simplan *plan, struct err *e)
{
    struct sim_source cal;
    double start_jd;
    int rc = plan_array(plan, e);

    if (rc == 0 && opt.truth != NULL)
        rc = path_join(truth_dir, sizeof truth_dir, opt.truth, "", e);
    else if (rc == 0)
        rc = path_join(truth_dir, sizeof truth_dir, opt.out, "truth", e);
    if (rc == 0 && opt.sky != NULL)
        rc = simsky_read(&plan->sky, opt.sky, e);
    if (rc == 0 && opt.calibrator != NULL)
        rc = plan_calibrator(plan, &cal, e);
    if (rc == 0)
        rc = plan_start(plan, opt.calibrator != NULL ? &cal : NULL, &start_jd, e);
    if (rc == 0)
        rc = simplan_groups(plan, start_jd, e);
    if (rc == 0 && opt.sky == NULL && !opt.no_field)
        rc = simplan_field(plan, opt.radius * ASTRO_DEG, opt.min_flux, opt.max_flux, e);
    return rc;
}

/* ---- groups.json ---- */

static json_t *group_json(const struct simplan *plan, const struct sim_group *g)
{
    json_t *files = json_array();
    char start[20];

    astro_jd_to_iso(g->start_jd, start);
    for (size_t s = 0; s < plan->nsub; s++)
        json_array_append_new(files, json_string(g->file[s]));
    return json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:o}", "name", g->name,
                     "start", start, "t0_jd", g->t0_jd, "length_s",
                     simplan_length_s(plan), "dec_app_deg",
                     plan->sim.dec_app_rad / ASTRO_DEG, "ra_deg", g->ra_rad / ASTRO_DEG,
                     "dec_deg", g->dec_rad / ASTRO_DEG, "files", files);
}

static json_t *number_json(double x, bool whole)
{
    if (!isfinite(x))
        return json_null();
    return whole ? json_integer((json_int_t)x) : json_real(x);
}

static json_t *parameters_json(const struct simplan *plan)
{
    json_t *all = json_object(), *stations = json_array();

    for (int i = 0; i < NOPTION; i++) {
        json_t *value = NULL;

        if (OPTION[i].name == NULL || OPTION[i].arg == NULL)
            continue;
        if (OPTION[i].lo != 0 || OPTION[i].hi != 0)
            value = number_json(*(double *)OPTION[i].to, OPTION[i].whole);
        else if (*(const char **)OPTION[i].to != NULL)
            value = json_string(*(const char **)OPTION[i].to);
        json_object_set_new(all, OPTION[i].name, value != NULL ? value : json_null());
    }
    for (size_t a = 0; a < plan->sim.nant; a++)
        json_array_append_new(stations, json_integer(plan->sim.number[a]));
    json_object_set_new(all, "stations", stations);
    return all;
}

static int write_groups_json(const struct simplan *plan, struct err *e)
{
    json_t *groups = json_array(), *all;
    char path[MAX_PATH], *text;
    int rc = path_join(path, sizeof path, truth_dir, "groups.json", e);

    for (size_t i = 0; i < plan->ngroup; i++)
        json_array_append_new(groups, group_json(plan, &plan->group[i]));
    all = json_pack(
        "{s:s, s:s, s:I, s:o, s:o, s:[fff]}", "program", "uvh5sim", "version", VERSION,
        "seed", (json_int_t)plan->sim.seed, "parameters", parameters_json(plan),
        "groups", groups, "earth_s_arcsec", plan->sim.earth.dut1_s,
        plan->sim.earth.x_rad / ASTRO_ARCSEC, plan->sim.earth.y_rad / ASTRO_ARCSEC);
    text = json_dumps(all, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    json_decref(all);
    if (rc == 0 && text == NULL)
        rc = err_set(e, -ENOMEM, "no memory to write %s", path);
    if (rc == 0)
        rc = path_write(path, text, strlen(text), e);
    free(text);
    return rc;
}

/* ---- the files ---- */

/* Refuse before anything is written: files that exist, beside them another truth. */
static int check_free(const struct simplan *plan, struct err *e)
{
    char path[MAX_PATH];

    for (size_t i = 0; i < plan->ngroup; i++)
        for (size_t s = 0; s < plan->nsub; s++) {
            int rc = path_join(path, sizeof path, opt.out, plan->group[i].file[s], e);

            if (rc != 0)
                return rc;
            if (access(path, F_OK) == 0)
                return err_set(e, -EEXIST, "%s: exists already", path);
        }
    return 0;
}

static void wait_s(double s)
{
    struct timespec left = {(time_t)s, (long)(fmod(s, 1) * 1e9)};

    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

/* Write one file: at once under its name, or as the telescope does. */
static int deliver(const char *name, const struct uvh5_sub *sub, struct err *e)
{
    char path[MAX_PATH], temp[MAX_PATH + 16];
    int rc = path_join(path, sizeof path, opt.out, name, e);

    if (rc != 0)
        return rc;
    if (!opt.deliver)
        return uvh5_write(path, sub, e);
    snprintf(temp, sizeof temp, "%.*s_incomplete.hdf5",
             (int)(strlen(path) - strlen(".hdf5")), path);
    unlink(temp); /* of a run that was killed */
    rc = uvh5_write(temp, sub, e);
    if (rc == 0 && rename(temp, path) != 0)
        rc = err_set(e, -errno, "%s: %s", path, strerror(errno));
    return rc;
}

static int write_subband(const struct simplan *plan, const struct sim_group *g, int s,
                         float complex *data, struct err *e)
{
    const struct simvis *sim = &plan->sim;
    struct simvis here = *sim;
    double freq[UVH5_MAXCHAN];
    struct uvh5_sub sub = {
        .layout = sim->track ? UVH5_3D : UVH5_4D,
        .site = sim->site,
        .dec_app_rad = sim->dec_app_rad,
        .ra_rad = g->ra_rad,
        .dec_rad = g->dec_rad,
        .earth = sim->earth,
        .ntime = sim->ntime,
        .nant = sim->nant,
        .nchan = sim->nchan,
        .npol = sim->npol,
        .number = sim->number,
        .t0_jd = g->t0_jd,
        .tint_s = sim->tint_s,
        .freq_hz = freq,
        .width_hz = simvis_width(sim),
        .nsamples = RAW_SAMPLES,
        .data = data,
    };
    int rc;

    here.ra_rad = g->ra_rad;
    here.dec_rad = g->dec_rad;
    for (size_t c = 0; c < sim->nchan; c++)
        freq[c] = simvis_freq(sim, s, c);
    rc = simvis_fill(&here, &plan->sky, g->t0_jd, s, data, e);
    return rc == 0 ? deliver(g->file[s], &sub, e) : rc;
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int write_groups_files(const struct simplan *plan, struct err *e)
{
    const struct simvis *sim = &plan->sim;
    size_t nbl = sim->nant * (sim->nant + 1) / 2;
    float complex *data =
        calloc(sim->ntime * nbl, sim->nchan * sim->npol * sizeof *data);
    int rc = 0;

    if (data == NULL)
        return err_set(e, -ENOMEM, "no memory for %zu samples",
                       sim->ntime * nbl * sim->nchan * sim->npol);
    for (size_t i = 0; rc == 0 && i < plan->ngroup; i++) {
        double begin = now_s();

        for (int s = 0; rc == 0 && s < (int)plan->nsub; s++) {
            if (opt.pace > 0 && (i > 0 || s > 0))
                wait_s(opt.pace);
            rc = write_subband(plan, &plan->group[i], s, data, e);
        }
        if (rc == 0 && !opt.quiet && !opt.json)
            fprintf(stderr, "%s  group %zu of %zu, %zu files, %.1f s\n",
                    plan->group[i].name, i + 1, plan->ngroup, plan->nsub,
                    now_s() - begin);
    }
    free(data);
    return rc;
}

/* ---- the end ---- */

static double total_bytes(const struct simplan *plan)
{
    char path[MAX_PATH];
    struct stat st;
    double sum = 0;

    for (size_t i = 0; i < plan->ngroup; i++)
        for (size_t s = 0; s < plan->nsub; s++)
            if (path_join(path, sizeof path, opt.out, plan->group[i].file[s], NULL) ==
                    0 &&
                stat(path, &st) == 0)
                sum += (double)st.st_size;
    return sum;
}

static void report(const struct simplan *plan, double seconds)
{
    size_t files = plan->ngroup * plan->nsub;
    double bytes = total_bytes(plan);

    if (opt.json) {
        json_t *all = json_pack(
            "{s:I, s:I, s:I, s:I, s:f, s:s, s:s, s:s}", "groups",
            (json_int_t)plan->ngroup, "files", (json_int_t)files, "bytes",
            (json_int_t)bytes, "sources", (json_int_t)plan->sky.n, "seconds", seconds,
            "out", opt.out, "truth", truth_dir, "first", plan->group[0].name);

        json_dumpf(all, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
        putchar('\n');
        json_decref(all);
        return;
    }
    printf("%zu groups, %zu files, %.1f MB in %s; %zu sources at declination %.1f; "
           "truth in "
           "%s; %.1f s\n",
           plan->ngroup, files, bytes / 1e6, opt.out, plan->sky.n,
           plan->sim.dec_app_rad / ASTRO_DEG, truth_dir, seconds);
}

int main(int argc, char **argv)
{
    struct err e = {0, ""};
    struct simplan plan = {.ngroup = 0};
    double begin = now_s();
    int rc = parse_options(argc, argv, &e), status = EXIT_SUCCESS;

    if (rc == 0 && opt.help) {
        print_help();
        return EXIT_SUCCESS;
    }
    if (rc == 0 && opt.version) {
        puts("uvh5sim " VERSION);
        return EXIT_SUCCESS;
    }
    if (rc == 0)
        rc = plan_init(&plan, &e);
    if (rc == -EINVAL) {
        fprintf(stderr, "uvh5sim: %s (uvh5sim --help shows all)\n", e.text);
        simplan_close(&plan);
        return EX_USAGE;
    }
    if (rc == 0)
        rc = check_free(&plan, &e);
    if (rc == 0)
        rc = path_mkdirs(opt.out, &e);
    if (rc == 0)
        rc = simplan_truth(&plan, truth_dir, &e);
    if (rc == 0)
        rc = write_groups_json(&plan, &e);
    if (rc == 0)
        rc = write_groups_files(&plan, &e);
    if (rc == 0) {
        report(&plan, now_s() - begin);
    } else {
        fprintf(stderr, "uvh5sim: %s\n", e.text);
        status = EXIT_FAILURE;
    }
    simplan_close(&plan);
    return status;
}
