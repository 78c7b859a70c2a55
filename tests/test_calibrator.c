/*
 * test_calibrator.c: the table agrees with the lists it was taken from, and nothing that it
 * does not know gets a flux.
 */
#include "tests/test.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/sky/astro.h"
#include "pipeline/sky/beam.h"
#include "pipeline/sky/calibrator.h"
#include "pipeline/sky/vis.h"

static double flux(const char *name, double freq_ghz)
{
    struct err e = {0};
    double s_jy = NAN;

    if (calibrator_flux(calibrator_find(name), freq_ghz * 1e9, &s_jy, &e) != 0)
        fail_msg("%s", e.text);
    return s_jy;
}

static const struct calibrator *in_field(const struct vis *vis, const struct beam *beam,
                                         double min_beam, double min_jy, double *jy)
{
    size_t n;
    const struct calibrator *table = calibrator_table(&n);

    return calibrator_in_field(table, n, vis, beam, min_beam, min_jy, jy);
}

static void names_and_aliases_are_found_and_others_are_not(void **state)
{
    (void)state;
    assert_string_equal(calibrator_find("3c273")->name, "1229+020");
    assert_string_equal(calibrator_find("J1229+020")->name, "1229+020");
    assert_string_equal(calibrator_find("b0834+555")->name, "0834+555");
    assert_string_equal(calibrator_find("cta102")->name, "2232+117");
    assert_null(calibrator_find("3C999"));
    assert_null(calibrator_find(""));
    assert_null(calibrator_find("J"));
    assert_null(calibrator_find("0834+55"));
}

static void what_is_no_point_has_a_longest_baseline(void **state)
{
    (void)state;
    assert_true(fabs(calibrator_uvmax(calibrator_find("3C123"), 1.4e9) - 782) < 2);
    assert_true(fabs(calibrator_uvmax(calibrator_find("3C273"), 1.4e9) - 1485) < 2);
    assert_true(isinf(calibrator_uvmax(calibrator_find("3C273"), 30e9)));
    assert_true(isinf(calibrator_uvmax(calibrator_find("3C286"), 1.4e9)));
}

static void every_entry_is_whole(void **state)
{
    size_t n;
    const struct calibrator *table = calibrator_table(&n);

    (void)state;
    assert_true(n >= 20);
    for (size_t i = 0; i < n; i++) {
        const struct calibrator *c = &table[i];

        assert_ptr_equal(calibrator_find(c->name), c);
        assert_true(c->ra_rad >= 0 && c->ra_rad < 2 * M_PI);
        assert_true(fabs(c->dec_rad) < M_PI / 2);
        assert_true((c->ncoeff > 0) != (c->npoint > 0));
        assert_true(c->hi_hz > c->lo_hz && c->lo_hz > 0);
        assert_true(strlen(c->source) > 10);
        for (int k = 0; k < c->npoint; k++)
            assert_true(c->flux_jy[k] > 0 &&
                        (k == 0 || c->freq_hz[k] > c->freq_hz[k - 1]));
        assert_true(flux(c->name, 1.405) > 2.9);
    }
}

/* The manual's own 20 cm fluxes: an older scale and one epoch, so within 8 %. */
static void standards_agree_with_the_manual_at_20_cm(void **state)
{
    (void)state;
    assert_true(fabs(flux("3C286", 1.465) / 15.0 - 1) < 0.08);
    assert_true(fabs(flux("3C48", 1.465) / 16.5 - 1) < 0.08);
    assert_true(fabs(flux("3C147", 1.465) / 22.5 - 1) < 0.08);
    assert_true(fabs(flux("3C138", 1.465) / 8.47 - 1) < 0.08);
    assert_true(fabs(flux("3C196", 1.465) / 13.9 - 1) < 0.08);
    assert_true(fabs(flux("3C295", 1.465) / 22.8 - 1) < 0.08);
}

/* On the point itself; then on the line through 34.0 Jy at 14.94 and 13.5 Jy at 43.34 GHz:
 * slope -0.8673, so 18.57 Jy at 30 GHz. */
static void points_are_joined_in_log_log(void **state)
{
    (void)state;
    assert_true(fabs(flux("0834+555", 1.465) - 8.80) < 1e-9);
    assert_true(fabs(flux("3C273", 30.0) - 18.57) < 0.03);
    assert_true(fabs(flux("3C273", 27.188) / flux("3C273", 34.688) - 1.2353) < 0.002);
}

static void no_flux_outside_the_known_band(void **state)
{
    struct err e = {0};
    double s_jy = -1;

    (void)state;
    assert_int_equal(calibrator_flux(calibrator_find("3C273"), 95e9, &s_jy, &e),
                     ERR_QUALITY);
    assert_string_equal(e.text,
                        "calibrator 1229+020 has no flux at 95 GHz, only between "
                        "0.976667 and 65.01 GHz");
    assert_int_equal(calibrator_flux(calibrator_find("3C286"), 51e9, &s_jy, &e),
                     ERR_QUALITY);
    assert_int_equal(calibrator_flux(calibrator_find("3C171"), 5e9, &s_jy, &e),
                     ERR_QUALITY);
    assert_int_equal(calibrator_flux(calibrator_find("3C286"), NAN, &s_jy, &e),
                     ERR_QUALITY);
    assert_true(s_jy == -1);
}

static void a_calibrator_is_read_from_a_line(void **state)
{
    struct calibrator c;
    struct err e = {0};
    double s_jy;

    (void)state;
    assert_int_equal(calibrator_parse("mine,123.5,-12.25,2.5,1400,-0.7", &c, &e), 0);
    assert_string_equal(c.name, "mine");
    assert_true(fabs(c.ra_rad - 123.5 * ASTRO_DEG) < 1e-12);
    assert_true(fabs(c.dec_rad + 12.25 * ASTRO_DEG) < 1e-12);
    assert_int_equal(calibrator_flux(&c, 1.4e9, &s_jy, &e), 0);
    assert_true(fabs(s_jy - 2.5) < 1e-9);
    assert_int_equal(calibrator_flux(&c, 1.0e9, &s_jy, &e), 0);
    assert_true(fabs(s_jy - 2.5 * pow(1.4, 0.7)) < 1e-9);

    assert_int_equal(calibrator_parse("flat,0,0,3,1400", &c, &e), 0);
    assert_int_equal(calibrator_flux(&c, 1.3e9, &s_jy, &e), 0);
    assert_true(fabs(s_jy - 3) < 1e-9);
    assert_int_equal(calibrator_flux(&c, 2.2e9, &s_jy, &e), ERR_QUALITY);
}

static void a_broken_line_is_refused(void **state)
{
    static const char *const lines[] = {
        "",
        "name",
        ",1,2,3,4",
        "n,1,2,3",
        "n,1,2,3,1400,-0.7,9",
        "n,1,2,3,1400,",
        "n,1,2,x,1400",
        "n,1,2,3Jy,1400",
        "n,1,2,nan,1400",
        "n,360,2,3,1400",
        "n,1,-91,3,1400",
        "n,1,2,0,1400",
        "n,1,2,3,-1400",
        "n,1, 2,3,1400",
        "a_name_that_is_longer_than_thirty_one_characters,1,2,3,1400",
    };
    struct calibrator c;

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct err e = {0};

        assert_int_equal(calibrator_parse(lines[i], &c, &e), -EINVAL);
        assert_true(e.text[0] != '\0' && strchr(e.text, '\n') == NULL);
    }
}

/* A drift of three integrations at the declination of 0834+555 less 0.4 degrees, the middle one
 * on its meridian. */
static struct vis *drift_past_0834(void)
{
    const struct calibrator *cal = calibrator_find("0834+555");
    struct vis *vis;
    struct err e;

    assert_int_equal(vis_alloc(&vis, 2, 3, 3, 2, 1, &e), 0);
    for (int t = 0; t < 3; t++) {
        struct astro_epoch ep;

        vis->time_jd[t] = 2461066.0 + t * 150 / 86400.0;
        astro_epoch_init(&ep, vis->time_jd[t], NULL, &vis->site);
        astro_icrs_to_itrf(&ep, cal->ra_rad + (t - 1) * 0.6 * ASTRO_DEG,
                           cal->dec_rad - 0.4 * ASTRO_DEG, vis->pointing[t]);
        memcpy(vis->stop[t], vis->pointing[t], sizeof vis->stop[t]);
        vis->row_time[t] = t;
        vis->row_ant2[t] = 1;
    }
    for (int c = 0; c < 2; c++) {
        vis->freq_hz[c] = 1.4e9 + c * 10e6;
        vis->width_hz[c] = 10e6;
    }
    vis->pol[0] = -5;
    for (size_t k = 0; k < vis->nrow * vis->nchan; k++)
        vis->weight[k] = 1;
    return vis;
}

/* (2 J1(x) / x)^2 with x = pi D sin(theta) / lambda, D 4.65 m, for theta 0.4 degrees and
 * twice hypot(0.4, 0.6 cos 55.4 deg) = 0.526 degrees at 1.405 GHz: 0.9442 and 0.9054, mean
 * 0.9183; 8.80 Jy at 1.465 GHz on the way to 9 Jy at 0.3275 GHz are 8.805 at 1.405. */
static void the_calibrator_of_the_field_is_found_through_its_beam(void **state)
{
    struct vis *vis = drift_past_0834();
    struct beam beam = {.kind = BEAM_AIRY, .diameter_m = 4.65};
    const struct calibrator *got;
    double jy;

    (void)state;
    got = in_field(vis, &beam, 0.3, 1, &jy);
    assert_non_null(got);
    assert_string_equal(got->name, "0834+555");
    assert_true(fabs(jy - 8.805 * 0.9183) < 0.02);

    assert_null(in_field(vis, &beam, 0.95, 1, &jy));
    assert_null(in_field(vis, &beam, 0.3, 9, &jy));
    assert_true(jy == 0);

    vis_free(vis);
}

/* The same field and beam; 0834+555 is the brightest of the table in it. */
static void a_calibrator_that_was_chosen_is_judged_alone(void **state)
{
    struct vis *vis = drift_past_0834();
    struct beam beam = {.kind = BEAM_AIRY, .diameter_m = 4.65};
    struct calibrator mine;
    struct err e = {0};
    double jy;

    (void)state;
    assert_int_equal(calibrator_parse("0834+555,128.72877,55.57252,4,1405", &mine, &e),
                     0);
    assert_int_equal(calibrator_usable(&mine, vis, &beam, 0.3, 1, &jy, &e), 0);
    assert_true(fabs(jy - 4 * 0.9183) < 0.02); /* its own flux, not the table's */
    assert_int_equal(calibrator_usable(&mine, vis, &beam, 0.3, 3.8, &jy, &e),
                     ERR_QUALITY);
    assert_string_equal(e.text, "calibrator 0834+555 has 3.67 Jy in the primary beam, "
                                "less than 3.8");
    assert_int_equal(calibrator_usable(&mine, vis, &beam, 0.95, 1, &jy, &e),
                     ERR_QUALITY);
    assert_non_null(strstr(e.text, "0.40 degrees from the middle of the field, where "
                                   "the primary beam is 0.918, less than 0.95"));
    assert_int_equal(calibrator_parse("low,128.72877,55.57252,4,74", &mine, &e), 0);
    assert_int_equal(calibrator_usable(&mine, vis, &beam, 0.3, 1, &jy, &e),
                     ERR_QUALITY);
    assert_non_null(strstr(e.text, "calibrator low has no flux at 1.405 GHz"));
    vis_free(vis);
}

static void without_a_beam_the_field_still_ends(void **state)
{
    struct vis *vis = drift_past_0834();
    struct beam beam = {.kind = BEAM_NONE};
    double jy;

    (void)state;
    assert_string_equal(in_field(vis, &beam, 0.3, 1, &jy)->name, "0834+555");
    for (int t = 0; t < 3; t++) /* to the other side of the sky */
        vis->pointing[t][0] *= -1, vis->pointing[t][1] *= -1, vis->pointing[t][2] *= -1;
    assert_null(in_field(vis, &beam, 0.3, 1, &jy));
    vis_free(vis);
}

/* ---- against the lists ---- */

static FILE *open_list(const char *name)
{
    char path[4200];
    FILE *f = NULL;

    if (shared_data() != NULL) {
        snprintf(path, sizeof path, "%s/calibrators/%s", shared_data(), name);
        f = fopen(path, "r");
    }
    if (f == NULL)
        print_message("skipped: no calibrators/%s beside this checkout\n", name);
    return f;
}

/* "12h29m06.699729s  02d03'08.598190" and a sign, to rad. */
static void check_position(const struct calibrator *c, const char *line)
{
    double h, m, s, d, am, as, ra, dec;
    char sign;

    assert_int_equal(sscanf(line, "%*s J2000 %*c %lfh%lfm%lfs %lfd%lf'%lf", &h, &m, &s,
                            &d, &am, &as),
                     6);
    sign = strchr(line, '-') != NULL && strchr(line + 11, '-') != NULL ? '-' : '+';
    ra = (h + m / 60 + s / 3600) * 15 * ASTRO_DEG;
    dec = (fabs(d) + am / 60 + as / 3600) * ASTRO_DEG * (sign == '-' ? -1 : 1);
    if (astro_separation(ra, dec, c->ra_rad, c->dec_rad) > 1e-5 * ASTRO_ARCSEC)
        fail_msg("%s is not where the manual has it", c->name);
}

/* " 20cm    L  X P P P      16.5   40" against the entry's points. */
static int check_band(const struct calibrator *c, const char *line)
{
    static const struct {
        char letter;
        double freq_hz;
    } bands[] = {{'P', 0.3275e9}, {'L', 1.465e9}, {'C', 4.86e9}, {'X', 8.46e9},
                 {'U', 14.94e9},  {'K', 22.46e9}, {'Q', 43.34e9}};
    char letter;
    double s_jy;

    if (sscanf(line, " %*[0-9.]cm %c %*c %*c %*c %*c %lf", &letter, &s_jy) != 2)
        return 0;
    for (size_t b = 0; b < sizeof bands / sizeof bands[0]; b++) {
        for (int k = 0; bands[b].letter == letter && k < c->npoint; k++) {
            if (c->freq_hz[k] != bands[b].freq_hz)
                continue;
            if (fabs(c->flux_jy[k] - s_jy) > 1e-9)
                fail_msg("%s has %g Jy at %c, the manual %g", c->name, c->flux_jy[k],
                         letter, s_jy);
            return 1;
        }
    }
    return 0;
}

static void positions_and_fluxes_are_the_manuals(void **state)
{
    FILE *f = open_list("vlacals.txt");
    const struct calibrator *c = NULL;
    size_t n, positions = 0;
    int fluxes = 0, points = 0;
    char line[256], name[32];

    (void)state;
    if (f == NULL)
        skip();
    while (fgets(line, sizeof line, f) != NULL) {
        if (strstr(line, " J2000 ") != NULL && sscanf(line, "%31s", name) == 1) {
            c = calibrator_find(name);
            if (c != NULL) {
                check_position(c, line);
                positions++;
            }
        } else if (c != NULL) {
            fluxes += check_band(c, line);
        }
    }
    fclose(f);
    for (size_t i = (calibrator_table(&n), 0); i < n; i++)
        points += calibrator_table(&n)[i].npoint;
    assert_int_equal(positions, n - 2); /* the two southern ones are not in it */
    assert_int_equal(fluxes, points);
}

/* The list quotes some last digits differently; 1 % where it matters. */
static void polynomials_are_perley_and_butlers(void **state)
{
    FILE *f = open_list("perley-butler-2017.csv");
    char line[256], name[32];
    double a[6];
    int found = 0;

    (void)state;
    if (f == NULL)
        skip();
    while (fgets(line, sizeof line, f) != NULL) {
        const struct calibrator *c;

        memset(a, 0, sizeof a);
        if (line[0] == '#' ||
            sscanf(line, "%31[^,],%*[^,],%*f,%*f,%lf,%lf,%lf,%lf,%lf,%lf", name, &a[0],
                   &a[1], &a[2], &a[3], &a[4], &a[5]) < 4)
            continue;
        c = calibrator_find(name);
        if (c == NULL || c->ncoeff == 0)
            continue;
        for (double ghz = 1; ghz < 40; ghz *= 1.7) {
            double x = log10(ghz), sum = 0;

            for (int k = 5; k >= 0; k--)
                sum = sum * x + a[k];
            assert_true(fabs(flux(name, ghz) / pow(10, sum) - 1) < 0.01);
        }
        found++;
    }
    fclose(f);
    assert_int_equal(found, 7);
}

/* Reynolds 1994: 14.9 Jy at 1.4 GHz; MeerKAT's commissioning: 15.5 Jy there. */
static void the_southern_standards_are_there(void **state)
{
    (void)state;
    assert_true(fabs(flux("1934-638", 1.4) - 14.91) < 0.03);
    assert_true(fabs(flux("0408-658", 1.4) - 15.52) < 0.03);
    assert_true(fabs(calibrator_find("1934-638")->dec_rad / ASTRO_DEG + 63.712675) <
                1e-5);
}

static void one_s_own_comes_before_the_tables(void **state)
{
    struct calibrator own = *calibrator_find("0834+555"), *all;
    size_t n, ntable;
    struct err e;

    (void)state;
    calibrator_table(&ntable);
    strcpy(own.name, "MINE");
    own.dec_rad += 20 * ASTRO_ARCSEC; /* the same, to few digits */
    assert_int_equal(calibrator_join(&all, &n, &own, 1, &e), 0);
    assert_int_equal(n, ntable);
    assert_string_equal(all[0].name, "MINE");
    assert_null(calibrator_find_in(all, n, "0834+555"));
    assert_non_null(calibrator_find_in(all, n, "3C48"));
    free(all);
    own.dec_rad += 20 * ASTRO_ARCSEC;
    assert_int_equal(calibrator_join(&all, &n, &own, 1, &e), 0);
    assert_int_equal(n, ntable + 1);
    free(all);
    strcpy(own.name, "3c286"); /* an alias, wherever it is */
    assert_int_equal(calibrator_join(&all, &n, &own, 1, &e), 0);
    assert_true(calibrator_find_in(all, n, "3C286")->dec_rad == own.dec_rad);
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_aliases_are_found_and_others_are_not),
        cmocka_unit_test(every_entry_is_whole),
        cmocka_unit_test(what_is_no_point_has_a_longest_baseline),
        cmocka_unit_test(the_southern_standards_are_there),
        cmocka_unit_test(one_s_own_comes_before_the_tables),
        cmocka_unit_test(standards_agree_with_the_manual_at_20_cm),
        cmocka_unit_test(points_are_joined_in_log_log),
        cmocka_unit_test(no_flux_outside_the_known_band),
        cmocka_unit_test(a_calibrator_is_read_from_a_line),
        cmocka_unit_test(a_broken_line_is_refused),
        cmocka_unit_test(the_calibrator_of_the_field_is_found_through_its_beam),
        cmocka_unit_test(a_calibrator_that_was_chosen_is_judged_alone),
        cmocka_unit_test(without_a_beam_the_field_still_ends),
        cmocka_unit_test(positions_and_fluxes_are_the_manuals),
        cmocka_unit_test(polynomials_are_perley_and_butlers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
