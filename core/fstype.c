/* fstype.c: see fstype.h. */
#include "core/fstype.h"

#include <stddef.h>
#include <sys/vfs.h>

/*
 * Numbers from linux/magic.h and the file systems' own headers.  FUSE and 9p may be a disk of
 * this machine or sshfs: nobody can tell, so they count as shared.
 */
static const struct fstype types[] = {
    /* number, name, shared, exact_times */
    {0x0000EF53, "ext4", false, true},     {0x58465342, "xfs", false, true},
    {0x9123683E, "btrfs", false, true},    {0x01021994, "tmpfs", false, true},
    {0xF2F52010, "f2fs", false, true},     {0x2FC12FC1, "zfs", false, true},
    {0x858458F6, "ramfs", false, false},   {0xCA451A4E, "bcachefs", false, false},
    {0x794C7630, "overlay", false, false}, {0x00004D44, "vfat", false, false},
    {0x2011BAB0, "exfat", false, false},   {0x00006969, "nfs", true, false},
    {0x0000517B, "smb", true, false},      {0xFE534D42, "smb2", true, false},
    {0xFF534D42, "cifs", true, false},     {0x65735546, "fuse", true, false},
    {0x01021997, "9p", true, false},       {0x0BD00BD0, "lustre", true, false},
    {0x47504653, "gpfs", true, false},     {0x00C36400, "ceph", true, false},
    {0x5346414F, "afs", true, false},      {0x6B414653, "afs", true, false},
    {0x19830326, "beegfs", true, false},   {0x7461636F, "ocfs2", true, false},
    {0x01161970, "gfs2", true, false},     {0xAAD7AAEA, "panfs", true, false},
    {0x73757245, "coda", true, false},     {0x786F4256, "vboxsf", true, false},
    {0xBACBACBC, "vmhgfs", true, false},   {0x20030528, "orangefs", true, false},
    {0x013111A8, "ibrix", true, false},
};

const struct fstype *fstype_by_magic(uint32_t magic)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].magic == magic)
            return &types[i];
    return NULL;
}

const struct fstype *fstype_of(int fd, uint32_t *magic)
{
    struct statfs fs;
    uint32_t known = fstatfs(fd, &fs) == 0 ? (uint32_t)fs.f_type : 0;

    if (magic != NULL)
        *magic = known;
    return fstype_by_magic(known);
}

bool fstype_is_shared(int fd)
{
    const struct fstype *type = fstype_of(fd, NULL);

    return type != NULL && type->shared;
}
