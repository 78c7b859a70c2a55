/*
 * bands.h: bands of frequency that are known to be bad, from a file of the site.
 *
 * The file is CSV: low_mhz,high_mhz,name; # begins a comment.
 */
#ifndef PIPELINE_FLAG_BANDS_H
#define PIPELINE_FLAG_BANDS_H

#include <stdbool.h>
#include <stddef.h>

struct err;

struct bands {
    size_t n;
    struct band {
        double low_hz, high_hz;
    } * band; /* [n] */
};

/*
 * bands_read: all of a file.  Status: 0, and bands_free ends it; -ENOENT and other errnos;
 * ERR_FORMAT a line that is no band: the sentence names file, line and fault; -ENOMEM.
 */
int bands_read(struct bands *out, const char *path, struct err *e);

void bands_free(struct bands *bands);

/* Does a channel of this centre and width touch any of them?  bands may be NULL. */
bool bands_touch(const struct bands *bands, double freq_hz, double width_hz);

#endif
