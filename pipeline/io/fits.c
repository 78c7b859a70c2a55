/*
 * fits.c: the only file that knows CFITSIO.
 *
 * CFITSIO's calls do nothing once their status is set, so a run of them needs one look
 * at the end.  Files are opened by the "diskfile" calls: a name with [ ( + ! in it is a
 * name and not CFITSIO's extended syntax.
 */
#include "pipeline/io/fits.h"

#include <errno.h>
#include <fcntl.h>
#include <fitsio.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/err.h"
#include "pipeline/sky/image.h"

#define DEG        (M_PI / 180.0)
#define UNIX_MJD   40587.0 /* 1970-01-01 */
#define LINE_PIXEL 1       /* CFITSIO counts pixels from 1 */

/* ERR_FORMAT (or -ENOMEM) with what CFITSIO has to say: its status and its last message. */
static int cfitsio_error(struct err *e, const char *doing, const char *path, int status)
{
    char reason[FLEN_STATUS], message[FLEN_ERRMSG] = "", next[FLEN_ERRMSG];

    fits_get_errstatus(status, reason);
    while (fits_read_errmsg(next))
        if (message[0] == '\0')
            memcpy(message, next, sizeof message);
    return err_set(e, status == MEMORY_ALLOCATION ? -ENOMEM : ERR_FORMAT,
                   "cannot %s %s: %s%s%s", doing, path, reason,
                   message[0] != '\0' ? ": " : "", message);
}

/*
 * Writing
 */

/* "2026-01-25T03:04:05.678", 24 bytes with its end, from days since MJD 0. */
static void iso_of_mjd(double mjd, char iso[32])
{
    double ms_since_1970 = floor((mjd - UNIX_MJD) * 86400e3 + 0.5);
    time_t s = (time_t)floor(ms_since_1970 / 1e3);
    struct tm tm;
    size_t n;

    gmtime_r(&s, &tm);
    n = strftime(iso, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(iso + n, 32 - n, ".%03d", (int)(ms_since_1970 - 1e3 * (double)s));
}

/* A longer text goes on in CONTINUE cards. */
enum { LONGEST_CARD = 66 };

static void put_text(fitsfile *f, const char *key, const char *text,
                     const char *comment, int *status)
{
    char clean[1024];
    size_t i;

    for (i = 0; text[i] != '\0' && i + 1 < sizeof clean;
         i++) /* FITS: printable ASCII */
        clean[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    clean[i] = '\0';
    if (i > LONGEST_CARD)
        fits_write_key_longwarn(f, status); /* LONGSTRN, once */
    fits_update_key_longstr(f, key, clean, comment, status);
}

static void put_number(fitsfile *f, const char *key, double number, const char *comment,
                       int *status)
{
    fits_update_key_dbl(f, key, number, -15, comment, status);
}

static void put_wcs(fitsfile *f, const struct image *img, int *status)
{
    const struct wcs *w = &img->wcs;
    double cell_deg = w->cell_rad / DEG;
    const struct {
        const char *key;
        double number;
        const char *text;
        const char *comment;
    } card[] = {
        {"CTYPE1", 0, "RA---SIN", "right ascension, (slant) orthographic"},
        {"CRPIX1", w->crpix1, NULL, "reference pixel"},
        {"CDELT1", -cell_deg, NULL, "pixel side, east is left"},
        {"CRVAL1", w->ra_rad / DEG, NULL, "right ascension of the reference pixel"},
        {"CUNIT1", 0, "deg", ""},
        {"CTYPE2", 0, "DEC--SIN", "declination, (slant) orthographic"},
        {"CRPIX2", w->crpix2, NULL, "reference pixel"},
        {"CDELT2", cell_deg, NULL, "pixel side, north is up"},
        {"CRVAL2", w->dec_rad / DEG, NULL, "declination of the reference pixel"},
        {"CUNIT2", 0, "deg", ""},
        {"CTYPE3", 0, "FREQ", "mean frequency"},
        {"CRPIX3", 1, NULL, ""},
        {"CDELT3", img->width_hz > 0.0 ? img->width_hz : 1.0, NULL, "total bandwidth"},
        {"CRVAL3", img->freq_hz, NULL, ""},
        {"CUNIT3", 0, "Hz", ""},
        {"CTYPE4", 0, "STOKES", "1 is I"},
        {"CRPIX4", 1, NULL, ""},
        {"CDELT4", 1, NULL, ""},
        {"CRVAL4", 1, NULL, ""},
        {"PV2_1", w->xi, NULL, "slant of the projection"},
        {"PV2_2", w->eta, NULL, "slant of the projection"},
        {"LONPOLE", 180, NULL, ""}, /* written because the default is 0 at dec = +90 */
        {"RADESYS", 0, "ICRS", ""},
        {"EQUINOX", 2000, NULL, "of no meaning in ICRS; some programs ask"},
        {"SPECSYS", 0, "TOPOCENT", ""},
    };
    int naxis = 4;

    fits_update_key(f, TINT, "WCSAXES", &naxis, "number of WCS axes", status);
    if (img->freq_hz > 0.0)
        put_number(f, "RESTFRQ", img->freq_hz, "[Hz] as CRVAL3: a continuum", status);
    for (size_t i = 0; i < sizeof card / sizeof *card; i++) {
        if (card[i].text != NULL)
            put_text(f, card[i].key, card[i].text, card[i].comment, status);
        else
            put_number(f, card[i].key, card[i].number, card[i].comment, status);
    }
}

static void put_times(fitsfile *f, const struct image *img, int *status)
{
    char iso[32];

    if (img->mjd_beg > 0.0) {
        put_text(f, "TIMESYS", "UTC", "", status);
        iso_of_mjd(img->mjd_beg, iso);
        put_text(f, "DATE-OBS", iso, "start of the observation", status);
        put_number(f, "MJD-OBS", img->mjd_beg, "[d] start of the observation", status);
    }
    if (img->mjd_end > 0.0) {
        iso_of_mjd(img->mjd_end, iso);
        put_text(f, "DATE-END", iso, "end of the observation", status);
        put_number(f, "MJD-END", img->mjd_end, "[d] end of the observation", status);
    }
    if (img->mjd_beg > 0.0 && img->mjd_end > 0.0) {
        double mid = 0.5 * (img->mjd_beg + img->mjd_end);

        iso_of_mjd(mid, iso);
        put_text(f, "DATE-AVG", iso, "middle of the observation", status);
        put_number(f, "MJD-AVG", mid, "[d] middle of the observation", status);
    }
}

static void put_range(fitsfile *f, const struct image *img, int *status)
{
    double lo = INFINITY, hi = -INFINITY;

    for (size_t i = 0; i < img->nx * img->ny; i++) {
        if (!isfinite(img->pix[i]))
            continue;
        lo = fmin(lo, img->pix[i]);
        hi = fmax(hi, img->pix[i]);
    }
    if (lo <= hi) {
        put_number(f, "DATAMIN", lo, "smallest pixel", status);
        put_number(f, "DATAMAX", hi, "largest pixel", status);
    }
}

static void put_header(fitsfile *f, const struct image *img,
                       const struct fits_card *extra, int *status)
{
    put_text(f, "BUNIT", img->unit, "unit of the pixels", status);
    if (strstr(img->unit, "/beam") != NULL)
        put_text(f, "BTYPE", "Intensity", "kind of the pixels", status);
    put_wcs(f, img, status);
    if (img->bmaj_rad > 0.0) {
        put_number(f, "BMAJ", img->bmaj_rad / DEG, "[deg] beam, major axis, FWHM",
                   status);
        put_number(f, "BMIN", img->bmin_rad / DEG, "[deg] beam, minor axis, FWHM",
                   status);
        put_number(f, "BPA", img->bpa_rad / DEG, "[deg] beam, north to east", status);
    }
    put_times(f, img, status);
    if (img->object[0] != '\0')
        put_text(f, "OBJECT", img->object, "", status);
    if (img->telescope[0] != '\0')
        put_text(f, "TELESCOP", img->telescope, "", status);
    put_text(f, "ORIGIN", "watcherd " VERSION, "", status);
    put_range(f, img, status);
    for (; extra != NULL && extra->name != NULL; extra++) {
        const char *comment = extra->comment != NULL ? extra->comment : "";

        if (strcmp(extra->name, "HISTORY") == 0)
            fits_write_history(f, extra->text, status);
        else if (extra->text != NULL)
            put_text(f, extra->name, extra->text, comment, status);
        else
            put_number(f, extra->name, extra->number, comment, status);
    }
}

/* A failed write is the machine's fault, not the data's; CFITSIO leaves stdio's errno. */
static int write_error(struct err *e, const char *path, int status, int why)
{
    if (why == ENOSPC || why == EDQUOT)
        return err_set(e, -why, "cannot write %s: %s", path, strerror(why));
    cfitsio_error(e, "write", path, status);
    if (e != NULL && e->code == ERR_FORMAT)
        e->code = -EIO;
    return status == MEMORY_ALLOCATION ? -ENOMEM : -EIO;
}

int fits_write_image(const char *path, const struct image *img,
                     const struct fits_card *extra, struct err *e)
{
    long naxes[4] = {(long)img->nx, (long)img->ny, 1, 1};
    fitsfile *f = NULL;
    int status = 0, close_status = 0, rc;

    if (unlink(path) != 0 && errno != ENOENT)
        return err_set(e, -errno, "cannot replace %s: %s", path, strerror(errno));
    fits_clear_errmsg();
    errno = 0;
    if (fits_create_diskfile(&f, path, &status))
        return cfitsio_error(e, "create", path, status);
    fits_create_img(f, FLOAT_IMG, 4, naxes, &status);
    put_header(f, img, extra, &status);
    fits_write_date(f, &status);
    fits_write_img(f, TFLOAT, LINE_PIXEL, (LONGLONG)(img->nx * img->ny), img->pix,
                   &status);
    fits_write_chksum(f, &status);
    fits_close_file(f, &close_status);
    if (status == 0)
        status = close_status;
    if (status == 0)
        return 0;
    rc = write_error(e, path, status, errno);
    unlink(path);
    return rc;
}

/*
 * Reading
 */

/* An open FITS file: checked to be one (CFITSIO would also take gzip, pipes, IRAF). */
static int open_fits(fitsfile **f, const char *path, off_t *size, struct err *e)
{
    char first[9];
    struct stat st;
    ssize_t got;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), status = 0;

    *f = NULL;
    if (fd == -1)
        return err_set(e, -errno, "cannot open %s: %s", path, strerror(errno));
    if (fstat(fd, &st) != 0)
        st.st_mode = 0;
    got = read(fd, first, sizeof first);
    close(fd);
    if (!S_ISREG(st.st_mode) || got != sizeof first ||
        memcmp(first, "SIMPLE  =", sizeof first) != 0)
        return err_set(e, ERR_FORMAT, "%s is not a FITS file", path);
    *size = st.st_size;
    fits_clear_errmsg();
    if (fits_open_diskfile(f, path, READONLY, &status))
        return cfitsio_error(e, "open", path, status);
    return 0;
}

static void close_fits(fitsfile *f)
{
    int status = 0;

    fits_close_file(f, &status);
    fits_clear_errmsg();
}

/* The value of a keyword, or `absent` when it is not there (or not a number). */
static double number_or(fitsfile *f, const char *key, double absent)
{
    double value;
    int status = 0;

    if (fits_read_key(f, TDOUBLE, key, &value, NULL, &status) || !isfinite(value))
        return absent;
    return value;
}

static void text_or_empty(fitsfile *f, const char *key, char *text, size_t size)
{
    char value[FLEN_VALUE] = "";
    int status = 0;

    if (fits_read_key(f, TSTRING, key, value, NULL, &status))
        value[0] = '\0';
    snprintf(text, size, "%.*s", (int)size - 1, value);
}

/* Columns and rows of a 2-D to 4-D image with one plane that the file is long enough for. */
static int read_shape(fitsfile *f, const char *path, off_t size, long naxes[4],
                      struct err *e)
{
    int bitpix = 0, naxis = 0, status = 0;
    LONGLONG need;

    for (int i = 0; i < 4; i++)
        naxes[i] = 1;
    if (fits_get_img_param(f, 4, &bitpix, &naxis, naxes, &status))
        return cfitsio_error(e, "read", path, status);
    if (naxis < 2 || naxis > 4 || naxes[0] < 1 || naxes[1] < 1)
        return err_set(e, ERR_FORMAT, "%s holds no image: its first part has %d axes",
                       path, naxis);
    if (naxes[2] != 1 || naxes[3] != 1)
        return err_set(e, ERR_FORMAT, "%s holds %ld x %ld planes, not one", path,
                       naxes[2], naxes[3]);
    if (naxes[0] > 1000000 || naxes[1] > 1000000)
        return err_set(e, ERR_FORMAT, "%s: %ld x %ld pixels are too many", path,
                       naxes[0], naxes[1]);
    need = (LONGLONG)naxes[0] * naxes[1] * (abs(bitpix) / 8);
    if (need > size)
        return err_set(e, ERR_FORMAT,
                       "%s is cut short: %lld bytes, its %ld x %ld pixels need %lld",
                       path, (long long)size, naxes[0], naxes[1], (long long)need);
    return 0;
}

/* What would turn, skew or shift the sky against what struct wcs can say; NULL if nothing. */
static const char *unlike_ours(fitsfile *f)
{
    static const struct {
        const char *key;
        double harmless;
    } term[] = {{"CROTA1", 0}, {"CROTA2", 0}, {"PC1_1", 1},
                {"PC2_2", 1},  {"PC1_2", 0},  {"PC2_1", 0},
                {"CD1_2", 0},  {"CD2_1", 0},  {"LONPOLE", 180}};

    for (size_t i = 0; i < sizeof term / sizeof *term; i++) {
        double value = number_or(f, term[i].key, term[i].harmless);

        if (fabs(value - term[i].harmless) > 1e-12)
            return term[i].key;
    }
    return number_or(f, "EQUINOX", 2000.0) < 1999.0 ? "EQUINOX" : NULL;
}

static int read_wcs(struct wcs *w, fitsfile *f, const char *path, struct err *e)
{
    double dx = number_or(f, "CDELT1", number_or(f, "CD1_1", NAN));
    double dy = number_or(f, "CDELT2", number_or(f, "CD2_2", NAN));
    const char *odd = unlike_ours(f);
    char ctype1[FLEN_VALUE], ctype2[FLEN_VALUE], frame[FLEN_VALUE];

    text_or_empty(f, "CTYPE1", ctype1, sizeof ctype1);
    text_or_empty(f, "CTYPE2", ctype2, sizeof ctype2);
    text_or_empty(f, "RADESYS", frame, sizeof frame);
    if (strcmp(ctype1, "RA---SIN") != 0 || strcmp(ctype2, "DEC--SIN") != 0)
        return err_set(
            e, ERR_FORMAT,
            "%s is in projection '%s', '%s', only RA---SIN, DEC--SIN is read", path,
            ctype1, ctype2);
    if (odd != NULL)
        return err_set(e, ERR_FORMAT, "%s is turned or of another epoch (%s = %g)",
                       path, odd, number_or(f, odd, NAN));
    if (frame[0] != '\0' && strcmp(frame, "ICRS") != 0 && strcmp(frame, "FK5") != 0)
        return err_set(e, ERR_FORMAT, "%s is in the frame '%s', not ICRS", path, frame);
    if (!(dy > 0.0) || !(fabs(dx + dy) <= 1e-6 * dy))
        return err_set(e, ERR_FORMAT,
                       "%s has pixels of %g x %g degrees, not square with east left",
                       path, dx, dy);
    *w = (struct wcs){
        .ra_rad = number_or(f, "CRVAL1", 0.0) * DEG,
        .dec_rad = number_or(f, "CRVAL2", 0.0) * DEG,
        .crpix1 = number_or(f, "CRPIX1", 0.0),
        .crpix2 = number_or(f, "CRPIX2", 0.0),
        .cell_rad = dy * DEG,
        .xi = number_or(f, "PV2_1", 0.0),
        .eta = number_or(f, "PV2_2", 0.0),
    };
    return 0;
}

/* Frequency from whichever axis carries it; AIPS and CASA differ in the order. */
static void read_frequency(struct image *img, fitsfile *f)
{
    for (int axis = 3; axis <= 4; axis++) {
        char key[16], ctype[FLEN_VALUE];

        snprintf(key, sizeof key, "CTYPE%d", axis);
        text_or_empty(f, key, ctype, sizeof ctype);
        if (strncmp(ctype, "FREQ", 4) != 0)
            continue;
        snprintf(key, sizeof key, "CRVAL%d", axis);
        img->freq_hz = number_or(f, key, 0.0);
        snprintf(key, sizeof key, "CDELT%d", axis);
        img->width_hz = fabs(number_or(f, key, 0.0));
    }
}

int fits_read_image(struct image **out, const char *path, struct err *e)
{
    struct image *img = NULL;
    fitsfile *f = NULL;
    float blank = NAN;
    long naxes[4];
    off_t size = 0;
    int rc, any_blank = 0, status = 0;

    *out = NULL;
    rc = open_fits(&f, path, &size, e);
    if (rc != 0)
        return rc;
    rc = read_shape(f, path, size, naxes, e);
    if (rc == 0)
        rc = image_alloc(&img, (size_t)naxes[0], (size_t)naxes[1], e);
    if (rc == 0)
        rc = read_wcs(&img->wcs, f, path, e);
    if (rc != 0)
        goto fail;
    fits_clear_errmsg(); /* of absent keywords */
    if (fits_read_img(f, TFLOAT, LINE_PIXEL, (LONGLONG)(img->nx * img->ny), &blank,
                      img->pix, &any_blank, &status)) {
        rc = cfitsio_error(e, "read the pixels of", path, status);
        goto fail;
    }
    read_frequency(img, f);
    img->bmaj_rad = number_or(f, "BMAJ", 0.0) * DEG;
    img->bmin_rad = number_or(f, "BMIN", 0.0) * DEG;
    img->bpa_rad = number_or(f, "BPA", 0.0) * DEG;
    img->mjd_beg = number_or(f, "MJD-OBS", 0.0);
    img->mjd_end = number_or(f, "MJD-END", img->mjd_beg);
    text_or_empty(f, "BUNIT", img->unit, sizeof img->unit);
    if (strcasecmp(img->unit, "Jy/beam") == 0) /* AIPS shouts */
        strcpy(img->unit, "Jy/beam");
    text_or_empty(f, "OBJECT", img->object, sizeof img->object);
    text_or_empty(f, "TELESCOP", img->telescope, sizeof img->telescope);
    close_fits(f);
    *out = img;
    return 0;

fail:
    image_free(img);
    close_fits(f);
    return rc;
}
