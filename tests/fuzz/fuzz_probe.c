/* Is a file whole?  The first byte chooses the kind that its name says. */
#include "tests/fuzz/fuzz.h"

#include "watcherd/files/probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const kind[] = {"x.hdf5", "x.fits", "x.json", "x.csv"};
    struct probe_result r;
    const char *name;
    FILE *f;

    if (size == 0)
        return 0;
    name = kind[data[0] % 4];
    f = fopen(name, "wb");
    if (f == NULL || fwrite(data + 1, 1, size - 1, f) != size - 1)
        abort();
    fclose(f);
    probe_file(AT_FDCWD, name, &r);
    return 0;
}
