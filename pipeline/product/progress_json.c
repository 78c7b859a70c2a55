#include "pipeline/product/progress_json.h"

#include "core/text.h"

size_t progress_ready(const struct progress_sum *s)
{
    return s->total - s->complete - s->locked - s->waiting;
}

double progress_percent(const struct progress_sum *s)
{
    return s->total > 0 ? 100.0 * (double)s->complete / (double)s->total : 100.0;
}

json_t *progress_sum_json(const struct progress_sum *s)
{
    return json_pack(
        "{s:I, s:I, s:f, s:I, s:I}", "total", (json_int_t)s->total, "complete",
        (json_int_t)s->complete, "percent", progress_percent(s), "incomplete",
        (json_int_t)(s->total - s->complete), "locked", (json_int_t)s->locked);
}

json_t *progress_check_json(const struct progress_sum *s, json_t *names)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o}", "total", (json_int_t)s->total,
                     "ready", (json_int_t)progress_ready(s), "skipped_done",
                     (json_int_t)s->complete, "skipped_lock", (json_int_t)s->locked,
                     "waiting", (json_int_t)s->waiting, "names", names);
}

json_t *progress_item_json(const struct progress_item *item, const char *const *feature,
                           size_t nfeature, bool locked)
{
    json_t *names = json_array(), *o;

    for (size_t i = 0; i < nfeature; i++)
        if ((item->missing >> i & 1) != 0)
            json_array_append_new(names, text_json(feature[i]));
    o = json_pack("{s:o, s:o, s:b}", "name", text_json(item->name), "missing", names,
                  "locked", (int)locked);
    if (item->expected > 0) {
        json_object_set_new(o, "files", json_integer(item->present));
        json_object_set_new(o, "files_expected", json_integer(item->expected));
    }
    return o;
}
