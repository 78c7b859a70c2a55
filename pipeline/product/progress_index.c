/*
 * progress_index.c: see progress_groups in progress.h: an answer kept in a file, and when
 * it is believed.
 *
 *   watcherd-tally 1 DIRECTORIES ITEMS BYTES-OF-NAMES
 *   {the question}
 *   DEV INO MTIME_NS CTIME_NS PATH                     for each directory
 *   struct { missing; present, expected } [ITEMS]      as this machine has them
 *   names, each ended by NUL
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/mem.h"
#include "core/path.h"
#include "pipeline/product/progress.h"
#include "pipeline/product/progress_parts.h"

enum { LARGEST_INDEX = 1 << 30 };

struct row {
    uint64_t missing;
    int32_t present, expected;
};

static bool stamp_of(int fd, struct dirstamp *s)
{
    struct stat st;

    memset(s, 0, sizeof *s);
    if (fd == -1)
        return true;
    if (fstat(fd, &st) != 0)
        return false;
    dirstamp_of(s, &st);
    return true;
}

struct progress_stamp *progress_stamp_new(struct progress_stamps *s)
{
    if ((s->n & (s->n - 1)) == 0)
        s->item = mem_realloc(s->item, (2 * s->n + 1) * sizeof *s->item);
    return &s->item[s->n++];
}

void progress_stamp_add(struct progress_stamps *s, const char *path, int fd)
{
    double now_s = clock_wall_s();
    struct progress_stamp *stamp = progress_stamp_new(s);

    snprintf(stamp->path, sizeof stamp->path, "%s", path);
    stamp->rested =
        stamp_of(fd, &stamp->dir) && strchr(path, '\n') == NULL &&
        (fd == -1 || (dirstamp_is_exact(fd) && dirstamp_rested(&stamp->dir, now_s)));
}

/* Is the directory still as the index says? */
static bool is_unchanged(const struct progress_stamp *then)
{
    int fd = open(then->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dirstamp now;
    bool same;

    if (fd == -1 && errno != ENOENT)
        return false;
    same = stamp_of(fd, &now) && dirstamp_equal(&now, &then->dir);
    if (fd != -1)
        close(fd);
    return same;
}

/* The line at *at, ended by NUL in place; *at moves behind it.  NULL: there is none. */
static char *next_line(char **at, const char *end)
{
    char *line = *at, *stop = memchr(line, '\n', (size_t)(end - line));

    if (stop == NULL)
        return NULL;
    *stop = '\0';
    *at = stop + 1;
    return line;
}

static bool check_dirs(char **at, const char *end, size_t ndir)
{
    struct progress_stamp stamp;

    for (size_t i = 0; i < ndir; i++) {
        char *line = next_line(at, end);
        int skip = 0;

        if (line == NULL ||
            sscanf(line, "%" SCNu64 " %" SCNu64 " %" SCNd64 " %" SCNd64 " %n",
                   &stamp.dir.dev, &stamp.dir.ino, &stamp.dir.mtime_ns,
                   &stamp.dir.ctime_ns, &skip) != 4)
            return false;
        snprintf(stamp.path, sizeof stamp.path, "%s", line + skip);
        if (!is_unchanged(&stamp))
            return false;
    }
    return true;
}

/* Rows and names to items; the names stay where they are. */
static bool take_items(struct progress *out, const char *rows, size_t n, char *names,
                       const char *end)
{
    out->item = mem_calloc(n + 1, sizeof *out->item);
    for (size_t i = 0; i < n; i++) {
        char *stop = memchr(names, '\0', (size_t)(end - names));
        struct row row;

        if (stop == NULL)
            return false;
        memcpy(&row, rows + i * sizeof row, sizeof row);
        out->item[i] = (struct progress_item){.name = names,
                                              .missing = row.missing,
                                              .present = row.present,
                                              .expected = row.expected};
        names = stop + 1;
    }
    return names == end;
}

int progress_index_load(struct progress *out, const char *index, const char *question)
{
    size_t size, ndir, n, nname;
    char *text, *at, *line, *end;

    memset(out, 0, sizeof *out);
    if (path_read(&text, &size, index, LARGEST_INDEX, NULL) != 0)
        return -ESTALE;
    at = text;
    end = text + size;
    if ((line = next_line(&at, end)) == NULL ||
        sscanf(line, "watcherd-tally 1 %zu %zu %zu", &ndir, &n, &nname) != 3 ||
        (line = next_line(&at, end)) == NULL || strcmp(line, question) != 0 ||
        !check_dirs(&at, end, ndir) || n > size || nname > size ||
        (size_t)(end - at) != n * sizeof(struct row) + nname)
        goto stale;
    out->text = text;
    out->n = n;
    out->cached = true;
    if (take_items(out, at, n, at + n * sizeof(struct row), end))
        return 0;
    out->text = NULL;
    progress_clear(out);

stale:
    free(text);
    return -ESTALE;
}

void progress_index_save(const struct progress *t, const char *index,
                         const char *question, const struct progress_stamps *stamps)
{
    sigset_t all, before;
    size_t size, nname = 0;
    char *text = NULL;
    FILE *out;

    for (size_t i = 0; i < stamps->n; i++)
        if (!stamps->item[i].rested)
            return;
    for (size_t i = 0; i < t->n; i++)
        nname += strlen(t->item[i].name) + 1;
    out = open_memstream(&text, &size);
    if (out == NULL)
        return;
    fprintf(out, "watcherd-tally 1 %zu %zu %zu\n%s\n", stamps->n, t->n, nname,
            question);
    for (size_t i = 0; i < stamps->n; i++) {
        const struct progress_stamp *s = &stamps->item[i];

        fprintf(out, "%" PRIu64 " %" PRIu64 " %" PRId64 " %" PRId64 " %s\n", s->dir.dev,
                s->dir.ino, s->dir.mtime_ns, s->dir.ctime_ns, s->path);
    }
    for (size_t i = 0; i < t->n; i++) {
        const struct row row = {t->item[i].missing, t->item[i].present,
                                t->item[i].expected};

        fwrite(&row, sizeof row, 1, out);
    }
    for (size_t i = 0; i < t->n; i++)
        fwrite(t->item[i].name, strlen(t->item[i].name) + 1, 1, out);
    if (fclose(out) == 0) {
        /* An interrupt must not leave path_write's temporary file behind. */
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, &before);
        path_write(index, text, size, NULL);
        sigprocmask(SIG_SETMASK, &before, NULL);
    }
    free(text);
}

int progress_index_path(char out[PATH_MAX], const struct conf *conf, struct err *e)
{
    return path_join(out, PATH_MAX, conf->paths.state, "tally.index", e);
}

void progress_forget(const struct conf *conf)
{
    char index[PATH_MAX];

    if (progress_index_path(index, conf, NULL) == 0)
        unlink(index);
}
