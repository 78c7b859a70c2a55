/* HERA's gain tables. */
#include "tests/fuzz/fuzz.h"

#include "core/err.h"
#include "pipeline/io/caltable.h"
#include "pipeline/io/caltable_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct caltable t = {0};
    struct caltable_info info;
    const char *path = fuzz_file(data, size);
    struct err e;

    if (calfits_is(path))
        calfits_read(&t, &info, path, &e);
    caltable_close(&t);
    return 0;
}
