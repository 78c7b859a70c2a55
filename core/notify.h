/*
 * notify.h: what systemd is told about this service: ready, alive, reloading, stopping.
 *
 * A datagram to the Unix socket that $NOTIFY_SOCKET names (sd_notify(3), "Type=notify" of
 * systemd.service(5)); "@" in front is the abstract name space.  Without the variable nothing
 * happens, so a program calls these wherever they belong and runs the same in a terminal.
 *
 * How to wire it into a program with a loop:
 *
 *     notify_ready("watching /data/incoming");     when open for work, once, and after a reload
 *     every notify_watchdog_s() / 2 (0: never):    notify_alive()   from the loop itself,
 *     so that a loop
 *                                                  that hangs is noticed
 *     notify_status("3 tasks run, 12 wait");       when it changes
 *     SIGHUP:   notify_reloading();  ... read the settings ...  notify_ready(NULL);
 *     SIGTERM:  notify_stopping();
 *     fork/exec of a child: notify_forget() in the child, or unset NOTIFY_SOCKET in its
 *     environment:
 *               with NotifyAccess=main systemd would refuse, and log, what a child says
 *
 * The socket is never waited for: when systemd does not read, what was to be said is lost
 * (-EAGAIN).
 */
#ifndef CORE_NOTIFY_H
#define CORE_NOTIFY_H

#include <stdbool.h>

/* Each: 0 told, or nobody listens; else a negated errno, which need not interest anybody. */
int notify_ready(const char *status); /* READY=1, and STATUS= unless NULL */
int notify_status(const char *status);
int notify_reloading(
    void); /* RELOADING=1, with the time that Type=notify-reload needs */
int notify_stopping(void);
int notify_alive(void); /* WATCHDOG=1 */

/* The period that systemd expects a sign of life in ($WATCHDOG_USEC, when meant for us); 0:
   none. */
double notify_watchdog_s(void);
/* Is there anybody to tell? */
bool notify_wanted(void);
/* Take the variables out of the environment. */
void notify_forget(void);

#endif
