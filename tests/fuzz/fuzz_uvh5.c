/*
 * UVH5's own logic: files that HDF5 finds in order, with data sets that are missing, of another
 * type, shape or value, as the input says; header, chunks and samples are read from them.
 */
#include "tests/fuzz/fuzz.h"

#include <complex.h>
#include <math.h>

#include "core/err.h"
#include "pipeline/io/h5.h"
#include "pipeline/io/uvh5.h"
#include "pipeline/io/uvh5_header.h"
#include "pipeline/sky/vis.h"

enum { NROW = 12, NCHAN = 3, NPOL = 2, NANT = 4, MOST = 4096 };

struct key {
    const char *name;
    int ndim;
    size_t dim[4];
    double first, step;
    const char *text;
};

static const struct key keys[] = {
    {"Header/Nblts", 0, {0}, NROW, 0, NULL},
    {"Header/Nfreqs", 0, {0}, NCHAN, 0, NULL},
    {"Header/Npols", 0, {0}, NPOL, 0, NULL},
    {"Header/latitude", 0, {0}, 37.2, 0, NULL},
    {"Header/longitude", 0, {0}, -118.3, 0, NULL},
    {"Header/altitude", 0, {0}, 1222, 0, NULL},
    {"Header/telescope_name", -1, {0}, 0, 0, "OVRO_MMA"},
    {"Header/phase_type", -1, {0}, 0, 0, "drift"},
    {"Header/extra_keywords/phase_center_epoch", -1, {0}, 0, 0, "HADEC"},
    {"Header/extra_keywords/phase_center_dec", 0, {0}, 0.95, 0, NULL},
    {"Header/antenna_numbers", 1, {NANT}, 0, 1, NULL},
    {"Header/antenna_positions", 2, {NANT, 3}, 0, 7, NULL},
    {"Header/antenna_diameters", 1, {NANT}, 4.65, 0, NULL},
    {"Header/ant_1_array", 1, {NROW}, 0, 0, NULL},
    {"Header/ant_2_array", 1, {NROW}, 1, 0.2, NULL},
    {"Header/time_array", 1, {NROW}, 2461066.3, 1e-4, NULL},
    {"Header/integration_time", 1, {NROW}, 12.9, 0, NULL},
    {"Header/freq_array", 2, {1, NCHAN}, 1.4e9, -1e5, NULL},
    {"Header/channel_width", 0, {0}, -1e5, 0, NULL},
    {"Header/polarization_array", 1, {NPOL}, -5, -1, NULL},
    {"Header/uvw_array", 2, {NROW, 3}, 0, 0, NULL},
    {"Header/vis_units", -1, {0}, 0, 0, "Jy"},
    {"Header/eq_coeffs", 2, {NANT, NCHAN}, 1, 0, NULL},
    {"Header/feed_array", -1, {0}, 0, 0, "x"},
    {"Header/phase_center_catalog",
     -1,
     {0},
     0,
     0,
     "{\"a\": {\"cat_id\": 0, \"cat_type\": \"unprojected\"}}"},
    {"Header/phase_center_id_array", 1, {NROW}, 0, 0, NULL},
    {"Header/dut1", 0, {0}, 0.1, 0, NULL},
    {"Data/flags", 4, {NROW, 1, NCHAN, NPOL}, 0, 0, NULL},
    {"Data/nsamples", 4, {NROW, 1, NCHAN, NPOL}, 1, 0, NULL},
    {"Data/visdata", 4, {NROW, 1, NCHAN, NPOL}, 1, 0.5, NULL},
};

/* Numbers of a data set in the type on disk. */
static void fill(void *out, enum h5_type type, const struct key *k, size_t n,
                 struct fuzz_take *t, bool odd)
{
    double strange = odd ? fuzz_double(t) : 0;
    size_t at = odd ? fuzz_byte(t) : n;

    for (size_t i = 0; i < n; i++) {
        double x = i == at % (n + 1) ? strange : k->first + k->step * (double)i;

        if (type == H5_F64)
            ((double *)out)[i] = x;
        else if (type == H5_F32)
            ((float *)out)[i] = (float)(fabs(x) < 1e38 ? x : 1e38);
        else if (type == H5_I64)
            ((int64_t *)out)[i] = fabs(x) < 9e18 ? (int64_t)x : 7;
        else if (type == H5_BOOL)
            ((unsigned char *)out)[i] = fabs(x) < 1e9 ? (int)x & 1 : 1;
        else if (type == H5_C64)
            ((float complex *)out)[i] =
                (float)(fabs(x) < 1e38 ? x : 1e38) * (1 + 2 * I);
        else
            ((double complex *)out)[i] = x;
    }
}

static void put(struct h5 *h5, const struct key *k, struct fuzz_take *t)
{
    static const enum h5_type types[] = {H5_F64,  H5_F32, H5_I64,
                                         H5_BOOL, H5_C64, H5_C128};
    static double complex room[MOST];
    uint8_t how = fuzz_byte(t);
    enum h5_type type = k->name[0] == 'D' ? H5_C64 : H5_F64;
    size_t dim[4], n = 1, chunk[4];
    int ndim = k->ndim;
    struct h5_dataset set;
    char text[64];

    if (how == 1)
        return; /* is not there */
    if (strcmp(k->name, "Data/flags") == 0)
        type = H5_BOOL;
    if (strcmp(k->name, "Data/nsamples") == 0)
        type = H5_F32;
    if (how & 2)
        type = types[fuzz_byte(t) % 6];
    if (k->text != NULL) {
        snprintf(text, sizeof text, "%s", k->text);
        if (how & 4)
            text[fuzz_byte(t) % sizeof text] = (char)fuzz_byte(t);
        text[sizeof text - 1] = '\0';
        h5_write(h5, k->name,
                 how & 8 ? h5_bytes(text, strlen(text) + 1)
                         : h5_scalar(H5_VSTRING, text),
                 NULL);
        return;
    }
    memcpy(dim, k->dim, sizeof dim);
    if (how & 16)
        ndim = fuzz_byte(t) % 5;
    for (int i = 0; i < ndim; i++) {
        if (how & 32)
            dim[i] = fuzz_byte(t) % 20;
        if (dim[i] == 0 && !(how & 32))
            dim[i] = 1;
        chunk[i] = 1 + fuzz_byte(t) % 7;
        n *= dim[i];
    }
    if (n > MOST)
        return;
    fill(room, type, k, n, t, how & 4);
    set = h5_array(type, ndim, dim, room);
    if (how & 64 && ndim > 0)
        set.chunk = chunk;
    h5_write(h5, k->name, set, NULL);
}

/* What the reader promises of what it gives. */
static void check(const struct vis *vis)
{
    for (size_t i = 0; i < vis->nrow * vis->nchan * vis->npol; i++)
        if (!(vis->weight[i] >= 0) || !isfinite(vis->weight[i]) ||
            !isfinite(crealf(vis->data[i])) || !isfinite(cimagf(vis->data[i])))
            abort();
    for (size_t r = 0; r < vis->nrow; r++)
        if (vis->row_ant1[r] >= vis->row_ant2[r] ||
            (size_t)vis->row_ant2[r] >= vis->nant ||
            (size_t)vis->row_time[r] >= vis->ntime)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char name[] = "fuzzed.hdf5";
    const char *path = name;
    const struct uvh5_opts opts = {.threads = 1, .one_centre = true};
    struct fuzz_take t = {data, size};
    struct uvh5_info info;
    struct vis *vis;
    struct h5 *h5;
    struct err e;

    unlink(name);
    if (h5_create(&h5, name, &e) != 0)
        return 0;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        put(h5, &keys[i], &t);
    if (h5_close(h5, &e) == 0 && uvh5_info(name, &info, &e) == 0 &&
        uvh5_read_group(&vis, &path, 1, &opts, &e) == 0) {
        check(vis);
        vis_free(vis);
    }
    return 0;
}
