/*
 * Windows of tiles.  Expected windows are counted by hand from the tables below: middles are in
 * minutes, five apart as DSA-110's groups are (309 s), each tile three minutes long.
 */
#include "tests/test.h"

#include <string.h>

#include "core/store/registry.h"
#include "watcherd/todo/window.h"

#define MINUTE_D (1.0 / 1440)

static const struct window_opts usual = {
    .tiles = 4, .overlap = 1, .max_gap_s = 420, .dec_tolerance_deg = 0.1};

struct row {
    double minute, dec_deg;
    int in_mosaic;
};

/* The window among these tiles: its first tile and number; why[] when there is none. */
static size_t find(const struct row *row, size_t n, const struct window_opts *opts,
                   size_t *first, char why[256])
{
    struct reg_tile tile[32] = {0};

    assert_true(n <= 32);
    for (size_t i = 0; i < n; i++) {
        snprintf(tile[i].group, sizeof tile[i].group, "2026-01-26T%02d:%02d:00",
                 (int)row[i].minute / 60, (int)row[i].minute % 60);
        tile[i].start_mjd = 61066 + (row[i].minute - 1.5) * MINUTE_D;
        tile[i].end_mjd = 61066 + (row[i].minute + 1.5) * MINUTE_D;
        tile[i].dec_deg = row[i].dec_deg;
        tile[i].in_mosaic = row[i].in_mosaic;
    }
    why[0] = '\0';
    *first = 99;
    return window_find(tile, n, opts, first, why, 256);
}

#define FIND(rows, opts, first, why)                                                   \
    find(rows, sizeof(rows) / sizeof(rows)[0], opts, first, why)

static void the_first_tiles_of_a_run_make_the_window(void **state)
{
    const struct row row[] = {
        {10, 16.3, 0}, {15, 16.3, 0}, {20, 16.3, 0}, {25, 16.3, 0}, {30, 16.3, 0}};
    size_t first;
    char why[256];

    (void)state;
    assert_int_equal(FIND(row, &usual, &first, why), 4);
    assert_int_equal(first, 0);
    assert_int_equal(find(row, 4, &usual, &first, why), 4);
    assert_int_equal(first, 0);
}

static void too_few_tiles_are_told_with_their_number_and_names(void **state)
{
    const struct row row[] = {{10, 16.3, 0}, {15, 16.3, 0}, {20, 16.3, 0}};
    size_t first;
    char why[256];

    (void)state;
    assert_int_equal(FIND(row, &usual, &first, why), 0);
    assert_string_equal(why,
                        "3 of 4 tiles from 2026-01-26T00:10:00 to 2026-01-26T00:20:00");
    assert_int_equal(find(row, 0, &usual, &first, why), 0);
    assert_string_equal(why, "no tile waits for a mosaic");
}

static void no_window_spans_a_gap(void **state)
{
    /* 414 s from 20 to 26.9 min are allowed, 450 s from 12.5 to 20 are not */
    const struct row row[] = {{7.5, 16.3, 0},  {12.5, 16.3, 0}, {20, 16.3, 0},
                              {26.9, 16.3, 0}, {32, 16.3, 0},   {37, 16.3, 0}};
    struct window_opts tight = usual;
    size_t first;
    char why[256];

    (void)state;
    assert_int_equal(FIND(row, &usual, &first, why), 4);
    assert_int_equal(first, 2);
    tight.max_gap_s = 413;
    assert_int_equal(FIND(row, &tight, &first, why), 0);
    assert_non_null(strstr(why, "3 of 4 tiles from 2026-01-26T00:26:00"));
}

static void a_change_of_declination_ends_a_run(void **state)
{
    const struct row row[] = {{10, 16.3, 0}, {15, 16.3, 0}, {20, 16.3, 0},
                              {25, 54.6, 0}, {30, 54.6, 0}, {35, 54.6, 0},
                              {40, 54.6, 0}};
    size_t first;
    char why[256];

    (void)state;
    assert_int_equal(FIND(row, &usual, &first, why), 4);
    assert_int_equal(first, 3);
    assert_int_equal(find(row, 6, &usual, &first, why), 0);
}

static void a_slow_drift_in_declination_is_measured_from_the_first_tile(void **state)
{
    /* each step is within 0.1 deg, the third one 0.12 deg from the first */
    const struct row row[] = {{10, 16.30, 0}, {15, 16.34, 0}, {20, 16.38, 0},
                              {25, 16.42, 0}, {30, 16.46, 0}, {35, 16.50, 0},
                              {40, 16.51, 0}};
    size_t first;
    char why[256];

    (void)state;
    assert_int_equal(FIND(row, &usual, &first, why), 4);
    assert_int_equal(first, 3);
}

static void the_next_window_takes_the_overlap_again(void **state)
{
    const struct row row[] = {{10, 16.3, 1}, {15, 16.3, 1}, {20, 16.3, 1},
                              {25, 16.3, 1}, {30, 16.3, 0}, {35, 16.3, 0},
                              {40, 16.3, 0}};
    struct window_opts opts = usual;
    size_t first;
    char why[256];

    (void)state;
    assert_int_equal(FIND(row, &opts, &first, why), 4);
    assert_int_equal(first, 3);
    opts.overlap = 2; /* tiles 2 .. 5: one new tile fewer is needed */
    assert_int_equal(find(row, 6, &opts, &first, why), 4);
    assert_int_equal(first, 2);
    opts.overlap = 0; /* tiles 4 .. 7, and there are only three */
    assert_int_equal(FIND(row, &opts, &first, why), 0);
    assert_string_equal(why,
                        "3 of 4 tiles from 2026-01-26T00:30:00 to 2026-01-26T00:40:00");
}

static void an_overlap_as_long_as_the_window_still_moves_on(void **state)
{
    const struct row row[] = {
        {10, 16.3, 1}, {15, 16.3, 1}, {20, 16.3, 1}, {25, 16.3, 1}, {30, 16.3, 0}};
    struct window_opts opts = usual;
    size_t first;
    char why[256];

    (void)state;
    opts.overlap = 9; /* counts as 3 */
    assert_int_equal(FIND(row, &opts, &first, why), 4);
    assert_int_equal(first, 1);
    assert_int_equal(find(row, 4, &opts, &first, why), 0);
    assert_string_equal(why, "no tile waits for a mosaic");
}

static void tiles_that_are_all_in_mosaics_wait_for_nothing(void **state)
{
    const struct row row[] = {
        {10, 16.3, 1}, {15, 16.3, 1}, {20, 16.3, 1}, {25, 16.3, 1}};
    size_t first;
    char why[256];

    (void)state;
    assert_int_equal(FIND(row, &usual, &first, why), 0);
    assert_string_equal(why, "no tile waits for a mosaic");
    assert_int_equal(first, 99);
}

static void a_used_up_run_does_not_hide_the_next_one(void **state)
{
    const struct row row[] = {{10, 16.3, 1}, {15, 16.3, 1}, {20, 16.3, 1},
                              {25, 16.3, 1}, {60, 16.3, 0}, {65, 16.3, 0},
                              {70, 16.3, 0}, {75, 16.3, 0}};
    struct window_opts one = usual;
    size_t first;
    char why[256];

    (void)state;
    assert_int_equal(FIND(row, &usual, &first, why), 4);
    assert_int_equal(first, 4);
    one.tiles = 1; /* a mosaic of one tile: every tile once */
    assert_int_equal(FIND(row, &one, &first, why), 1);
    assert_int_equal(first, 4);
}

static void a_window_is_named_by_its_first_tile_without_colons(void **state)
{
    struct reg_tile tile = {.group = "2026-01-25T22:26:05"};
    char name[64];

    (void)state;
    window_name(&tile, name, sizeof name);
    assert_string_equal(name, "mosaic_2026-01-25T22-26-05");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_tiles_of_a_run_make_the_window),
        cmocka_unit_test(too_few_tiles_are_told_with_their_number_and_names),
        cmocka_unit_test(no_window_spans_a_gap),
        cmocka_unit_test(a_change_of_declination_ends_a_run),
        cmocka_unit_test(a_slow_drift_in_declination_is_measured_from_the_first_tile),
        cmocka_unit_test(the_next_window_takes_the_overlap_again),
        cmocka_unit_test(an_overlap_as_long_as_the_window_still_moves_on),
        cmocka_unit_test(tiles_that_are_all_in_mosaics_wait_for_nothing),
        cmocka_unit_test(a_used_up_run_does_not_hide_the_next_one),
        cmocka_unit_test(a_window_is_named_by_its_first_tile_without_colons),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
