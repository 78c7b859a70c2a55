/*
 * uvh5info: what UVH5 files say of themselves, and chosen visibilities as the pipeline
 * reads them.
 */
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/err.h"
#include "core/text.h"
#include "pipeline/io/uvh5.h"
#include "pipeline/sky/earth.h"
#include "tools/common/options.h"
#include "tools/common/program.h"

#define PROGRAM "uvh5info"
#include "pipeline/io/uvh5_header.h"

/* ROW,CHAN,POL: what to dump; ALL for a "*". */
struct pick {
    long row, chan, pol;
};
enum { ALL = -1 };

struct args {
    bool json, dump;
    struct pick pick;
    double dut1_s;
    const char *earth;
};

static const char usage[] =
    "usage: uvh5info [--json] [--dut1 SECONDS] [--earth TABLE] FILE...\n"
    "       uvh5info --dump ROW,CHAN,POL [--json] [--dut1 SECONDS] [--earth TABLE] "
    "FILE...\n"
    "Print the header of each FILE, or visibilities of all FILEs joined into one "
    "group.\n"
    "ROW, CHAN and POL count from 0; '*' takes all.\n";

static const char *const phasing_name[] = {"meridian", "sidereal", "unphased"};

static double deg(double rad)
{
    return rad / ASTRO_DEG;
}

/* A number that JSON can hold. */
static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static void print_line(json_t *object)
{
    json_dumpf(object, stdout,
               JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(object);
}

/* ICRS of the first integration's meridian point or phase centre; NAN without one. */
static void first_centre(const struct uvh5_info *info, const struct earth *earth,
                         double *ra_rad, double *dec_rad)
{
    struct astro_epoch ep;
    double v[3];

    *ra_rad = info->phase_ra_rad;
    *dec_rad = info->phase_dec_rad;
    if (info->phasing != VIS_MERIDIAN)
        return;
    astro_epoch_init(&ep, info->t0_jd, earth, &info->site);
    astro_meridian(&info->site, info->dec_app_rad, v);
    astro_itrf_to_icrs(&ep, v, ra_rad, dec_rad);
}

/* How the earth stands at the file's first time. */
static int orient(struct earth *earth, const struct uvh5_info *info,
                  const struct args *args, struct err *e)
{
    struct earth_note note;
    struct earth_table *t;
    int rc = earth_table_read(&t, args->earth, e);

    if (rc != 0)
        return rc;
    earth_at(t, info->t0_jd, args->dut1_s, info->dut1_s, earth, &note);
    earth_table_free(t);
    return 0;
}

static void info_json(const char *path, const struct uvh5_info *info,
                      const struct earth *earth)
{
    json_t *pols = json_array(), *o = json_object();
    double ra, dec;

    first_centre(info, earth, &ra, &dec);
    for (size_t p = 0; p < info->npol; p++)
        json_array_append_new(pols, json_integer(info->pol[p]));
    json_object_set_new(o, "file", json_string(path));
    json_object_set_new(o, "telescope", json_string(info->telescope));
    json_object_set_new(o, "instrument", json_string(info->instrument));
    json_object_set_new(o, "object", json_string(info->object));
    json_object_set_new(o, "latitude_deg", number(deg(info->site.lat_rad)));
    json_object_set_new(o, "longitude_deg", number(deg(info->site.lon_rad)));
    json_object_set_new(o, "altitude_m", number(info->site.alt_m));
    json_object_set_new(o, "antennas", json_integer((json_int_t)info->nant));
    json_object_set_new(o, "rows", json_integer((json_int_t)info->nrow));
    json_object_set_new(o, "times", json_integer((json_int_t)info->ntime));
    json_object_set_new(o, "first_jd", number(info->t0_jd));
    json_object_set_new(o, "last_jd", number(info->t1_jd));
    json_object_set_new(o, "integration_s", number(info->tint_s));
    json_object_set_new(
        o, "first_lst_rad",
        number(astro_lst(info->t0_jd, earth->dut1_s, info->site.lon_rad)));
    json_object_set_new(o, "phasing", json_string(phasing_name[info->phasing]));
    json_object_set_new(o, "dec_apparent_deg", number(deg(info->dec_app_rad)));
    json_object_set_new(o, "centre_ra_deg", number(deg(ra)));
    json_object_set_new(o, "centre_dec_deg", number(deg(dec)));
    json_object_set_new(o, "channels", json_integer((json_int_t)info->nchan));
    json_object_set_new(o, "lowest_hz", number(info->freq_lo_hz));
    json_object_set_new(o, "highest_hz", number(info->freq_hi_hz));
    json_object_set_new(o, "width_hz", number(info->width_hz));
    json_object_set_new(o, "polarisations", pols);
    print_line(o);
}

static void info_text(const char *path, const struct uvh5_info *info,
                      const struct earth *earth)
{
    char t0[20], t1[20], telescope[256], instrument[256], object[256], name[PATH_MAX];
    double ra, dec;

    text_escape(telescope, sizeof telescope, info->telescope);
    text_escape(instrument, sizeof instrument, info->instrument);
    text_escape(object, sizeof object, info->object);
    text_escape(name, sizeof name, path);
    first_centre(info, earth, &ra, &dec);
    astro_jd_to_iso(info->t0_jd, t0);
    astro_jd_to_iso(info->t1_jd, t1);
    printf("%s\n", name);
    printf("  telescope      %s %s, object '%s'\n", telescope, instrument, object);
    printf("  site           latitude %.6f, longitude %.6f deg, altitude %.1f m\n",
           deg(info->site.lat_rad), deg(info->site.lon_rad), info->site.alt_m);
    printf("  times          %zu of %.3f s: %s to %s UTC (JD %.6f to %.6f)\n",
           info->ntime, info->tint_s, t0, t1, info->t0_jd, info->t1_jd);
    printf("  sidereal time  %.6f h at the first\n",
           deg(astro_lst(info->t0_jd, earth->dut1_s, info->site.lon_rad)) / 15);
    printf("  phasing        %s", phasing_name[info->phasing]);
    if (info->phasing == VIS_MERIDIAN)
        printf(" at apparent declination %.4f deg", deg(info->dec_app_rad));
    if (info->phasing != VIS_UNPHASED)
        printf("; %sICRS %.6f %+.6f deg",
               info->phasing == VIS_MERIDIAN ? "at the first time " : "", deg(ra),
               deg(dec));
    printf("\n  antennas       %zu\n", info->nant);
    printf("  baselines      %zu cross-correlations over all times\n", info->nrow);
    printf("  channels       %zu from %.6f to %.6f MHz, %.6f MHz wide\n", info->nchan,
           info->freq_lo_hz * 1e-6, info->freq_hi_hz * 1e-6, info->width_hz * 1e-6);
    printf("  polarisations ");
    for (size_t p = 0; p < info->npol; p++)
        printf(" %d", info->pol[p]);
    printf("\n");
}

static int show_headers(char **path, int n, const struct args *args)
{
    struct uvh5_info info;
    struct earth earth;
    struct err e;
    int status = EX_OK;

    for (int i = 0; i < n; i++) {
        if (uvh5_info(path[i], &info, &e) != 0 ||
            orient(&earth, &info, args, &e) != 0) {
            status = program_fail(PROGRAM, EXIT_FAILURE, &e);
        } else if (args->json) {
            info_json(path[i], &info, &earth);
        } else {
            info_text(path[i], &info, &earth);
        }
    }
    return status;
}

static void sample_json(const struct vis *vis, size_t row, size_t chan, size_t pol,
                        const double uvw_m[3])
{
    size_t at = (row * vis->nchan + chan) * vis->npol + pol;

    print_line(json_pack(
        "{s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:i, s:f, s:f, s:f, s:[f,f,f]}",
        "row", (int)row, "chan", (int)chan, "pol", (int)pol, "antenna1",
        vis->ant_number[vis->row_ant1[row]], "antenna2",
        vis->ant_number[vis->row_ant2[row]], "jd", vis->time_jd[vis->row_time[row]],
        "integration_s", vis->tint_s[vis->row_time[row]], "freq_hz", vis->freq_hz[chan],
        "width_hz", vis->width_hz[chan], "code", vis->pol[pol], "re",
        (double)crealf(vis->data[at]), "im", (double)cimagf(vis->data[at]), "weight",
        (double)vis->weight[at], "uvw_m", uvw_m[0], uvw_m[1], uvw_m[2]));
}

static void sample_text(const struct vis *vis, size_t row, size_t chan, size_t pol,
                        const double uvw_m[3])
{
    size_t at = (row * vis->nchan + chan) * vis->npol + pol;

    printf("%zu %zu %zu  %d-%d %.8f %.6f %d  %.9g %.9g %.9g  %.4f %.4f %.4f\n", row,
           chan, pol, vis->ant_number[vis->row_ant1[row]],
           vis->ant_number[vis->row_ant2[row]], vis->time_jd[vis->row_time[row]],
           vis->freq_hz[chan] * 1e-6, vis->pol[pol], (double)crealf(vis->data[at]),
           (double)cimagf(vis->data[at]), (double)vis->weight[at], uvw_m[0], uvw_m[1],
           uvw_m[2]);
}

/* First and end of what `pick` takes of n; false when it takes nothing. */
static bool range(long pick, size_t n, size_t *first, size_t *end)
{
    *first = pick == ALL ? 0 : (size_t)pick;
    *end = pick == ALL ? n : (size_t)pick + 1;
    return *end <= n;
}

static int dump(char **path, int n, const struct args *args)
{
    size_t row0, row1, chan0, chan1, pol0, pol1;
    struct vis *vis = NULL;
    double(*uvw_m)[3] = NULL;
    double ra, dec;
    struct uvh5_opts opts = {.threads = 1};
    struct uvh5_info info;
    struct err e;
    int status = EXIT_FAILURE;

    if (uvh5_info(path[0], &info, &e) != 0 ||
        orient(&opts.earth, &info, args, &e) != 0 ||
        uvh5_read_group(&vis, (const char *const *)path, (size_t)n, &opts, &e) != 0) {
        return program_fail(PROGRAM, EXIT_FAILURE, &e);
    }
    if (!range(args->pick.row, vis->nrow, &row0, &row1) ||
        !range(args->pick.chan, vis->nchan, &chan0, &chan1) ||
        !range(args->pick.pol, vis->npol, &pol0, &pol1)) {
        fprintf(stderr,
                "uvh5info: --dump: the group has %zu rows, %zu channels and %zu "
                "polarisations\n",
                vis->nrow, vis->nchan, vis->npol);
        goto out;
    }
    uvw_m = calloc(vis->nrow, sizeof *uvw_m);
    if (uvw_m == NULL)
        goto out;
    vis_mean_pointing(vis, &ra, &dec);
    if (vis->phasing == VIS_SIDEREAL) {
        ra = vis->phase_ra_rad;
        dec = vis->phase_dec_rad;
    }
    vis_uvw(vis, ra, dec, uvw_m);
    for (size_t r = row0; r < row1; r++)
        for (size_t c = chan0; c < chan1; c++)
            for (size_t p = pol0; p < pol1; p++)
                (args->json ? sample_json : sample_text)(vis, r, c, p, uvw_m[r]);
    status = EX_OK;
out:
    free(uvw_m);
    vis_free(vis);
    return status;
}

static bool parse_pick(const char *text, struct pick *pick)
{
    long *part[] = {&pick->row, &pick->chan, &pick->pol};

    for (int k = 0; k < 3; k++) {
        char *end;

        if (*text == '*') {
            *part[k] = ALL;
            end = (char *)text + 1;
        } else {
            *part[k] = strtol(text, &end, 10);
            if (end == text || *text < '0' || *text > '9')
                return false;
        }
        if (*end != (k < 2 ? ',' : '\0'))
            return false;
        text = end + 1;
    }
    return true;
}

static bool parse_dut1(const char *text, double *dut1_s)
{
    char *end;

    *dut1_s = strtod(text, &end);
    return end != text && *end == '\0' && fabs(*dut1_s) < 1;
}

static int take_option(void *into, char letter, const char *text)
{
    struct args *args = into;

    if (letter == 'h')
        return fputs(usage, stdout) >= 0 ? EX_OK : EX_IOERR;
    args->dump |= letter == 'd';
    return (letter == 'd' ? parse_pick(text, &args->pick)
                          : parse_dut1(text, &args->dut1_s))
               ? OPTIONS_GO_ON
               : program_wrong(PROGRAM, "cannot understand '%s'", text);
}

static int parse_options(int argc, char **argv, struct args *args)
{
    static const struct option_row rows[] = {
        {"json", 0, OPTION_FLAG, offsetof(struct args, json), 0, 0},
        {"dump", 'd', OPTION_OWN, 0, 0, 0},
        {"dut1", 'u', OPTION_OWN, 0, 0, 0},
        {"earth", 0, OPTION_TEXT, offsetof(struct args, earth), 0, 0},
        {"help", 'h', OPTION_DO, 0, 0, 0},
    };
    struct options options = {.program = PROGRAM,
                              .shorts = "",
                              .row = rows,
                              .n = sizeof rows / sizeof rows[0],
                              .into = args,
                              .take = take_option};
    int code = options_take(&options, argc, argv);

    if (code == OPTIONS_GO_ON && optind == argc)
        code = EX_USAGE;
    if (code == EX_USAGE)
        fputs(usage, stderr);
    return code;
}

int main(int argc, char **argv)
{
    struct args args = {0};
    int status = parse_options(argc, argv, &args);

    if (status == OPTIONS_GO_ON)
        status = (args.dump ? dump : show_headers)(argv + optind, argc - optind, &args);
    return fflush(stdout) == 0 ? status : EX_IOERR;
}
