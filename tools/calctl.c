/*
 * calctl: calibrators: which there are, when they transit, and what an operator adds to them.
 *
 *   calctl register -c FILE --name 3C286 --ra 202.78 --dec 30.51 [--flux JY --freq MHZ]
 *   calctl list|transits [-c FILE] [--dec DEG]     calctl show [-c FILE] NAME
 *   calctl import -c FILE LIST                     calctl retire -c FILE NAME
 *
 * What is registered here (cal_registry.sqlite3, table calibrators) is what the pipeline looks
 * through, before its built-in table.
 */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/path.h"
#include "core/store/registry.h"
#include "pipeline/continuum/registered.h"
#include "pipeline/sky/astro.h"
#include "pipeline/sky/calibrator.h"
#include "pipeline/sky/vlalist.h"
#include "tools/common/options.h"
#include "tools/common/program.h"

#define PROGRAM "calctl"

enum { NONE_FOUND = 1 };

static const char usage[] =
    "usage: calctl register -c FILE --name NAME --ra RA --dec DEC [--flux JY --freq "
    "MHZ]\n"
    "                       [--note TEXT]\n"
    "       calctl import -c FILE LIST        the VLA calibrator manual's list, as "
    "text\n"
    "       calctl retire -c FILE NAME        use it no longer\n"
    "       calctl list [-c FILE] [--dec DEG [--width DEG]]\n"
    "       calctl show [-c FILE] NAME\n"
    "       calctl transits [-c FILE] [--dec DEG [--width DEG]] [--start TIME]\n"
    "                       [--hours H] [--site LAT,LON]\n"
    "\n"
    "A group is calibrated by the brightest calibrator in its field: one that is\n"
    "registered, or one of the built-in table.  A task that fails with \"No "
    "calibrator\n"
    "registered for Dec 16.10\" had none.  To mend it:\n"
    "\n"
    "  calctl list --dec 16.1                       what there is near that "
    "declination\n"
    "  calctl transits --dec 16.1 --hours 24        and when it is in the beam\n"
    "  calctl register -c FILE --name 1557+160 --ra 15h57m20s --dec 16d00m00s \\\n"
    "         --flux 3.1 --freq 1400                then: taskctl retry GROUP -c FILE\n"
    "\n"
    "  --ra, --dec   degrees, or 13h31m08.28s, 13:31:08.28 and 30d30m33s, ICRS or "
    "J2000\n"
    "  --flux        Jy at --freq; a flux without its frequency is no flux\n"
    "  --width       how far from the declination a calibrator may be (default 1.35 "
    "deg,\n"
    "                where a 4.65 m dish has half its power at 1.4 GHz)\n"
    "  --start       UTC, 2026-01-26T08:00:00 (default now)\n"
    "  --site        degrees, east positive (default 37.2314,-118.2817)\n"
    "  -c FILE       the settings of watcherd; --root DIR: the default ones below "
    "DIR;\n"
    "                without either, list, show and transits know the built-in table\n"
    "  --json        print JSON        --help, --version\n"
    "\n"
    "Exit status: 0 done, 1 there is no such calibrator, 64 wrong usage, 65 a list "
    "that\n"
    "cannot be read, 66 no such file, 74 the registry cannot be written, 78 "
    "settings.\n";

struct args;

struct command {
    const char *name;
    int (*run)(struct args *args, struct err *e); /* the exit code, or a failure < 0 */
    int words;                                    /* behind the command */
    bool writes;
};

struct args {
    const struct command *command;
    const char *word, *conf, *root, *name, *ra, *dec, *note, *start, *site_text;
    double flux_jy, freq_mhz, width_deg, hours;
    bool json;
    char state[4096]; /* folder of the registry, "" for none */
};

/* A calibrator as it is listed. */
struct entry {
    struct calibrator cal;
    char from[16]; /* registered by whom, or built-in */
    char note[128];
    bool used, has_flux;
};

/* ---- what there is ---- */

static int by_ra(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    return (x->cal.ra_rad > y->cal.ra_rad) - (x->cal.ra_rad < y->cal.ra_rad);
}

/* Does calibration use this very entry? */
static bool is_used(const struct calibrator *joined, size_t n, const struct entry *x)
{
    const struct calibrator *c = calibrator_find_in(joined, n, x->cal.name);

    return x->has_flux && c != NULL && c->ra_rad == x->cal.ra_rad &&
           c->dec_rad == x->cal.dec_rad && c->npoint == x->cal.npoint &&
           c->ncoeff == x->cal.ncoeff && c->flux_jy[0] == x->cal.flux_jy[0];
}

/* All registered ones, then those of the table: *out [*n], the caller frees. */
static int entries(const struct args *args, struct entry **out, size_t *n,
                   struct err *e)
{
    struct reg_calibrator *row = NULL;
    struct calibrator *joined = NULL;
    size_t nrow = 0, njoined = 0, ntable;
    const struct calibrator *table = calibrator_table(&ntable);
    struct entry *all = NULL;
    int rc = 0;

    *out = NULL;
    *n = 0;
    if (args->state[0] != '\0')
        rc = registry_calibrator_look(args->state, &row, &nrow, e);
    if (rc == 0)
        rc = registered_join(&joined, &njoined, row, nrow, e);
    if (rc == 0 && (all = calloc(nrow + ntable, sizeof *all)) == NULL)
        rc = err_set(e, -ENOMEM, "out of memory listing calibrators");
    for (size_t i = 0; rc == 0 && i < nrow; i++) {
        struct entry *x = &all[(*n)++];

        x->has_flux = registered_calibrator(&x->cal, &row[i], NULL) == 0;
        snprintf(x->from, sizeof x->from, "%s",
                 strcmp(row[i].status, "active") == 0 ? row[i].by : row[i].status);
        snprintf(x->note, sizeof x->note, "%s",
                 row[i].notes[0] != '\0' ? row[i].notes : row[i].source);
        x->used =
            strcmp(row[i].by, REG_BY_WATCHERD) != 0 && is_used(joined, njoined, x);
    }
    for (size_t i = 0; rc == 0 && i < ntable; i++) {
        struct entry *x = &all[(*n)++];

        x->cal = table[i];
        x->has_flux = true;
        snprintf(x->from, sizeof x->from, "built-in");
        snprintf(x->note, sizeof x->note, "%s", table[i].source);
        x->used = is_used(joined, njoined, x);
    }
    if (rc == 0)
        qsort(all, *n, sizeof *all, by_ra);
    free(row);
    free(joined);
    *out = all;
    return rc;
}

/* Jy at 1.4 GHz; NAN. */
static double flux_14(const struct entry *x)
{
    double jy;

    return x->has_flux && calibrator_flux(&x->cal, 1.4e9, &jy, NULL) == 0 ? jy : NAN;
}

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *entry_json(const struct entry *x)
{
    json_t *j =
        json_pack("{ss ss sf sf so ss sb ss}", "name", x->cal.name, "alias",
                  x->cal.alias, "ra_deg", x->cal.ra_rad / ASTRO_DEG, "dec_deg",
                  x->cal.dec_rad / ASTRO_DEG, "flux_1400mhz_jy", number(flux_14(x)),
                  "from", x->from, "used", (int)x->used, "source", x->note);
    json_t *points = json_array();

    for (int i = 0; i < x->cal.npoint; i++)
        json_array_append_new(
            points, json_pack("[ff]", x->cal.freq_hz[i] * 1e-6, x->cal.flux_jy[i]));
    json_object_set_new(j, "points_mhz_jy", points);
    return j;
}

static void entry_line(const struct entry *x)
{
    char flux[16] = "-";

    if (isfinite(flux_14(x)))
        snprintf(flux, sizeof flux, "%.2f", flux_14(x));
    printf("%-12s %-10s %10.5f %+10.5f %9s  %-13s %s\n", x->cal.name, x->cal.alias,
           x->cal.ra_rad / ASTRO_DEG, x->cal.dec_rad / ASTRO_DEG, flux, x->from,
           x->used ? "" : "not used");
}

/* Degrees of --dec; all declinations when it is not given. */
static int wanted(const struct args *args, double *dec_deg)
{
    *dec_deg = NAN;
    if (args->dec == NULL)
        return 0;
    return vlalist_dec(args->dec, dec_deg) == 0
               ? 0
               : program_wrong(PROGRAM, "--dec '%s' is no declination", args->dec);
}

static int none(double dec_deg)
{
    if (isfinite(dec_deg))
        fprintf(stderr, PROGRAM ": No calibrator registered for Dec %.2f\n", dec_deg);
    return NONE_FOUND;
}

static int list(struct args *args, struct err *e)
{
    struct entry *all;
    json_t *json = json_array();
    size_t n, shown = 0;
    double dec_deg;
    int rc = wanted(args, &dec_deg);

    if (rc == 0)
        rc = entries(args, &all, &n, e);
    if (rc != 0) {
        json_decref(json);
        return rc;
    }
    if (!args->json)
        printf("%-12s %-10s %10s %10s %9s  %s\n", "name", "alias", "ra_deg", "dec_deg",
               "Jy@1.4GHz", "from");
    for (size_t i = 0; i < n; i++) {
        if (fabs(all[i].cal.dec_rad / ASTRO_DEG - dec_deg) > args->width_deg)
            continue;
        shown++;
        if (args->json)
            json_array_append_new(json, entry_json(&all[i]));
        else
            entry_line(&all[i]);
    }
    free(all);
    if (args->json)
        rc = program_print_json(json, 9);
    else
        json_decref(json);
    return rc == 0 && shown == 0 ? none(dec_deg) : rc;
}

static int show(struct args *args, struct err *e)
{
    struct entry *all;
    json_t *json = json_array();
    size_t n, shown = 0;
    int rc = entries(args, &all, &n, e);

    for (size_t i = 0; rc == 0 && i < n; i++) {
        const struct entry *x = &all[i];

        if (calibrator_find_in(&x->cal, 1, args->word) == NULL)
            continue;
        shown++;
        json_array_append_new(json, entry_json(x));
        if (args->json)
            continue;
        printf("%s %s\n  position  %.6f %+.6f deg\n  from      %s%s\n  source    %s\n",
               x->cal.name, x->cal.alias, x->cal.ra_rad / ASTRO_DEG,
               x->cal.dec_rad / ASTRO_DEG, x->from, x->used ? "" : " (not used)",
               x->note);
        for (int k = 0; k < x->cal.npoint; k++)
            printf("  flux      %.4g Jy at %.1f MHz\n", x->cal.flux_jy[k],
                   x->cal.freq_hz[k] * 1e-6);
        if (x->cal.ncoeff > 0)
            printf("  flux      %.4g Jy at 1400.0 MHz, by a polynomial\n", flux_14(x));
        if (!x->has_flux)
            puts("  flux      none: it cannot calibrate until it has one");
    }
    free(all);
    if (args->json && rc == 0)
        rc = program_print_json(json, 9);
    else
        json_decref(json);
    if (rc == 0 && shown == 0) {
        fprintf(stderr, PROGRAM ": no calibrator %s is registered, nor in the table\n",
                args->word);
        return NONE_FOUND;
    }
    return rc;
}

/* ---- transits ---- */

struct transit {
    const struct entry *entry;
    double jd, dec_app_deg;
};

/* The next time from jd on at which it has hour angle 0 at the longitude. */
static struct transit next_transit(const struct entry *x, double lon_rad, double jd)
{
    struct transit t = {.entry = x, .jd = jd};

    for (int round = 0; round < 4; round++) {
        struct astro_epoch ep;
        double v[3], ha;

        astro_epoch_init(&ep, t.jd, NULL, NULL);
        astro_icrs_to_itrf(&ep, x->cal.ra_rad, x->cal.dec_rad, v);
        ha = remainder(lon_rad - atan2(v[1], v[0]), 2 * M_PI);
        if (round == 0 && ha > 0)
            ha -= 2 * M_PI; /* the next one */
        t.jd -= ha / (2 * M_PI) / ASTRO_TURNS_A_DAY;
        t.dec_app_deg = asin(v[2]) / ASTRO_DEG;
    }
    return t;
}

static int by_time(const void *a, const void *b)
{
    const struct transit *x = a, *y = b;

    return (x->jd > y->jd) - (x->jd < y->jd);
}

static int transit_args(const struct args *args, double *dec_deg, double *jd,
                        struct site *site)
{
    double lat = 37.2314, lon = -118.2817;
    char tail;
    int rc = wanted(args, dec_deg);

    if (rc != 0)
        return rc;
    if (args->site_text != NULL &&
        (sscanf(args->site_text, "%lf,%lf%c", &lat, &lon, &tail) != 2 ||
         fabs(lat) > 90 || fabs(lon) > 360))
        return program_wrong(PROGRAM,
                             "--site '%s' is not LATITUDE,LONGITUDE in degrees",
                             args->site_text);
    *site = (struct site){lat * ASTRO_DEG, lon * ASTRO_DEG, 0};
    *jd = clock_wall_s() / ASTRO_DAY_S + 2440587.5;
    if (args->start != NULL && astro_iso_to_jd(args->start, jd) != 0)
        return program_wrong(PROGRAM, "--start '%s' is not 2026-01-26T08:00:00",
                             args->start);
    return 0;
}

static void transit_say(const struct transit *t, const struct site *site, json_t *json)
{
    char iso[20];
    double up_deg = 90 - fabs(t->dec_app_deg - site->lat_rad / ASTRO_DEG);

    astro_jd_to_iso(t->jd, iso);
    if (json != NULL) {
        json_t *j = entry_json(t->entry);

        json_object_set_new(j, "transit_utc", json_string(iso));
        json_object_set_new(j, "dec_apparent_deg", number(t->dec_app_deg));
        json_object_set_new(j, "elevation_deg", number(up_deg));
        json_array_append_new(json, j);
        return;
    }
    printf("%s  %-12s dec %+8.3f (of date)  up %4.1f  ", iso, t->entry->cal.name,
           t->dec_app_deg, up_deg);
    if (isfinite(flux_14(t->entry)))
        printf("%.2f Jy\n", flux_14(t->entry));
    else
        puts("- Jy");
}

static int transits(struct args *args, struct err *e)
{
    struct transit *t = NULL;
    struct entry *all = NULL;
    json_t *json = args->json ? json_array() : NULL;
    struct site site = {0};
    double dec_deg, jd;
    size_t n = 0, shown = 0;
    int rc = transit_args(args, &dec_deg, &jd, &site);

    if (rc == 0)
        rc = entries(args, &all, &n, e);
    if (rc == 0 && (t = calloc(n + 1, sizeof *t)) == NULL)
        rc = err_set(e, -ENOMEM, "out of memory listing transits");
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (!all[i].used)
            continue;
        t[shown] = next_transit(&all[i], site.lon_rad, jd);
        if (!(fabs(t[shown].dec_app_deg - dec_deg) > args->width_deg) &&
            t[shown].jd <= jd + args->hours / 24 &&
            fabs(t[shown].dec_app_deg - site.lat_rad / ASTRO_DEG) < 90)
            shown++;
    }
    if (shown > 0)
        qsort(t, shown, sizeof *t, by_time);
    for (size_t i = 0; rc == 0 && i < shown; i++)
        transit_say(&t[i], &site, json);
    free(t);
    free(all);
    if (json != NULL && rc == 0)
        rc = program_print_json(json, 9);
    else
        json_decref(json);
    return rc == 0 && shown == 0 ? none(dec_deg) : rc;
}

/* ---- what is added ---- */

static int put(const struct args *args, const struct reg_calibrator *row, size_t n,
               struct err *e)
{
    struct registry *r;
    int rc = path_mkdirs(args->state, e);

    if (rc == 0)
        rc = registry_open(&r, args->state, e);
    if (rc != 0)
        return rc;
    rc = registry_calibrator_put(r, row, n, e);
    registry_close(r);
    return rc;
}

/* Without a flux of its own: the built-in table's, with its position, when that is the source
 * that is meant. */
static bool from_table(const struct args *args, struct calibrator *cal)
{
    const struct calibrator *known = calibrator_find(args->name);
    double apart;

    if (known == NULL)
        return false;
    apart = astro_separation(known->ra_rad, known->dec_rad, cal->ra_rad, cal->dec_rad);
    if (apart > 60 * ASTRO_ARCSEC)
        return false;
    *cal = *known;
    snprintf(cal->name, sizeof cal->name, "%s", args->name);
    if (!args->json)
        printf("%s is %s of the built-in table, %.1f arcsec from there: its position "
               "and fluxes are taken\n",
               args->name, known->name, apart / ASTRO_ARCSEC);
    return true;
}

static int registered_say(const struct args *args, const struct reg_calibrator *row)
{
    json_t *json;

    if (args->json) {
        json = json_pack("{ss sf sf so so}", "name", row->name, "ra_deg", row->ra_deg,
                         "dec_deg", row->dec_deg, "flux_jy", number(row->flux_jy),
                         "freq_mhz", number(row->freq_mhz));
        return program_print_json(json, 9);
    }
    printf("registered %s at %.5f %+.5f", row->name, row->ra_deg, row->dec_deg);
    if (isfinite(row->flux_jy))
        printf(", %.4g Jy at %.1f MHz\n", row->flux_jy, row->freq_mhz);
    else
        puts(" without a flux: it cannot calibrate until it has one (--flux, --freq)");
    return 0;
}

static int do_register(struct args *args, struct err *e)
{
    struct calibrator cal = {.source = "an operator"};
    struct reg_calibrator row;
    double ra_deg, dec_deg;
    int rc;

    if (args->name == NULL || args->ra == NULL || args->dec == NULL)
        return program_wrong(PROGRAM, "register needs --name, --ra and --dec");
    if (args->name[0] == '\0' || strlen(args->name) >= sizeof row.name ||
        strchr(args->name, ',') != NULL)
        return program_wrong(PROGRAM, "--name '%s' has not 1 to 31 letters",
                             args->name);
    if (vlalist_ra(args->ra, &ra_deg) != 0)
        return program_wrong(PROGRAM, "--ra '%s' is no right ascension", args->ra);
    if (vlalist_dec(args->dec, &dec_deg) != 0)
        return program_wrong(PROGRAM, "--dec '%s' is no declination", args->dec);
    if (isfinite(args->flux_jy) != isfinite(args->freq_mhz))
        return program_wrong(PROGRAM, "--flux and --freq go together: a flux is one "
                                      "at a frequency");
    snprintf(cal.name, sizeof cal.name, "%s", args->name);
    cal.ra_rad = ra_deg * ASTRO_DEG;
    cal.dec_rad = dec_deg * ASTRO_DEG;
    if (isfinite(args->flux_jy)) {
        cal.npoint = 1;
        cal.freq_hz[0] = args->freq_mhz * 1e6;
        cal.flux_jy[0] = args->flux_jy;
        cal.lo_hz = cal.hi_hz = cal.freq_hz[0];
    }
    if (cal.npoint > 0 || from_table(args, &cal)) {
        registered_row(&row, &cal, REG_BY_OPERATOR);
    } else {
        row = (struct reg_calibrator){.ra_deg = ra_deg,
                                      .dec_deg = dec_deg,
                                      .flux_jy = NAN,
                                      .freq_mhz = NAN,
                                      .source = "an operator",
                                      .by = REG_BY_OPERATOR};
        snprintf(row.name, sizeof row.name, "%s", args->name);
    }
    if (args->note != NULL)
        snprintf(row.notes, sizeof row.notes, "%s", args->note);
    rc = put(args, &row, 1, e);
    return rc == 0 ? registered_say(args, &row) : rc;
}

static int do_import(struct args *args, struct err *e)
{
    enum { MOST = 16 << 20 };
    struct reg_calibrator *row = NULL;
    struct calibrator *cal = NULL;
    struct err why = {0};
    char *text = NULL;
    size_t size, n = 0, nall = 0;
    int rc = path_read(&text, &size, args->word, MOST, e);

    if (rc != 0)
        return rc;
    if ((rc = vlalist_parse(&cal, &n, &nall, text, &why)) != 0) {
        fprintf(stderr, PROGRAM ": %s: %s\n", args->word, why.text);
        rc = EX_DATAERR;
        goto out;
    }
    row = calloc(n + 1, sizeof *row);
    if (row == NULL) {
        rc = err_set(e, -ENOMEM, "out of memory for %zu calibrators", n);
        goto out;
    }
    for (size_t i = 0; i < n; i++)
        registered_row(&row[i], &cal[i], REG_BY_IMPORT);
    rc = put(args, row, n, e);
    if (rc == 0 && args->json)
        rc = program_print_json(json_pack("{sI sI}", "sources", (json_int_t)nall,
                                          "registered", (json_int_t)n),
                                9);
    else if (rc == 0)
        printf("%zu sources, %zu of them with a flux at 20 cm, which are registered; "
               "those of the built-in table keep its values\n",
               nall, n);
out:
    free(row);
    free(cal);
    free(text);
    return rc;
}

static int retire(struct args *args, struct err *e)
{
    struct registry *r;
    int rc = registry_open(&r, args->state, e);

    if (rc != 0)
        return rc;
    rc = registry_calibrator_retire(r, args->word, e);
    registry_close(r);
    if (rc == -ENOENT) {
        fprintf(stderr, PROGRAM ": %s\n", e->text);
        return NONE_FOUND;
    }
    if (rc == 0 && !args->json)
        printf("%s is used no longer\n", args->word);
    return rc;
}

/* ---- the command line ---- */

static const struct command commands[] = {
    {"register", do_register, 0, true}, {"import", do_import, 1, true},
    {"retire", retire, 1, true},        {"list", list, 0, false},
    {"show", show, 1, false},           {"transits", transits, 0, false},
};

static int take_option(void *into, char letter, const char *text)
{
    struct args *args = into;

    if (letter == 'h')
        return fputs(usage, stdout) >= 0 ? EX_OK : EX_IOERR;
    if (args->command == NULL) {
        for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
            if (strcmp(text, commands[i].name) == 0)
                args->command = &commands[i];
        return args->command != NULL
                   ? OPTIONS_GO_ON
                   : program_wrong(PROGRAM, "no such command: %s", text);
    }
    if (args->word != NULL || args->command->words == 0)
        return program_wrong(PROGRAM, "what is '%s' for?", text);
    args->word = text;
    return OPTIONS_GO_ON;
}

static int parse_options(int argc, char **argv, struct args *args)
{
    static const struct option_row rows[] = {
        {"conf", 'c', OPTION_TEXT, offsetof(struct args, conf), 0, 0},
        {"root", 0, OPTION_TEXT, offsetof(struct args, root), 0, 0},
        {"name", 0, OPTION_TEXT, offsetof(struct args, name), 0, 0},
        {"ra", 0, OPTION_TEXT, offsetof(struct args, ra), 0, 0},
        {"dec", 0, OPTION_TEXT, offsetof(struct args, dec), 0, 0},
        {"note", 0, OPTION_TEXT, offsetof(struct args, note), 0, 0},
        {"start", 0, OPTION_TEXT, offsetof(struct args, start), 0, 0},
        {"site", 0, OPTION_TEXT, offsetof(struct args, site_text), 0, 0},
        {"flux", 0, OPTION_REAL, offsetof(struct args, flux_jy), 1e-9, 1e6},
        {"freq", 0, OPTION_REAL, offsetof(struct args, freq_mhz), 1, 1e6},
        {"width", 0, OPTION_REAL, offsetof(struct args, width_deg), 0, 180},
        {"hours", 0, OPTION_REAL, offsetof(struct args, hours), 0, 24},
        {"json", 0, OPTION_FLAG, offsetof(struct args, json), 0, 0},
        {"help", 'h', OPTION_DO, 0, 0, 0},
    };
    struct options options = {.program = PROGRAM,
                              .shorts = "-c:h",
                              .row = rows,
                              .n = sizeof rows / sizeof rows[0],
                              .into = args,
                              .take = take_option};

    return options_take(&options, argc, argv);
}

/* Where the registry is. */
static int find_state(struct args *args, struct err *e)
{
    struct conf conf;
    int rc;

    if (args->conf == NULL && args->root == NULL)
        return args->command->writes
                   ? program_wrong(PROGRAM, "whose registry?  Say -c FILE")
                   : 0;
    rc = program_conf(&conf, args->conf, args->root, e);
    if (rc == 0)
        snprintf(args->state, sizeof args->state, "%s", conf.paths.state);
    return rc;
}

int main(int argc, char **argv)
{
    struct args args = {
        .flux_jy = NAN, .freq_mhz = NAN, .width_deg = 1.35, .hours = 24};
    struct err e = {0};
    int code = parse_options(argc, argv, &args), rc;

    if (code != OPTIONS_GO_ON)
        return code;
    if (args.command == NULL) {
        fputs(usage, stderr);
        return EX_USAGE;
    }
    if (args.command->words > 0 && args.word == NULL)
        return program_wrong(PROGRAM, "%s what?", args.command->name);
    rc = find_state(&args, &e);
    if (rc == 0)
        rc = args.command->run(&args, &e);
    if (rc < 0)
        rc = program_fail(PROGRAM, program_code(rc), &e);
    return fflush(stdout) == 0 ? rc : EX_IOERR;
}
