/* lockfs.c: see lockfs.h. */
#include "locks/lockfs.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* statfs(2) magic numbers, from linux/magic.h and the file systems' own sources. */
static const struct {
    unsigned long magic;
    const char *name;
    bool local;
} types[] = {
    {0xEF53, "ext4", true},        {0x58465342, "xfs", true},
    {0x9123683E, "btrfs", true},   {0x01021994, "tmpfs", true},
    {0x858458F6, "ramfs", true},   {0x2FC12FC1, "zfs", true},
    {0xF2F52010, "f2fs", true},    {0xCA451A4E, "bcachefs", true},
    {0x794C7630, "overlay", true}, {0x6969, "nfs", false},
    {0x65735546, "fuse", false},   {0xFF534D42, "cifs", false},
    {0xFE534D42, "smb2", false},   {0x0BD00BD0, "lustre", false},
    {0x47504653, "gpfs", false},   {0x01021997, "9p", false},
    {0x00C36400, "ceph", false},   {0x5346414F, "afs", false},
    {0x19830326, "beegfs", false}, {0x7461636F, "ocfs2", false},
    {0x01161970, "gfs2", false},   {0x4D44, "vfat", true},
    {0x2011BAB0, "exfat", true},
};

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
    if (m >= 0 && type != NULL && strcmp(type, out->type) == 0) {
        out->mode = (enum claim_mode)m;
        out->examined = true;
        out->measured = json_is_string(json_object_get(json, "peer"));
    }
    json_decref(json);
}

static void read_type(int fd, struct lockfs *out)
{
    struct statfs fs;

    memset(out, 0, sizeof *out);
    snprintf(out->type, sizeof out->type, "unknown");
    if (fstatfs(fd, &fs) == 0) {
        unsigned long magic = (unsigned long)fs.f_type & 0xFFFFFFFFUL;

        snprintf(out->type, sizeof out->type, "0x%lx", magic);
        for (size_t i = 0; i < sizeof types / sizeof *types; i++)
            if (types[i].magic == magic) {
                snprintf(out->type, sizeof out->type, "%s", types[i].name);
                out->local = types[i].local;
            }
    }
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
