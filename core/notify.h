/*
 * notify.h: what systemd is told about this service: ready, alive, reloading, stopping.
 *
 * A datagram to the Unix socket that $NOTIFY_SOCKET names (sd_notify(3), "Type=notify" of
 * systemd.service(5)); "@" in front is the abstract name space.  Without the variable nothing
 * happens, so a program calls these wherever they belong and runs the same in a terminal.
 *
 * How a program with a loop uses it:
 *
 *     open for work:  notify_ready("watching /data/incoming"), once
 *     every notify_watchdog_s() / 2 (0: never):  notify_alive(), from the loop itself, so that
 *               a loop that hangs is noticed
 *     SIGHUP:   notify_reloading();  ... read the settings ...  notify_ready(NULL);
 *     SIGTERM:  notify_stopping();
 *     a child:  unset NOTIFY_SOCKET in its environment: with NotifyAccess=main systemd would
 *               refuse, and log, what a child says
 *
 * The socket is never waited for: when systemd does not read, the message is lost (-EAGAIN).
 */
#ifndef CORE_NOTIFY_H
#define CORE_NOTIFY_H

/* Each returns 0 when systemd was told or nobody listens, else a negated errno, which callers
 * may ignore. */
int notify_ready(const char *status); /* READY=1, and STATUS= unless NULL */
/* RELOADING=1, with the time that Type=notify-reload needs. */
int notify_reloading(void);
int notify_stopping(void);
int notify_alive(void); /* WATCHDOG=1 */

/* Within how many seconds systemd expects a sign of life ($WATCHDOG_USEC, when meant for us);
 * 0: it expects none. */
double notify_watchdog_s(void);

#endif
