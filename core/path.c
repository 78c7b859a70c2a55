#include "core/path.h"

#include "core/err.h"
#include "core/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

/* "cannot VERB PATH: why", with errno's negation handed back. */
static int fail_errno(struct err *e, const char *verb, const char *path)
{
    int saved = errno;

    return err_set(e, -saved, "cannot %s %s: %s", verb, path, strerror(saved));
}

int path_join(char *out, size_t size, const char *dir, const char *name, struct err *e)
{
    size_t n = strlen(dir);
    int len;

    while (n > 1 && dir[n - 1] == '/')
        n--;
    while (n > 0 && *name == '/')
        name++;
    len = snprintf(out, size, "%.*s%s%s", (int)n, dir,
                   n == 0 || dir[n - 1] == '/' ? "" : "/", name);
    if (len < 0 || (size_t)len >= size)
        return err_set(e, -ENAMETOOLONG, "path too long: %.80s/%.80s", dir, name);
    return 0;
}

int path_component(const char *name, const char *what, struct err *e)
{
    const char *wrong = NULL;

    if (name[0] == '\0')
        wrong = "it is empty";
    else if (name[0] == '.')
        wrong = "it begins with a dot";
    else if (strchr(name, '/') != NULL)
        wrong = "it has a slash";
    else if (strlen(name) > 240)
        wrong = "it is longer than 240 bytes";
    for (size_t i = 0, n; wrong == NULL && name[i] != '\0'; i += n)
        if ((n = text_utf8(name + i)) == 0)
            wrong = "it is not UTF-8";
    return wrong == NULL ? 0
                         : err_set(e, ERR_FORMAT, "%s \"%.80s\" can name no file: %s",
                                   what, name, wrong);
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* The folder that holds `path`: "." and "/" where there is no other. */
static int parent(char out[PATH_MAX], const char *path, struct err *e)
{
    size_t n = (size_t)(path_base(path) - path);

    if (n >= PATH_MAX)
        return err_set(e, -ENAMETOOLONG, "path too long: %.80s", path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    memcpy(out, n == 0 ? "." : path, n == 0 ? 1 : n);
    out[n == 0 ? 1 : n] = '\0';
    return 0;
}

/* One folder, which may exist already. */
static int make_dir(const char *dir, struct err *e)
{
    struct stat st;

    if (mkdir(dir, 0755) == 0)
        return 0;
    if (errno != EEXIST)
        return fail_errno(e, "make the folder", dir);
    if (stat(dir, &st) != 0)
        return fail_errno(e, "make the folder", dir);
    if (!S_ISDIR(st.st_mode))
        return err_set(e, -ENOTDIR, "cannot make the folder %s: a file has this name",
                       dir);
    return 0;
}

int path_mkdirs(const char *dir, struct err *e)
{
    char part[PATH_MAX];
    size_t n = strlen(dir);
    int rc;

    if (n == 0 || n >= sizeof part)
        return err_set(e, n == 0 ? -ENOENT : -ENAMETOOLONG,
                       "cannot make the folder '%.80s': its name is %s", dir,
                       n == 0 ? "empty" : "too long");
    memcpy(part, dir, n + 1);
    for (size_t i = 1; i < n; i++) {
        if (part[i] != '/' || part[i - 1] == '/')
            continue;
        part[i] = '\0';
        rc = make_dir(part, e);
        if (rc != 0)
            return rc;
        part[i] = '/';
    }
    return make_dir(part, e);
}

static int write_all(int fd, const char *data, size_t n)
{
    while (n > 0) {
        ssize_t k = write(fd, data, n);

        if (k == -1 && errno == EINTR)
            continue;
        if (k == -1)
            return -1;
        data += k;
        n -= (size_t)k;
    }
    return 0;
}

static int write_mode(const char *path, const void *data, size_t n, mode_t mode,
                      struct err *e)
{
    char dir[PATH_MAX], temp[PATH_MAX];
    uint64_t nonce;
    int fd, len, rc;

    rc = parent(dir, path, e);
    if (rc != 0)
        return rc;
    if (getrandom(&nonce, sizeof nonce, 0) != sizeof nonce)
        return fail_errno(e, "name a temporary file for", path);
    /* beside the target, so that the rename stays on one file system */
    len = snprintf(temp, sizeof temp, "%s/.%.32s.%016llx.tmp", dir, path_base(path),
                   (unsigned long long)nonce);
    if (len < 0 || (size_t)len >= sizeof temp)
        return err_set(e, -ENAMETOOLONG, "path too long: %.80s", path);
    fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd == -1)
        return fail_errno(e, "write", path);
    if (write_all(fd, data, n) != 0 || fsync(fd) != 0) {
        rc = fail_errno(e, "write", path);
        close(fd);
        goto fail;
    }
    if (close(fd) != 0 || rename(temp, path) != 0) {
        rc = fail_errno(e, "write", path);
        goto fail;
    }
    return path_fsync_dir(dir, e);

fail:
    unlink(temp);
    return rc;
}

/* A name that write_mode gives. */
static bool is_temp(const char *name)
{
    size_t n = strlen(name);

    return name[0] == '.' && n > 22 && strcmp(name + n - 4, ".tmp") == 0 &&
           name[n - 21] == '.' && strspn(name + n - 20, "0123456789abcdef") == 16;
}

size_t path_sweep_temps(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *de;
    struct stat st;
    size_t n = 0;

    while (d != NULL && (de = readdir(d)) != NULL)
        if (is_temp(de->d_name) &&
            fstatat(dirfd(d), de->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode) && difftime(time(NULL), st.st_mtime) > 60)
            n += unlinkat(dirfd(d), de->d_name, 0) == 0;
    if (d != NULL)
        closedir(d);
    return n;
}

int path_write(const char *path, const void *data, size_t n, struct err *e)
{
    return write_mode(path, data, n, 0644, e);
}

int path_write_private(const char *path, const void *data, size_t n, struct err *e)
{
    return write_mode(path, data, n, 0600, e);
}

int path_replace(const char *temp, const char *path, struct err *e)
{
    char dir[PATH_MAX];
    int rc = parent(dir, path, e);

    if (rc == 0)
        rc = path_fsync_tree(temp, e);
    if (rc == 0 && rename(temp, path) != 0)
        rc = fail_errno(e, "write", path);
    if (rc != 0) {
        unlink(temp);
        return rc;
    }
    return path_fsync_dir(dir, e);
}

int path_read(char **out, size_t *n, const char *path, size_t max, struct err *e)
{
    char *buf = NULL, *more;
    size_t have = 0, room = 0;
    struct stat st;
    int rc = 0;
    /* O_NONBLOCK: a FIFO of that name must not stop us */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    *out = NULL;
    if (fd == -1)
        return fail_errno(e, "open", path);
    if (fstat(fd, &st) != 0) {
        rc = fail_errno(e, "read", path);
        goto fail;
    }
    if (!S_ISREG(st.st_mode)) {
        rc = err_set(e, ERR_FORMAT, "cannot read %s: it is not a regular file", path);
        goto fail;
    }
    if ((uint64_t)st.st_size > max)
        goto too_long;
    for (;;) { /* to the end, not to st_size: the file may be growing */
        ssize_t k;

        if (room - have < 2) {
            room = room == 0 ? (size_t)st.st_size + 2 : 2 * room;
            if (room > max && max < SIZE_MAX - 2)
                room = max + 2; /* one byte to see that it is too long, one NUL */
            more = realloc(buf, room);
            if (more == NULL) {
                rc = err_set(e, -ENOMEM, "out of memory reading %s", path);
                goto fail;
            }
            buf = more;
        }
        k = read(fd, buf + have, room - have - 1);
        if (k == -1 && errno == EINTR)
            continue;
        if (k == -1) {
            rc = fail_errno(e, "read", path);
            goto fail;
        }
        if (k == 0)
            break;
        have += (size_t)k;
        if (have > max)
            goto too_long;
    }
    close(fd);
    buf[have] = '\0';
    *out = buf;
    if (n != NULL)
        *n = have;
    return 0;

too_long:
    rc = err_set(e, ERR_SHAPE, "%s is longer than %zu bytes", path, max);
fail:
    free(buf);
    close(fd);
    return rc;
}

int path_fsync_dir(const char *dir, struct err *e)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;

    if (fd == -1)
        return fail_errno(e, "open the folder", dir);
    if (fsync(fd) != 0)
        rc = fail_errno(e, "fsync the folder", dir);
    close(fd);
    return rc;
}

/*
 * What path_fsync_tree and path_remove_tree do to one entry: `name` in the open folder `at`.
 * Folders come after what is in them, with their own descriptor in `fd`; else fd is -1.
 * Returns -1 with errno set on failure.
 */
typedef int (*visit_fn)(int at, const char *name, int fd);

static int walk_folder(DIR *dir, visit_fn visit, bool again);

/* One entry: a real folder is walked first; a link, whatever it points to, never. */
static int walk_entry(int at, const char *name, visit_fn visit, bool again)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int rc, saved;
    DIR *dir;

    if (fd == -1)
        return errno == ENOTDIR || errno == ELOOP ? visit(at, name, -1) : -1;
    dir = fdopendir(fd); /* owns fd from here */
    if (dir == NULL) {
        saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    rc = walk_folder(dir, visit, again);
    if (rc == 0)
        rc = visit(at, name, fd);
    saved = errno;
    closedir(dir);
    errno = saved;
    return rc;
}

/* All entries of an open folder; `again`: until none is left, for a folder that is being
 * emptied may hide entries from one pass. */
static int walk_folder(DIR *dir, visit_fn visit, bool again)
{
    struct dirent *d;
    int rc = 0, seen;

    do {
        seen = 0;
        rewinddir(dir);
        while (rc == 0 && (errno = 0, d = readdir(dir)) != NULL) {
            if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
                continue;
            seen++;
            rc = walk_entry(dirfd(dir), d->d_name, visit, again);
        }
        if (rc == 0 && errno != 0)
            rc = -1;
    } while (rc == 0 && again && seen > 0);
    return rc;
}

static int visit_fsync(int at, const char *name, int fd)
{
    int file, rc, saved;
    struct stat st;

    if (fd != -1)
        return fsync(fd);
    if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return -1;
    if (!S_ISREG(st.st_mode))
        return 0; /* a link is in its folder; pipes and sockets hold nothing */
    file = openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file == -1)
        return -1;
    rc = fsync(file);
    saved = errno;
    close(file);
    errno = saved;
    return rc;
}

static int visit_remove(int at, const char *name, int fd)
{
    return unlinkat(at, name, fd != -1 ? AT_REMOVEDIR : 0) == 0 || errno == ENOENT ? 0
                                                                                   : -1;
}

int path_fsync_tree(const char *dir, struct err *e)
{
    if (walk_entry(AT_FDCWD, dir, visit_fsync, false) != 0)
        return fail_errno(e, "fsync", dir);
    return 0;
}

int path_remove_at(int dirfd, const char *name, struct err *e)
{
    if (walk_entry(dirfd, name, visit_remove, true) != 0 && errno != ENOENT)
        return fail_errno(e, "remove", name);
    return 0;
}

int path_remove_tree(const char *dir, struct err *e)
{
    return path_remove_at(AT_FDCWD, dir, e);
}

enum { CHUNK = 1 << 20 };

/* Feed the open file to the digest; -1 with errno set on failure. */
static int digest_file(EVP_MD_CTX *ctx, int fd, unsigned char *buf, uint64_t *size)
{
    *size = 0;
    for (;;) {
        ssize_t k = read(fd, buf, CHUNK);

        if (k == -1 && errno == EINTR)
            continue;
        if (k <= 0)
            return (int)k;
        if (EVP_DigestUpdate(ctx, buf, (size_t)k) != 1) {
            errno = EIO;
            return -1;
        }
        *size += (uint64_t)k;
    }
}

/* Digest what `feed` (0, or -1 with errno) puts into it from the open file. */
static int sha256(const char *path, char hex[PATH_SHA256],
                  int (*feed)(EVP_MD_CTX *ctx, int fd, unsigned char *buf, uint64_t *n),
                  uint64_t *size, struct err *e)
{
    unsigned char md[EVP_MAX_MD_SIZE], *buf = NULL;
    unsigned n = 0;
    uint64_t bytes;
    EVP_MD_CTX *ctx = NULL;
    struct stat st;
    int rc = 0, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd == -1)
        return fail_errno(e, "open", path);
    if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
        rc = err_set(e, ERR_FORMAT, "cannot digest %s: it is not a regular file", path);
        goto out;
    }
    buf = malloc(CHUNK);
    ctx = EVP_MD_CTX_new();
    if (buf == NULL || ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1) {
        rc = err_set(e, -ENOMEM, "out of memory digesting %s", path);
        goto out;
    }
    if (feed(ctx, fd, buf, &bytes) != 0) {
        rc = fail_errno(e, "read", path);
        goto out;
    }
    if (EVP_DigestFinal_ex(ctx, md, &n) != 1 || n != 32) {
        rc = err_set(e, -EIO, "cannot digest %s: SHA-256 is not available", path);
        goto out;
    }
    for (unsigned i = 0; i < n; i++)
        snprintf(hex + (size_t)2 * i, 3, "%02x", md[i]);
    if (size != NULL)
        *size = bytes;
out:
    EVP_MD_CTX_free(ctx);
    free(buf);
    close(fd);
    return rc;
}

int path_sha256(const char *path, char hex[PATH_SHA256], uint64_t *size, struct err *e)
{
    return sha256(path, hex, digest_file, size, e);
}

/* The first and the last PATH_END bytes; all of a file that has no more. */
static int digest_ends(EVP_MD_CTX *ctx, int fd, unsigned char *buf, uint64_t *size)
{
    off_t end = lseek(fd, 0, SEEK_END), from[2] = {0, end - PATH_END};

    _Static_assert(2 * PATH_END <= CHUNK, "both ends fit the buffer");
    if (end < 0)
        return -1;
    *size = (uint64_t)end;
    if (end <= 2 * PATH_END)
        from[1] = end < PATH_END ? end : PATH_END; /* the rest */
    for (int i = 0; i < 2; i++) {
        size_t want = end - from[i] < PATH_END ? (size_t)(end - from[i]) : PATH_END;

        for (size_t got = 0; got < want;) {
            ssize_t n = pread(fd, buf + got, want - got, from[i] + (off_t)got);

            if (n <= 0) {
                errno = n == 0 ? EIO : errno;
                return -1;
            }
            got += (size_t)n;
        }
        if (EVP_DigestUpdate(ctx, buf, want) != 1) {
            errno = EIO;
            return -1;
        }
    }
    return 0;
}

int path_sha256_ends(const char *path, char hex[PATH_SHA256], uint64_t *size,
                     struct err *e)
{
    return sha256(path, hex, digest_ends, size, e);
}

int path_free_bytes(const char *path, uint64_t *bytes, struct err *e)
{
    struct statvfs vfs;

    if (statvfs(path, &vfs) != 0)
        return fail_errno(e, "ask for the free space at", path);
    *bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    return 0;
}
