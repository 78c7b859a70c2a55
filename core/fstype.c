/* fileid.c: see fileid.h. */
#include "core/fstype.h"

#include <stddef.h>
#include <sys/vfs.h>

/* statfs(2) f_type; from linux/magic.h and the file systems' own headers. */
static const struct {
    uint32_t magic;
    const char *name;
} remote[] = {
    {0x00006969, "nfs"},   {0x0000517B, "smb"},    {0xFE534D42, "smb2"},
    {0xFF534D42, "cifs"},  {0x65735546, "fuse"},   {0x0BD00BD0, "lustre"},
    {0x47504653, "gpfs"},  {0x00C36400, "ceph"},   {0x5346414F, "afs"},
    {0x6B414653, "afs"},   {0x01021997, "9p"},     {0x7461636F, "ocfs2"},
    {0x01161970, "gfs2"},  {0x19830326, "beegfs"}, {0xAAD7AAEA, "panfs"},
    {0x73757245, "coda"},  {0x786F4256, "vboxsf"}, {0x20030528, "orangefs"},
    {0x013111A8, "ibrix"}, {0xBACBACBC, "vmhgfs"},
};

bool fstype_is_remote(int fd, const char **name)
{
    struct statfs fs;

    if (name != NULL)
        *name = "local";
    if (fstatfs(fd, &fs) != 0)
        return false;
    for (size_t i = 0; i < sizeof remote / sizeof remote[0]; i++) {
        if ((uint32_t)fs.f_type != remote[i].magic)
            continue;
        if (name != NULL)
            *name = remote[i].name;
        return true;
    }
    return false;
}
