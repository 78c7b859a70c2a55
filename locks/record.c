/* record.c: see record.h. */
#include "locks/record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"

int record_init(struct record *rec, struct err *e)
{
    uint8_t bytes[16];

    memset(rec, 0, sizeof *rec);
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return err_set(e, -EIO, "no random numbers: %s", strerror(errno));
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(rec->nonce + 2 * i, 3, "%02x", bytes[i]);
    clock_iso(clock_wall_s(), rec->t_utc);
    rec->t_boot_s = clock_boot_s();
    return owner_self(&rec->owner, e);
}

char *record_format(const struct record *rec, size_t *n)
{
    const struct owner *o = &rec->owner;
    char *text, *line = NULL;
    json_t *json = json_pack(
        "{s:i, s:s, s:I, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:s, "
        "s:f, s:f, s:s, s:f}",
        "v", RECORD_VERSION, "group", rec->group, "gen", (json_int_t)rec->gen, "nonce",
        rec->nonce, "machine", o->machine, "host", o->host, "boot", o->boot, "pid",
        (json_int_t)o->pid, "start", (json_int_t)o->start, "pidfs", (json_int_t)o->pidfs,
        "pidns", (json_int_t)o->pidns, "uid", (json_int_t)o->uid, "exe", o->exe, "task",
        rec->task, "fs", rec->fs, "mode", lockfs_mode_name(rec->mode), "lease_s",
        rec->lease_s, "hb_s", rec->heartbeat_s, "t_utc", rec->t_utc, "t_boot_s",
        rec->t_boot_s);

    if (json != NULL && rec->after != 0) {
        json_object_set_new(json, "after", json_integer((json_int_t)rec->after));
        json_object_set_new(json, "evidence", json_string(rec->evidence));
    }
    text = json != NULL ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
    json_decref(json);
    if (text != NULL) {
        *n = strlen(text) + 1;
        line = malloc(*n + 1);
        if (line != NULL) {
            memcpy(line, text, *n - 1);
            memcpy(line + *n - 1, "\n", 2);
        }
    }
    free(text);
    return line;
}

static bool take_text(json_t *json, const char *key, char *out, size_t size)
{
    json_t *value = json_object_get(json, key);

    if (!json_is_string(value) || json_string_length(value) >= size)
        return false;
    memcpy(out, json_string_value(value), json_string_length(value) + 1);
    return true;
}

static bool take_number(json_t *json, const char *key, uint64_t *out)
{
    json_t *value = json_object_get(json, key);

    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *out = (uint64_t)json_integer_value(value);
    return true;
}

static bool take_seconds(json_t *json, const char *key, double *out)
{
    json_t *value = json_object_get(json, key);

    if (!json_is_number(value) || !(json_number_value(value) >= 0))
        return false;
    *out = json_number_value(value);
    return true;
}

static int opaque(char why[OWNER_WHY], const char *text)
{
    snprintf(why, OWNER_WHY, "%s", text);
    return RECORD_OPAQUE;
}

static int take_all(json_t *json, struct record *rec, char why[OWNER_WHY])
{
    struct owner *o = &rec->owner;
    char mode[16];
    uint64_t pid, uid;
    int m;

    if (!take_text(json, "group", rec->group, sizeof rec->group) ||
        !take_number(json, "gen", &rec->gen) ||
        !take_text(json, "nonce", rec->nonce, sizeof rec->nonce) ||
        !take_text(json, "machine", o->machine, sizeof o->machine) ||
        !take_text(json, "host", o->host, sizeof o->host) ||
        !take_text(json, "boot", o->boot, sizeof o->boot) ||
        !take_number(json, "pid", &pid) || !take_number(json, "start", &o->start) ||
        !take_number(json, "pidfs", &o->pidfs) || !take_number(json, "pidns", &o->pidns) ||
        !take_number(json, "uid", &uid) ||
        !take_text(json, "exe", o->exe, sizeof o->exe) ||
        !take_text(json, "task", rec->task, sizeof rec->task) ||
        !take_text(json, "fs", rec->fs, sizeof rec->fs) ||
        !take_text(json, "mode", mode, sizeof mode) ||
        !take_seconds(json, "lease_s", &rec->lease_s) ||
        !take_seconds(json, "hb_s", &rec->heartbeat_s) ||
        !take_text(json, "t_utc", rec->t_utc, sizeof rec->t_utc) ||
        !take_seconds(json, "t_boot_s", &rec->t_boot_s))
        return opaque(why, "the record lacks a field, or one is of a wrong kind");
    m = lockfs_mode_by_name(mode);
    if (m < 0)
        return opaque(why, "the record names an unknown mode");
    rec->mode = (enum claim_mode)m;
    o->pid = (int64_t)pid;
    o->uid = (uint32_t)uid;
    if (take_number(json, "after", &rec->after))
        take_text(json, "evidence", rec->evidence, sizeof rec->evidence);
    return 0;
}

static int parse(const char *text, size_t n, uint64_t gen, struct record *rec,
                 char why[OWNER_WHY])
{
    json_t *json = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    json_t *version = json_object_get(json, "v");
    int rc;

    memset(rec, 0, sizeof *rec);
    if (json == NULL)
        rc = opaque(why, n == 0 ? "the record is empty" : "the record is not JSON");
    else if (!json_is_integer(version))
        rc = opaque(why, "the record has no version");
    else if (json_integer_value(version) != RECORD_VERSION)
        rc = opaque(why, "the record is of another version of watcherd");
    else
        rc = take_all(json, rec, why);
    json_decref(json);
    if (rc == 0 && rec->gen != gen)
        rc = opaque(why, "the record is of another generation than its name");
    return rc;
}

/* The file's first `size` bytes; how many, -EUCLEAN when it is no regular file, or another
 * negated errno. */
static ssize_t read_regular(int dirfd, const char *name, char *buf, size_t size,
                            uint32_t *uid)
{
    struct stat st = {0};
    ssize_t n;
    int fd;

    fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd == -1)
        return errno == ELOOP || errno == ENXIO ? -EUCLEAN : -errno;
    if (fstat(fd, &st) != 0)
        n = -errno;
    else if (!S_ISREG(st.st_mode))
        n = -EUCLEAN;
    else if ((n = pread(fd, buf, size, 0)) < 0)
        n = -errno;
    *uid = st.st_uid;
    close(fd);
    return n;
}

int record_read(int dirfd, const char *name, uint64_t gen, struct record *rec,
                char why[OWNER_WHY])
{
    char text[RECORD_MAX + 1];
    uint32_t uid = 0;
    ssize_t n = 0;
    int rc;

    for (int i = 0; i < 3; i++) { /* a stale handle says nothing: ask again by name */
        n = read_regular(dirfd, name, text, sizeof text, &uid);
        if (n != -ESTALE)
            break;
    }
    if (n == -EUCLEAN)
        return opaque(why, "the record is not a regular file");
    if (n == -EACCES)
        return opaque(why, "the record may not be read");
    if (n < 0)
        return (int)n;
    if (n > RECORD_MAX)
        return opaque(why, "the record is far too long");
    rc = parse(text, (size_t)n, gen, rec, why);
    rec->file_uid = uid;
    return rc;
}

int record_has_nonce(int dirfd, const char *name, const char *nonce)
{
    char text[RECORD_MAX + 1];
    uint32_t uid;
    ssize_t n = read_regular(dirfd, name, text, sizeof text - 1, &uid);

    if (n < 0)
        return (int)n;
    text[n] = '\0';
    return strstr(text, nonce) != NULL;
}

void record_name(char out[RECORD_NAME], char kind, uint64_t gen)
{
    snprintf(out, RECORD_NAME, "%c.%" PRIu64, kind, gen);
}

bool generations_parse(const char *name, char *kind, uint64_t *gen)
{
    uint64_t value = 0;
    const char *p = name + 2;

    if (name[0] == '\0' || strchr("ghrc", name[0]) == NULL || name[1] != '.')
        return false;
    if (*p < '1' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9'; p++)
        value = value * 10 + (uint64_t)(*p - '0');
    if (*p != '\0' || p - name > 2 + 18) /* 18 digits: no overflow, and JSON holds it */
        return false;
    *kind = name[0];
    *gen = value;
    return true;
}

static void note(struct generations *out, char kind, uint64_t gen)
{
    uint64_t *highest = kind == 'g'   ? &out->g
                        : kind == 'h' ? &out->h
                        : kind == 'r' ? &out->r
                                      : &out->c;

    if (gen > *highest)
        *highest = gen;
    if (gen > out->top)
        out->top = gen;
    if (kind == 'g' && (out->g_lowest == 0 || gen < out->g_lowest))
        out->g_lowest = gen;
}

static int scan_once(int dirfd, struct generations *out)
{
    _Alignas(struct dirent64) char buf[8192];
    ssize_t n;
    int fd, rc = 0;

    memset(out, 0, sizeof *out);
    fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd == -1)
        return -errno;
    while ((n = getdents64(fd, buf, sizeof buf)) > 0)
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *d = (const struct dirent64 *)(const void *)(buf + at);
            uint64_t gen;
            char kind;

            if (generations_parse(d->d_name, &kind, &gen))
                note(out, kind, gen);
            at += d->d_reclen;
        }
    if (n < 0)
        rc = -errno;
    close(fd);
    return rc;
}

int generations_scan(int dirfd, struct generations *out)
{
    char name[RECORD_NAME];
    int rc = 0;

    for (int i = 0; i < 3; i++) {
        rc = scan_once(dirfd, out);
        if (rc != -ESTALE)
            break;
    }
    if (rc != 0 || out->g == 0)
        return rc;
    out->ended = out->r == out->g;
    if (out->r > out->g) { /* somebody deleted records by hand */
        record_name(name, 'r', out->g);
        out->ended = faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    }
    return 0;
}

/* Length of the UTF-8 sequence at p, 0 when it is not one (RFC 3629). */
static size_t utf8_length(const unsigned char *p)
{
    size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xC2 && p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;

    if (p[0] >= 0x80 && (p[0] < 0xC2 || p[0] > 0xF4))
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) ||
        (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
        return 0;
    return n;
}

void record_escape(char *out, size_t size, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t used = 0;

    while (*p != '\0') {
        size_t n = utf8_length(p);
        bool plain = n > 1 ? !(n == 2 && p[0] == 0xC2 && p[1] < 0xA0)
                           : n == 1 && *p >= ' ' && *p != 0x7F && *p != '\\';

        if (used + (plain ? n : 4) >= size)
            break;
        if (plain) {
            memcpy(out + used, p, n);
            used += n;
            p += n;
        } else {
            snprintf(out + used, 5, "\\x%02x", *p++);
            used += 4;
        }
    }
    out[used] = '\0';
}
