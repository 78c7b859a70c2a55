#include "tools/common/program.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sysexits.h>

#include "core/conf.h"
#include "core/err.h"
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

int program_print_json(json_t *json, size_t digits)
{
    int rc = json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(digits));

    putchar('\n');
    json_decref(json);
    return rc == 0 && fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

int program_conf(struct conf *conf, const char *file, const char *root, struct err *e)
{
    if (file != NULL)
        return conf_load(conf, file, &pipeline_settings, e);
    conf_defaults(conf, root, &pipeline_settings);
    return 0;
}
