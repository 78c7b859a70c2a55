#include "watcherd/work/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/err.h"

/* glibc 2.36 has no functions for these three. */
static int ruleset_new(const struct landlock_ruleset_attr *attr, size_t size,
                       unsigned flags)
{
    return (int)syscall(SYS_landlock_create_ruleset, attr, size, flags);
}

static int rule_add(int ruleset, const struct landlock_path_beneath_attr *rule)
{
    return (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
                        rule, 0);
}

static int ruleset_enter(int ruleset)
{
    return (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
}

static const __u64 OF_FILES = LANDLOCK_ACCESS_FS_WRITE_FILE;
static const __u64 OF_DIRS =
    LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
    LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |
    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
    LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
    LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER;
/* version 3, Linux 6.2; the headers of Debian 12 are older */
static const __u64 TRUNCATE = 1ULL << 14;

/* Allow what `rights` has at and below a path; one that is not there needs no rule. */
static int allow(int ruleset, const char *path, __u64 rights)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = rights};
    int rc;

    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd == -1)
        return errno == ENOENT ? 0 : -errno;
    rc = rule_add(ruleset, &rule) == 0 ? 0 : -errno;
    close(rule.parent_fd);
    return rc;
}

int sandbox_enter(const char *const *dir, size_t n, struct err *e)
{
    int version = ruleset_new(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION), ruleset, rc;
    __u64 files = OF_FILES | (version >= 3 ? TRUNCATE : 0);
    struct landlock_ruleset_attr attr = {.handled_access_fs = files | OF_DIRS};

    if (version < 2) /* version 1 lets no file move to another folder */
        return err_set(e, version == -1 ? -errno : -EOPNOTSUPP,
                       "this kernel has no Landlock of version 2 or later");
    ruleset = ruleset_new(&attr, sizeof attr.handled_access_fs, 0);
    if (ruleset == -1)
        return err_set(e, -errno, "cannot make a sandbox: %s", strerror(errno));
    rc = allow(ruleset, "/dev/null", files);
    if (rc == 0)
        rc = allow(ruleset, "/proc/self", files);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = allow(ruleset, dir[i], files | OF_DIRS);
    if (rc == 0 &&
        (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ruleset_enter(ruleset) != 0))
        rc = -errno;
    close(ruleset);
    return rc == 0 ? 0 : err_set(e, rc, "cannot enter a sandbox: %s", err_text(rc));
}
