/* The socket between operators and the daemon: a server in a child process, clients here. */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "core/control_client.h"
#include "core/err.h"
#include "core/path.h"
#include "watcherd/face/control.h"
#include "watcherd/face/reply.h"

static pid_t server;
static char state_dir[PATH_MAX];

/* An answer that is given later, from a timer. */
struct later {
    uv_timer_t timer;
    struct reply *reply;
    json_t *answer;
};

static void on_later_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_later(uv_timer_t *timer)
{
    struct later *l = timer->data;

    reply_send(l->reply, l->answer);
    uv_close((uv_handle_t *)timer, on_later_closed);
}

struct echo {
    uv_loop_t loop;
    int count;
};

/* Says back what it was asked, and how often it has been; "big" of a size, or "later" by so
   many ms when asked for it. */
static void echo(void *arg, struct reply *r, json_t *request)
{
    struct echo *all = arg;
    size_t big = (size_t)json_integer_value(json_object_get(request, "big"));
    json_int_t later = json_integer_value(json_object_get(request, "later"));
    struct later *l = calloc(1, sizeof *l);
    char *pad = calloc(big + 1, 1);

    assert_non_null(pad);
    assert_non_null(l);
    memset(pad, 'x', big);
    l->answer = json_pack("{s:O, s:i, s:s}", "asked", request, "count", ++all->count,
                          "pad", pad);
    free(pad);
    l->reply = r;
    if (later == 0) {
        reply_send(r, l->answer);
        free(l);
        return;
    }
    uv_timer_init(&all->loop, &l->timer);
    l->timer.data = l;
    uv_timer_start(&l->timer, on_later, (uint64_t)later, 0);
}

static void serve(const char *dir, int ready)
{
    struct control *c = NULL;
    struct echo s = {.count = 0};
    struct err e = {0};

    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&s.loop);
    if (control_new(&c, &s.loop, dir, echo, &s, &e) != 0) {
        dprintf(ready, "%s", e.text);
        _exit(1);
    }
    dprintf(ready, "ready");
    close(ready);
    uv_run(&s.loop, UV_RUN_DEFAULT);
    _exit(0);
}

/* Start a server on a directory; what it says first is in said. */
static void start(const char *dir, char said[512])
{
    int ends[2];
    ssize_t n;

    snprintf(state_dir, sizeof state_dir, "%s", dir);
    assert_int_equal(pipe(ends), 0);
    server = fork();
    assert_true(server >= 0);
    if (server == 0) {
        close(ends[0]);
        serve(dir, ends[1]);
    }
    close(ends[1]);
    n = read(ends[0], said, 511);
    said[n > 0 ? n : 0] = '\0';
    close(ends[0]);
}

static void kill_server(void)
{
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
}

static int dial(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct timeval wait = {.tv_sec = 5};

    snprintf(a.sun_path, sizeof a.sun_path, "%.60s/control.sock", state_dir);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    return fd;
}

static json_t *line_from(int fd)
{
    static char text[1 << 20];
    size_t n = 0;

    while (n + 1 < sizeof text && recv(fd, text + n, 1, 0) == 1 && text[n] != '\n')
        n++;
    return json_loadb(text, n, 0, NULL);
}

static const char *error_of(json_t *answer)
{
    const char *s = json_string_value(json_object_get(answer, "error"));

    assert_non_null(s);
    return s;
}

static void asking_twice_in_one_write_gets_two_answers_in_order(void **state)
{
    static const char two[] = "{\"q\":1}\n{\"q\":2}\n";
    char said[512];
    json_t *a;
    int fd;

    (void)state;
    start(".", said);
    assert_string_equal(said, "ready");
    fd = dial();
    assert_int_equal(write(fd, two, sizeof two - 1), sizeof two - 1);
    for (int i = 1; i <= 2; i++) {
        a = line_from(fd);
        assert_int_equal(json_integer_value(json_object_get(a, "count")), i);
        assert_int_equal(
            json_integer_value(json_object_get(json_object_get(a, "asked"), "q")), i);
        json_decref(a);
    }
    close(fd);
    kill_server();
}

static void
a_malformed_request_gets_an_error_object_and_the_next_one_an_answer(void **state)
{
    static const struct {
        const char *line, *error;
    } bad[] = {
        {"\n", "the request is not JSON"},
        {"{\"q\":\n", "the request is not JSON"},
        {"[1]\n", "the request is not a JSON object"},
        {"{\"a\":1,\"a\":2}\n", "the request is not JSON"},
        {"\xff\xfe\n", "the request is not JSON"},
    };
    char said[512];
    json_t *a;
    int fd;

    (void)state;
    start(".", said);
    fd = dial();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        size_t n = strlen(bad[i].line);

        assert_int_equal(write(fd, bad[i].line, n), n);
        a = line_from(fd);
        assert_non_null(strstr(error_of(a), bad[i].error));
        json_decref(a);
    }
    assert_int_equal(write(fd, "{}\n", 3), 3);
    a = line_from(fd);
    assert_int_equal(json_integer_value(json_object_get(a, "count")), 1);
    json_decref(a);
    close(fd);
    kill_server();
}

static void a_line_without_end_is_refused_and_the_client_dropped(void **state)
{
    static char flood[CONTROL_LINE];
    char said[512], rest;
    json_t *a;
    int fd;

    (void)state;
    memset(flood, 'x', sizeof flood);
    start(".", said);
    fd = dial();
    assert_int_equal(send(fd, flood, sizeof flood, 0), sizeof flood);
    a = line_from(fd);
    assert_non_null(strstr(error_of(a), "longer than"));
    json_decref(a);
    assert_true(recv(fd, &rest, 1, 0) <= 0);
    close(fd);
    kill_server();
}

static void a_client_that_does_not_read_keeps_nobody_waiting(void **state)
{
    static const char big[] = "{\"big\":8000000}\n";
    char said[512];
    struct err e = {0};
    json_t *a, *q = json_object();
    int fd;

    (void)state;
    start(".", said);
    fd = dial();
    for (int i = 0; i < 100; i++)
        assert_int_equal(write(fd, big, sizeof big - 1), sizeof big - 1);
    assert_int_equal(client_call(".", q, PATIENCE_MS / 1000, &a, &e), 0);
    /* Of the hundred only the one whose answer is on its way was taken. */
    assert_in_range(json_integer_value(json_object_get(a, "count")), 1, 2);
    json_decref(a);
    json_decref(q);
    close(fd);
    kill_server();
}

static void more_clients_than_there_are_places_are_all_answered(void **state)
{
    int fd[2 * CONTROL_CLIENTS];
    char said[512];
    json_t *a;

    (void)state;
    start(".", said);
    for (int i = 0; i < 2 * CONTROL_CLIENTS; i++) {
        fd[i] = dial();
        assert_int_equal(write(fd[i], "{}\n", 3), 3);
        a = line_from(fd[i]);
        assert_int_equal(json_integer_value(json_object_get(a, "count")), i + 1);
        json_decref(a);
    }
    for (int i = 0; i < 2 * CONTROL_CLIENTS; i++)
        close(fd[i]);
    kill_server();
}

static void an_answer_that_comes_late_keeps_nobody_else_waiting(void **state)
{
    struct err e = {0};
    json_t *a, *q = json_object();
    char said[512];
    int fd;

    (void)state;
    start(".", said);
    fd = dial();
    assert_int_equal(write(fd, "{\"later\":1500}\n{}\n", 18), 18);
    assert_int_equal(client_call(".", q, PATIENCE_MS / 1000, &a, &e), 0);
    assert_int_equal(json_integer_value(json_object_get(a, "count")), 2);
    json_decref(a);
    /* Its own next request is taken when it has the answer. */
    a = line_from(fd);
    assert_int_equal(json_integer_value(json_object_get(a, "count")), 1);
    json_decref(a);
    a = line_from(fd);
    assert_int_equal(json_integer_value(json_object_get(a, "count")), 3);
    json_decref(a);
    json_decref(q);
    close(fd);
    kill_server();
}

static void a_client_that_leaves_before_its_answer_harms_nobody(void **state)
{
    struct err e = {0};
    json_t *a, *q = json_pack("{s:i}", "later", 300);
    char said[512];

    (void)state;
    start(".", said);
    for (int i = 0; i < 3; i++) {
        int fd = dial();

        assert_int_equal(write(fd, "{\"later\":100}\n", 14), 14);
        close(fd);
    }
    assert_int_equal(client_call(".", q, PATIENCE_MS / 1000, &a, &e), 0);
    assert_int_equal(json_integer_value(json_object_get(a, "count")), 4);
    json_decref(a);
    json_decref(q);
    kill_server();
}

static void who_waits_for_an_answer_is_not_dropped_for_the_next(void **state)
{
    int fd[3 * CONTROL_CLIENTS];
    char said[512];
    json_t *a;

    (void)state;
    start(".", said);
    for (int i = 0; i < 3 * CONTROL_CLIENTS; i++) {
        fd[i] = dial();
        assert_int_equal(write(fd[i], "{\"later\":100}\n", 14), 14);
    }
    for (int i = 0; i < 3 * CONTROL_CLIENTS; i++) {
        a = line_from(fd[i]);
        assert_int_equal(json_integer_value(json_object_get(a, "count")), i + 1);
        json_decref(a);
        close(fd[i]);
    }
    kill_server();
}

static void the_socket_of_a_dead_daemon_is_replaced(void **state)
{
    struct err e = {0};
    json_t *a, *q = json_object();
    struct stat st;
    char said[512];

    (void)state;
    start(".", said);
    kill_server();
    assert_int_equal(stat("control.sock", &st), 0);
    assert_int_equal(client_call(".", q, PATIENCE_MS / 1000, &a, &e), -ECONNREFUSED);
    assert_string_equal(e.text, "no daemon runs on the state directory .");
    start(".", said);
    assert_string_equal(said, "ready");
    assert_int_equal(stat("control.sock", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(client_call(".", q, PATIENCE_MS / 1000, &a, &e), 0);
    json_decref(a);
    json_decref(q);
    kill_server();
}

static void a_file_in_the_sockets_place_is_left_alone(void **state)
{
    char said[512];
    struct stat st;
    int fd = open("control.sock", O_CREAT | O_WRONLY, 0644);

    (void)state;
    close(fd);
    start(".", said);
    assert_string_equal(said, "./control.sock is in the way: it is no socket");
    assert_int_equal(stat("control.sock", &st), 0);
    kill_server();
}

static void a_path_longer_than_a_sockets_address_works(void **state)
{
    char dir[PATH_MAX], said[512];
    struct err e = {0};
    json_t *a, *q = json_object();

    (void)state;
    memset(dir, 'd', 200);
    snprintf(dir + 200, sizeof dir - 200, "/state");
    assert_int_equal(path_mkdirs(dir, &e), 0);
    start(dir, said);
    assert_string_equal(said, "ready");
    assert_int_equal(client_call(dir, q, PATIENCE_MS / 1000, &a, &e), 0);
    json_decref(a);
    json_decref(q);
    kill_server();
}

static void a_daemon_that_hangs_is_waited_for_no_longer_than_asked(void **state)
{
    struct err e = {0};
    json_t *a, *q = json_object();
    char said[512];

    (void)state;
    start(".", said);
    kill(server, SIGSTOP);
    assert_int_equal(client_call(".", q, 0.1, &a, &e), -ETIMEDOUT);
    assert_null(a);
    json_decref(q);
    kill_server();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(asking_twice_in_one_write_gets_two_answers_in_order),
        OWN_DIR(a_malformed_request_gets_an_error_object_and_the_next_one_an_answer),
        OWN_DIR(a_line_without_end_is_refused_and_the_client_dropped),
        OWN_DIR(a_client_that_does_not_read_keeps_nobody_waiting),
        OWN_DIR(more_clients_than_there_are_places_are_all_answered),
        OWN_DIR(an_answer_that_comes_late_keeps_nobody_else_waiting),
        OWN_DIR(a_client_that_leaves_before_its_answer_harms_nobody),
        OWN_DIR(who_waits_for_an_answer_is_not_dropped_for_the_next),
        OWN_DIR(the_socket_of_a_dead_daemon_is_replaced),
        OWN_DIR(a_file_in_the_sockets_place_is_left_alone),
        OWN_DIR(a_path_longer_than_a_sockets_address_works),
        OWN_DIR(a_daemon_that_hangs_is_waited_for_no_longer_than_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
