#include "watcherd/files/quarantine.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/group.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/text.h"

static int folder(char out[PATH_MAX], const char *state, struct err *e)
{
    return path_join(out, PATH_MAX, state, "quarantine", e);
}

int quarantine_path(char *out, size_t size, const char *state, const char *group,
                    struct err *e)
{
    char dir[PATH_MAX], name[GROUP_NAME + 8];
    int rc = folder(dir, state, e);

    snprintf(name, sizeof name, "%.*s.json", GROUP_NAME - 1, group);
    return rc != 0 ? rc : path_join(out, size, dir, name, e);
}

int quarantine_write(const char *state, const struct group_view *g, const char *reason,
                     struct err *e)
{
    char dir[PATH_MAX], path[PATH_MAX], at[32], *text;
    json_t *files = json_array(), *record;
    int rc;

    clock_iso(clock_wall_s(), at);
    for (int i = 0; i < g->expected; i++)
        if (g->member[i].path != NULL)
            json_array_append_new(files,
                                  json_pack("{s:o, s:i, s:I}", "path",
                                            text_json(g->member[i].path), "member", i,
                                            "bytes", (json_int_t)g->member[i].id.size));
    record = json_pack("{s:s, s:s, s:s, s:i, s:i, s:o}", "group", g->name, "reason",
                       reason, "set_aside", at, "present", g->present, "expected",
                       g->expected, "files", files);
    text = mem_must(json_dumps(record, JSON_INDENT(1)));
    if ((rc = folder(dir, state, e)) == 0 && (rc = path_mkdirs(dir, e)) == 0 &&
        (rc = quarantine_path(path, sizeof path, state, g->name, e)) == 0)
        rc = path_write(path, text, strlen(text), e);
    free(text);
    json_decref(record);
    return rc;
}

int quarantine_end(const char *state, const char *group, struct err *e)
{
    char path[PATH_MAX];
    int rc = quarantine_path(path, sizeof path, state, group, e);

    if (rc != 0)
        return rc;
    if (unlink(path) == 0)
        return 0;
    rc = -errno;
    return rc == -ENOENT
               ? err_set(e, rc, "group %.63s is not set aside", group)
               : err_set(e, rc, "cannot remove %.150s: %s", path, err_text(rc));
}

int quarantine_each(const char *state, void (*fn)(void *arg, const char *group),
                    void *arg, struct err *e)
{
    static const char end[] = ".json";
    const struct dirent *de;
    char dir[PATH_MAX];
    int rc = folder(dir, state, e);
    DIR *d;

    if (rc != 0)
        return rc;
    d = opendir(dir);
    if (d == NULL)
        return errno == ENOENT
                   ? 0
                   : err_set(e, -errno, "cannot read %.150s: %s", dir, strerror(errno));
    while ((de = readdir(d)) != NULL) {
        size_t n = strlen(de->d_name), m = sizeof end - 1;
        char name[GROUP_NAME];

        if (n <= m || n - m >= sizeof name || strcmp(de->d_name + n - m, end) != 0)
            continue;
        memcpy(name, de->d_name, n - m);
        name[n - m] = '\0';
        fn(arg, name);
    }
    closedir(d);
    return 0;
}
