/*
 * catalogue.c: see catalogue.h.  Whatever is not exactly a catalogue is refused with its line.
 */
#include "pipeline/sky/catalogue.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/path.h"
#include "pipeline/sky/source.h"

#define DEG  (M_PI / 180.0)
#define NCOL 6

static const char HEADER[] = "name,ra_deg,dec_deg,flux_jy,spix,freq_mhz";

/* A decimal number and nothing else (strtod would also take "nan", "inf" and hex). */
static int parse_number(const char *text, double *value)
{
    char *end;

    if (*text == '\0' || strspn(text, "0123456789+-.eE") != strlen(text))
        return -EINVAL;
    *value = strtod(text, &end);
    return *end == '\0' && isfinite(*value) ? 0 : -EINVAL;
}

/* Cut `line` at its commas into exactly NCOL fields, blanks around them taken off. */
static int split_line(char *line, char *field[NCOL])
{
    int n = 0;

    for (char *next = line; next != NULL; n++) {
        char *text = strsep(&next, ",");
        size_t len;

        if (n == NCOL)
            return -EINVAL;
        text += strspn(text, " \t");
        for (len = strlen(text); len > 0 && strchr(" \t", text[len - 1]) != NULL; len--)
            ;
        text[len] = '\0';
        field[n] = text;
    }
    return n == NCOL ? 0 : -EINVAL;
}

/* One line to a source; NULL or what is wrong with it. */
static const char *parse_line(char *line, struct source *src)
{
    char *field[NCOL];
    double number[NCOL - 1];
    static const struct {
        double least, most;
        const char *complaint;
    } range[NCOL - 1] = {
        {0.0, 360.0, "ra_deg is not a number from 0 to 360"},
        {-90.0, 90.0, "dec_deg is not a number from -90 to 90"},
        {-1e30, 1e30, "flux_jy is not a number"},
        {-100.0, 100.0, "spix is not a number from -100 to 100"},
        {0.0, 1e9, "freq_mhz is not a number from 0 to 1e9"},
    };

    if (split_line(line, field) != 0)
        return "not six fields";
    for (int i = 0; i < NCOL - 1; i++)
        if (parse_number(field[i + 1], &number[i]) != 0 || number[i] < range[i].least ||
            number[i] > range[i].most)
            return range[i].complaint;
    *src = (struct source){.ra_rad = fmod(number[0], 360.0) * DEG,
                           .dec_rad = number[1] * DEG,
                           .flux_jy = number[2],
                           .spix = number[3],
                           .freq_hz = number[4] * 1e6};
    if (strlen(field[0]) >= sizeof src->name)
        return "the name is longer than 31 characters";
    strcpy(src->name, field[0]);
    return NULL;
}

static int append(struct source_list *list, size_t *room, const struct source *src)
{
    if (list->n == *room) {
        size_t more = *room > 0 ? 2 * *room : 64;
        struct source *bigger = reallocarray(list->src, more, sizeof *bigger);

        if (bigger == NULL)
            return -ENOMEM;
        list->src = bigger;
        *room = more;
    }
    list->src[list->n++] = *src;
    return 0;
}

static int read_lines(struct source_list *out, FILE *f, const char *path, struct err *e)
{
    size_t room = 0, size = 0, number = 0;
    int rc = 0, headed = 0;
    char *line = NULL;

    while (rc == 0 && getline(&line, &size, f) != -1) {
        struct source src;
        const char *wrong = NULL;

        number++;
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] == '#' || line[strspn(line, " \t")] == '\0')
            continue;
        if (!headed) {
            headed = 1;
            if (strcmp(line, HEADER) != 0)
                rc = err_set(e, ERR_FORMAT, "%s line %zu: the header is not \"%s\"",
                             path, number, HEADER);
            continue;
        }
        wrong = parse_line(line, &src);
        if (wrong != NULL)
            rc = err_set(e, ERR_FORMAT, "%s line %zu: %s", path, number, wrong);
        else if (append(out, &room, &src) != 0)
            rc = err_set(e, -ENOMEM, "no memory for the sources of %s", path);
    }
    free(line);
    if (rc == 0 && ferror(f))
        rc = err_set(e, -EIO, "cannot read %s", path);
    if (rc == 0 && !headed)
        rc = err_set(e, ERR_FORMAT, "%s has no header line \"%s\"", path, HEADER);
    return rc;
}

int catalogue_read(struct source_list *out, const char *path, struct err *e)
{
    FILE *f = fopen(path, "re");
    int rc;

    *out = (struct source_list){0};
    if (f == NULL)
        return err_set(e, -errno, "cannot open %s: %s", path, strerror(errno));
    rc = read_lines(out, f, path, e);
    fclose(f);
    if (rc != 0)
        source_list_free(out);
    return rc;
}

static void write_lines(FILE *f, const struct source_list *list)
{
    fprintf(f, "%s\n", HEADER);
    for (size_t i = 0; i < list->n; i++) {
        const struct source *s = &list->src[i];
        char name[sizeof s->name];
        size_t k;

        for (k = 0; k + 1 < sizeof name && s->name[k] != '\0';
             k++) /* keep six fields */
            name[k] =
                s->name[k] == ',' || (unsigned char)s->name[k] < ' ' ? '_' : s->name[k];
        name[k] = '\0';
        fprintf(f, "%s,%.9f,%.9f,%.9g,%.6g,%.9g\n", name, s->ra_rad / DEG,
                s->dec_rad / DEG, s->flux_jy, s->spix, s->freq_hz / 1e6);
    }
}

int catalogue_write(const char *path, const struct source_list *list, struct err *e)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    int rc;

    if (f == NULL)
        return err_set(e, -errno, "cannot write %s: %s", path, strerror(errno));
    write_lines(f, list);
    if (fclose(f) != 0)
        rc = err_set(e, -ENOMEM, "no memory for the sources of %s", path);
    else
        rc = path_write(path, text, n, e);
    free(text);
    return rc;
}
