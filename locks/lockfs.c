/* lockfs.c: see lockfs.h. */
#include "locks/lockfs.h"

#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fstype.h"

static const char *const mode_names[] = {
    [MODE_FLOCK] = "gen+flock",
    [MODE_GEN] = "gen",
    [MODE_EXCL] = "excl",
    [MODE_REFUSE] = "refuse",
};

const char *lockfs_mode_name(enum claim_mode mode)
{
    return mode_names[mode];
}

int lockfs_mode_by_name(const char *name)
{
    for (size_t i = 0; i < sizeof mode_names / sizeof *mode_names; i++)
        if (strcmp(name, mode_names[i]) == 0)
            return (int)i;
    return -1;
}

/* fs.json has a name, or the number of a type that had no name when it was written. */
static bool is_type(const char *said, const char *type)
{
    const struct fstype *was = NULL;

    if (strncmp(said, "0x", 2) == 0)
        was = fstype_by_magic((uint32_t)strtoul(said, NULL, 16));
    return strcmp(was != NULL ? was->name : said, type) == 0;
}

/* Believe `<locks>/.watcherd/fs.json` when it speaks of this type of file system. */
static void read_findings(int dirfd, const char *name, struct lockfs *out)
{
    const char *mode, *type;
    json_t *json;
    char text[4096];
    ssize_t n;
    int fd, m;

    fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd == -1)
        return;
    n = read(fd, text, sizeof text);
    close(fd);
    if (n <= 0)
        return;
    json = json_loadb(text, (size_t)n, 0, NULL);
    mode = json_string_value(json_object_get(json, "mode"));
    type = json_string_value(json_object_get(json, "type"));
    m = mode != NULL ? lockfs_mode_by_name(mode) : -1;
    if (m >= 0 && type != NULL && is_type(type, out->type)) {
        out->mode = (enum claim_mode)m;
        out->examined = true;
        out->measured = json_is_string(json_object_get(json, "peer"));
    }
    json_decref(json);
}

static void read_type(int fd, struct lockfs *out)
{
    uint32_t magic;
    const struct fstype *type = fstype_of(fd, &magic);

    memset(out, 0, sizeof *out);
    if (type != NULL)
        snprintf(out->type, sizeof out->type, "%s", type->name);
    else if (magic != 0)
        snprintf(out->type, sizeof out->type, "0x%" PRIx32, magic);
    else
        snprintf(out->type, sizeof out->type, "unknown");
    out->local = type != NULL && !type->shared;
    out->mode = out->local ? MODE_FLOCK : MODE_GEN;
}

void lockfs_get(int dirfd, struct lockfs *out)
{
    read_type(dirfd, out);
    read_findings(dirfd, "../.watcherd/fs.json", out);
}

bool lockfs_is_local(int fd)
{
    struct lockfs fs;

    read_type(fd, &fs);
    return fs.local;
}

bool lockfs_explain(const char *locks, struct lockfs *out, char why[LOCKFS_WHY])
{
    int fd = open(locks, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    read_type(fd, out);
    if (fd != -1) {
        read_findings(fd, ".watcherd/fs.json", out);
        close(fd);
    }
    if (out->mode == MODE_REFUSE)
        snprintf(why, LOCKFS_WHY,
                 "file names are not exclusive on this %s, doctor found", out->type);
    else if (out->mode == MODE_EXCL)
        snprintf(why, LOCKFS_WHY, "there are no hard links on this %s, doctor found",
                 out->type);
    else if (out->measured)
        snprintf(why, LOCKFS_WHY,
                 "doctor found kernel locks %s between two mounts of this %s",
                 out->mode == MODE_FLOCK ? "coherent" : "worthless", out->type);
    else if (out->local)
        snprintf(why, LOCKFS_WHY, "%s is served by this kernel alone", out->type);
    else
        snprintf(
            why, LOCKFS_WHY,
            "kernel locks on %s prove nothing until `lockctl doctor %.100s --peer "
            "OTHER_MOUNT` has tried them: dead owners of other machines are waited for",
            out->type, locks);
    return out->mode != MODE_REFUSE && (out->local || out->measured);
}
