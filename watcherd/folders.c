#include "watcherd/folders.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/log.h"
#include "core/path.h"
#include "locks/lockfs.h"
#include "locks/owner.h"

int folders_make(const struct conf *conf, struct err *e)
{
    const char *dir[] = {conf->paths.incoming, conf->paths.state, conf->paths.scratch,
                         conf->paths.locks, conf->paths.products};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof dir / sizeof dir[0]; i++) {
        rc = path_mkdirs(dir[i], e);
        /* Products may be on a disk that is not there yet: the worker's business. */
        if (rc != 0 && dir[i] == conf->paths.products) {
            log_event(LOG_ERROR, "products", "reason", e->text, NULL);
            rc = 0;
        }
    }
    if (rc == 0) {
        size_t n = path_sweep_temps(conf->paths.state);

        if (n > 0)
            log_event(LOG_INFO, "swept", "dir", conf->paths.state, "files", log_u(n),
                      "reason", "half-written files of a process that was killed",
                      NULL);
    }
    return rc;
}

int folders_locks(const struct conf *conf, struct err *e)
{
    char boots[PATH_MAX], why[LOCKFS_WHY];
    struct lockfs fs;
    bool sure;
    int rc = path_join(boots, sizeof boots, conf->paths.state, "boots", e);

    if (rc != 0)
        return rc;
    owner_set_boots(boots);
    sure = lockfs_explain(conf->paths.locks, &fs, why);
    log_event(sure ? LOG_INFO : LOG_WARN, "locks", "mode", lockfs_mode_name(fs.mode),
              "reason", why, NULL);
    if (fs.mode == MODE_REFUSE)
        return err_set(
            e, -ENOTSUP,
            "no worker is started, because nothing excludes another one in %s: %s",
            conf->paths.locks, why);
    return 0;
}
