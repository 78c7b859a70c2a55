/*
 * uvh5_samples.c: see uvh5_samples.h.
 *
 * What goes to the other threads are lots: some rows of one file, either blocks of chunks as
 * they lie in the file (h5_blocks) or, where a data set is compressed, contiguous, incomplete
 * or odd, the whole of it as H5Dread gives it.  Either way a row's samples stand at given
 * offsets, so that one function puts them into their places.
 */
#include "pipeline/io/uvh5_samples.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/err.h"
#include "core/mem.h"
#include "pipeline/io/h5.h"
#include "pipeline/io/h5_blocks.h"
#include "pipeline/io/uvh5_header.h"

static const float INSANE = 1e15F; /* no correlator's count and no source's flux */

/* All lots together stay in a cache of a megabyte; more threads than these would wait for the
 * reading one. */
enum { NLOT = 4, LOT_BYTES = 192 << 10, HELPERS = 2 };

/* Samples of a row in the vis's order, [nsample] each: [0] as they are, [1] turned. */
struct order {
    size_t *element[2]; /* index in the file's [nchan][npol]; NONE: it has none */
    size_t *byte[2];    /* the same in bytes from where a row starts */
};

static const size_t NONE = SIZE_MAX;

/* One file on its way: all that its lots need. */
struct file {
    size_t number;        /* of the file: 1, 2 ... */
    size_t nblt, nsample; /* nsample: of one row, [nchan][npol] */
    size_t chan0, nchan;
    struct order order;
    size_t stride;       /* bytes from a row to the next */
    float complex *data; /* [nblt][nsample], NULL where it comes by blocks */
    unsigned char *flag; /* [nblt][nsample] as in the file; NULL: none set */
    float *count;        /* [nblt][nsample]; NULL: all the same */
    float count_max;
    double *width2_hz; /* [nsample] twice the channel's width, in the vis's order */
    size_t under_way;  /* lots that need it, and 1 while there may be more */
};

/* What a thread works with.  All [nsample] of the largest file. */
struct desk {
    size_t number; /* the file, and the integration time, that weight[] is for */
    double tint_s;
    float *weight;       /* of a full sample */
    float *share_weight; /* of a row whose counts differ */
    float *unwanted;     /* weights that nobody wants */
    uint32_t *line;      /* [nsample][2] the bits of one row */
};

enum lot_state { LOT_FREE, LOT_FULL, LOT_BUSY };

struct lot {
    enum lot_state state;
    size_t number; /* of the lot: 1, 2 ... */
    struct file *file;
    const unsigned char *data; /* of its first row */
    size_t row0, nrow, rows;   /* rows: of a block; the next is `bytes` further on */
    size_t bytes;
    unsigned char *buffer; /* kept from lot to lot */
    size_t room;
};

struct helper {
    struct uvh5_scatter *scatter;
    pthread_t thread;
    struct desk desk;
};

/* The caller's thread fills lots, and does one itself rather than wait for a free one. */
struct uvh5_scatter {
    struct vis *vis;
    const struct uvh5_place *place;
    size_t nfile, nput; /* so far */
    pthread_mutex_t lock;
    pthread_cond_t change;
    bool end;
    struct lot lot[NLOT];
    struct desk desk;
    size_t nhelper;
    struct helper helper[HELPERS];
};

/* ---- one row ---- */

static void gather(uint32_t *restrict line, const unsigned char *restrict row,
                   const size_t *restrict byte, size_t n)
{
    for (size_t k = 0; k < n; k++)
        memcpy(line + 2 * k, row + byte[k], 8);
}

/* Flagged samples and those of a missing polarisation become 0, which is no measurement. */
static void blank_flagged(uint32_t *line, const unsigned char *flag,
                          const size_t *element, size_t n)
{
    for (size_t k = 0; k < n; k++)
        if (element[k] == NONE || (flag != NULL && flag[element[k]] != 0))
            line[2 * k] = line[2 * k + 1] = 0;
}

/* Weights by the share of the counts; 0 where there is none or it is absurd. */
static void weigh_by_count(const struct file *f, struct desk *d, uint32_t *line,
                           const float *count, const size_t *element)
{
    for (size_t k = 0; k < f->nsample; k++) {
        float share = element[k] == NONE ? 0 : count[element[k]] / f->count_max;
        bool ok = share > 0 && share <= 1; /* NaN fails */

        d->share_weight[k] = ok ? d->weight[k] * share : 0;
        if (!ok)
            line[2 * k] = line[2 * k + 1] = 0;
    }
}

/*
 * Zero the bits of what is no measurement: NaN, Inf, exact zero, absurd.  `sign` is turned in the
 * imaginary parts.  On the bits, whose order is that of the absolute values, and without a
 * branch: the compiler makes vectors of it.
 */
static void mask(uint32_t *restrict line, const float *restrict weight,
                 float *restrict out_weight, uint32_t sign, size_t n)
{
    const int32_t magnitude = INT32_MAX;
    int32_t limit;

    memcpy(&limit, &INSANE, sizeof limit);
    for (size_t k = 0; k < n; k++) {
        int32_t re = (int32_t)line[2 * k] & magnitude;
        int32_t im = (int32_t)line[2 * k + 1] & magnitude;
        int32_t larger = re > im ? re : im;
        uint32_t ok = -(uint32_t)((larger < limit) & (larger > 0)), w;

        memcpy(&w, weight + k, sizeof w);
        w &= ok;
        memcpy(out_weight + k, &w, sizeof w);
        line[2 * k] &= ok;
        line[2 * k + 1] = (line[2 * k + 1] ^ sign) & ok;
    }
}

static void set_weights(struct desk *d, const struct file *f, double tint_s)
{
    if (f->number == d->number && tint_s == d->tint_s)
        return;
    d->number = f->number;
    d->tint_s = tint_s;
    for (size_t k = 0; k < f->nsample; k++)
        d->weight[k] = (float)(f->width2_hz[k] * tint_s);
}

/* Row i of the file, whose samples are at `row`, to its place. */
static void put_row(const struct uvh5_scatter *s, struct desk *d, const struct file *f,
                    size_t i, const unsigned char *row)
{
    struct vis *vis = s->vis;
    const struct uvh5_place *place = s->place;
    bool turned = place->kind[i] == UVH5_TURNED;
    const size_t *element = f->order.element[turned];
    size_t n = f->nsample, to = (place->to[i] * vis->nchan + f->chan0) * vis->npol;
    uint32_t *line = d->line;
    const float *weight = d->weight;

    if (place->kind[i] == UVH5_SKIP)
        return;
    set_weights(d, f, place->tint_s[i]);
    gather(line, row, f->order.byte[turned], n);
    if (turned || f->flag != NULL)
        blank_flagged(line, f->flag != NULL ? f->flag + i * n : NULL, element, n);
    if (f->count != NULL) {
        weigh_by_count(f, d, line, f->count + i * n, element);
        weight = d->share_weight;
    }
    if (place->kind[i] == UVH5_AUTO) {
        mask(line, weight, d->unwanted, 0, n);
        for (size_t k = 0; k < n; k++)
            memcpy(vis->autos + to + k, line + 2 * k, sizeof *vis->autos);
        return;
    }
    mask(line, weight, vis->weight + to, turned ? UINT32_C(1) << 31 : 0, n);
    memcpy(vis->data + to, line, n * sizeof *vis->data);
    if (place->turn != NULL)
        vis_turn_line(place->turn, place->to[i], f->chan0, f->nchan, vis->data + to);
}

/* ---- lots ---- */

static void file_free(struct file *f)
{
    for (int k = 0; k < 2; k++) {
        free(f->order.element[k]);
        free(f->order.byte[k]);
    }
    free(f->data);
    free(f->flag);
    free(f->count);
    free(f->width2_hz);
    free(f);
}

/* One less that needs it.  Under the lock. */
static void file_drop(struct file *f)
{
    if (--f->under_way == 0)
        file_free(f);
}

/* The lot that was put first of those that nobody has begun, or NULL.  Under the lock. */
static struct lot *lot_first(struct uvh5_scatter *s)
{
    struct lot *first = NULL;

    for (int i = 0; i < NLOT; i++)
        if (s->lot[i].state == LOT_FULL &&
            (first == NULL || s->lot[i].number < first->number))
            first = &s->lot[i];
    return first;
}

/* Under the lock, but not while it works. */
static void lot_do(struct uvh5_scatter *s, struct lot *lot, struct desk *d)
{
    lot->state = LOT_BUSY;
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < lot->nrow; i++)
        put_row(s, d, lot->file, lot->row0 + i,
                lot->data + i / lot->rows * lot->bytes +
                    i % lot->rows * lot->file->stride);
    pthread_mutex_lock(&s->lock);
    file_drop(lot->file);
    lot->state = LOT_FREE;
    pthread_cond_broadcast(&s->change);
}

static void *help(void *arg)
{
    struct helper *h = arg;
    struct uvh5_scatter *s = h->scatter;
    struct lot *lot;

    pthread_mutex_lock(&s->lock);
    while ((lot = lot_first(s)) != NULL || !s->end)
        if (lot != NULL)
            lot_do(s, lot, &h->desk);
        else
            pthread_cond_wait(&s->change, &s->lock);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* A lot to be filled. */
static struct lot *lot_next(struct uvh5_scatter *s)
{
    struct lot *next = NULL, *first;

    pthread_mutex_lock(&s->lock);
    while (next == NULL) {
        for (int i = 0; i < NLOT && next == NULL; i++)
            if (s->lot[i].state == LOT_FREE)
                next = &s->lot[i];
        if (next == NULL && (first = lot_first(s)) != NULL)
            lot_do(s, first, &s->desk);
        else if (next == NULL)
            pthread_cond_wait(&s->change, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return next;
}

static void lot_put(struct uvh5_scatter *s, struct lot *lot)
{
    pthread_mutex_lock(&s->lock);
    lot->number = ++s->nput;
    lot->state = LOT_FULL;
    lot->file->under_way++;
    if (s->nhelper == 0)
        lot_do(s, lot, &s->desk);
    else
        pthread_cond_broadcast(&s->change);
    pthread_mutex_unlock(&s->lock);
}

/* Do what is left, and wait for what others do. */
static void finish(struct uvh5_scatter *s)
{
    bool busy = true;
    struct lot *lot;

    pthread_mutex_lock(&s->lock);
    while (busy) {
        while ((lot = lot_first(s)) != NULL)
            lot_do(s, lot, &s->desk);
        busy = false;
        for (int i = 0; i < NLOT; i++)
            busy = busy || s->lot[i].state != LOT_FREE;
        if (busy)
            pthread_cond_wait(&s->change, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
}

/* Room for n bytes in the lot's buffer, of address space alone until it is written to. */
static bool lot_room(struct lot *lot, size_t n)
{
    if (lot->room >= n)
        return true;
    if (lot->buffer != NULL)
        munmap(lot->buffer, lot->room);
    lot->room = 0;
    lot->buffer = mmap(NULL, n, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (lot->buffer == MAP_FAILED)
        lot->buffer = NULL;
    else
        lot->room = n;
    return lot->buffer != NULL;
}

/* ---- one file ---- */

/* False: no memory. */
static bool order_init(struct file *f, const struct uvh5_header *h,
                       const struct uvh5_place *place, size_t npol)
{
    for (int turned = 0; turned < 2; turned++) {
        size_t *element = calloc(f->nsample, sizeof *element);

        f->order.element[turned] = element;
        f->order.byte[turned] = calloc(f->nsample, sizeof *element);
        if (element == NULL || f->order.byte[turned] == NULL)
            return false;
        for (size_t k = 0; k < f->nsample; k++) {
            int q = turned ? place->swap[k % npol] : (int)(k % npol);

            element[k] = q < 0 ? NONE : h->order[k / npol] * npol + (size_t)q;
        }
    }
    return true;
}

/* Where the samples stand in a row: offset [nsample] bytes; NULL: they follow each other. */
static void order_bytes(struct file *f, const size_t *offset)
{
    for (int turned = 0; turned < 2; turned++)
        for (size_t k = 0; k < f->nsample; k++) {
            size_t i = f->order.element[turned][k];

            if (i == NONE)
                i = 0; /* read and then blanked */
            f->order.byte[turned][k] = offset != NULL ? offset[i] : i * sizeof *f->data;
        }
}

static struct file *file_new(struct uvh5_scatter *s, const struct uvh5_header *h,
                             size_t chan0)
{
    const struct vis *vis = s->vis;
    struct file *f = calloc(1, sizeof *f);

    if (f == NULL)
        return NULL;
    f->number = ++s->nfile;
    f->under_way = 1;
    f->nblt = h->nblt;
    f->nchan = h->info.nchan;
    f->nsample = f->nchan * vis->npol;
    f->chan0 = chan0;
    f->width2_hz = calloc(f->nsample, sizeof *f->width2_hz);
    if (f->width2_hz == NULL || !order_init(f, h, s->place, vis->npol)) {
        file_free(f);
        return NULL;
    }
    for (size_t k = 0; k < f->nsample; k++)
        f->width2_hz[k] = 2 * vis->width_hz[chan0 + k / vis->npol];
    return f;
}

static int no_memory(const struct h5 *h5, size_t n, struct err *e)
{
    return err_set(e, -ENOMEM, "%s: no memory for %zu visibilities", h5_path(h5), n);
}

/* Data/flags; f->flag stays NULL where none is set. */
static int read_flags(struct file *f, const struct h5 *h5, struct err *e)
{
    size_t n = f->nblt * f->nsample;
    unsigned char value;

    if (!h5_has(h5, "Data/flags") ||
        (h5_uniform(h5, "Data/flags", H5_BOOL, n, &value) && value == 0))
        return 0;
    if ((f->flag = calloc(n, sizeof *f->flag)) == NULL)
        return no_memory(h5, n, e);
    return h5_read_bool(h5, "Data/flags", f->flag, n, e);
}

/* Data/nsamples; f->count stays NULL where all are full. */
static int read_counts(struct file *f, const struct h5 *h5, double *full, struct err *e)
{
    size_t n = f->nblt * f->nsample;
    float value;
    int rc;

    *full = 0;
    if (!h5_has(h5, "Data/nsamples"))
        return 0;
    if (h5_uniform(h5, "Data/nsamples", H5_F32, n, &value) && value > 0 &&
        value < INSANE) {
        *full = (double)value;
        return 0;
    }
    if ((f->count = calloc(n, sizeof *f->count)) == NULL)
        return no_memory(h5, n, e);
    rc = h5_read_f32(h5, "Data/nsamples", f->count, n, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (f->count[i] > f->count_max && f->count[i] < INSANE)
            f->count_max = f->count[i];
    *full = (double)f->count_max;
    return rc;
}

/* Data/visdata by blocks of chunks.  false: not to be had so; what has been seen off by then is
 * not wrong. */
static bool put_blocks(struct uvh5_scatter *s, struct file *f, const struct h5 *h5)
{
    struct h5_blocks b;
    bool ok = h5_blocks_open(&b, h5, "Data/visdata", H5_C64, f->nblt * f->nsample) &&
              b.nrow == f->nblt && b.elements == f->nsample;
    size_t step = ok && b.bytes < LOT_BYTES ? LOT_BYTES / b.bytes : 1;

    if (ok) {
        order_bytes(f, b.offset);
        f->stride = b.stride;
    }
    for (size_t i = 0, n; ok && i < b.count; i += n) {
        struct lot *lot = lot_next(s);

        n = b.count - i < step ? b.count - i : step;
        ok = lot_room(lot, n * b.bytes + b.slack) &&
             h5_blocks_read(&b, i, n, lot->buffer);
        lot->file = f;
        lot->data = lot->buffer;
        lot->row0 = i * b.rows;
        lot->nrow = n * b.rows;
        if (lot->nrow > f->nblt - lot->row0)
            lot->nrow = f->nblt - lot->row0;
        lot->rows = b.rows;
        lot->bytes = b.bytes;
        if (ok)
            lot_put(s, lot);
    }
    h5_blocks_close(&b);
    return ok;
}

/* Data/visdata at once, when nothing else is under way: blocks of the same rows may be. */
static int put_whole(struct uvh5_scatter *s, struct file *f, const struct h5 *h5,
                     struct err *e)
{
    size_t n = f->nblt * f->nsample;
    struct lot *lot;
    int rc;

    finish(s);
    if ((f->data = calloc(n, sizeof *f->data)) == NULL)
        return no_memory(h5, n, e);
    if ((rc = h5_read_c64(h5, "Data/visdata", f->data, n, e)) != 0)
        return rc;
    order_bytes(f, NULL);
    f->stride = f->nsample * sizeof *f->data;
    lot = lot_next(s);
    lot->file = f;
    lot->data = (const unsigned char *)f->data;
    lot->row0 = 0;
    lot->nrow = lot->rows = f->nblt;
    lot->bytes = 0;
    lot_put(s, lot);
    return 0;
}

int uvh5_scatter_file(struct uvh5_scatter *s, const struct uvh5_header *h, size_t chan0,
                      double *full, struct err *e)
{
    struct file *f;
    struct h5 *h5;
    int rc = h5_open(&h5, h->path, e);

    if (rc != 0)
        return rc;
    if ((f = file_new(s, h, chan0)) == NULL) {
        rc = no_memory(h5, h->nblt * h->info.nchan * h->info.npol, e);
        goto out;
    }
    if ((rc = read_flags(f, h5, e)) == 0 && (rc = read_counts(f, h5, full, e)) == 0 &&
        !put_blocks(s, f, h5))
        rc = put_whole(s, f, h5, e);
    pthread_mutex_lock(&s->lock);
    file_drop(f);
    pthread_mutex_unlock(&s->lock);
out:
    h5_close(h5, NULL);
    return rc;
}

/* ---- all ---- */

static void desk_init(struct desk *d, size_t nsample)
{
    *d = (struct desk){.weight = mem_calloc(nsample, sizeof *d->weight),
                       .share_weight = mem_calloc(nsample, sizeof *d->share_weight),
                       .unwanted = mem_calloc(nsample, sizeof *d->unwanted),
                       .line = mem_calloc(nsample, 2 * sizeof *d->line)};
}

static void desk_clear(struct desk *d)
{
    free(d->weight);
    free(d->share_weight);
    free(d->unwanted);
    free(d->line);
}

struct uvh5_scatter *uvh5_scatter_begin(struct vis *vis, const struct uvh5_place *place,
                                        size_t nthread)
{
    struct uvh5_scatter *s = mem_calloc(1, sizeof *s);
    size_t nsample = vis->nchan * vis->npol;

    s->vis = vis;
    s->place = place;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->change, NULL);
    desk_init(&s->desk, nsample);
    while (s->nhelper < HELPERS && s->nhelper + 1 < nthread) {
        struct helper *h = &s->helper[s->nhelper];

        h->scatter = s;
        desk_init(&h->desk, nsample);
        if (pthread_create(&h->thread, NULL, help, h) != 0) {
            desk_clear(&h->desk);
            break;
        }
        s->nhelper++;
    }
    return s;
}

void uvh5_scatter_end(struct uvh5_scatter *s)
{
    if (s == NULL)
        return;
    finish(s);
    pthread_mutex_lock(&s->lock);
    s->end = true;
    pthread_cond_broadcast(&s->change);
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < s->nhelper; i++) {
        pthread_join(s->helper[i].thread, NULL);
        desk_clear(&s->helper[i].desk);
    }
    desk_clear(&s->desk);
    for (int i = 0; i < NLOT; i++)
        if (s->lot[i].buffer != NULL)
            munmap(s->lot[i].buffer, s->lot[i].room);
    pthread_cond_destroy(&s->change);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
