#include "tools/taskctl/monitor.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "core/err.h"
#include "core/mem.h"
#include "core/text.h"
#include "tools/taskctl/screen.h"
#include "tools/taskctl/table.h"
#include "tools/taskctl/view.h"

#define RULE    "======================================================================"
#define EVERY_S 5.0

enum colour { PLAIN, BOLD, GREEN, YELLOW, RED };

/* One page in the making. */
struct page {
    const struct ctl *ctl;
    const struct view *v;
    FILE *out;
    bool colours;
};

static const char *on(const struct page *p, enum colour c)
{
    static const char *const codes[] = {"", "\033[1m", "\033[32m", "\033[33m",
                                        "\033[1;31m"};

    return p->colours ? codes[c] : "";
}

static const char *off(const struct page *p)
{
    return p->colours ? "\033[0m" : "";
}

static void title(const struct page *p, const char *text)
{
    fprintf(p->out, "\n%s%s%s\n", on(p, BOLD), text, off(p));
}

/* "  Name       ✓ RUNNING  detail" */
static void service(const struct page *p, const char *name, bool good, const char *word,
                    const char *detail)
{
    char text[1200];

    text_escape(text, sizeof text, detail);
    fprintf(p->out, "  %-10s %s%s %s%s  %s\n", name, on(p, good ? GREEN : RED),
            good ? "\xe2\x9c\x93" : "\xe2\x9c\x97", word, off(p), text);
}

static void put_banner(const struct page *p)
{
    char at[32];
    time_t t = (time_t)p->v->wall;
    struct tm tm;

    gmtime_r(&t, &tm);
    strftime(at, sizeof at, "%Y-%m-%d %H:%M:%S UTC", &tm);
    fprintf(p->out, "%s\n  watcherd monitor%32s\n%s\n", RULE, at, RULE);
}

static void put_services(const struct page *p)
{
    const struct view *v = p->v;
    char text[1200], age[32];
    int n;

    title(p, "Service Status");
    if (v->daemon != NULL)
        snprintf(
            text, sizeof text, "pid %lld, up %s",
            (long long)json_integer_value(json_object_get(v->daemon, "pid")),
            text_age(json_number_value(json_object_get(v->daemon, "uptime_s")), age));
    else
        snprintf(text, sizeof text, "%s", v->why_daemon.text);
    service(p, "daemon", v->daemon != NULL, v->daemon != NULL ? "RUNNING" : "STOPPED",
            text);
    if (v->rc != 0) {
        service(p, "queue", false, "NOT REACHED", v->why_store.text);
        return;
    }
    n = snprintf(text, sizeof text, "%s", queue_where(p->ctl->q));
    if (v->mode != QUEUE_RUNS)
        snprintf(text + n, sizeof text - (size_t)n, ", for %s%s%s",
                 ctl_age(v->now, v->since, age), v->reason[0] != '\0' ? ": " : "",
                 v->reason);
    service(p, "queue", v->mode == QUEUE_RUNS,
            v->mode == QUEUE_RUNS     ? "RUNNING"
            : v->mode == QUEUE_DRAINS ? "DRAINING"
                                      : "PAUSED",
            text);
    snprintf(text, sizeof text, "%zu alive", v->sum.alive);
    service(p, "workers", v->sum.alive > 0, v->sum.alive > 0 ? "RUNNING" : "STOPPED",
            text);
}

static void put_workers(const struct page *p)
{
    const struct view *v = p->v;

    title(p, "Active Workers");
    if (v->rc != 0) {
        fputs("  not known\n", p->out);
        return;
    }
    fprintf(p->out, "  Count: %zu, doing %d of %d tasks at a time\n", v->sum.alive,
            v->sum.running, v->sum.slots);
    if (v->roster.n > 0)
        roster_print(&v->roster, p->ctl, v->now, p->out, 2);
}

static void put_counts(const struct page *p)
{
    static const struct {
        const char *name;
        int of;
        enum colour colour; /* when there are some */
    } lines[] = {{"Completed", TASK_COMPLETED, GREEN},
                 {"Failed", TASK_FAILED, RED},
                 {"Running", TASK_CLAIMED, PLAIN},
                 {"Pending", TASK_PENDING, PLAIN},
                 {"Cancelled", TASK_CANCELLED, PLAIN}};

    title(p, "Task Queue Statistics");
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        size_t n = p->v->counts.of[lines[i].of];

        if (p->v->rc != 0)
            fprintf(p->out, "  %-10s ?\n", lines[i].name);
        else
            fprintf(p->out, "  %-10s %s%zu%s\n", lines[i].name,
                    on(p, n > 0 ? lines[i].colour : PLAIN), n, off(p));
    }
}

static void put_recent(const struct page *p)
{
    static const char *const head[] = {"ID",     "NAME", "KEY", "STATUS",
                                       "WORKER", "TIME", NULL};
    struct table *t = table_new(head);

    table_indent(t, 2);
    title(p, "Recent Task Activity (Last 10)");
    for (size_t i = 0; i < p->v->nrecent; i++) {
        const struct task *task = &p->v->recent[i];
        time_t at = (time_t)view_event(task);
        struct tm tm;
        char text[16];

        gmtime_r(&at, &tm);
        strftime(text, sizeof text, "%H:%M:%S", &tm);
        /* its last digits: the first are the time, and equal for a minute */
        table_put(t, strlen(task->id) > 8 ? task->id + strlen(task->id) - 8 : task->id);
        table_put(t, task->name);
        table_put(t, task->key);
        table_put(t, task_status_name(task->status));
        table_put(t, task->worker);
        table_put(t, text);
    }
    if (p->v->nrecent > 0)
        table_print(t, p->out, 0);
    else
        fputs(p->v->rc != 0 ? "  not known\n" : "  none\n", p->out);
    table_free(t);
}

static void put_disks(const struct page *p)
{
    static const enum colour colours[] = {
        [DISK_FINE] = GREEN, [DISK_WARN] = YELLOW, [DISK_STOP] = RED};
    const struct view_disks *d = &p->v->disks;

    title(p, "Disk Space");
    for (size_t i = 0; i < VIEW_DISKS; i++) {
        const struct disk_fill *f = &d->fill[i];
        enum disk_level level = view_level(&p->ctl->conf, f);
        char dir[1024], bytes[32];

        text_escape(dir, sizeof dir, d->dir[i]);
        if (!d->answered && i >= d->stuck)
            fprintf(p->out, "  %-10s %s%s%s  %s\n", d->name[i], on(p, RED),
                    i == d->stuck ? "DOES NOT ANSWER" : "not asked", off(p), dir);
        else if (f->rc != 0)
            fprintf(p->out, "  %-10s %s%s%s  %s\n", d->name[i], on(p, RED),
                    err_text(f->rc), off(p), dir);
        else
            fprintf(p->out, "  %-10s %s%5.1f %%%s  %10s free  %s%s\n", d->name[i],
                    on(p, colours[level]), disk_pct(f), off(p),
                    disk_bytes(f->bytes_free, bytes), dir,
                    level == DISK_STOP   ? "  (tasks stop)"
                    : level == DISK_WARN ? "  (nearly full)"
                                         : "");
    }
}

static void put_log(const struct page *p)
{
    char *copy, *rest, *line, text[2048];

    title(p, "Recent Log Lines");
    if (p->v->log == NULL) {
        fprintf(p->out, "  %s\n", p->v->why_log);
        return;
    }
    copy = mem_strdup(p->v->log);
    for (rest = copy; (line = strsep(&rest, "\n")) != NULL;) {
        if (line[0] == '\0')
            continue;
        text_escape(text, sizeof text, line);
        fprintf(p->out, "  %s\n", text);
    }
    free(copy);
}

static void put_help(const struct page *p, bool live)
{
    title(p, "Commands");
    fputs("  taskctl list --status failed    taskctl show ID     taskctl retry ID\n"
          "  taskctl stuck    taskctl pause    taskctl drain    taskctl scale N\n"
          "  watcherd why GROUP    journalctl -fu watcherd\n",
          p->out);
    if (live)
        fputs("  q: end    space: now\n", p->out);
}

/* The page as text, malloc'ed. */
static char *draw(const struct ctl *ctl, const struct view *v, bool live)
{
    struct page p = {.ctl = ctl, .v = v};
    const char *no_color = getenv("NO_COLOR");
    char *text = NULL;
    size_t n;

    p.out = mem_must(open_memstream(&text, &n));
    p.colours = isatty(STDOUT_FILENO) && (no_color == NULL || no_color[0] == '\0');
    put_banner(&p);
    put_services(&p);
    put_workers(&p);
    put_counts(&p);
    put_recent(&p);
    put_disks(&p);
    put_log(&p);
    put_help(&p, live);
    fclose(p.out);
    return text;
}

static int show_once(struct ctl *ctl)
{
    struct view v;
    char *text;
    int rc, code;

    view_read(&v, ctl);
    rc = v.rc;
    if (ctl->json) {
        code = ctl_print_json(view_json(&v, ctl));
    } else {
        text = draw(ctl, &v, false);
        code = fputs(text, stdout) >= 0 && fflush(stdout) == 0 ? EX_OK : EX_IOERR;
        free(text);
    }
    view_clear(&v);
    return rc != 0 ? ctl_code(rc) : code;
}

/* Look anew each `every_s`; between, a resized window gets the same page anew. */
static int show_live(struct ctl *ctl)
{
    double every = ctl->every_s > 0 ? ctl->every_s : EVERY_S;
    enum screen_news news = SCREEN_TIME;

    while (news != SCREEN_QUIT) {
        struct view v;
        char *text;

        view_read(&v, ctl);
        text = draw(ctl, &v, true);
        do {
            screen_show(text);
            news = screen_wait(every);
        } while (news == SCREEN_RESIZED);
        free(text);
        view_clear(&v);
    }
    screen_end();
    return EX_OK;
}

int monitor_main(struct ctl *ctl)
{
    if (ctl->nword > 0)
        return ctl_wrong("monitor takes no names");
    return ctl->once || ctl->json || !screen_begin() ? show_once(ctl) : show_live(ctl);
}
