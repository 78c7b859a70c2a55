/*
 * todo.h: what is still to do, asked in one place of the queue, of the products and of the
 * registry.  On the store's thread; everything here only looks.
 *
 * intake, rework and windows are three rules over these rows: what becomes of a group that is
 * whole, of one whose files were rewritten, and of tiles that no mosaic holds.
 */
#ifndef WATCHERD_TODO_TODO_H
#define WATCHERD_TODO_TODO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/store/queue.h"

struct conf;
struct err;
struct group_copy;
struct pipeline;
struct reg_tile;
struct registry;

enum todo_product {
    TODO_NONE,    /* there is none, or it is broken */
    TODO_CURRENT, /* made of what is there now */
    TODO_STALE,   /* made of something else */
};

/*
 * The state of a product.  group: the files that it would be made of now; NULL: nobody knows
 * them, and it is stale when a file that it was made of was rewritten where it was.  See
 * pipeline/product/inputs.h.
 */
enum todo_product todo_product(const struct conf *conf, const struct pipeline *pipeline,
                               const char *name, const struct group_copy *group);

/* One task that there may be. */
struct todo_row {
    const char *name;               /* of the group or window: the key of its task */
    const struct group_copy *group; /* for todo_product; NULL */
    bool ask_product;               /* of a completed one */
    /* returned: */
    enum task_status task;
    size_t ninput; /* inputs that its task was given */
    enum todo_product
        product; /* TODO_NONE unless it was asked for and the task is completed */
};

/* What holds for all of them. */
struct todo {
    long max_pending; /* given; 0: any number */
    bool drains;      /* operators drain the queue: nothing new */
    size_t room;      /* so many more tasks may be pending; SIZE_MAX: any number */
};

/* Status: 0; the queue's, with nothing to be relied on in out and row[n]. */
int todo_look(struct queue *q, const struct conf *conf, const struct pipeline *pipeline,
              struct todo *out, struct todo_row *row, size_t n, struct err *e);

/* Tiles that a new mosaic may be made of. */
struct todo_tiles {
    struct reg_tile
        *tile; /* [n] by time: stretches in which there is a new one; free() it */
    size_t n;
    int64_t newest;              /* the largest id of a new one; else `after` */
    char first_open[QUEUE_TEXT]; /* the earliest group with an open task; "" none */
};

/* See registry_tiles for after and max_gap_s.  Status: 0; the queue's or the registry's. */
int todo_tiles(struct queue *q, struct registry *registry, int64_t after,
               double max_gap_s, struct todo_tiles *out, struct err *e);

#endif
