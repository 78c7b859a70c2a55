#include "watcherd/todo/todo.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/store/registry.h"
#include "pipeline/pipeline.h"
#include "pipeline/product/inputs.h"
#include "pipeline/product/product.h"
#include "watcherd/todo/group_copy.h"

static bool is_made_of(const json_t *manifest, const struct group_copy *group)
{
    size_t n = (size_t)group->n;
    struct product_input *in = mem_calloc(n + 1, sizeof *in);
    bool same;

    for (size_t i = 0; i < n; i++)
        in[i] = (struct product_input){group->file[i].path, group->file[i].id.size,
                                       group->file[i].id.mtime_ns, ""};
    same = inputs_same(manifest, in, n);
    free(in);
    return same;
}

enum todo_product todo_product(const struct conf *conf, const struct pipeline *pipeline,
                               const char *name, const struct group_copy *group)
{
    char dir[PATH_MAX];
    json_t *manifest = NULL;
    bool current;

    if (path_join(dir, sizeof dir, conf->paths.products, pipeline->folder, NULL) == 0)
        product_current(&manifest, NULL, dir, name, 0, NULL);
    if (manifest == NULL)
        return TODO_NONE;
    current = group != NULL ? is_made_of(manifest, group) : !inputs_rewritten(manifest);
    json_decref(manifest);
    return current ? TODO_CURRENT : TODO_STALE;
}

static size_t count_inputs(const struct pipeline *pipeline, const struct task *task)
{
    json_t *params = json_loads(task->params != NULL ? task->params : "", 0, NULL);
    size_t n = json_array_size(json_object_get(params, pipeline->items));

    json_decref(params);
    return n;
}

static int look_at_row(struct queue *q, const struct conf *conf,
                       const struct pipeline *pipeline, struct todo_row *row,
                       struct err *e)
{
    struct task task = {0};
    int rc = queue_status(q, pipeline->name, row->name, &task, e);

    row->task = rc == 0 ? task.status : TASK_NONE;
    row->ninput = rc == 0 ? count_inputs(pipeline, &task) : 0;
    row->product = TODO_NONE;
    if (row->ask_product && row->task == TASK_COMPLETED)
        row->product = todo_product(conf, pipeline, row->name, row->group);
    task_clear(&task);
    return rc == -ENOENT ? 0 : rc;
}

static int look_at_queue(struct queue *q, struct todo *out, struct err *e)
{
    size_t pending, max = (size_t)out->max_pending;
    enum queue_mode mode = QUEUE_RUNS;
    double since;
    int rc = queue_get_mode(q, &mode, NULL, 0, &since, e);

    out->drains = mode == QUEUE_DRAINS;
    out->room = SIZE_MAX;
    if (rc == 0 && max > 0 && (rc = queue_count(q, TASK_PENDING, &pending, e)) == 0)
        out->room = max > pending ? max - pending : 0;
    return rc;
}

int todo_look(struct queue *q, const struct conf *conf, const struct pipeline *pipeline,
              struct todo *out, struct todo_row *row, size_t n, struct err *e)
{
    int rc = look_at_queue(q, out, e);

    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = look_at_row(q, conf, pipeline, &row[i], e);
    return rc;
}

int todo_tiles(struct queue *q, struct registry *registry, int64_t after,
               double max_gap_s, struct todo_tiles *out, struct err *e)
{
    int rc;

    out->newest = after;
    rc = registry_tiles(registry, &out->newest, max_gap_s, &out->tile, &out->n, e);
    if (rc == 0)
        rc =
            queue_first_open(q, pipeline_for(PIPELINE_GROUP)->name, out->first_open, e);
    return rc;
}
