/*
 * tile_flag.c: interference and broken antennas of one group, before anything is solved.
 */
#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "pipeline/continuum/settings.h"
#include "pipeline/continuum/tile.h"
#include "pipeline/continuum/verdict.h"
#include "pipeline/flag/bands.h"
#include "pipeline/sky/vis.h"

/* Appends the names of antennas of one health, as far as there is room; says how many. */
static size_t name_antennas(char *text, size_t size, const struct tile_run *run,
                            enum flag_health health)
{
    const struct flag_report *r = &run->flags;
    size_t n = 0;

    for (size_t a = 0; a < r->nant; a++) {
        size_t used = strlen(text);

        if (r->health[a] == health)
            snprintf(text + used, size - used, "%s %s",
                     n++ == 0 ? flag_health_name(health) : "", run->vis->ant_name[a]);
    }
    return n;
}

static void say(struct tile_run *run)
{
    const struct flag_report *r = &run->flags;
    char names[120] = "";

    for (enum flag_health h = FLAG_DEAD; h <= FLAG_NOISY; h++) {
        if (names[0] != '\0' && strlen(names) + 3 < sizeof names)
            strcat(names, ", ");
        if (name_antennas(names, sizeof names, run, h) == 0 && strlen(names) > 1 &&
            names[strlen(names) - 1] == ' ')
            names[strlen(names) - 2] = '\0';
    }
    snprintf(run->env->detail, sizeof run->env->detail,
             "%.2f %% of what was valid: by baseline %.2f, all together %.2f%s%s",
             100 * (r->total - r->given) / (1 - r->given),
             100 * r->baseline / (1 - r->given),
             100 * (r->array + r->channel + r->time) / (1 - r->given),
             names[0] != '\0' ? "; antennas: " : "", names);
}

int tile_flag(void *arg, struct err *e)
{
    struct tile_run *run = arg;
    const struct continuum_settings *set = run->set;
    struct bands known = {0};
    struct flag_opts opts = {.threshold = set->flagging.threshold,
                             .known = &known,
                             .threads = run->env->threads};
    double lost;
    int rc = 0;

    if (!set->flagging.enabled) {
        snprintf(run->env->detail, sizeof run->env->detail,
                 "not looked for, as the settings say");
        return 0;
    }
    if (set->flagging.known_bands[0] != '\0')
        rc = bands_read(&known, set->flagging.known_bands, e);
    if (rc == 0)
        rc = flag_samples(run->vis, &opts, &run->flags, e);
    bands_free(&known);
    if (rc != 0)
        return rc;
    say(run);
    lost = (run->flags.total - run->flags.given) / (1 - run->flags.given);
    if (lost > set->flagging.max_share)
        return err_set(e, ERR_QUALITY,
                       "%s: interference in %.0f %% of the valid samples, more than "
                       "[flagging] max_share = %g",
                       run->group, 100 * lost, set->flagging.max_share);
    return 0;
}

json_t *tile_flag_meta(const struct tile_run *run)
{
    const struct flag_report *r = &run->flags;
    json_t *m = json_object();
    const struct {
        const char *name;
        double share;
    } cause[] = {
        {"given", r->given},     {"known_bands", r->known}, {"baseline", r->baseline},
        {"array", r->array},     {"channel", r->channel},   {"integration", r->time},
        {"antenna", r->antenna}, {"total", r->total},
    };

    if (r->health == NULL)
        return m;
    for (size_t i = 0; i < sizeof cause / sizeof cause[0]; i++)
        verdict_number(m, cause[i].name, cause[i].share);
    for (enum flag_health h = FLAG_DEAD; h <= FLAG_NOISY; h++) {
        json_t *names = json_array();

        for (size_t a = 0; a < r->nant; a++)
            if (r->health[a] == h)
                json_array_append_new(names, json_string(run->vis->ant_name[a]));
        json_object_set_new(m, flag_health_name(h), names);
    }
    return m;
}
