/*
 * settings.h: the settings in force, in a file of their own for the workers, who must not read
 * one that somebody may be editing; taken anew at SIGHUP.
 */
#ifndef WATCHERD_SETTINGS_H
#define WATCHERD_SETTINGS_H

struct conf;
struct err;

/* Write `conf` to `path`, as conf_load reads it; only our user can read it ([queue] store may
 * hold a password).  Status: 0 or what path_write said. */
int settings_write(const struct conf *conf, const char *path, struct err *e);

/*
 * settings_reload: take `file` anew into *conf and into `path`, except for [paths], [watch],
 * [group] and [queue] (but for max_pending).  A wrong file changes nothing.  Logs what
 * became of it.
 */
void settings_reload(struct conf *conf, const char *file, const char *path);

#endif
