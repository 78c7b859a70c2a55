#include "pipeline/pipeline.h"

#include <string.h>

#include "core/conf.h"
#include "pipeline/continuum/settings.h"

static const struct pipeline table[] = {
#define PIPELINE(name, input, items, folder, data_type, prefix, window, work)          \
    {name, input, items, folder, data_type, prefix, window},
#include "pipeline/table.h"
#undef PIPELINE
};

enum { NPIPELINES = sizeof table / sizeof table[0] };

static const struct conf_part *const parts[] = {&continuum_part};
const struct conf_parts pipeline_settings = {parts, sizeof parts / sizeof parts[0]};

const struct pipeline *pipeline_at(size_t i)
{
    return i < NPIPELINES ? &table[i] : NULL;
}

const struct pipeline *pipeline_by_name(const char *name)
{
    for (size_t i = 0; i < NPIPELINES; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

const struct pipeline *pipeline_for(enum pipeline_input input)
{
    size_t i = 0;

    while (i + 1 < NPIPELINES && table[i].input != input)
        i++;
    return &table[i];
}

const struct pipeline *pipeline_of_product(const char *id)
{
    for (size_t i = 0; i < NPIPELINES; i++) {
        const char *prefix = table[i].prefix;

        if (prefix != NULL && prefix[0] != '\0' &&
            strncmp(id, prefix, strlen(prefix)) == 0)
            return &table[i];
    }
    return pipeline_for(PIPELINE_GROUP);
}
