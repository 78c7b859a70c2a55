#include "watcherd/todo/group_copy.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "pipeline/pipeline.h"

struct group_copy *group_copy_new(const struct group_view *g)
{
    size_t room = (size_t)g->present;
    struct group_copy *r = mem_calloc(1, sizeof *r + room * sizeof r->file[0]);

    memcpy(r->name, g->name, sizeof r->name);
    r->state = g->state;
    r->complete = g->complete;
    for (int i = 0; i < g->expected && r->n < g->present; i++)
        if (g->member[i].path != NULL) {
            r->file[r->n].path = mem_strdup(g->member[i].path);
            r->file[r->n++].id = g->member[i].id;
        }
    return r;
}

void group_copy_free(struct group_copy *r)
{
    if (r == NULL)
        return;
    for (int i = 0; i < r->n; i++)
        free(r->file[i].path);
    free(r);
}

char *group_copy_params(const struct group_copy *r)
{
    json_t *files = json_array(),
           *params = json_pack("{s:o}", pipeline_for(PIPELINE_GROUP)->items, files);
    char *text;

    /* JSON has no words for a path that is not UTF-8; the task lacks that file, and fails. */
    for (int i = 0; i < r->n; i++)
        json_array_append_new(files, json_string(r->file[i].path));
    text = mem_must(json_dumps(params, JSON_COMPACT));
    json_decref(params);
    return text;
}
