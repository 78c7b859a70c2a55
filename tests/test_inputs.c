/* pipeline/product/inputs: what "made of exactly these" means. */
#include "pipeline/product/inputs.h"

#include <string.h>
#include <unistd.h>

#include "pipeline/product/product.h"
#include "tests/test.h"

static json_t *manifest_of(const struct product_input *in, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "path", in[i].path,
                                              "size", (json_int_t)in[i].size,
                                              "mtime_ns", (json_int_t)in[i].mtime_ns));
    return json_pack("{s:o}", "inputs", list);
}

static const struct product_input two[] = {{"/in/a.hdf5", 10, 1, ""},
                                           {"/in/b.hdf5", 10, 2, ""}};

static void assert_same(bool same, const struct product_input *in, size_t n)
{
    json_t *m = manifest_of(two, 2);

    assert_int_equal(inputs_same(m, in, n), same);
    json_decref(m);
}

static void a_moved_or_linked_root_does_not_make_a_product_stale(void **state)
{
    (void)state;
    assert_same(true, two, 2);
    assert_same(true,
                (struct product_input[]){{"/new/a.hdf5", 10, 1, ""},
                                         {"/new/b.hdf5", 10, 2, ""}},
                2);
}

static void the_order_of_inputs_does_not_count(void **state)
{
    (void)state;
    assert_same(true, (struct product_input[]){two[1], two[0]}, 2);
}

static void a_rewritten_input_makes_it_stale_even_of_the_old_size(void **state)
{
    (void)state;
    assert_same(
        false,
        (struct product_input[]){{"/in/a.hdf5", 10, 1, ""}, {"/in/b.hdf5", 10, 3, ""}},
        2);
    assert_same(
        false,
        (struct product_input[]){{"/in/a.hdf5", 11, 1, ""}, {"/in/b.hdf5", 10, 2, ""}},
        2);
}

static void another_number_of_inputs_is_another_product(void **state)
{
    (void)state;
    assert_same(false, two, 1);
    assert_same(false, (struct product_input[]){two[0], two[1], {"/in/c", 1, 1, ""}},
                3);
    assert_false(inputs_same(NULL, two, 0));
}

/* Once any input of the right name was enough, so that these two were "the same". */
static void one_input_twice_is_not_two_inputs(void **state)
{
    json_t *m = manifest_of((struct product_input[]){two[0], two[0]}, 2);

    (void)state;
    assert_false(inputs_same(m, two, 2));
    json_decref(m);
    assert_same(false, (struct product_input[]){two[0], two[0]}, 2);
}

static void tiles_of_a_mosaic_differ_by_the_times_of_their_manifests(void **state)
{
    struct product_input tile[] = {{"/p/tiles/A/manifest.json", 900, 5, ""},
                                   {"/p/tiles/B/manifest.json", 900, 6, ""}};
    json_t *m = manifest_of(tile, 2);

    (void)state;
    assert_true(inputs_same(m, tile, 2));
    tile[1].mtime_ns = 7; /* made again */
    assert_false(inputs_same(m, tile, 2));
    json_decref(m);
}

static void
what_was_rewritten_is_seen_and_what_is_gone_is_not_held_against_it(void **state)
{
    struct product_input in[2];
    json_t *m;
    FILE *f;

    (void)state;
    for (int i = 0; i < 2; i++) {
        f = fopen(i == 0 ? "a" : "b", "w");
        assert_non_null(f);
        fputs("x", f);
        fclose(f);
        assert_int_equal(product_input_stat(&in[i], i == 0 ? "a" : "b", NULL), 0);
    }
    m = manifest_of(in, 2);
    assert_false(inputs_rewritten(m));
    unlink("a");
    assert_false(inputs_rewritten(m));
    f = fopen("b", "w");
    assert_non_null(f);
    fputs("xyz", f);
    fclose(f);
    assert_true(inputs_rewritten(m));
    assert_false(inputs_rewritten(NULL));
    json_decref(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_moved_or_linked_root_does_not_make_a_product_stale),
        cmocka_unit_test(the_order_of_inputs_does_not_count),
        cmocka_unit_test(a_rewritten_input_makes_it_stale_even_of_the_old_size),
        cmocka_unit_test(another_number_of_inputs_is_another_product),
        cmocka_unit_test(one_input_twice_is_not_two_inputs),
        cmocka_unit_test(tiles_of_a_mosaic_differ_by_the_times_of_their_manifests),
        OWN_DIR(what_was_rewritten_is_seen_and_what_is_gone_is_not_held_against_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
