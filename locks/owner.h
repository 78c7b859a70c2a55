/*
 * owner.h: who a process is, so that another process can later prove that it is dead.
 *
 * A bare PID proves nothing: it belongs to one boot of one machine and one PID namespace, and
 * is given out again.  So a record also names the boot, the namespace, the start time and,
 * where the kernel has it (6.9), the pidfs inode, which is never used twice in one boot.
 *
 * Nothing here judges by age: a calibration of five hours is not dead.
 *
 * Environment, for tests and odd installations:
 *   WATCHERD_PROC   another root for /proc (files missing there are taken from /proc,
 *                   except those of processes)
 *   WATCHERD_BOOTS  the file of this machine's boot ids, whatever the program says; "" for none
 */
#ifndef LOCKS_OWNER_H
#define LOCKS_OWNER_H

#include <stdint.h>

struct err;

enum {
    OWNER_ID = 33,
    OWNER_BOOT = 37,
    OWNER_HOST = 65,
    OWNER_EXE = 64,
    OWNER_WHY = 160
};

struct owner {
    char machine[OWNER_ID]; /* /etc/machine-id, hashed; "" when the machine has none */
    char host[OWNER_HOST];  /* a label for people, decides nothing */
    char boot[OWNER_BOOT];  /* /proc/sys/kernel/random/boot_id */
    int64_t pid;
    uint64_t start; /* clock ticks after boot, field 22 of /proc/PID/stat; 0 unknown */
    uint64_t pidfs; /* inode of the process's pidfd; 0 unknown */
    uint64_t pidns; /* inode of the PID namespace; 0 unknown */
    uint32_t uid;
    char exe[OWNER_EXE]; /* program's name and version, "watcherd 0.1.0" */
};

enum owner_life {
    OWNER_DEAD,    /* proved */
    OWNER_ALIVE,   /* proved, and able to run */
    OWNER_UNKNOWN, /* cannot be told from here, or stopped: only its lease decides */
};

#define OWNER_STATE "/var/lib/watcherd" /* whose `boots` is the history unless set */

/*
 * owner_set_boots: keep this machine's boot history in `path` (NULL: OWNER_STATE "/boots"), and
 * note the present boot there when it can be written.  Call it before other threads start.
 *
 * Notes:
 *   1) Only a file on a local file system is believed: machines cloned from one image share
 *      their machine id, and must not come to share this file.
 */
void owner_set_boots(const char *path);

/*
 * owner_self: this process.  Read once per process and kept; a forked child reads anew.
 * Notes the boot in the history file when it can.  Thread-safe.
 * Status: 0, or a negated errno when /proc cannot be read.
 */
int owner_self(struct owner *out, struct err *e);

/* For tests: what owner_self says in this thread from now on (borrowed); NULL: the truth. */
void owner_pretend(const struct owner *me);

/*
 * owner_judge: is `who` dead?  `why` gets the evidence in words: "process no longer exists".
 *
 * Notes:
 *   1) Dead: an earlier boot of this very machine (history file and machine id agree); or
 *      same boot and PID namespace, and there is no such process, or its start time or pidfs
 *      inode differ, or it is a zombie without threads left.
 *   2) Start times are compared only in the kernel's own time namespace: /proc shifts them
 *      by the reader's.
 *   3) A process that may not be signalled (EPERM) is alive; one in state T is unknown.
 *   4) Equal machine ids with a boot that is not in the history prove nothing: cloned images
 *      share /etc/machine-id.
 */
enum owner_life owner_judge(const struct owner *who, char why[OWNER_WHY]);

/* Inode of the time namespace in which we live, whose CLOCK_BOOTTIME may be shifted; 0
 * unknown. */
uint64_t owner_timens(void);

/* Same running kernel as ours (boot ids equal)?  Kernel locks are then one and the same. */
int owner_same_boot(const struct owner *who);

#endif
