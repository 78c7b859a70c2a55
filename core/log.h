/*
 * log.h: one `key=value` line an event to stderr, for journald.
 *
 *   level=info event=settled file=/data/in/x.hdf5 bytes=118000
 *
 * On a stream that journald reads ($JOURNAL_STREAM) a "<6>" priority prefix stands first;
 * on a terminal or in a file a UTC time does.
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
/*
 * log_event: pairs of (key, value) strings after the event's name, ended by NULL:
 *     log_event(LOG_INFO, "settled", "file", path, "bytes", log_u(size), NULL);
 * Values with spaces, quotes, '=' or control bytes are quoted and escaped.
 */
void log_event(enum log_level level, const char *event, ...) __attribute__((sentinel));
/* Numbers as text, in one of 16 rotating static buffers (single-threaded programs). */
const char *log_u(unsigned long long v);
const char *log_d(long long v);
const char *log_f(double v, int decimals);

#endif
