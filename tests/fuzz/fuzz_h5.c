/* Whole HDF5 files with bytes turned.  libhdf5 1.10.8 has faults of its own (see h5.c): they are
 * counted, not mended here. */
#include "tests/fuzz/fuzz.h"

#include "core/err.h"
#include "pipeline/io/uvh5.h"
#include "pipeline/io/uvh5_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file(data, size);
    const struct uvh5_opts opts = {.threads = 1};
    struct uvh5_info info;
    struct vis *vis;
    struct err e;

    if (uvh5_info(path, &info, &e) == 0 &&
        uvh5_read_group(&vis, &path, 1, &opts, &e) == 0)
        vis_free(vis);
    return 0;
}
