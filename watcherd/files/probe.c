/*
 * probe.c: see probe.h.  One function a kind of file, in the table `kinds`; each gets an open
 * descriptor and fstat's answer and leaves verdict, at_rest and reason.
 */
#include "watcherd/files/probe.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/dirlist.h"
#include "core/dirsum.h"
#include "core/fstype.h"
#include "core/mem.h"

typedef void probe_kind_fn(int fd, uint64_t size, struct probe_result *r);

/* Leave the verdict and its sentence. */
__attribute__((format(printf, 4, 5))) static void say(struct probe_result *r,
                                                      enum probe_verdict verdict,
                                                      enum probe_verdict at_rest,
                                                      const char *fmt, ...)
{
    va_list ap;

    r->verdict = verdict;
    r->at_rest = at_rest;
    va_start(ap, fmt);
    vsnprintf(r->reason, sizeof r->reason, fmt, ap);
    va_end(ap);
}

static void say_unreadable(struct probe_result *r, int err)
{
    say(r, PROBE_BAD, PROBE_BAD, "cannot be read: %s", strerror(err));
}

static uint64_t little_endian(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;

    while (n-- > 0)
        v = v << 8 | p[n];
    return v;
}

static const uint8_t hdf5_signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};

/*
 * Where the superblock stands: at 0, or behind a user block of 512, 1024, 2048 ... bytes
 * (II.A); UINT64_MAX: nowhere.  -1 with errno set when the file cannot be read.
 */
static int find_superblock(int fd, uint64_t size, uint64_t *at)
{
    uint8_t b[8];

    for (*at = 0; *at < size; *at = *at == 0 ? 512 : 2 * *at) {
        ssize_t n = pread(fd, b, sizeof b, (off_t)*at);

        if (n < 0)
            return -1;
        if (n == sizeof b && memcmp(b, hdf5_signature, sizeof b) == 0)
            return 0;
    }
    *at = UINT64_MAX;
    return 0;
}

/* Without a superblock: too short for one, not written yet (in another order than ours), or
 * something else. */
static void no_superblock(int fd, uint64_t size, struct probe_result *r)
{
    static const uint8_t zero[8];
    uint8_t b[8] = {0};

    if (pread(fd, b, sizeof b, 0) < 0)
        say_unreadable(r, errno);
    else if (size < sizeof b)
        say(r, PROBE_WAIT, PROBE_BAD,
            "growing or truncated: %" PRIu64 " bytes are less "
            "than an HDF5 superblock",
            size);
    else
        say(r, memcmp(b, zero, 8) == 0 ? PROBE_WAIT : PROBE_BAD, PROBE_BAD,
            "not an HDF5 file: no signature at its start, nor behind a user block");
}

/* The size that a superblock implies against the one that the file has. */
static void compare_end(uint64_t size, uint64_t end, bool open, struct probe_result *r)
{
    if (open)
        say(r, PROBE_WAIT, PROBE_BAD,
            "the HDF5 superblock says that it is open for "
            "writing: %" PRIu64 " bytes so far",
            size);
    else if (size < end)
        say(r, PROBE_WAIT, PROBE_BAD,
            "growing or truncated: %" PRIu64 " of %" PRIu64 " bytes", size, end);
    else if (size > end)
        say(r, PROBE_WAIT, PROBE_OK,
            "%" PRIu64 " bytes, more than the %" PRIu64
            " that the HDF5 superblock says",
            size, end);
}

/*
 * HDF5: the superblock (File Format Specification 3.0, section II.A).  All addresses are
 * `so` bytes wide; the end-of-file address is the third of version 0 and 1 (base, free space,
 * end) and of version 2 and 3 (base, extension, end).  It is absolute; where a block was put
 * before the file afterwards (h5jam), base is not where the superblock stands, and the end has
 * moved with it.
 */
static void probe_hdf5(int fd, uint64_t size, struct probe_result *r)
{
    static const struct {
        unsigned so, flags, first_address; /* byte offsets */
    } layout[] = {{13, 20, 24}, {13, 20, 28}, {9, 11, 12}, {9, 11, 12}};
    uint8_t b[96] = {0};
    uint64_t at, end, base;
    unsigned version, so;
    ssize_t n;

    if (find_superblock(fd, size, &at) != 0) {
        say_unreadable(r, errno);
        return;
    }
    if (at == UINT64_MAX) {
        no_superblock(fd, size, r);
        return;
    }
    n = pread(fd, b, sizeof b, (off_t)at);
    if (n < (ssize_t)sizeof b) {
        say(r, PROBE_WAIT, PROBE_BAD,
            "growing or truncated: %" PRIu64 " bytes are less "
            "than an HDF5 superblock",
            size);
        return;
    }
    version = b[8];
    if (version > 3) {
        say(r, PROBE_BAD, PROBE_BAD, "HDF5 superblock version %u is unknown", version);
        return;
    }
    so = b[layout[version].so];
    if (so != 2 && so != 4 && so != 8) {
        say(r, PROBE_BAD, PROBE_BAD, "HDF5 superblock says that offsets have %u bytes",
            so);
        return;
    }
    base = little_endian(b + layout[version].first_address, so);
    end = little_endian(b + layout[version].first_address + 2 * so, so);
    if (base < at && end <= UINT64_MAX - at)
        end += at - base;
    /* write access, or SWMR write access */
    compare_end(size, end, (b[layout[version].flags] & 0x05) != 0, r);
}

/* What a FITS header says of the size of the data behind it. */
struct fits_hdu {
    long bitpix, naxis, gcount, pcount;
    long axis[1000]; /* NAXIS may be up to 999 */
    bool groups;
};

/* The integer of a "KEYWORD = value" card. */
static bool fits_int(const char *card, long *value)
{
    char text[71], *end;

    memcpy(text, card + 10, 70);
    text[70] = '\0';
    errno = 0;
    *value = strtol(text, &end, 10);
    return end != text && errno == 0;
}

/* One card into h.  Returns 1 at END, 0 else, -1 when a value is unreadable. */
static int fits_card(struct fits_hdu *h, const char *card)
{
    static const struct {
        const char *key;
        size_t at;
    } ints[] = {{"BITPIX  =", offsetof(struct fits_hdu, bitpix)},
                {"NAXIS   =", offsetof(struct fits_hdu, naxis)},
                {"PCOUNT  =", offsetof(struct fits_hdu, pcount)},
                {"GCOUNT  =", offsetof(struct fits_hdu, gcount)}};

    if (memcmp(card, "END     ", 8) == 0)
        return 1;
    if (memcmp(card, "GROUPS  =", 9) == 0) {
        h->groups = memchr(card + 10, 'T', 20) != NULL;
        return 0;
    }
    for (size_t i = 0; i < sizeof ints / sizeof ints[0]; i++)
        if (memcmp(card, ints[i].key, 9) == 0)
            return fits_int(card, (long *)(void *)((char *)h + ints[i].at)) ? 0 : -1;
    if (memcmp(card, "NAXIS", 5) == 0 && card[8] == '=') {
        int n = atoi((const char[]){card[5], card[6], card[7], '\0'});

        if (n < 1 || n > 999)
            return 0;
        return fits_int(card, &h->axis[n]) && h->axis[n] >= 0 ? 0 : -1;
    }
    return 0;
}

/* Bytes of data, without the padding to 2880; UINT64_MAX when the header is impossible. */
static uint64_t fits_data_bytes(const struct fits_hdu *h)
{
    uint64_t n = 1;
    long first = h->groups && h->axis[1] == 0 ? 2 : 1;
    long bits = labs(h->bitpix);

    if ((bits != 8 && bits != 16 && bits != 32 && bits != 64) || h->naxis < 0 ||
        h->naxis > 999 || h->pcount < 0 || h->gcount < 0)
        return UINT64_MAX;
    if (h->naxis == 0)
        return 0;
    for (long i = first; i <= h->naxis; i++)
        if (__builtin_mul_overflow(n, (uint64_t)h->axis[i], &n))
            return UINT64_MAX;
    if (__builtin_add_overflow(n, (uint64_t)h->pcount, &n) ||
        __builtin_mul_overflow(n, (uint64_t)h->gcount, &n) ||
        __builtin_mul_overflow(n, (uint64_t)(bits / 8), &n))
        return UINT64_MAX;
    return n > INT64_MAX - 2880 ? UINT64_MAX : n;
}

/* Read one header at *at; leave *at behind its data and their padding, *data before that.
 * 0: more may follow; 1: said; 2: special records follow, not a header. */
static int fits_hdu(int fd, uint64_t size, uint64_t *at, uint64_t *data,
                    struct probe_result *r)
{
    struct fits_hdu *h;
    char block[2880];
    int end = 0;
    bool first = *at == 0, start = true;
    uint64_t bytes = UINT64_MAX;

    h = mem_calloc(1, sizeof *h);
    h->gcount = 1;
    for (int nblock = 0; end == 0 && nblock < 4096; nblock++, *at += sizeof block) {
        ssize_t n = pread(fd, block, sizeof block, (off_t)*at);

        if (n != (ssize_t)sizeof block) {
            free(h);
            if (n > 0 && start && !first &&
                memcmp(block, "XTENSION=", n < 9 ? (size_t)n : 9) != 0)
                return 2; /* bytes behind the last block */
            if (n < 0)
                say_unreadable(r, errno);
            else
                say(r, PROBE_WAIT, PROBE_BAD,
                    "growing or truncated: %" PRIu64 " bytes end inside a FITS header",
                    size);
            return 1;
        }
        if (start && memcmp(block, first ? "SIMPLE  =" : "XTENSION=", 9) != 0) {
            free(h);
            if (first)
                say(r, PROBE_BAD, PROBE_BAD,
                    "not a FITS file: does not begin with SIMPLE");
            return first ? 1 : 2;
        }
        start = false;
        for (size_t i = 0; i < sizeof block && end == 0; i += 80)
            end = fits_card(h, block + i);
    }
    if (end == 1)
        bytes = fits_data_bytes(h);
    free(h);
    if (bytes == UINT64_MAX) {
        say(r, PROBE_BAD, PROBE_BAD,
            "the FITS header before byte %" PRIu64 " has no END or impossible sizes",
            *at);
        return 1;
    }
    *data = *at + bytes;
    *at = *data + (2880 - bytes % 2880) % 2880;
    return 0;
}

/* FITS 4.0: blocks of 2880 (3.1), size of the data (4.4.1.1, eq. 1 and 2), special records
   (3.5).  At rest all pixels are enough: writers leave out the last padding, or put bytes
   behind it, and readers take such files. */
static void probe_fits(int fd, uint64_t size, struct probe_result *r)
{
    uint64_t at = 0, data = 0;
    char start[9];

    if (pread(fd, start, sizeof start, 0) == (ssize_t)sizeof start &&
        memcmp(start, "SIMPLE  =", 9) != 0) {
        static const char zero[9];

        say(r, memcmp(start, zero, 9) == 0 ? PROBE_WAIT : PROBE_BAD, PROBE_BAD,
            "not a FITS file: does not begin with SIMPLE");
        return;
    }
    for (int n = 0; n < 1000 && at < size; n++) {
        int rc = fits_hdu(fd, size, &at, &data, r);

        if (rc == 1)
            return;
        if (rc == 2)
            break;
    }
    if (size < at)
        say(r, PROBE_WAIT, size < data ? PROBE_BAD : PROBE_OK,
            "growing or truncated: %" PRIu64 " of %" PRIu64 " bytes", size, at);
    else if (size % 2880 != 0)
        say(r, PROBE_WAIT, PROBE_OK,
            "growing or truncated: %" PRIu64 " bytes are no multiple of 2880", size);
}

enum { PARSE_MAX = 1 << 20 }; /* larger JSON is only looked at from behind */

/* The last `want` bytes (fewer in a short file) into buf; their number or -1. */
static ssize_t read_tail(int fd, uint64_t size, char *buf, size_t want)
{
    uint64_t n = size < want ? size : want;

    return pread(fd, buf, (size_t)n, (off_t)(size - n));
}

static void probe_json_tail(int fd, uint64_t size, struct probe_result *r)
{
    char tail[64];
    ssize_t n = read_tail(fd, size, tail, sizeof tail);

    while (n > 0 && strchr(" \t\r\n", tail[n - 1]) != NULL && tail[n - 1] != '\0')
        n--;
    if (n <= 0 || (tail[n - 1] != '}' && tail[n - 1] != ']'))
        say(r, PROBE_WAIT, PROBE_BAD,
            "growing or truncated: the JSON does not end after "
            "%" PRIu64 " bytes",
            size);
}

/* All brackets have their counterparts, the first stands first and the last last: whole, though
 * a strict parser frowns on it (NaN, a comma too many, a byte order mark, a line a value). */
static bool in_brackets(const char *text, ssize_t n)
{
    long curly = 0, square = 0;
    bool quoted = false;
    ssize_t i = n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

    while (n > i && isspace((unsigned char)text[n - 1]))
        n--;
    while (i < n && isspace((unsigned char)text[i]))
        i++;
    if (n - i < 2 || strchr("{[", text[i]) == NULL || strchr("}]", text[n - 1]) == NULL)
        return false;
    for (; i < n && curly >= 0 && square >= 0; i++) {
        char c = text[i];

        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted) {
            curly += (c == '{') - (c == '}');
            square += (c == '[') - (c == ']');
        }
    }
    return curly == 0 && square == 0 && !quoted;
}

static void probe_json(int fd, uint64_t size, struct probe_result *r)
{
    json_error_t err;
    json_t *root;
    char *text;
    ssize_t n;
    bool cut, lax;

    if (size > PARSE_MAX) {
        probe_json_tail(fd, size, r);
        return;
    }
    text = mem_malloc((size_t)size + 1);
    n = pread(fd, text, (size_t)size, 0);
    if (n < 0) {
        say_unreadable(r, errno);
        free(text);
        return;
    }
    root = json_loadb(text, (size_t)n, JSON_DECODE_ANY, &err);
    cut = root == NULL && json_error_code(&err) == json_error_premature_end_of_input;
    lax = root == NULL && !cut && in_brackets(text, n);
    free(text);
    if (root == NULL)
        say(r, cut || lax ? PROBE_WAIT : PROBE_BAD, lax ? PROBE_OK : PROBE_BAD,
            "%s JSON: line %d: %.100s",
            cut   ? "unfinished"
            : lax ? "not strict"
                  : "not",
            err.line, err.text);
    json_decref(root);
}

static void probe_lines(int fd, uint64_t size, struct probe_result *r)
{
    char head[512], last;
    ssize_t n = pread(fd, head, sizeof head, 0);

    if (n < 0 || read_tail(fd, size, &last, 1) < 0)
        say_unreadable(r, errno);
    else if (memchr(head, '\0', (size_t)n) != NULL)
        say(r, PROBE_BAD, PROBE_BAD, "not text: there are NUL bytes in it");
    else if (last != '\n')
        say(r, PROBE_WAIT, PROBE_OK, "the last line has no end yet: %" PRIu64 " bytes",
            size);
}

static const struct {
    const char *extension;
    probe_kind_fn *probe;
} kinds[] = {
    {".hdf5", probe_hdf5}, {".uvh5", probe_hdf5}, {".h5", probe_hdf5},
    {".hdf", probe_hdf5},  {".fits", probe_fits}, {".fit", probe_fits},
    {".json", probe_json}, {".csv", probe_lines}, {".tsv", probe_lines},
};

static probe_kind_fn *kind_of(const char *path)
{
    const char *dot = strrchr(path, '.');

    if (dot == NULL || strchr(dot, '/') != NULL)
        return NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcasecmp(dot, kinds[i].extension) == 0)
            return kinds[i].probe;
    return NULL;
}

/*
 * Has any process of this machine the file open for writing?  The kernel refuses a read lease
 * then.  The lease is given back at once; whoever opens for writing meanwhile waits a
 * microsecond, and the signal that would tell us so is SIGURG (ignored by default) instead of
 * SIGIO.
 */
static enum probe_writer ask_writer(int fd)
{
    if (fcntl(fd, F_SETSIG, SIGURG) != 0)
        return PROBE_WRITER_UNKNOWN;
    if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
        fcntl(fd, F_SETLEASE, F_UNLCK);
        return PROBE_WRITER_NONE;
    }
    return errno == EAGAIN ? PROBE_WRITER_SOME : PROBE_WRITER_UNKNOWN;
}

enum { MOST_HOLES = 64 }; /* looked at; a file of more is sparse */

/*
 * Bytes of the holes in a file; *first is where the first begins, size when there is none.
 * Of many holes the rest counts as data.
 */
static uint64_t measure_holes(int fd, uint64_t size, uint64_t *first)
{
    uint64_t holes = 0;
    off_t at = 0;

    *first = size;
    for (int i = 0; i < MOST_HOLES; i++) {
        off_t hole = lseek(fd, at, SEEK_HOLE), data;

        if (hole < 0 || (uint64_t)hole >= size)
            break;
        if (i == 0)
            *first = (uint64_t)hole;
        data = lseek(fd, hole, SEEK_DATA);
        if (data < 0 || (uint64_t)data > size) {
            holes += size - (uint64_t)hole;
            break;
        }
        holes += (uint64_t)(data - hole);
        at = data;
    }
    return holes;
}

/*
 * A file with holes.  Where they take room on disk (fallocate(2)) it is a copy into
 * preallocated space, and what it has not reached stays empty: cut off, once nobody writes. 
 * Where they take none they are zeros: HDF5 leaves what a data set never got, and `cp
 * --sparse`, `rsync -S` and compressing file systems make holes of blocks of zeros, also of
 * the last ones.  That may as well be a copy in the making, so it needs longer rest.
 */
static void look_for_hole(int fd, const struct stat *st, struct probe_result *r)
{
    uint64_t size = (uint64_t)st->st_size, on_disk = (uint64_t)st->st_blocks * 512;
    uint64_t first, holes = measure_holes(fd, size, &first);
    bool reserved;

    if (holes == 0)
        return;
    reserved = on_disk > size - holes && on_disk - (size - holes) > holes / 2;
    r->hole = true;
    say(r, PROBE_WAIT, reserved ? PROBE_BAD : PROBE_OK,
        "has a hole at byte %" PRIu64 " of %" PRIu64 "%s", first, size,
        reserved ? ": a copy into preallocated space" : ": a sparse file");
}

static void set_identity(struct probe_result *r, const struct stat *st)
{
    r->regular = S_ISREG(st->st_mode);
    r->link = S_ISLNK(st->st_mode);
    r->id.dev = st->st_dev;
    r->id.ino = st->st_ino;
    r->id.size = (uint64_t)st->st_size;
    r->id.mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
    r->ctime_ns = (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec;
}

static const char LINK[] = "a symbolic link: it is not followed; deliver the file "
                           "itself, or a hard link to it";

/* A verdict for an open or lstat that failed. */
static enum probe_verdict cannot(struct probe_result *r, int err)
{
    if (err == ENOENT || err == ENOTDIR)
        say(r, PROBE_GONE, PROBE_GONE, "no such file");
    else if (err == ELOOP)
        say(r, PROBE_BAD, PROBE_BAD, "%s", LINK);
    else if (err == EMFILE || err == ENFILE || err == ENOMEM)
        say(r, PROBE_WAIT, PROBE_WAIT, "cannot be opened now: %s", strerror(err));
    else
        say_unreadable(r, err);
    return r->verdict;
}

static void clear(struct probe_result *r)
{
    memset(r, 0, offsetof(struct probe_result, reason));
    r->reason[0] = '\0';
}

enum probe_verdict probe_look(int dirfd, const char *path, struct probe_result *r)
{
    struct stat st;

    clear(r);
    if (fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return cannot(r, errno);
    set_identity(r, &st);
    if (!r->regular)
        say(r, PROBE_BAD, PROBE_BAD, "%s", r->link ? LINK : "not a regular file");
    return r->verdict;
}

/* Everything that is asked of an open regular file, whatever its kind. */
static void probe_content(int fd, const char *path, const struct stat *st,
                          struct probe_result *r)
{
    uint64_t size = (uint64_t)st->st_size;
    probe_kind_fn *probe = kind_of(path);

    if (size == 0)
        say(r, PROBE_WAIT, PROBE_WAIT, "empty so far");
    else if (probe != NULL)
        probe(fd, size, r);
    if (r->verdict == PROBE_OK)
        look_for_hole(fd, st, r);
    r->writer = ask_writer(fd);
    if (r->writer == PROBE_WRITER_SOME && r->verdict != PROBE_WAIT)
        say(r, PROBE_WAIT, PROBE_WAIT,
            "a process has it open for writing: %" PRIu64 " bytes so far", size);
    if (r->writer == PROBE_WRITER_NONE && r->verdict == PROBE_WAIT &&
        fstype_is_shared(fd))
        r->writer = PROBE_WRITER_UNKNOWN;
}

/* ---- directories ---- */

static bool is_there(int dirfd, const char *name)
{
    return faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_table(int dirfd, const char *name)
{
    size_t n = strlen(name);

    return (n > 3 && strcasecmp(name + n - 3, ".ms") == 0) ||
           is_there(dirfd, "table.info") || is_there(dirfd, "table.lock") ||
           is_there(dirfd, "table.f0");
}

/* The process that holds byte 0 of table.lock for writing; 0: none; -1: not of this machine. */
static pid_t table_writer(int dirfd)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1};
    int fd =
        openat(dirfd, "table.lock", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool held;

    if (fd == -1)
        return 0;
    held = fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type == F_WRLCK;
    close(fd);
    return !held ? 0 : lock.l_pid > 0 ? lock.l_pid : -1;
}

/* `name` is what to call it in sentences; "" for the directory itself. */
static void probe_table(int dirfd, const char *name, const char *slash,
                        struct probe_result *r)
{
    struct stat st;
    pid_t pid;
    bool there = fstatat(dirfd, "table.dat", &st, AT_SYMLINK_NOFOLLOW) == 0;

    if (!there || st.st_size == 0)
        say(r, PROBE_WAIT, PROBE_WAIT, "%.60s%stable.dat is %s: a table in the making",
            name, slash, there ? "empty" : "missing");
    else if ((pid = table_writer(dirfd)) > 0)
        say(r, PROBE_WAIT, PROBE_WAIT,
            "%.60s%stable.lock is held for writing by process %ld", name, slash,
            (long)pid);
    else if (pid < 0)
        say(r, PROBE_WAIT, PROBE_WAIT,
            "%.60s%stable.lock is held for writing by another machine", name, slash);
}

static void probe_subtables(int dirfd, const char *path, struct probe_result *r)
{
    struct dirlist list;

    int rc = dirlist_read(&list, dirfd, path, NULL);

    if (rc != 0)
        say_unreadable(r, -rc);
    for (size_t i = 0; i < list.n && r->verdict == PROBE_OK; i++) {
        const char *name = list.item[i].name;
        int fd = -1;

        if ((list.item[i].type == DT_DIR || list.item[i].type == DT_UNKNOWN) &&
            !dirsum_unfinished(name))
            fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd == -1)
            continue;
        if (is_table(fd, name))
            probe_table(fd, name, "/", r);
        close(fd);
    }
    dirlist_clear(&list);
}

enum probe_verdict probe_directory(const char *path, struct probe_result *r)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    clear(r);
    if (fd == -1)
        return cannot(r, errno);
    if (is_table(fd, path))
        probe_table(fd, "", "", r);
    if (r->verdict == PROBE_OK)
        probe_subtables(fd, path, r);
    close(fd);
    return r->verdict;
}

enum probe_verdict probe_file(int dirfd, const char *path, struct probe_result *r)
{
    struct stat st;
    int fd;

    clear(r);
    fd = openat(dirfd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd == -1)
        return cannot(r, errno);
    if (fstat(fd, &st) != 0) {
        say_unreadable(r, errno);
    } else {
        set_identity(r, &st);
        if (r->regular)
            probe_content(fd, path, &st, r);
        else
            say(r, PROBE_BAD, PROBE_BAD, "not a regular file");
    }
    close(fd);
    return r->verdict;
}
