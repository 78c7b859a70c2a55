#include "pipeline/flag/bands.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"

void bands_free(struct bands *bands)
{
    free(bands->band);
    *bands = (struct bands){0};
}

bool bands_touch(const struct bands *bands, double freq_hz, double width_hz)
{
    for (size_t i = 0; bands != NULL && i < bands->n; i++)
        if (freq_hz + width_hz / 2 > bands->band[i].low_hz &&
            freq_hz - width_hz / 2 < bands->band[i].high_hz)
            return true;
    return false;
}

/* NULL, or what is wrong with a line; *have tells whether there is a band in it. */
static const char *parse_line(char *line, struct band *band, bool *have)
{
    char *end, *text = line + strspn(line, " \t\r\n");
    double low, high;

    *have = false;
    if (*text == '\0' || *text == '#')
        return NULL;
    low = strtod(text, &end);
    if (end == text || *end != ',')
        return "does not begin with low_mhz,high_mhz,";
    text = end + 1;
    high = strtod(text, &end);
    if (end == text || (*end != ',' && *end != '\0' && *end != '\n' && *end != '\r'))
        return "does not begin with low_mhz,high_mhz,";
    if (!(low >= 0 && high > low && high < 1e9))
        return "is no band: 0 <= low_mhz < high_mhz";
    *band = (struct band){low * 1e6, high * 1e6};
    *have = true;
    return NULL;
}

static int read_lines(struct bands *out, FILE *f, const char *path, struct err *e)
{
    size_t size = 0, number = 0;
    char *line = NULL;
    int rc = 0;

    while (rc == 0 && getline(&line, &size, f) != -1) {
        struct band band, *more;
        bool have;
        const char *wrong = parse_line(line, &band, &have);

        number++;
        if (wrong != NULL) {
            rc = err_set(e, ERR_FORMAT, "%s: line %zu %s", path, number, wrong);
        } else if (have) {
            more = reallocarray(out->band, out->n + 1, sizeof *more);
            if (more == NULL) {
                rc = err_set(e, -ENOMEM, "%s: out of memory for its bands", path);
                break;
            }
            out->band = more;
            out->band[out->n++] = band;
        }
    }
    if (rc == 0 && ferror(f))
        rc = err_set(e, -EIO, "%s: cannot be read", path);
    free(line);
    return rc;
}

int bands_read(struct bands *out, const char *path, struct err *e)
{
    FILE *f = fopen(path, "re");
    int rc;

    *out = (struct bands){0};
    if (f == NULL) {
        rc = -errno;
        return err_set(e, rc, "%s: %s", path, strerror(-rc));
    }
    rc = read_lines(out, f, path, e);
    fclose(f);
    if (rc != 0)
        bands_free(out);
    return rc;
}
