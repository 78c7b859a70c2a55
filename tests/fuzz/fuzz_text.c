/* Lists and tables that people and other programs write: CSV, fixed columns, JSON. */
#include "tests/fuzz/fuzz.h"

#include "core/jsonkeys.h"
#include "core/store/registry.h"
#include "pipeline/continuum/registered.h"
#include "pipeline/flag/bands.h"
#include "pipeline/sky/calibrator.h"
#include "pipeline/sky/catalogue.h"
#include "pipeline/sky/earth.h"
#include "pipeline/sky/source.h"
#include "pipeline/sky/vlalist.h"
#include "core/err.h"

static void calibrators(const char *text)
{
    struct calibrator *list, one;
    size_t n, all;
    double deg;
    struct err e;

    if (vlalist_parse(&list, &n, &all, text, &e) == 0) {
        for (size_t i = 0; i < n; i++) {
            struct reg_calibrator row;

            registered_row(&row, &list[i], REG_BY_IMPORT);
            if (registered_calibrator(&one, &row, &e) != 0)
                abort(); /* what we register we can use */
        }
        free(list);
    }
    calibrator_parse(text, &one, &e);
    vlalist_ra(text, &deg);
    vlalist_dec(text, &deg);
}

static void spectrum(const char *text)
{
    struct reg_calibrator row = {.name = "x", .by = REG_BY_OPERATOR};
    struct calibrator one;
    struct err e;

    snprintf(row.spectrum, sizeof row.spectrum, "%s", text);
    registered_calibrator(&one, &row, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const keys[] = {"group", "files", "t"};
    bool span[3];
    struct source_list sources = {0};
    struct bands bands;
    struct earth_table *earth;
    const char *path = fuzz_file(data, size);
    char *text = malloc(size + 1);
    struct err e;

    memcpy(text, data, size);
    text[size] = '\0';
    calibrators(text);
    spectrum(text);
    jsonkeys_find(text, size, keys, 3, span);
    if (catalogue_read(&sources, path, &e) == 0)
        source_list_free(&sources);
    if (bands_read(&bands, path, &e) == 0)
        bands_free(&bands);
    if (earth_table_read(&earth, path, &e) == 0) {
        struct earth at;
        struct earth_note note;

        earth_at(earth, 2459000.5, 0, 0.1, &at, &note);
        earth_table_free(earth);
    }
    free(text);
    return 0;
}
