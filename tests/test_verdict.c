/*
 * test_verdict.c: a verdict is the worst of its reasons, each of which says number and limit; and
 * what was put in by solving is not taken for a proof.
 */
#include "tests/test.h"

#include <math.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/continuum/settings.h"
#include "pipeline/continuum/verdict.h"
#include "pipeline/io/fits.h"
#include "pipeline/sky/calibrator.h"
#include "pipeline/sky/image.h"
#include "pipeline/sky/source.h"

static const char *reason(const struct verdict *v, size_t i)
{
    return json_string_value(json_array_get(v->reasons, i));
}

static void a_verdict_is_the_worst_of_its_reasons(void **state)
{
    struct verdict v = {VERDICT_PASSED, NULL};
    struct fits_card card[VERDICT_CARDS];
    json_t *m = json_object();

    (void)state;
    verdict_limits(&v, 1.9, 2, 5, "noise", "");
    verdict_limits(&v, NAN, 2, 5, "noise", "");
    verdict_limits(&v, 1e9, 0, 0, "noise", ""); /* not judged */
    assert_int_equal(v.grade, VERDICT_PASSED);
    assert_int_equal(verdict_cards(card, &v), 1);
    assert_string_equal(card[0].text, "passed");

    verdict_limits(&v, 2.5, 2, 5, "the noise", "");
    assert_int_equal(v.grade, VERDICT_WARNING);
    verdict_limits(&v, 0.11, 0.5, 0.2, "the share", " of all");
    verdict_add(&v, VERDICT_UNCALIBRATED, "as it came");
    verdict_limits(&v, 0.4, 0.5, 0.2, "another share", "");
    assert_int_equal(v.grade, VERDICT_FAILED);
    assert_int_equal(json_array_size(v.reasons), 4);
    assert_string_equal(reason(&v, 0),
                        "failed: the share is 0.11 of all, less than 0.2");
    assert_string_equal(reason(&v, 1), "uncalibrated: as it came");
    assert_string_equal(reason(&v, 2), "warning: the noise is 2.5, more than 2");
    assert_string_equal(reason(&v, 3), "warning: another share is 0.4, less than 0.5");

    verdict_meta(m, &v);
    assert_string_equal(json_string_value(json_object_get(m, "qa_status")), "failed");
    assert_int_equal(json_array_size(json_object_get(m, "reasons")), 4);
    assert_int_equal(verdict_cards(card, &v), 5);
    assert_string_equal(card[0].name, "QASTATUS");
    assert_string_equal(card[4].name, "QAREAS4");
    for (int i = 0; i < 20; i++)
        verdict_add(&v, VERDICT_WARNING, "again");
    assert_int_equal(verdict_cards(card, &v), VERDICT_CARDS);
    json_decref(m);
    verdict_close(&v);
}

static void words_go_both_ways(void **state)
{
    (void)state;
    for (int g = VERDICT_PASSED; g <= VERDICT_FAILED; g++)
        assert_int_equal(verdict_grade_of(verdict_word((enum verdict_grade)g)), g);
    assert_int_equal(verdict_grade_of(NULL), VERDICT_FAILED);
    assert_int_equal(verdict_grade_of("splendid"), VERDICT_FAILED);
}

static void images_are_judged_by_range_and_catalogue(void **state)
{
    struct continuum_settings set = {
        .qa = {.min_dynamic_range = 5, .min_found = 0.6, .max_flux_error = 0.2}};
    struct qa_match match = {.nexpected = 10, .nfound = 5, .flux_ratio = 1.5};
    struct verdict v = {VERDICT_PASSED, NULL};

    (void)state;
    verdict_judge_image(&v, 4.5, &match, &set);
    assert_string_equal(reason(&v, 0), "failed: the dynamic range is 4.5, less than 5");
    assert_string_equal(reason(&v, 1), "warning: 5 of 10 catalogue sources are found");
    assert_string_equal(reason(&v, 2),
                        "warning: fluxes are 1.5 of the catalogue's, median of 5");
    verdict_close(&v);
    match = (struct qa_match){.flux_ratio = NAN};
    verdict_judge_image(&v, 50, &match, &set);
    assert_int_equal(v.grade, VERDICT_PASSED);
    verdict_judge_image(&v, NAN, &match, &set);
    assert_int_equal(v.grade, VERDICT_FAILED);
    verdict_close(&v);
}

/* An image around 0834+555, the only one of the built-in table in it. */
static void the_calibrator_that_was_solved_on_proves_nothing(void **state)
{
    struct continuum_settings set = {.qa = {.find_sigma = 7}};
    const struct calibrator *cal = calibrator_find("0834+555");
    struct source at = {.ra_rad = cal->ra_rad, .dec_rad = cal->dec_rad, .flux_jy = 8};
    struct source_list found = {1, &at}, solved = {1, &at};
    struct qa_match match;
    struct image *img;
    float noise[12 * 10];

    (void)state;
    assert_int_equal(image_alloc(&img, 12, 10, NULL), 0);
    img->wcs = (struct wcs){.ra_rad = cal->ra_rad,
                            .dec_rad = cal->dec_rad,
                            .cell_rad = 1e-5,
                            .crpix1 = 7,
                            .crpix2 = 6};
    img->bmaj_rad = img->bmin_rad = 4e-5;
    img->freq_hz = 1.4e9;
    for (size_t i = 0; i < sizeof noise / sizeof noise[0]; i++)
        noise[i] = 1e-3F;
    assert_int_equal(verdict_catalogue(&match, img, noise, &found, NULL, &set, NULL),
                     0);
    assert_int_equal(match.nexpected, 1);
    assert_int_equal(match.nfound, 1);
    assert_int_equal(verdict_catalogue(&match, img, noise, &found, &solved, &set, NULL),
                     0);
    assert_int_equal(match.nexpected, 0);
    image_free(img);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_verdict_is_the_worst_of_its_reasons),
        cmocka_unit_test(words_go_both_ways),
        cmocka_unit_test(images_are_judged_by_range_and_catalogue),
        cmocka_unit_test(the_calibrator_that_was_solved_on_proves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
