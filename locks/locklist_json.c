/* locklist_json.c: see locklist_json.h. */
#include "locks/locklist_json.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/text.h"

json_t *lock_entry_json(const struct lock_entry *entry)
{
    const struct record *rec = &entry->view.rec;
    json_t *json = json_pack("{s:s, s:s, s:b, s:s, s:I, s:s, s:s}", "state",
                             lock_state_name(entry->view.state), "lock", entry->name,
                             "legacy", (int)entry->legacy, "reason", entry->view.why,
                             "pid", (json_int_t)rec->owner.pid, "host", rec->owner.host,
                             "where", entry->where);

    if (json == NULL) /* a path that is not UTF-8 */
        json = json_pack("{s:s, s:s}", "state", lock_state_name(entry->view.state),
                         "lock", entry->name);
    json_object_set_new(json, "age_s",
                        entry->age_s >= 0 ? json_real(entry->age_s) : json_null());
    if (!entry->legacy && entry->view.state != LOCK_OPAQUE) {
        json_object_set_new(json, "gen", json_integer((json_int_t)rec->gen));
        json_object_set_new(json, "group", json_string(rec->group));
        json_object_set_new(json, "program", json_string(rec->owner.exe));
        json_object_set_new(json, "task", json_string(rec->task));
        json_object_set_new(json, "taken", json_string(rec->t_utc));
        json_object_set_new(json, "mode", json_string(lockfs_mode_name(rec->mode)));
        json_object_set_new(json, "lease_s", json_real(rec->lease_s));
        json_object_set_new(json, "heartbeat",
                            json_integer((json_int_t)entry->view.beat));
        json_object_set_new(json, "unmoved_s",
                            entry->view.unmoved_s >= 0
                                ? json_real(entry->view.unmoved_s)
                                : json_null());
    }
    return json;
}

json_t *locklist_json(const struct locklist *list)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < list->n; i++)
        json_array_append_new(rows, lock_entry_json(&list->item[i]));
    return rows;
}

/* The first line of `kind`.`gen`, printable; false when there is no such file. */
static bool first_line(int dirfd, char kind, uint64_t gen, char out[512])
{
    char name[RECORD_NAME], text[256] = "";
    ssize_t n;
    int fd;

    record_name(name, kind, gen);
    fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd == -1)
        return false;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    text_escape(out, 512, text);
    return true;
}

json_t *lock_history_json(int dirfd, const struct generations *gens)
{
    json_t *rows = json_array();
    char line[512];

    for (uint64_t gen = gens->g, i = 0; gen > 0 && i < 10; gen--, i++) {
        struct record rec;
        char name[RECORD_NAME], why[OWNER_WHY];
        json_t *row;
        int rc;

        record_name(name, 'g', gen);
        rc = record_read(dirfd, name, gen, &rec, why);
        if (rc < 0)
            break;
        row =
            json_pack("{s:I, s:s, s:s}", "gen", (json_int_t)gen, "host",
                      rc == 0 ? rec.owner.host : "", "taken", rc == 0 ? rec.t_utc : "");
        if (rc == 0 && rec.after != 0)
            json_object_set_new(row, "took_over", json_string(rec.evidence));
        if (first_line(dirfd, 'r', gen, line))
            json_object_set_new(row, "end", json_string(line));
        json_object_set_new(row, "committed",
                            json_boolean(first_line(dirfd, 'c', gen, line)));
        json_array_append_new(rows, row);
    }
    return rows;
}
