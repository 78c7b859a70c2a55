#include "watcherd/work/job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/parallel.h"
#include "core/path.h"
#include "core/store/registry.h"
#include "locks/claim.h"
#include "locks/observer.h"
#include "locks/orphan.h"
#include "locks/owner.h"
#include "pipeline/pipeline.h"
#include "pipeline/product/inputs.h"
#include "pipeline/product/product.h"
#include "pipeline/work.h"
#include "watcherd/base/outcome.h"
#include "watcherd/work/heartbeat.h"

/* Less than this is no room: a FITS block of a row of pixels, an HDF5 table. */
enum { DISK_FULL_BYTES = 256 << 10 };

/* A job on its way. */
struct making {
    struct job *job;
    struct run_env env;
    char kind_dir[PATH_MAX], scratch[PATH_MAX];
    const char **item;           /* [env.nitem] inputs as the params name them */
    char (*name)[PATH_MAX];      /* [env.nitem] their paths */
    struct product_input *input; /* [env.nitem] as they were before anything was read */
    struct claim *claim;
    struct heartbeat heartbeat; /* while env.scratch is set */
};

/* Whose fault a code is. */
static const char *outcome_of(int code)
{
    static const struct {
        int code;
        const char *outcome;
    } table[] = {
        {0, OUTCOME_DONE},
        {ERR_FORMAT, OUTCOME_BAD},
        {ERR_SHAPE, OUTCOME_BAD},
        {ERR_QUALITY, OUTCOME_BAD},
        {-EBUSY, OUTCOME_BUSY},
        {ERR_LOST, OUTCOME_LOST},
        {-ECANCELED, OUTCOME_STOPPED},
        {-ENOSPC, OUTCOME_MACHINE},
        {-EDQUOT, OUTCOME_MACHINE},
        {-EROFS, OUTCOME_MACHINE},
        {-EACCES, OUTCOME_MACHINE},
        {-EPERM, OUTCOME_MACHINE},
        {-ENOTDIR, OUTCOME_MACHINE},
        {-ENOTSUP, OUTCOME_MACHINE},
        {-EINVAL, OUTCOME_BAD},
        {-EISDIR, OUTCOME_BAD}, /* product_link_ready */
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].code == code)
            return table[i].outcome;
    return OUTCOME_FAILED;
}

static void say_step(void *arg, const char *step, double took_s, const char *detail)
{
    struct making *m = arg;

    m->job->step(m->job->arg, step, took_s, detail);
}

static int cancelled(void *arg)
{
    struct making *m = arg;

    return (m->env.scratch != NULL && heartbeat_lost(&m->heartbeat)) ||
           m->job->cancelled(m->job->arg);
}

/* ---- the inputs ---- */

/* Where input i lies: a group's file as it is; for a window, the manifest of the tile. */
static int find_input(const struct making *m, size_t i, struct err *e)
{
    const struct pipeline *of = pipeline_for(PIPELINE_GROUP);
    const char *item = m->item[i];
    char text[PATH_MAX];
    int rc;

    if (m->job->pipeline->input == PIPELINE_WINDOW) {
        if ((rc = path_component(item, "the input", e)) != 0)
            return rc;
        if ((size_t)snprintf(text, sizeof text, "%s/%s/manifest.json", of->folder,
                             item) >= sizeof text)
            return err_set(e, -ENAMETOOLONG, "the name %s is too long", item);
        return path_join(m->name[i], PATH_MAX, m->job->conf->paths.products, text, e);
    }
    if ((size_t)snprintf(m->name[i], PATH_MAX, "%s", item) >= PATH_MAX)
        return err_set(e, -ENAMETOOLONG, "path %s is too long", item);
    return 0;
}

/* The inputs that the params name, each as it is now. */
static int take_inputs(struct making *m, struct err *e)
{
    const json_t *list = json_object_get(m->job->params, m->job->pipeline->items);
    size_t most = json_array_size(list) + 1, n = 0;
    int rc = 0;

    m->item = calloc(most, sizeof *m->item);
    m->name = calloc(most, sizeof *m->name);
    m->input = calloc(most, sizeof *m->input);
    if (m->item == NULL || m->name == NULL || m->input == NULL)
        return err_set(e, -ENOMEM, "out of memory for task %s", m->job->key);
    for (size_t i = 0; i < json_array_size(list); i++) {
        m->item[n] = json_string_value(json_array_get(list, i));
        n += m->item[n] != NULL;
    }
    if (n == 0)
        return err_set(e, -EINVAL, "task %s %s has no inputs", m->job->pipeline->name,
                       m->job->key);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if ((rc = find_input(m, i, e)) == 0 &&
            (rc = product_input_stat(&m->input[i], m->name[i], e)) == 0)
            rc = product_input_digest(&m->input[i], e);
    m->env.item = m->item;
    m->env.nitem = n;
    return rc;
}

/* An input that changed while it was read makes the result worthless. */
static int inputs_unchanged(const struct making *m, struct err *e)
{
    for (size_t i = 0; i < m->env.nitem; i++) {
        const struct product_input *was = &m->input[i];
        struct product_input now;
        int rc = product_input_stat(&now, was->path, e);

        if (rc != 0)
            return rc;
        if (now.size != was->size || now.mtime_ns != was->mtime_ns)
            return err_set(e, -EAGAIN, "%s was rewritten while it was processed",
                           was->path);
    }
    return 0;
}

/* ---- making it ---- */

/* 1 when a complete product of exactly these inputs is there (and noted), 0 when not. */
static int skip(struct making *m, struct err *e)
{
    struct job *job = m->job;
    json_t *manifest;
    int rc = product_current(&manifest, job->published, m->kind_dir, job->key, 0, NULL);

    if (rc != 0)
        return 0; /* none, or broken: make it (again) */
    rc = inputs_same(manifest, m->input, m->env.nitem);
    if (rc == 1) {
        int put = job->work->note(&m->env, job->published, manifest, e);

        rc = put != 0 ? put : 1;
    } else {
        job->published[0] = '\0';
    }
    json_decref(manifest);
    return rc;
}

/*
 * A generation above the link is one whose publishing broke off between its rename and the
 * link. When it is whole and of our inputs, the link is all that is missing.  We hold the
 * claim. One that was noted had its link: an operator has removed it, to have the product made
 * anew. 1: so it is, now; 0: no such.
 */
static int mend_link(struct making *m, struct err *e)
{
    const char *name = m->job->key;
    uint64_t newest = product_newest(m->kind_dir, name), noted;
    json_t *manifest = NULL;
    char stem[PATH_MAX];
    int rc;

    if (newest <= product_generation(m->kind_dir, name) ||
        registry_generation(m->env.registry, m->job->pipeline->data_type, name, &noted,
                            NULL) != 0 ||
        noted >= newest ||
        (size_t)snprintf(stem, sizeof stem, "%s.gen%llu", name,
                         (unsigned long long)newest) >= sizeof stem ||
        product_current(&manifest, NULL, m->kind_dir, stem, 1, NULL) != 0)
        return 0;
    rc = inputs_same(manifest, m->input, m->env.nitem) == 1 ? 1 : 0;
    json_decref(manifest);
    if (rc == 1 && (rc = product_relink(m->kind_dir, name, e)) == 0)
        rc = 1;
    return rc;
}

/* Where nothing can be published, nothing need be worked out. */
static int prepare_folders(const struct making *m, struct err *e)
{
    int rc = path_mkdirs(m->kind_dir, e);

    if (rc != 0)
        return rc;
    if (access(m->kind_dir, W_OK | X_OK) != 0)
        return err_set(e, -errno, "cannot publish below %s: %s", m->kind_dir,
                       strerror(errno));
    rc = path_remove_tree(m->scratch, e);
    return rc != 0 ? rc : path_mkdirs(m->scratch, e);
}

/* *manifest: of what was published, a new reference. */
static int make_product(struct making *m, json_t **manifest, struct err *e)
{
    struct product_gate gate = heartbeat_gate(&m->heartbeat);
    struct product_new made = {.scratch = m->scratch,
                               .kind_dir = m->kind_dir,
                               .name = m->job->key,
                               .generation = claim_generation(m->claim),
                               .input = m->input,
                               .ninput = m->env.nitem};
    int rc = prepare_folders(m, e);

    if (rc == 0)
        rc = work_run(m->job->work, &m->env, &made.meta, e);
    if (rc == 0)
        rc = inputs_unchanged(m, e);
    if (rc == 0)
        rc = product_publish(&made, &gate, e);
    if (rc == 0)
        snprintf(m->job->published, PATH_MAX, "%s", made.path);
    *manifest = made.manifest;
    json_decref(made.meta);
    if (rc == -ECANCELED && heartbeat_lost(&m->heartbeat))
        return err_set(e, ERR_LOST, "the claim on %s was taken over", m->job->key);
    return rc;
}

/*
 * The libraries that write FITS and HDF5 do not say why a write failed.  When what they had
 * written so far has filled the disk, that was it.
 */
static int name_full_disk(const struct making *m, int rc, struct err *e)
{
    char text[sizeof e->text];
    uint64_t left;

    if (strcmp(outcome_of(rc), OUTCOME_FAILED) != 0 ||
        path_free_bytes(m->scratch, &left, NULL) != 0 || left >= DISK_FULL_BYTES)
        return rc;
    snprintf(text, sizeof text, "%s", e->text);
    return err_set(e, -ENOSPC, "No space left on the disk of scratch: %s", text);
}

static int claim(struct making *m, struct err *e)
{
    const struct conf *conf = m->job->conf;
    const char *key = m->job->key;
    char dir[PATH_MAX], memory[PATH_MAX], boots[PATH_MAX];
    struct claim_opts opts = {.task = m->job->pipeline->name,
                              .lease_s = conf->workers.lease_s,
                              .heartbeat_s = conf->workers.heartbeat_s,
                              .above = product_newest(m->kind_dir, key)};
    int rc;

    if ((rc = path_join(dir, sizeof dir, conf->paths.locks, key, e)) != 0 ||
        (rc = path_join(memory, sizeof memory, conf->paths.state, "observer.json",
                        e)) != 0)
        return rc;
    if (path_join(boots, sizeof boots, conf->paths.state, "boots", e) == 0)
        owner_set_boots(boots);
    opts.observer = observer_new();
    observer_load(opts.observer, memory, NULL);
    rc = claim_acquire(&m->claim, dir, key, &opts, e);
    if (rc == -EBUSY)
        observer_save(opts.observer, memory, NULL);
    observer_free(opts.observer);
    if (rc == 0)
        setenv(ORPHAN_MARK, claim_mark(m->claim), 1);
    return rc;
}

/* `rc` says how it went: what is left of scratch goes, and the claim is given back. */
static void unclaim(struct making *m, int rc)
{
    char dir[PATH_MAX];

    if (rc >= 0 && claim_check(m->claim, NULL) == 0) {
        /* Nobody else works on this group, so what killed workers left of it goes, too. */
        path_join(dir, sizeof dir, m->job->conf->paths.scratch, m->job->key, NULL);
        path_remove_tree(dir, NULL);
    } else if (rc != ERR_LOST) { /* a loser's scratch is kept for the winner to clear */
        path_remove_tree(m->scratch, NULL);
    }
    /* A committed product stays, even when the claim was broken a moment later. */
    claim_release(m->claim,
                  rc >= 0            ? "done"
                  : rc == -ECANCELED ? "released"
                                     : "failed",
                  NULL);
    m->claim = NULL;
    unsetenv(ORPHAN_MARK);
}

/* Claim, work, publish, release.  `seen`: the generation that was looked at before. */
static int claim_and_make(struct making *m, uint64_t seen, json_t **manifest,
                          struct err *e)
{
    const struct conf *conf = m->job->conf;
    char text[PATH_MAX];
    int rc = claim(m, e);

    if (rc != 0)
        return rc;
    snprintf(text, sizeof text, "%.255s/%llu", m->job->key,
             (unsigned long long)claim_generation(m->claim));
    rc = path_join(m->scratch, sizeof m->scratch, conf->paths.scratch, text, e);
    if (rc == 0)
        rc = heartbeat_start(&m->heartbeat, m->claim, conf->workers.heartbeat_s, e);
    if (rc == 0) {
        m->env.scratch = m->scratch;
        /* Somebody may have finished between our look and our claim. */
        rc = mend_link(m, e);
        if (rc == 1 ||
            (rc == 0 && product_generation(m->kind_dir, m->job->key) != seen))
            rc = skip(m, e);
        if (rc == 0)
            rc = name_full_disk(m, make_product(m, manifest, e), e);
        heartbeat_stop(&m->heartbeat);
        m->env.scratch = NULL;
    }
    unclaim(m, rc);
    return rc;
}

/* ---- a task with a product ---- */

static int make(struct making *m, const char **outcome, struct err *e)
{
    struct job *job = m->job;
    uint64_t seen = 0;
    json_t *manifest = NULL;
    /* From a table that others write, too; folders of this name are made and emptied. */
    int rc = path_component(job->key, "the key", e);

    if (rc == 0)
        rc = take_inputs(m, e);
    if (rc == 0)
        rc = path_join(m->kind_dir, sizeof m->kind_dir, job->conf->paths.products,
                       job->pipeline->folder, e);
    if (rc == 0)
        rc = registry_open(&m->env.registry, job->conf->paths.state, e);
    if (rc == 0) {
        seen = product_generation(m->kind_dir, job->key);
        rc = skip(m, e);
    }
    if (rc == 0)
        rc = product_link_ready(m->kind_dir, job->key, e);
    if (rc == 0)
        rc = claim_and_make(m, seen, &manifest, e);
    *outcome = rc == 1 ? OUTCOME_SKIPPED : outcome_of(rc);
    if (rc == 0)
        rc = job->work->note(&m->env, job->published, manifest, e);
    if (rc == -ESTALE) /* a newer one has come since, and was noted */
        rc = 0;
    if (rc < 0 && strcmp(*outcome, OUTCOME_DONE) == 0)
        *outcome = outcome_of(rc);
    json_decref(manifest);
    registry_close(m->env.registry);
    free(m->item);
    free(m->name);
    free(m->input);
    return rc;
}

/* The workers of a machine share its processors. */
static size_t threads_of(const struct conf *conf)
{
    long share =
        (long)parallel_cpus() / (conf->workers.count > 0 ? conf->workers.count : 1);

    return conf->workers.threads > 0 ? (size_t)conf->workers.threads
           : share > 0               ? (size_t)share
                                     : 1;
}

int job_run(struct job *job, const char **outcome, struct err *e)
{
    struct making *m = calloc(1, sizeof *m);
    json_t *meta;
    int rc;

    job->published[0] = '\0';
    *outcome = OUTCOME_FAILED;
    if (m == NULL)
        return err_set(e, -ENOMEM, "out of memory for task %s", job->key);
    m->job = job;
    m->env = (struct run_env){.conf = job->conf,
                              .key = job->key,
                              .params = job->params,
                              .threads = threads_of(job->conf),
                              .step = say_step,
                              .cancelled = cancelled,
                              .arg = m};
    if (job->pipeline->folder != NULL) {
        rc = make(m, outcome, e);
    } else {
        rc = work_run(job->work, &m->env, &meta, e);
        json_decref(meta);
        *outcome = outcome_of(rc);
    }
    if (rc >= 0)
        e->text[0] = '\0'; /* what was tried in vain on the way does not matter */
    free(m);
    return rc;
}
