/* record.c: see record.h. */
#include "locks/record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "locks/crashpoint.h"

/* A record as it is read: numbers all of one width. */
struct raw {
    struct record rec;
    uint64_t version, pid, uid;
    char mode[16];
};

int record_init(struct record *rec, struct err *e)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[16];

    memset(rec, 0, sizeof *rec);
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return err_set(e, -EIO, "no random numbers: %s", strerror(errno));
    for (size_t i = 0; i < sizeof bytes; i++) {
        rec->nonce[2 * i] = digits[bytes[i] >> 4];
        rec->nonce[2 * i + 1] = digits[bytes[i] & 15];
    }
    clock_iso(clock_wall_s(), rec->t_utc);
    rec->t_boot_s = clock_boot_s();
    return owner_self(&rec->owner, e);
}

/* A line being written; too long a one is cut and never valid. */
struct line {
    char *text;
    size_t used;
};

__attribute__((format(printf, 2, 3))) static void put(struct line *l, const char *fmt,
                                                      ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(l->text + l->used, RECORD_MAX - l->used, fmt, ap);
    va_end(ap);
    l->used += (size_t)n < RECORD_MAX - l->used ? (size_t)n : RECORD_MAX - l->used - 1;
}

static void put_bytes(struct line *l, const char *text, size_t n)
{
    size_t room = RECORD_MAX - l->used - 1;

    memcpy(l->text + l->used, text, n < room ? n : room);
    l->used += n < room ? n : room;
}

/* A JSON string: quotes, backslashes and control bytes escaped (RFC 8259, 7). */
static void put_text(struct line *l, const char *key, const char *text)
{
    put_bytes(l, ",\"", 2);
    put_bytes(l, key, strlen(key));
    put_bytes(l, "\":\"", 3);
    while (*text != '\0') {
        size_t plain = 0;

        while ((unsigned char)text[plain] >= ' ' && text[plain] != 0x7F &&
               text[plain] != '"' && text[plain] != '\\')
            plain++;
        put_bytes(l, text, plain);
        text += plain;
        if (*text != '\0')
            put(l, "\\u%04x", (unsigned int)(unsigned char)*text++);
    }
    put_bytes(l, "\"", 1);
}

/* To the microsecond, without the time that %g takes. */
static void put_seconds(struct line *l, const char *key, double s)
{
    uint64_t us = s < 1e12 ? (uint64_t)(1e6 * s + 0.5) : UINT64_MAX;

    if (us == UINT64_MAX)
        put(l, ",\"%s\":%.12g", key, s);
    else if (us % 1000000 == 0)
        put(l, ",\"%s\":%" PRIu64, key, us / 1000000);
    else
        put(l, ",\"%s\":%" PRIu64 ".%06" PRIu64, key, us / 1000000, us % 1000000);
}

char *record_format(const struct record *rec, size_t *n)
{
    const struct owner *o = &rec->owner;
    struct line l = {malloc(RECORD_MAX), 0};

    if (l.text == NULL)
        return NULL;
    put(&l, "{\"v\":%d", RECORD_VERSION);
    put_text(&l, "group", rec->group);
    put(&l, ",\"gen\":%" PRIu64, rec->gen);
    put_text(&l, "nonce", rec->nonce);
    put_text(&l, "machine", o->machine);
    put_text(&l, "host", o->host);
    put_text(&l, "boot", o->boot);
    put(&l,
        ",\"pid\":%" PRId64 ",\"start\":%" PRIu64 ",\"pidfs\":%" PRIu64
        ",\"pidns\":%" PRIu64 ",\"uid\":%" PRIu32,
        o->pid, o->start, o->pidfs, o->pidns, o->uid);
    put_text(&l, "exe", o->exe);
    put_text(&l, "task", rec->task);
    put_text(&l, "fs", rec->fs);
    put_text(&l, "mode", lockfs_mode_name(rec->mode));
    put_seconds(&l, "lease_s", rec->lease_s);
    put_seconds(&l, "hb_s", rec->heartbeat_s);
    put_text(&l, "t_utc", rec->t_utc);
    put_seconds(&l, "t_boot_s", rec->t_boot_s);
    if (rec->after != 0) {
        put(&l, ",\"after\":%" PRIu64, rec->after);
        put_text(&l, "evidence", rec->evidence);
    }
    put(&l, "}\n");
    *n = l.used;
    return l.text;
}

/* The record's fields: where each goes, and as what. */
static const struct field {
    const char *key;
    enum kind { TEXT, WHOLE, SECONDS } kind;
    size_t at, size;
    bool optional;
} fields[] = {
#define FIELD(key, kind, member)                                                       \
    {                                                                                  \
        key, kind, offsetof(struct raw, member), sizeof(((struct raw *)0)->member),    \
            false                                                                      \
    }
#define MAYBE(key, kind, member)                                                       \
    {                                                                                  \
        key, kind, offsetof(struct raw, member), sizeof(((struct raw *)0)->member),    \
            true                                                                       \
    }
    FIELD("v", WHOLE, version),
    FIELD("group", TEXT, rec.group),
    FIELD("gen", WHOLE, rec.gen),
    FIELD("nonce", TEXT, rec.nonce),
    FIELD("machine", TEXT, rec.owner.machine),
    FIELD("host", TEXT, rec.owner.host),
    FIELD("boot", TEXT, rec.owner.boot),
    FIELD("pid", WHOLE, pid),
    FIELD("start", WHOLE, rec.owner.start),
    FIELD("pidfs", WHOLE, rec.owner.pidfs),
    FIELD("pidns", WHOLE, rec.owner.pidns),
    FIELD("uid", WHOLE, uid),
    FIELD("exe", TEXT, rec.owner.exe),
    FIELD("task", TEXT, rec.task),
    FIELD("fs", TEXT, rec.fs),
    FIELD("mode", TEXT, mode),
    FIELD("lease_s", SECONDS, rec.lease_s),
    FIELD("hb_s", SECONDS, rec.heartbeat_s),
    FIELD("t_utc", TEXT, rec.t_utc),
    FIELD("t_boot_s", SECONDS, rec.t_boot_s),
    MAYBE("after", WHOLE, rec.after),
    MAYBE("evidence", TEXT, rec.evidence),
};
enum { NFIELD = sizeof fields / sizeof *fields };

static int opaque(char why[OWNER_WHY], const char *text)
{
    snprintf(why, OWNER_WHY, "%s", text);
    return RECORD_OPAQUE;
}

static bool set_text(struct raw *raw, const struct field *f, const char *text, size_t n)
{
    char *to = (char *)raw + f->at;

    if (f->kind != TEXT || n >= f->size)
        return false;
    memcpy(to, text, n);
    to[n] = '\0';
    return true;
}

static bool set_number(struct raw *raw, const struct field *f, bool whole, uint64_t u,
                       double d)
{
    void *to = (char *)raw + f->at;

    if (f->kind == WHOLE && whole)
        memcpy(to, &u, sizeof u);
    else if (f->kind == SECONDS && d >= 0)
        memcpy(to, &d, sizeof d);
    else
        return false;
    return true;
}

/* The field of this name; the writer's order is tried first. */
static const struct field *find_field(const char *key, size_t n, size_t expected)
{
    for (size_t i = 0; i < NFIELD; i++) {
        const struct field *f = &fields[(expected + i) % NFIELD];

        if (strncmp(f->key, key, n) == 0 && f->key[n] == '\0')
            return f;
    }
    return NULL;
}

/* A string without escapes, in plain ASCII: the end quote, or NULL. */
static const char *plain_string(const char *p)
{
    while (*p >= ' ' && *p != '"' && *p != '\\' && *p != 0x7F)
        p++;
    return *p == '"' ? p : NULL;
}

/*
 * What we write is nearly always flat, compact and plain; reading it so takes a tenth of
 * jansson's time, and lists are long.  False: not that plain, ask jansson.
 */
static bool read_plain(const char *p, struct raw *raw, uint32_t *seen)
{
    for (size_t i = 0; *p == (i == 0 ? '{' : ','); i++) {
        const char *key = p + 2, *end = p[1] == '"' ? plain_string(key) : NULL;
        const struct field *f =
            end != NULL ? find_field(key, (size_t)(end - key), i) : NULL;

        if (f == NULL || end[1] != ':' || (*seen & 1U << (f - fields)) != 0)
            return false;
        *seen |= 1U << (f - fields);
        p = end + 2;
        if (*p == '"') {
            end = plain_string(p + 1);
            if (end == NULL || !set_text(raw, f, p + 1, (size_t)(end - p - 1)))
                return false;
            p = end + 1;
        } else {
            char *rest;
            double d;
            uint64_t u;

            if (*p < '0' || *p > '9')
                return false;
            u = strtoull(p, &rest, 10);
            d = (double)u;
            if (*rest == '.' || *rest == 'e' || *rest == 'E')
                d = strtod(p, &rest);
            else if (rest - p > 18)
                return false;
            if (!set_number(raw, f, d == (double)u, u, d))
                return false;
            p = rest;
        }
    }
    return p[0] == '}' && p[1] == '\n' && p[2] == '\0';
}

/* Unknown names are skipped: a later program may add some without a new version. */
static bool read_json(const json_t *json, struct raw *raw, uint32_t *seen)
{
    for (size_t i = 0; i < NFIELD; i++) {
        const json_t *value = json_object_get(json, fields[i].key);
        bool ok = false;

        if (value == NULL)
            continue;
        if (json_is_string(value))
            ok = set_text(raw, &fields[i], json_string_value(value),
                          json_string_length(value));
        else if (json_is_number(value) && json_number_value(value) >= 0)
            ok = set_number(raw, &fields[i], json_is_integer(value),
                            (uint64_t)json_integer_value(value),
                            json_number_value(value));
        if (!ok)
            return false;
        *seen |= 1U << i;
    }
    return true;
}

static int take_all(const struct raw *raw, uint32_t seen, struct record *rec,
                    char why[OWNER_WHY])
{
    /* "kept+flock": of a kept file */
    int mode = lockfs_mode_by_name(strcmp(raw->mode, "kept+flock") != 0 ? raw->mode
                                                                        : "gen+flock");

    for (size_t i = 0; i < NFIELD; i++)
        if (!fields[i].optional && (seen & 1U << i) == 0)
            return opaque(why, "the record lacks a field");
    if (mode < 0)
        return opaque(why, "the record names an unknown mode");
    *rec = raw->rec;
    rec->mode = (enum claim_mode)mode;
    rec->owner.pid = (int64_t)raw->pid;
    rec->owner.uid = (uint32_t)raw->uid;
    return 0;
}

/* text: n bytes and a NUL. */
static int parse(const char *text, size_t n, uint64_t gen, struct record *rec,
                 char why[OWNER_WHY])
{
    struct raw raw = {0};
    uint32_t seen = 0;
    int rc = 0;

    memset(rec, 0, sizeof *rec);
    if (strlen(text) != n || !read_plain(text, &raw, &seen)) {
        json_t *json = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
        json_t *version = json_object_get(json, "v");

        memset(&raw, 0, sizeof raw);
        seen = 0;
        if (json == NULL)
            rc = opaque(why, n == 0 ? "the record is empty" : "the record is not JSON");
        else if (!json_is_integer(version))
            rc = opaque(why, "the record has no version");
        else if (json_integer_value(version) == RECORD_VERSION &&
                 !read_json(json, &raw, &seen))
            rc = opaque(why, "a field of the record is of a wrong kind");
        else
            raw.version = (uint64_t)json_integer_value(version);
        json_decref(json);
    }
    if (rc == 0 && raw.version != RECORD_VERSION)
        rc = opaque(why, "the record is of another version of watcherd");
    if (rc == 0)
        rc = take_all(&raw, seen, rec, why);
    if (rc == 0 && rec->gen != gen)
        rc = opaque(why, "the record is of another generation than its name");
    return rc;
}

static int open_regular(int dirfd, const char *name)
{
    int fd =
        openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

    if (fd == -1)
        return errno == ELOOP || errno == ENXIO ? -EUCLEAN : -errno;
    return fd;
}

/* The file's first `size` bytes; how many, -EUCLEAN when it is no regular file, or another
 * negated errno. */
static ssize_t read_regular(int fd, char *buf, size_t size, uint32_t *uid)
{
    struct stat st = {0};
    ssize_t n;

    if (fstat(fd, &st) != 0)
        n = -errno;
    else if (!S_ISREG(st.st_mode))
        n = -EUCLEAN;
    else if ((n = pread(fd, buf, size, 0)) < 0)
        n = -errno;
    *uid = st.st_uid;
    return n;
}

/* A kept file, see record_read: two slots, of which the later write counts. */
enum {
    KEPT_SPAN = 1000000, /* numbers that are its own, from the one in its name */
    KEPT_SLOT = 4096,
    KEPT_SIZE = 2 * KEPT_SLOT,
    KEPT_END = 24,
    TEXT_SIZE = KEPT_SIZE + 2
};

/* A slot is a line "kept SEQ SERIES GEN FILE END N SUM" and N bytes, a record's line.  Whether
 * it was written to its end matters little: as long as somebody may act on it or write into it
 * the file is locked, and is not judged by what it says. */
static int read_kept(char *text, uint64_t series, struct record *rec,
                     char why[OWNER_WHY])
{
    uint64_t latest = 0, seq, in, gen;
    char end[KEPT_END], reason[OWNER_WHY];

    memset(rec, 0, sizeof *rec);
    for (char *slot = text; slot < text + KEPT_SIZE; slot += KEPT_SLOT) {
        struct record found;
        size_t n;
        int head = 0;

        if (sscanf(slot, "kept %" SCNu64 " %" SCNu64 " %" SCNu64 " %*x %23s %zu %*x%n",
                   &seq, &in, &gen, end, &n, &head) != 5 ||
            head == 0 || in != series || seq <= latest ||
            n >= (size_t)(KEPT_SLOT - head - 1))
            continue;
        slot[head + 1 + (int)n] = '\0';
        if (parse(slot + head + 1, n, gen, &found, reason) != 0)
            continue;
        latest = seq;
        *rec = found;
        rec->gen = series + KEPT_SPAN - 1;
        rec->kept = series;
        rec->kept_ended = strcmp(end, "-") != 0;
    }
    return latest != 0 ? 0 : opaque(why, "no record in the kept file is whole");
}

static int read_open(int fd, uint64_t gen, struct record *rec, char why[OWNER_WHY])
{
    char text[TEXT_SIZE];
    uint32_t uid = 0;
    ssize_t n = read_regular(fd, text, sizeof text - 1, &uid);
    int rc;

    if (n == -EUCLEAN)
        return opaque(why, "the record is not a regular file");
    if (n < 0)
        return (int)n;
    text[n] = '\0';
    if (n == KEPT_SIZE && strncmp(text, "kept ", 5) == 0)
        rc = read_kept(text, gen, rec, why);
    else if (n > RECORD_MAX)
        return opaque(why, "the record is far too long");
    else
        rc = parse(text, (size_t)n, gen, rec, why);
    rec->file_uid = uid;
    return rc;
}

int record_read_keep(int dirfd, const char *name, uint64_t gen, struct record *rec,
                     char why[OWNER_WHY], int *fd)
{
    int rc = -ESTALE;

    *fd = -1;
    crash_look("read?");
    for (int i = 0; rc == -ESTALE && i < 3; i++) { /* it says nothing: ask by name */
        if (*fd != -1)
            close(*fd);
        rc = open_regular(dirfd, name);
        *fd = rc >= 0 ? rc : -1;
        if (rc >= 0)
            rc = read_open(*fd, gen, rec, why);
    }
    if (rc == -EUCLEAN)
        return opaque(why, "the record is not a regular file");
    if (rc == -EACCES)
        return opaque(why, "the record may not be read");
    return rc;
}

int record_read(int dirfd, const char *name, uint64_t gen, struct record *rec,
                char why[OWNER_WHY])
{
    int fd, rc = record_read_keep(dirfd, name, gen, rec, why, &fd);

    if (fd != -1)
        close(fd);
    return rc;
}

int record_has_nonce(int dirfd, const char *name, const char *nonce)
{
    char text[RECORD_MAX + 1];
    uint32_t uid;
    ssize_t n;
    int fd;

    crash_look("whose?");
    fd = open_regular(dirfd, name);
    if (fd < 0)
        return fd;
    n = read_regular(fd, text, sizeof text - 1, &uid);
    close(fd);
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

bool generations_note(struct generations *gens, const char *name)
{
    uint64_t gen, *highest;
    char kind;

    if (!generations_parse(name, &kind, &gen))
        return false;
    highest = kind == 'g'   ? &gens->g
              : kind == 'h' ? &gens->h
              : kind == 'r' ? &gens->r
                            : &gens->c;
    if (gen > *highest)
        *highest = gen;
    if (gen > gens->top)
        gens->top = gen;
    if (kind == 'g' && (gens->g_lowest == 0 || gen < gens->g_lowest))
        gens->g_lowest = gen;
    if (kind != 'g' && (gens->lone == 0 || gen < gens->lone)) {
        gens->lone = gen;
        gens->lone_kind = kind;
    }
    return true;
}

void generations_finish(struct generations *gens, int dirfd)
{
    char name[RECORD_NAME];

    gens->ended = gens->g != 0 && gens->r == gens->g;
    if (gens->g != 0 && gens->r > gens->g) { /* somebody deleted records by hand */
        record_name(name, 'r', gens->g);
        crash_look("ended?");
        gens->ended = faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    }
}

/* Read the directory open as fd from its beginning. */
static int read_names(int fd, struct generations *out)
{
    _Alignas(struct dirent64) char buf[8192];
    ssize_t n;

    memset(out, 0, sizeof *out);
    while ((n = getdents64(fd, buf, sizeof buf)) > 0)
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *d =
                (const struct dirent64 *)(const void *)(buf + at);

            generations_note(out, d->d_name);
            at += d->d_reclen;
        }
    return n < 0 ? -errno : 0;
}

static int scan_once(int dirfd, struct generations *out)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd != -1 ? read_names(fd, out) : -errno;

    if (fd != -1)
        close(fd);
    return rc;
}

int generations_scan(int dirfd, struct generations *out)
{
    int rc = 0;

    crash_look("scan?");
    for (int i = 0; i < 3; i++) {
        rc = scan_once(dirfd, out);
        if (rc != -ESTALE)
            break;
    }
    if (rc == 0)
        generations_finish(out, dirfd);
    return rc;
}

int generations_scan_local(int dirfd, struct generations *out)
{
    int rc;

    crash_look("scan?");
    rc = lseek(dirfd, 0, SEEK_SET) == 0 ? read_names(dirfd, out) : -errno;
    if (rc == 0)
        generations_finish(out, dirfd);
    return rc;
}
