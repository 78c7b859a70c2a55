#include "core/store/task_counts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

static size_t *row_of(struct task_counts *c, const char *name)
{
    size_t i = 0;

    while (i < c->n && strcmp(c->row[i].name, name) < 0)
        i++;
    if (i < c->n && strcmp(c->row[i].name, name) == 0)
        return c->row[i].of;
    if (c->n == c->room) {
        c->room = 2 * c->room + 8;
        c->row = mem_realloc(c->row, c->room * sizeof *c->row);
    }
    memmove(&c->row[i + 1], &c->row[i], (c->n++ - i) * sizeof *c->row);
    memset(&c->row[i], 0, sizeof c->row[i]);
    snprintf(c->row[i].name, sizeof c->row[i].name, "%s", name);
    return c->row[i].of;
}

static void take_count(void *arg, const char *name, enum task_status status, size_t n)
{
    struct task_counts *c = arg;

    row_of(c, name)[status] += n;
    c->of[status] += n;
}

int task_counts_read(struct task_counts *c, struct queue *q, struct err *e)
{
    memset(c, 0, sizeof *c);
    return queue_counts(q, take_count, c, e);
}

void task_counts_clear(struct task_counts *c)
{
    free(c->row);
    memset(c, 0, sizeof *c);
}
