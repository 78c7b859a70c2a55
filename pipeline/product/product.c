#include "pipeline/product/product.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/dirsum.h"
#include "core/err.h"
#include "core/path.h"
#include "core/version.h"

static const char manifest_name[] = "manifest.json";
enum { MANIFEST_MAX = 16 << 20 };

int product_input_stat(struct product_input *in, const char *path, struct err *e)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return err_set(e, -errno, "cannot stat input %s: %s", path, strerror(errno));
    in->path = path;
    if (S_ISDIR(st.st_mode)) {
        struct dirsum sum;
        int rc = dirsum_look(&sum, path, NULL, NULL, e);

        in->size = sum.id.size;
        in->mtime_ns = sum.id.mtime_ns;
        return rc;
    }
    in->size = (uint64_t)st.st_size;
    in->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    return 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int visible_file(const struct dirent *d)
{
    return d->d_name[0] != '.' && strcmp(d->d_name, manifest_name) != 0;
}

/* The "files" array: every file of the directory with size and digest. */
static int list_files(json_t *files, const char *dir, struct err *e)
{
    struct dirent **name = NULL;
    int n = scandir(dir, &name, visible_file, by_name), rc = 0;

    if (n < 0)
        return err_set(e, -errno, "cannot list %s: %s", dir, strerror(errno));
    for (int i = 0; i < n; i++) {
        char path[PATH_MAX], hex[PATH_SHA256];
        uint64_t size = 0;

        if (rc == 0)
            rc = path_join(path, sizeof path, dir, name[i]->d_name, e);
        if (rc == 0)
            rc = path_sha256(path, hex, &size, e);
        if (rc == 0)
            json_array_append_new(files,
                                  json_pack("{s:s, s:I, s:s}", "name", name[i]->d_name,
                                            "size", (json_int_t)size, "sha256", hex));
        free(name[i]);
    }
    free(name);
    return rc;
}

int product_input_digest(struct product_input *in, struct err *e)
{
    struct stat st;

    in->digest[0] = '\0';
    if (stat(in->path, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    return path_sha256_ends(in->path, in->digest, NULL, e);
}

static json_t *list_inputs(const struct product_input *input, size_t ninput)
{
    json_t *list = json_array();

    for (size_t i = 0; i < ninput; i++) {
        const struct product_input *in = &input[i];
        json_t *entry =
            json_pack("{s:s, s:I, s:I}", "path", in->path, "size", (json_int_t)in->size,
                      "mtime_ns", (json_int_t)in->mtime_ns);

        if (in->digest[0] != '\0')
            json_object_set_new(entry,
                                in->size <= 2 * PATH_END ? "sha256" : "sha256_ends",
                                json_string(in->digest));
        json_array_append_new(list, entry);
    }
    return list;
}

/* Into p->manifest and the directory; the first is set only when the second is done. */
static int write_manifest(struct product_new *p, struct err *e)
{
    char path[PATH_MAX], now[32], *text = NULL;
    json_t *m = json_object(), *files = json_array();
    int rc = list_files(files, p->scratch, e);

    clock_iso(clock_wall_s(), now);
    json_object_set_new(m, "manifest", json_integer(1));
    json_object_set_new(m, "name", json_string(p->name));
    json_object_set_new(m, "generation", json_integer((json_int_t)p->generation));
    json_object_set_new(m, "software", json_string(version_text()));
    json_object_set_new(m, "created", json_string(now));
    json_object_set_new(m, "inputs", list_inputs(p->input, p->ninput));
    json_object_set_new(m, "files", files);
    if (p->meta != NULL)
        json_object_set(m, "meta", p->meta);
    if (rc == 0)
        rc = path_join(path, sizeof path, p->scratch, manifest_name, e);
    if (rc == 0 && (text = json_dumps(m, JSON_INDENT(1))) == NULL)
        rc = err_set(e, -EINVAL, "cannot encode the manifest of %s", p->name);
    if (rc == 0)
        rc = path_write(path, text, strlen(text), e);
    free(text);
    if (rc == 0)
        p->manifest = m;
    else
        json_decref(m);
    return rc;
}

/* Rename that never replaces; where the file system cannot promise that, look first. */
static int rename_new(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    if (access(to, F_OK) == 0)
        return -EEXIST;
    return rename(from, to) == 0 ? 0 : -errno;
}

static int copy_file(const char *from, const char *to, struct err *e)
{
    char *buf = malloc(1 << 20);
    int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    int rc = 0;

    if (buf == NULL || in == -1 || out == -1)
        rc = -errno;
    while (rc == 0) {
        ssize_t n = read(in, buf, 1 << 20), put = 0;

        if (n <= 0) {
            rc = n < 0 ? -errno : 1;
            break;
        }
        while (put < n && rc == 0) {
            ssize_t w = write(out, buf + put, (size_t)(n - put));

            if (w < 0)
                rc = -errno;
            else
                put += w;
        }
    }
    if (rc == 1)
        rc = fsync(out) == 0 ? 0 : -errno;
    if (in != -1)
        close(in);
    if (out != -1 && close(out) != 0 && rc == 0)
        rc = -errno;
    free(buf);
    return rc < 0 ? err_set(e, rc, "cannot copy %s to %s: %s", from, to, err_text(rc))
                  : 0;
}

static int not_dot(const struct dirent *d)
{
    return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

static int copy_dir(const char *from, const char *to, struct err *e)
{
    struct dirent **name = NULL;
    int n, rc = path_remove_tree(to, e);

    if (rc == 0)
        rc = path_mkdirs(to, e);
    if (rc != 0)
        return rc;
    n = scandir(from, &name, not_dot, by_name);
    if (n < 0)
        return err_set(e, -errno, "cannot list %s: %s", from, strerror(errno));
    for (int i = 0; i < n; i++) {
        char a[PATH_MAX], b[PATH_MAX];

        if (rc == 0 && (rc = path_join(a, sizeof a, from, name[i]->d_name, e)) == 0 &&
            (rc = path_join(b, sizeof b, to, name[i]->d_name, e)) == 0)
            rc = copy_file(a, b, e);
        free(name[i]);
    }
    free(name);
    return rc;
}

/* When scratch is on another file system, copy it next to where it is going. */
static int same_file_system(char from[PATH_MAX], const char *scratch,
                            const char *kind_dir, const char *stem, struct err *e)
{
    struct stat a, b;
    char dot[PATH_MAX], staging[PATH_MAX];
    int rc;

    snprintf(from, PATH_MAX, "%s", scratch);
    if (stat(scratch, &a) != 0 || stat(kind_dir, &b) != 0)
        return err_set(e, -errno, "cannot stat %s or %s: %s", scratch, kind_dir,
                       strerror(errno));
    if (a.st_dev == b.st_dev)
        return 0;
    if ((size_t)snprintf(dot, sizeof dot, ".staging-%s", stem) >= sizeof dot)
        return err_set(e, -ENAMETOOLONG, "product name %s is too long", stem);
    if ((rc = path_join(staging, sizeof staging, kind_dir, dot, e)) != 0)
        return rc;
    memcpy(from, staging, sizeof staging);
    return copy_dir(scratch, from, e);
}

uint64_t product_generation(const char *kind_dir, const char *name)
{
    char link[PATH_MAX], target[PATH_MAX];
    ssize_t n;
    const char *gen;

    if (path_join(link, sizeof link, kind_dir, name, NULL) != 0)
        return 0;
    n = readlink(link, target, sizeof target - 1);
    if (n <= 0)
        return 0;
    target[n] = '\0';
    gen = strstr(target, ".gen");
    while (gen != NULL && strstr(gen + 1, ".gen") != NULL)
        gen = strstr(gen + 1, ".gen");
    return gen == NULL ? 0 : strtoull(gen + 4, NULL, 10);
}

uint64_t product_newest(const char *kind_dir, const char *name)
{
    DIR *d = opendir(kind_dir);
    size_t len = strlen(name);
    uint64_t best = 0;
    struct dirent *entry;

    while (d != NULL && (entry = readdir(d)) != NULL) {
        char *end;
        uint64_t gen;

        if (strncmp(entry->d_name, name, len) != 0 ||
            strncmp(entry->d_name + len, ".gen", 4) != 0)
            continue;
        gen = strtoull(entry->d_name + len + 4, &end, 10);
        if (*end == '\0' && gen > best)
            best = gen;
    }
    if (d != NULL)
        closedir(d);
    return best;
}

/*
 * Point the link at the newest generation there is.  Two publishers may race here;
 * both end at the same, highest directory, because each looks again after its rename.
 */
static int move_link(const char *kind_dir, const char *name, struct err *e)
{
    char link[PATH_MAX], temp[PATH_MAX], text[PATH_MAX];
    uint64_t gen;
    int rc;

    while ((gen = product_newest(kind_dir, name)) >
           product_generation(kind_dir, name)) {
        if ((size_t)snprintf(text, sizeof text, ".%s.link%d", name, (int)getpid()) >=
            sizeof text)
            return err_set(e, -ENAMETOOLONG, "product name %s is too long", name);
        if ((rc = path_join(link, sizeof link, kind_dir, name, e)) != 0 ||
            (rc = path_join(temp, sizeof temp, kind_dir, text, e)) != 0)
            return rc;
        snprintf(text, sizeof text, "%s.gen%llu", name, (unsigned long long)gen);
        unlink(temp);
        if (symlink(text, temp) != 0 || rename(temp, link) != 0) {
            rc = -errno;
            unlink(temp);
            return err_set(e, rc, "cannot move the link %s: %s", link, err_text(rc));
        }
    }
    return path_fsync_dir(kind_dir, e);
}

int product_relink(const char *kind_dir, const char *name, struct err *e)
{
    return move_link(kind_dir, name, e);
}

int product_link_ready(const char *kind_dir, const char *name, struct err *e)
{
    struct stat dir, link;
    char path[PATH_MAX];
    int rc = path_join(path, sizeof path, kind_dir, name, e);

    if (rc != 0)
        return rc;
    if (lstat(path, &link) != 0)
        return errno == ENOENT
                   ? 0
                   : err_set(e, -errno, "cannot look at %s: %s", path, strerror(errno));
    if (!S_ISLNK(link.st_mode))
        return err_set(e, -EISDIR,
                       "%s is no link to a generation (a copy that followed links?): "
                       "move it away, then try again",
                       path);
    if (stat(kind_dir, &dir) == 0 && (dir.st_mode & S_ISVTX) != 0 && geteuid() != 0 &&
        link.st_uid != geteuid() && dir.st_uid != geteuid())
        return err_set(e, -EPERM,
                       "the link %s is another user's in a sticky folder: nobody but "
                       "user %u may move it",
                       path, (unsigned)link.st_uid);
    return 0;
}

/* Make it visible, whole; from[PATH_MAX] is where it lay last. */
static int publish(struct product_new *p, const struct product_gate *gate, char *from,
                   struct err *e)
{
    char stem[PATH_MAX];
    int rc;

    snprintf(stem, sizeof stem, "%s.gen%llu", p->name,
             (unsigned long long)p->generation);
    if ((rc = path_mkdirs(p->kind_dir, e)) != 0 ||
        (rc = path_join(p->path, PATH_MAX, p->kind_dir, stem, e)) != 0 ||
        (rc = write_manifest(p, e)) != 0 ||
        (rc = same_file_system(from, p->scratch, p->kind_dir, stem, e)) != 0 ||
        (rc = path_fsync_tree(from, e)) != 0)
        return rc;
    if (gate != NULL && (rc = gate->may(gate->arg, e)) != 0)
        return rc;
    rc = rename_new(from, p->path);
    if (rc != 0)
        return err_set(e, rc, "cannot publish %s: %s", p->path, err_text(rc));
    if ((rc = path_fsync_dir(p->kind_dir, e)) != 0)
        return rc;
    if (gate != NULL && (rc = gate->commit(gate->arg, e)) != 0)
        return rc;
    return move_link(p->kind_dir, p->name, e);
}

int product_publish(struct product_new *p, const struct product_gate *gate,
                    struct err *e)
{
    char from[PATH_MAX] = "";
    bool copied;
    int rc;

    p->manifest = NULL;
    rc = publish(p, gate, from, e);
    copied = from[0] != '\0' && strcmp(from, p->scratch) != 0;
    if (copied) /* what cannot be removed is left to the sweep: the product is there or not */
        path_remove_tree(rc == 0 ? p->scratch : from, NULL);
    if (rc != 0) {
        json_decref(p->manifest);
        p->manifest = NULL;
    }
    return rc;
}

static int check_files(const char *dir, json_t *files, int digest, struct err *e)
{
    size_t i;
    json_t *f;

    json_array_foreach(files, i, f)
    {
        const char *name = NULL, *sha = NULL;
        char path[PATH_MAX], hex[PATH_SHA256];
        json_int_t size = -1;
        struct stat st;

        if (json_unpack(f, "{s:s, s:I, s:s}", "name", &name, "size", &size, "sha256",
                        &sha) != 0 ||
            path_component(name, "an entry", NULL) != 0)
            return err_set(e, ERR_FORMAT, "%s/%s: bad entry %zu", dir, manifest_name,
                           i);
        if (path_join(path, sizeof path, dir, name, e) != 0)
            return ERR_FORMAT;
        if (stat(path, &st) != 0)
            return err_set(e, ERR_FORMAT, "%s is missing from a product", path);
        if (st.st_size != size)
            return err_set(e, ERR_FORMAT, "%s has %lld bytes and should have %lld",
                           path, (long long)st.st_size, (long long)size);
        if (digest && (path_sha256(path, hex, NULL, e) != 0 || strcmp(hex, sha) != 0))
            return err_set(e, ERR_FORMAT, "%s does not have its SHA-256", path);
    }
    return 0;
}

int product_current(json_t **manifest, char path[PATH_MAX], const char *kind_dir,
                    const char *name, int digest, struct err *e)
{
    char dir[PATH_MAX], file[PATH_MAX], *text = NULL;
    json_error_t why;
    json_t *m = NULL, *files;
    size_t n;
    int rc;

    *manifest = NULL;
    if ((rc = path_join(dir, sizeof dir, kind_dir, name, e)) != 0 ||
        (rc = path_join(file, sizeof file, dir, manifest_name, e)) != 0)
        return rc;
    if (access(dir, F_OK) != 0)
        return err_set(e, -ENOENT, "no product %s", dir);
    rc = path_read(&text, &n, file, MANIFEST_MAX, e);
    if (rc != 0)
        return rc == -ENOENT ? err_set(e, ERR_FORMAT, "%s has no manifest", dir) : rc;
    m = json_loadb(text, n, 0, &why);
    free(text);
    files = json_object_get(m, "files");
    if (!json_is_array(files)) {
        json_decref(m);
        return err_set(e, ERR_FORMAT, "%s is not a manifest: %s", file,
                       m == NULL ? why.text : "it has no files");
    }
    rc = check_files(dir, files, digest, e);
    if (rc != 0) {
        json_decref(m);
        return rc;
    }
    if (path != NULL && realpath(dir, path) == NULL)
        snprintf(path, PATH_MAX, "%s", dir);
    *manifest = m;
    return 0;
}
