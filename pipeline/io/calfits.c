/*
 * calfits.c: gain tables of HERA's kind (pyuvdata's calfits memo, "gain").
 *
 * Sizes are bounded by the file's own before anything is allocated, and only the memory of one
 * array of it is used beside the table.
 */
#include <errno.h>
#include <fcntl.h>
#include <fitsio.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"
#include "pipeline/io/caltable.h"
#include "pipeline/io/caltable_parts.h"

enum { ANT, FREQ, TIME, JONES, NAXES, PARTS = NAXES, SPW, NCTYPE, MAXDIM = 8 };

static const char *const ctype[NCTYPE] = {"ANTAXIS", "FREQS",   "TIME",
                                          "JONES",   "Narrays", "IF"};

/* What the header says of an axis. */
struct axis {
    int number; /* FITS axis, from 1; 0: there is none */
    size_t n, stride;
    double first, step;
};

struct reader {
    fitsfile *f;
    const char *path;
    struct axis axis[NCTYPE];
    size_t total;
    bool multiply;
};

bool calfits_is(const char *path)
{
    char start[9];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd >= 0 ? pread(fd, start, sizeof start, 0) : -1;

    if (fd >= 0)
        close(fd);
    return n == (ssize_t)sizeof start && memcmp(start, "SIMPLE  =", 9) == 0;
}

static int fail(const struct reader *r, int status, struct err *e)
{
    char reason[FLEN_STATUS];

    fits_get_errstatus(status, reason);
    fits_clear_errmsg();
    return err_set(e, status == MEMORY_ALLOCATION ? -ENOMEM : ERR_FORMAT, "%s: %s",
                   r->path, reason);
}

/* A text of the header, "" when it is not there. */
static void text(const struct reader *r, const char *key, char out[FLEN_VALUE])
{
    int status = 0;

    out[0] = '\0';
    if (fits_read_key(r->f, TSTRING, key, out, NULL, &status))
        fits_clear_errmsg();
}

static double number(const struct reader *r, const char *key, int axis, double absent)
{
    char name[FLEN_KEYWORD];
    double x = absent;
    int status = 0;

    snprintf(name, sizeof name, "%s%d", key, axis);
    if (fits_read_key(r->f, TDOUBLE, name, &x, NULL, &status)) {
        fits_clear_errmsg();
        return absent;
    }
    return x;
}

/* Which axis is what, and how large. */
static int read_axes(struct reader *r, const struct stat *st, struct err *e)
{
    long dim[MAXDIM];
    int naxis = 0, bitpix, status = 0;

    if (fits_get_img_param(r->f, MAXDIM, &bitpix, &naxis, dim, &status))
        return fail(r, status, e);
    r->total = 1;
    for (int k = 0; k < naxis && k < MAXDIM; k++) {
        char key[FLEN_KEYWORD], name[FLEN_VALUE];

        snprintf(key, sizeof key, "CTYPE%d", k + 1);
        text(r, key, name);
        if (dim[k] < 1 || (size_t)dim[k] > (size_t)st->st_size / r->total)
            return err_set(e, ERR_FORMAT,
                           "%s: axis %d of %ld is more than the file holds", r->path,
                           k + 1, dim[k]);
        for (int c = 0; c < NCTYPE; c++)
            if (strcmp(name, ctype[c]) == 0)
                r->axis[c] = (struct axis){k + 1, (size_t)dim[k], r->total,
                                           number(r, "CRVAL", k + 1, 0),
                                           number(r, "CDELT", k + 1, 1)};
        r->total *= (size_t)dim[k];
    }
    for (int c = 0; c <= PARTS; c++)
        if (r->axis[c].number == 0)
            return err_set(e, ERR_FORMAT, "%s: not calfits, has no axis %s", r->path,
                           ctype[c]);
    if (naxis > MAXDIM || r->axis[PARTS].number != 1 || r->axis[PARTS].n < 3 ||
        r->axis[SPW].n > 1 || r->total > (size_t)st->st_size / 4)
        return err_set(e, ERR_FORMAT,
                       "%s: not gains by antenna, frequency, time and polarisation",
                       r->path);
    return 0;
}

static int check_kind(struct reader *r, struct err *e)
{
    char type[FLEN_VALUE], how[FLEN_VALUE];

    text(r, "CALTYPE", type);
    text(r, "GNCONVEN", how);
    r->multiply = strcmp(how, "multiply") == 0;
    if (strcmp(type, "gain") != 0 || (strcmp(how, "divide") != 0 && !r->multiply))
        return err_set(e, ERR_FORMAT,
                       "%s: CALTYPE '%.20s', GNCONVEN '%.20s': only gains to divide or "
                       "multiply by are read",
                       r->path, type, how);
    return 0;
}

/* The numbers of the antennas, from the table ANTENNAS. */
static int read_antennas(struct reader *r, struct caltable *t, struct err *e)
{
    char extension[] = "ANTENNAS", column[] = "ANTARR";
    double *number_of = calloc(t->dim[0], sizeof *number_of);
    int at, any, status = 0, rc = 0;

    if (number_of == NULL)
        return err_set(e, -ENOMEM, "%s: no memory for its antennas", r->path);
    fits_movnam_hdu(r->f, BINARY_TBL, extension, 0, &status);
    fits_get_colnum(r->f, CASEINSEN, column, &at, &status);
    if (fits_read_col(r->f, TDOUBLE, at, 1, 1, (LONGLONG)t->dim[0], NULL, number_of,
                      &any, &status))
        rc = fail(r, status, e);
    for (size_t i = 0; rc == 0 && i < t->dim[0]; i++) {
        if (!(fabs(number_of[i]) < 1e9))
            rc = err_set(e, ERR_FORMAT, "%s: antenna number %g cannot be", r->path,
                         number_of[i]);
        t->ant[i] = rc == 0 ? (int64_t)number_of[i] : 0;
    }
    free(number_of);
    return rc;
}

/* All numbers of the first HDU, [..][parts], into t's order. */
static int read_gains(struct reader *r, struct caltable *t, struct err *e)
{
    const struct axis *x = r->axis;
    double *raw = calloc(r->total, sizeof *raw);
    long first[MAXDIM] = {1, 1, 1, 1, 1, 1, 1, 1};
    size_t to = 0;
    int any, status = 0, rc = 0;

    if (raw == NULL)
        return err_set(e, -ENOMEM, "%s: no memory for %zu numbers", r->path, r->total);
    if (fits_read_pix(r->f, TDOUBLE, first, (LONGLONG)r->total, NULL, raw, &any,
                      &status))
        rc = fail(r, status, e);
    for (size_t i = 0; rc == 0 && i < x[ANT].n * x[FREQ].n; i++)
        for (size_t k = 0; k < x[TIME].n * x[JONES].n; k++, to++) {
            const double *v =
                raw + i / x[FREQ].n * x[ANT].stride + i % x[FREQ].n * x[FREQ].stride +
                k / x[JONES].n * x[TIME].stride + k % x[JONES].n * x[JONES].stride;

            t->g[to] = v[0] + v[1] * I;
            if (r->multiply)
                t->g[to] = 1 / t->g[to];
            t->flag[to] = v[2] != 0;
        }
    free(raw);
    return rc;
}

static void fill_axes(const struct reader *r, struct caltable *t,
                      struct caltable_info *info)
{
    const struct axis *x = r->axis;

    for (size_t i = 0; i < t->dim[1]; i++)
        t->freq_hz[i] = x[FREQ].first + x[FREQ].step * (double)i;
    for (size_t i = 0; i < t->dim[2]; i++) {
        t->time_jd[i] = x[TIME].first + x[TIME].step * (double)i;
        info->t_jd += t->time_jd[i] / (double)t->dim[2];
    }
    for (size_t i = 0; i < t->dim[3]; i++) {
        double code = x[JONES].first + x[JONES].step * (double)i;

        t->jones[i] = fabs(code) < 100 ? (int64_t)lround(code) : 0;
    }
}

int calfits_read(struct caltable *t, struct caltable_info *info, const char *path,
                 struct err *e)
{
    struct reader r = {.path = path};
    char telescope[FLEN_VALUE];
    struct stat st;
    int status = 0, rc;

    memset(info, 0, sizeof *info);
    if (stat(path, &st) != 0)
        return err_set(e, -errno, "%s: %s", path, strerror(errno));
    if (fits_open_diskfile(&r.f, path, READONLY, &status))
        return fail(&r, status, e);
    rc = check_kind(&r, e);
    if (rc == 0)
        rc = read_axes(&r, &st, e);
    if (rc == 0) {
        for (int k = 0; k < NAXES; k++)
            t->dim[k] = r.axis[k].n;
        rc = caltable_alloc(t, path, e);
    }
    if (rc == 0)
        rc = read_gains(&r, t, e);
    if (rc == 0) {
        text(&r, "TELESCOP", telescope);
        snprintf(info->telescope, sizeof info->telescope, "%.31s", telescope);
        fill_axes(&r, t, info);
        rc = read_antennas(&r, t, e);
    }
    status = 0;
    fits_close_file(r.f, &status);
    fits_clear_errmsg();
    return rc;
}
