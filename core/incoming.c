#include "core/incoming.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/conf.h"
#include "core/dirsum.h"
#include "core/err.h"
#include "core/group.h"
#include "core/mem.h"
#include "core/path.h"

enum { LARGEST = 1 << 20 };

/* ---- names ---- */

int incoming_names(struct incoming_names *out, const char *extensions, struct err *e)
{
    static const char blank[] = " ,\t";
    const char *text = extensions == NULL ? "" : extensions;

    memset(out, 0, sizeof *out);
    for (text += strspn(text, blank); *text != '\0'; text += strspn(text, blank)) {
        size_t n = strcspn(text, blank);

        if (out->n == INCOMING_ENDS || n >= INCOMING_END)
            return err_set(e, -EINVAL, "too many or too long file extensions: %.100s",
                           text);
        memcpy(out->end[out->n++], text, n);
        text += n;
    }
    return 0;
}

bool incoming_wants(const struct incoming_names *names, const char *name)
{
    size_t n = strlen(name);

    if (dirsum_unfinished(name))
        return false;
    for (size_t i = 0; i < names->n; i++) {
        size_t m = strlen(names->end[i]);

        if (n >= m && memcmp(name + n - m, names->end[i], m) == 0)
            return true;
    }
    return names->n == 0;
}

/* ---- roots that show the same files ---- */

/* Where a path leads, as far as that can be told; without slashes at its end. */
static void resolve(const char *path, char out[PATH_MAX])
{
    size_t n;

    if (realpath(path, out) == NULL)
        snprintf(out, PATH_MAX, "%s", path);
    for (n = strlen(out); n > 1 && out[n - 1] == '/'; n--)
        out[n - 1] = '\0';
}

static bool holds(const char *outer, const char *inner)
{
    size_t n = strlen(outer);

    return strncmp(outer, inner, n) == 0 && (inner[n] == '/' || n == 1);
}

bool incoming_is_recursive(const struct incoming_roots *r,
                           const struct incoming_root *root)
{
    return root->recursive || r->by_directory;
}

int incoming_roots_fits(const struct incoming_roots *r,
                        const struct incoming_root *root, struct err *e)
{
    char mine[PATH_MAX], other[PATH_MAX];
    json_t *text = json_string(root->path);
    bool named = text != NULL && root->path[0] == '/';

    json_decref(text);
    if (!named)
        return err_set(e, -EINVAL, "a root is an absolute path in UTF-8, unlike %.100s",
                       root->path);
    resolve(root->path, mine);
    for (size_t i = 0; i < r->n; i++) {
        resolve(r->item[i].path, other);
        if (strcmp(mine, other) == 0 ||
            (incoming_is_recursive(r, &r->item[i]) && holds(other, mine)) ||
            (incoming_is_recursive(r, root) && holds(mine, other)))
            return err_set(
                e, -EEXIST,
                "%.100s is not added: its files are those of the root %.100s",
                root->path, r->item[i].path);
    }
    return 0;
}

/* ---- the list ---- */

static size_t place_of(const struct incoming_roots *r, const char *path)
{
    size_t i = 0;

    while (i < r->n && strcmp(r->item[i].path, path) != 0)
        i++;
    return i;
}

const struct incoming_root *incoming_roots_find(const struct incoming_roots *r,
                                                const char *path)
{
    size_t i = place_of(r, path);

    return i < r->n ? &r->item[i] : NULL;
}

void incoming_roots_put(struct incoming_roots *r, const struct incoming_root *root)
{
    size_t i = place_of(r, root->path);
    char *path = i < r->n ? r->item[i].path : mem_strdup(root->path);

    if (i == r->n)
        r->item = mem_realloc(r->item, ++r->n * sizeof *r->item);
    r->item[i] = *root;
    r->item[i].path = path;
}

void incoming_roots_drop(struct incoming_roots *r, const char *path)
{
    size_t i = place_of(r, path);

    if (i == r->n)
        return;
    free(r->item[i].path);
    memmove(r->item + i, r->item + i + 1, (--r->n - i) * sizeof *r->item);
}

void incoming_roots_clear(struct incoming_roots *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->item[i].path);
    free(r->item);
    r->item = NULL;
    r->n = 0;
}

bool incoming_roots_top(const struct incoming_roots *r, const char *path,
                        char out[PATH_MAX])
{
    for (size_t i = 0; i < r->n; i++) {
        size_t n = strlen(r->item[i].path);

        while (n > 1 && r->item[i].path[n - 1] == '/')
            n--;
        if (strncmp(path, r->item[i].path, n) != 0 || path[n] != '/')
            continue;
        n += 1 + strcspn(path + n + 1, "/");
        snprintf(out, PATH_MAX, "%.*s", (int)n, path);
        return path[n] == '/';
    }
    return false;
}

/* ---- the settings and the file ---- */

struct load {
    struct incoming_roots *roots;
    incoming_refused_fn *refused;
    void *arg;
};

static void refuse(const struct load *l, const char *path, const char *why)
{
    if (l->refused != NULL)
        l->refused(l->arg, path, why);
}

static void take_up(const struct load *l, const struct incoming_root *root)
{
    struct err e = {0};

    if (incoming_roots_fits(l->roots, root, &e) != 0)
        refuse(l, root->path, e.text);
    else
        incoming_roots_put(l->roots, root);
}

static void take_settings(const struct load *l, const struct conf *conf)
{
    struct incoming_root root = {.recursive = conf->watch.recursive};
    char also[sizeof conf->watch.also], incoming[sizeof conf->paths.incoming];
    char *rest = NULL;

    snprintf(incoming, sizeof incoming, "%s", conf->paths.incoming);
    root.path = incoming;
    incoming_roots_put(l->roots, &root);
    snprintf(also, sizeof also, "%s", conf->watch.also);
    for (char *p = strtok_r(also, " ", &rest); p != NULL;
         p = strtok_r(NULL, " ", &rest)) {
        root.path = p;
        take_up(l, &root);
    }
}

static void take_entry(const struct load *l, const json_t *entry)
{
    const char *text = json_string_value(json_object_get(entry, "path"));
    struct incoming_root root = {.recursive =
                                     json_is_true(json_object_get(entry, "recursive")),
                                 .poll = json_is_true(json_object_get(entry, "poll")),
                                 .added = true};

    if (text == NULL || text[0] != '/') {
        refuse(l, l->roots->file, "an entry has no absolute path");
        return;
    }
    root.path = mem_strdup(text);
    take_up(l, &root);
    free(root.path);
}

static void take_file(const struct load *l)
{
    struct incoming_roots *r = l->roots;
    struct err e = {0};
    json_error_t why;
    json_t *all, *list, *entry;
    char *text = NULL;
    size_t n = 0, i;
    int rc = path_read(&text, &n, r->file, LARGEST, &e);

    if (rc == -ENOENT)
        return;
    if (rc != 0) {
        snprintf(r->damaged, sizeof r->damaged, "%s", e.text);
        return;
    }
    all = json_loadb(text, n, 0, &why);
    list = json_object_get(all, "roots");
    if (!json_is_array(list))
        snprintf(r->damaged, sizeof r->damaged, "%s",
                 all == NULL ? why.text : "it has no list of roots");
    json_array_foreach(list, i, entry)
    {
        take_entry(l, entry);
    }
    json_decref(all);
    free(text);
}

int incoming_roots_load(struct incoming_roots *out, const struct conf *conf,
                        incoming_refused_fn *refused, void *arg, struct err *e)
{
    struct load l = {.refused = refused, .arg = arg};
    int rc;

    memset(out, 0, sizeof *out);
    l.roots = out;
    out->by_directory = strcmp(conf->group.pattern, "directory") == 0;
    rc = path_join(out->file, sizeof out->file, conf->paths.state, "roots.json", e);
    if (rc != 0)
        return rc;
    take_settings(&l, conf);
    take_file(&l);
    return 0;
}

int incoming_roots_look(struct incoming_roots *out, const struct conf *conf,
                        struct err *e)
{
    int rc = incoming_roots_load(out, conf, NULL, NULL, e);

    return rc != 0 || out->damaged[0] == '\0'
               ? rc
               : err_set(e, ERR_FORMAT, "%.100s: %.150s", out->file, out->damaged);
}

int incoming_roots_save(const struct incoming_roots *r, struct err *e)
{
    json_t *list = json_array(), *all;
    char *text;
    int rc;

    for (size_t i = 0; i < r->n; i++)
        if (r->item[i].added)
            json_array_append_new(list,
                                  json_pack("{s:s, s:b, s:b}", "path", r->item[i].path,
                                            "recursive", (int)r->item[i].recursive,
                                            "poll", (int)r->item[i].poll));
    all = json_pack("{s:o}", "roots", list);
    text = mem_must(json_dumps(all, JSON_INDENT(1)));
    rc = path_write(r->file, text, strlen(text), e);
    free(text);
    json_decref(all);
    return rc;
}

/* ---- groups ---- */

static enum group_policy policy_of(const char *word)
{
    return strcmp(word, "process") == 0      ? GROUP_PROCESS
           : strcmp(word, "quarantine") == 0 ? GROUP_QUARANTINE
                                             : GROUP_HOLD;
}

int incoming_groups(struct group_table **out, struct groupname *rule,
                    const struct conf *conf, struct err *e)
{
    long min = conf->group.min_members;
    struct group_opts opts = {.tolerance_s = conf->group.tolerance_s,
                              .deadline_s = conf->group.deadline_s,
                              .policy = policy_of(conf->group.partial),
                              .min_members =
                                  (int)(min > 0 ? min : conf->group.expected),
                              .rule = rule};
    int rc;

    *out = NULL;
    if ((rc = groupname_compile(rule, conf->group.pattern, e)) != 0)
        return rc;
    opts.expected = rule->member ? (int)conf->group.expected : 1;
    *out = group_table_new(&opts);
    return *out != NULL ? 0
                        : err_set(e, -EINVAL, "[group] expected is larger than %d",
                                  GROUP_MAX_EXPECTED);
}
