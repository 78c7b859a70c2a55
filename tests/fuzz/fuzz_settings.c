/* Settings files. */
#include "tests/fuzz/fuzz.h"

#include "core/conf.h"
#include "core/err.h"
#include "pipeline/pipeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct conf conf;
    struct err e;

    if (conf_load(&conf, fuzz_file(data, size), &pipeline_settings, &e) == 0) {
        FILE *null = fopen("/dev/null", "w");

        conf_print(&conf, null);
        fclose(null);
    }
    return 0;
}
