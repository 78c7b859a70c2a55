#include "tools/taskctl/columns.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "core/mem.h"
#include "tools/common/program.h"
#include "tools/taskctl/table.h"

enum { MOST = 16 };

/* The names of the columns, pointing into text, which is cut up. */
struct columns {
    const char *name[MOST + 1]; /* ends with NULL, as a table wants its heads */
    size_t n;
};

/* A cell: text as it is, numbers and the like as JSON has them, "" for null. */
static char *cell(const json_t *row, const char *name)
{
    const json_t *v = json_object_get(row, name);

    if (v == NULL || json_is_null(v))
        return mem_strdup("");
    if (json_is_string(v))
        return mem_strdup(json_string_value(v));
    return mem_must(
        json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(12)));
}

/* 0, or the exit status. */
static int choose(struct columns *c, const json_t *first, char *text)
{
    const char *all[64];
    size_t nall = 0;
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)(uintptr_t)first, key, v)
    {
        if (nall < sizeof all / sizeof all[0])
            all[nall++] = key;
        if (text == NULL && c->n < MOST && !json_is_array(v) && !json_is_object(v))
            c->name[c->n++] = key;
    }
    for (char *rest = NULL, *w = text == NULL ? NULL : strtok_r(text, ", ", &rest);
         w != NULL; w = strtok_r(NULL, ", ", &rest)) {
        if (json_object_get(first, w) == NULL)
            return program_unknown("taskctl", "column", w, all, nall);
        if (c->n < MOST)
            c->name[c->n++] = w;
    }
    return EX_OK;
}

/* In quotes where RFC 4180 wants them. */
static void print_csv(const char *text)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        fputs(text, stdout);
        return;
    }
    putchar('"');
    for (; *text != '\0'; text++)
        printf(*text == '"' ? "\"\"" : "%c", *text);
    putchar('"');
}

static void print_rows(const struct columns *c, const json_t *rows, struct table *table)
{
    json_t *row;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        for (size_t k = 0; k < c->n; k++) {
            char *text = cell(row, c->name[k]);

            if (table != NULL) {
                table_put(table, text);
            } else {
                print_csv(text);
                putchar(k + 1 < c->n ? ',' : '\n');
            }
            free(text);
        }
    }
}

int columns_print(const json_t *rows, const char *names, bool csv)
{
    char *text = names != NULL ? mem_strdup(names) : NULL;
    struct columns c = {.n = 0};
    struct table *table = NULL;
    int code = choose(&c, json_array_get(rows, 0), text);

    if (code == EX_OK && csv) {
        for (size_t k = 0; k < c.n; k++)
            printf("%s%c", c.name[k], k + 1 < c.n ? ',' : '\n');
        print_rows(&c, rows, NULL);
    } else if (code == EX_OK) {
        table = table_new(c.name);
        print_rows(&c, rows, table);
        table_print(table, stdout, table_width(stdout));
    }
    table_free(table);
    free(text);
    return code;
}
