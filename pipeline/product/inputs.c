#include "pipeline/product/inputs.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/path.h"
#include "pipeline/product/product.h"

/* The entry of a manifest, whose path it borrows. */
static bool read_entry(const json_t *entry, struct product_input *out)
{
    json_int_t size, mtime_ns;

    if (json_unpack((json_t *)entry, "{s:s, s:I, s:I}", "path", &out->path, "size",
                    &size, "mtime_ns", &mtime_ns) != 0)
        return false;
    out->size = (uint64_t)size;
    out->mtime_ns = mtime_ns;
    return true;
}

static int by_identity(const void *a, const void *b)
{
    const struct product_input *x = a, *y = b;
    int order = strcmp(path_base(x->path), path_base(y->path));

    if (order == 0)
        order = (x->size > y->size) - (x->size < y->size);
    if (order == 0)
        order = (x->mtime_ns > y->mtime_ns) - (x->mtime_ns < y->mtime_ns);
    return order;
}

bool inputs_same(const json_t *manifest, const struct product_input *input, size_t n)
{
    const json_t *list = json_object_get(manifest, "inputs");
    struct product_input *then, *now;
    bool same = json_is_array(list) && json_array_size(list) == n;

    if (!same || n == 0)
        return same;
    then = mem_calloc(n, sizeof *then);
    now = mem_calloc(n, sizeof *now);
    for (size_t i = 0; same && i < n; i++) {
        now[i] = input[i];
        same = read_entry(json_array_get(list, i), &then[i]);
    }
    if (same) {
        qsort(then, n, sizeof *then, by_identity);
        qsort(now, n, sizeof *now, by_identity);
    }
    for (size_t i = 0; same && i < n; i++)
        same = by_identity(&then[i], &now[i]) == 0;
    free(then);
    free(now);
    return same;
}

bool inputs_rewritten(const json_t *manifest)
{
    const json_t *list = json_object_get(manifest, "inputs"), *entry;
    size_t i;

    json_array_foreach(list, i, entry)
    {
        struct product_input then, now;

        if (read_entry(entry, &then) &&
            product_input_stat(&now, then.path, NULL) == 0 &&
            by_identity(&then, &now) != 0)
            return true;
    }
    return false;
}
