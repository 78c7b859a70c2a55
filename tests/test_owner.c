/* test_owner.c: death is proved or it is not claimed; with a /proc of our own making. */
#include "tests/test.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "core/err.h"
#include "locks/machine.h"
#include "locks/owner.h"

#define BOOT_NOW  "11111111-2222-3333-4444-555555555555"
#define BOOT_THEN "99999999-8888-7777-6666-555555555555"

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

/* A /proc with process 77 in state `state`, started at tick `start`, pidfs inode `pidfs`. */
static void make_proc(char state, long threads, unsigned long start, const char *pidfs)
{
    char text[256];

    assert_int_equal(system("mkdir -p proc/77 proc/sys/kernel/random proc/self/ns"), 0);
    put("proc/sys/kernel/random/boot_id", BOOT_NOW "\n");
    /* the name in field 2 may hold spaces and brackets: proc(5) */
    snprintf(
        text, sizeof text,
        "77 (ca) 9 (sa) %c 1 77 77 0 -1 4194560 100 0 0 0 1 1 0 0 20 0 %ld 0 %lu 1 1\n",
        state, threads, start);
    put("proc/77/stat", text);
    if (pidfs != NULL)
        put("proc/77/pidfs", pidfs);
    unlink("proc/self/ns/pid");
    assert_int_equal(symlink("pid:[4026531836]", "proc/self/ns/pid"), 0);
    setenv("WATCHERD_PROC", "proc", 1);
    setenv("WATCHERD_BOOTS", "boots", 1);
}

/* A process identity is read once per process: ask in a child. */
static enum owner_life judge(const struct owner *who, char why[OWNER_WHY])
{
    struct {
        enum owner_life life;
        char why[OWNER_WHY];
    } answer = {0};
    int ends[2];
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        answer.life = owner_judge(who, answer.why);
        _exit(write(ends[1], &answer, sizeof answer) == sizeof answer ? 0 : 1);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &answer, sizeof answer), sizeof answer);
    close(ends[0]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    snprintf(why, OWNER_WHY, "%s", answer.why);
    return answer.life;
}

static struct owner of_77(void)
{
    struct owner who = {.boot = BOOT_NOW,
                        .host = "cs01",
                        .pid = 77,
                        .start = 5000,
                        .pidfs = 300,
                        .pidns = 4026531836,
                        .exe = "watcherd 0.1.0"};

    machine_id(who.machine);
    return who;
}

static void the_machine_id_is_hashed_by_hmac_sha_256(void **state)
{
    /* RFC 4231, test case 2 */
    static const uint8_t want[32] = {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e,
                                     0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
                                     0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83,
                                     0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43};
    uint8_t mac[32];
    char id[33];

    (void)state;
    machine_hmac((const uint8_t *)"Jefe", 4,
                 (const uint8_t *)"what do ya want for nothing?", 28, mac);
    assert_memory_equal(mac, want, 32);
    machine_id(id);
    if (access("/etc/machine-id", R_OK) == 0) {
        assert_int_equal(strlen(id), 32);
        assert_int_equal(id[12], '4'); /* a version 4 UUID, as sd_id128(3) gives */
    }
}

static void this_process_is_alive_to_itself_and_to_its_child(void **state)
{
    struct owner me;
    char why[OWNER_WHY];
    struct err e;

    (void)state;
    unsetenv("WATCHERD_PROC");
    setenv("WATCHERD_BOOTS", "", 1);
    assert_int_equal(owner_self(&me, &e), 0);
    assert_int_equal(me.pid, getpid());
    assert_true(me.start > 0 && me.pidns > 0);
    assert_non_null(strstr(me.exe, "test_owner"));
    assert_int_equal(owner_judge(&me, why), OWNER_ALIVE);
    assert_int_equal(judge(&me, why), OWNER_ALIVE);
}

static void a_forked_child_is_another_owner(void **state)
{
    struct owner me, child;
    int ends[2];
    struct err e;

    (void)state;
    unsetenv("WATCHERD_PROC");
    assert_int_equal(owner_self(&me, &e), 0);
    assert_int_equal(pipe(ends), 0);
    if (fork() == 0) {
        owner_self(&child, &e);
        _exit(write(ends[1], &child, sizeof child) == sizeof child &&
                      child.pid == getpid()
                  ? 0
                  : 1);
    }
    assert_int_equal(read(ends[0], &child, sizeof child), sizeof child);
    wait(NULL);
    close(ends[0]);
    close(ends[1]);
    assert_int_not_equal(child.pid, me.pid);
}

static void a_process_that_ended_is_dead(void **state)
{
    struct owner who;
    char why[OWNER_WHY];
    struct err e;
    pid_t pid;

    (void)state;
    unsetenv("WATCHERD_PROC");
    assert_int_equal(owner_self(&who, &e), 0);
    pid = fork();
    if (pid == 0)
        _exit(0);
    who.pid = pid;
    who.start = who.pidfs = 0;
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(owner_judge(&who, why),
                     OWNER_DEAD); /* a zombie still has its number */
    assert_string_equal(why, "process has ended and was not waited for");
    waitpid(pid, NULL, 0);
    assert_int_equal(owner_judge(&who, why), OWNER_DEAD);
    assert_string_equal(why, "process no longer exists");
}

static const struct {
    const char *what;
    char state;
    long threads;
    unsigned long start;
    const char *pidfs; /* of the process now; NULL: the kernel has none */
    uint64_t recorded; /* pidfs in the record */
    enum owner_life life;
    const char *why;
} processes[] = {
    {"same", 'S', 1, 5000, "300", 300, OWNER_ALIVE, "running"},
    {"same, old kernel", 'R', 1, 5000, NULL, 0, OWNER_ALIVE, "running"},
    {"waits for a disk", 'D', 1, 5000, "300", 300, OWNER_ALIVE, "running"},
    {"later start", 'S', 1, 5007, NULL, 0, OWNER_DEAD, "another process"},
    /* matrix: locks 6 PID reuse inside one tick */
    {"same tick, other pidfs inode", 'S', 1, 5000, "301", 300, OWNER_DEAD,
     "another process"},
    {"zombie", 'Z', 1, 5000, "300", 300, OWNER_DEAD, "ended"},
    {"leader gone, threads run", 'Z', 3, 5000, "300", 300, OWNER_ALIVE, "running"},
    {"stopped", 'T', 1, 5000, "300", 300, OWNER_UNKNOWN, "stopped"},
    {"traced", 't', 1, 5000, "300", 300, OWNER_UNKNOWN, "stopped"},
};

/* matrix: locks 5 PID reuse (faked /proc) */
static void a_process_is_judged_by_start_state_and_pidfs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof processes / sizeof *processes; i++) {
        struct owner who = of_77();
        char why[OWNER_WHY];

        assert_int_equal(system("rm -rf proc"), 0);
        make_proc(processes[i].state, processes[i].threads, processes[i].start,
                  processes[i].pidfs);
        who.pidfs = processes[i].recorded;
        if (judge(&who, why) != processes[i].life ||
            strstr(why, processes[i].why) == NULL)
            fail_msg("%s: %s", processes[i].what, why);
    }
}

static void a_record_without_a_start_time_never_proves_life(void **state)
{
    struct owner who = of_77();
    char why[OWNER_WHY];

    (void)state;
    make_proc('S', 1, 5000, NULL);
    who.start = who.pidfs = 0;
    assert_int_equal(judge(&who, why), OWNER_UNKNOWN);
    who.pid = 78;
    assert_int_equal(judge(&who, why), OWNER_DEAD);
    who.pid = -1;
    assert_int_equal(judge(&who, why), OWNER_UNKNOWN);
}

/* A bare container has none, and then no history is kept. */
static void need_machine_id(void)
{
    if (access("/etc/machine-id", R_OK) == 0)
        return;
    print_message("skipped: no /etc/machine-id here\n");
    skip();
}

/* matrix: locks 7 reboot (boot history) */
static void an_earlier_boot_of_this_machine_is_dead(void **state)
{
    struct owner who = of_77();
    char why[OWNER_WHY], line[128];

    (void)state;
    need_machine_id();
    make_proc('S', 1, 5000, "300");
    snprintf(line, sizeof line, "%s %s\n", who.machine, BOOT_THEN);
    put("boots", line);
    strcpy(who.boot, BOOT_THEN);
    assert_int_equal(judge(&who, why), OWNER_DEAD);
    assert_string_equal(why, "machine was rebooted since");
    assert_int_equal(system("grep -c '" BOOT_NOW "' boots >/dev/null"),
                     0); /* it was noted */
}

/* matrix: locks 8 cloned images */
static void a_boot_that_is_not_in_our_history_proves_nothing(void **state)
{
    struct owner who = of_77();
    char why[OWNER_WHY];

    (void)state;
    make_proc('S', 1, 5000, "300");
    strcpy(who.boot, BOOT_THEN);
    assert_int_equal(judge(&who, why), OWNER_UNKNOWN);
    assert_non_null(strstr(why, "cloned"));
    strcpy(who.machine, "00000000000000000000000000000000");
    assert_int_equal(judge(&who, why), OWNER_UNKNOWN);
    assert_string_equal(why, "on another machine");
}

/* matrix: locks 9 another PID namespace (faked /proc) */
static void another_pid_namespace_cannot_be_judged(void **state)
{
    struct owner who = of_77();
    char why[OWNER_WHY];

    (void)state;
    make_proc('S', 1, 9999, "1");
    who.pidns++;
    assert_int_equal(judge(&who, why), OWNER_UNKNOWN);
    who.pidns = 0;
    assert_int_equal(judge(&who, why), OWNER_UNKNOWN);
}

/* matrix: locks 30 no permission to signal */
static void a_process_that_we_may_not_signal_is_alive(void **state)
{
    int status;

    (void)state;
    unsetenv("WATCHERD_PROC");
    if (getuid() != 0) {
        print_message(
            "skipped: only root has processes that others may not signal here\n");
        skip();
    }
    if (fork() == 0) {
        struct owner who;
        char why[OWNER_WHY];
        struct err e;

        owner_self(&who, &e);
        who.pid = getppid();
        who.start = who.pidfs = 0;
        if (setgid(65534) != 0 || setuid(65534) != 0 || kill((pid_t)who.pid, 0) == 0)
            _exit(2);
        _exit(owner_judge(&who, why) == OWNER_DEAD ? 1 : 0);
    }
    assert_true(wait(&status) > 0);
    assert_int_equal(status, 0);
}

static void a_history_that_cannot_be_kept_does_not_matter(void **state)
{
    struct owner who = of_77();
    char why[OWNER_WHY];

    (void)state;
    make_proc('S', 1, 5000, "300");
    setenv("WATCHERD_BOOTS", "no/such/directory/boots", 1);
    assert_int_equal(judge(&who, why), OWNER_ALIVE);
    assert_int_equal(mkfifo("fifo", 0644), 0);
    setenv("WATCHERD_BOOTS", "fifo", 1);
    assert_int_equal(judge(&who, why), OWNER_ALIVE);
}

/* matrix: locks 7 reboot (the program says where) */
static void the_history_is_kept_where_the_program_says(void **state)
{
    struct owner who = of_77();
    char why[OWNER_WHY], line[128];

    (void)state;
    need_machine_id();
    make_proc('S', 1, 5000, "300");
    unsetenv("WATCHERD_BOOTS");
    owner_set_boots("mine");
    assert_int_equal(system("test $(grep -c '" BOOT_NOW "' mine) = 1"), 0);
    owner_set_boots("mine");
    assert_int_equal(system("test $(wc -l <mine) = 1"), 0); /* once for a boot */
    snprintf(line, sizeof line, "%s %s\n", who.machine, BOOT_THEN);
    put("mine", line);
    owner_set_boots("mine");
    strcpy(who.boot, BOOT_THEN);
    assert_int_equal(judge(&who, why), OWNER_DEAD);
    owner_set_boots("other");
    assert_int_equal(judge(&who, why), OWNER_UNKNOWN);
    owner_set_boots(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(the_machine_id_is_hashed_by_hmac_sha_256),
        OWN_DIR(this_process_is_alive_to_itself_and_to_its_child),
        OWN_DIR(a_forked_child_is_another_owner),
        OWN_DIR(a_process_that_ended_is_dead),
        OWN_DIR(a_process_is_judged_by_start_state_and_pidfs),
        OWN_DIR(a_record_without_a_start_time_never_proves_life),
        OWN_DIR(an_earlier_boot_of_this_machine_is_dead),
        OWN_DIR(a_boot_that_is_not_in_our_history_proves_nothing),
        OWN_DIR(another_pid_namespace_cannot_be_judged),
        OWN_DIR(a_process_that_we_may_not_signal_is_alive),
        OWN_DIR(a_history_that_cannot_be_kept_does_not_matter),
        OWN_DIR(the_history_is_kept_where_the_program_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
