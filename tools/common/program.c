#include "tools/common/program.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <sysexits.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/text.h"
#include "pipeline/pipeline.h"

int program_code(int rc)
{
    switch (rc) {
    case -ENOENT:
    case -ENOTDIR:
        return EX_NOINPUT;
    case -EACCES:
    case -EPERM:
        return EX_NOPERM;
    case ERR_FORMAT:
    case -EINVAL:
        return EX_CONFIG;
    default:
        return EX_IOERR;
    }
}

int program_fail(const char *program, int code, const struct err *e)
{
    fprintf(stderr, "%s: %s\n", program, e->text);
    return code;
}

int program_wrong(const char *program, const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "%s: ", program);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    putc('\n', stderr);
    return EX_USAGE;
}

int program_unknown(const char *program, const char *what, const char *word,
                    const char *const *names, size_t n)
{
    const char *near = text_nearest(word, names, n);
    char text[256];

    text_escape(text, sizeof text, word);
    if (near != NULL)
        return program_wrong(program, "there is no %s %s; the nearest is %s", what,
                             text, near);
    return program_wrong(program, "there is no %s %s; see %s --help", what, text,
                         program);
}

int program_print_json(json_t *json, size_t digits)
{
    int rc = json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(digits));

    putchar('\n');
    json_decref(json);
    return rc == 0 && fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

int program_conf(struct conf *conf, const char *file, const char *root, struct err *e)
{
    char path[PATH_MAX];
    int rc;

    conf_defaults(conf, root, &pipeline_settings);
    if (root != NULL)
        return 0;
    rc = conf_find(path, file, e);
    return rc != 0 ? rc : conf_load(conf, path, &pipeline_settings, e);
}
