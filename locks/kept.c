/* kept.c: see kept.h. */
#include "locks/kept.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "locks/crashpoint.h"

static const char mark[] = "kept ";
enum { MARK = sizeof mark - 1, HEAD_MAX = 128, SUM = 16 };

static uint64_t stir(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0x9e3779b97f4a7c15U;
    return h ^ h >> 29;
}

/* It has to notice a write that stopped, not an enemy. */
static uint64_t checksum(uint64_t h, const char *text, size_t n)
{
    uint64_t word;

    for (; n >= sizeof word; text += sizeof word, n -= sizeof word) {
        memcpy(&word, text, sizeof word);
        h = stir(h, word);
    }
    word = 0;
    memcpy(&word, text, n);
    return stir(h, word);
}

uint64_t kept_file(dev_t dev, ino_t ino)
{
    return stir(stir(0, (uint64_t)dev), (uint64_t)ino);
}

static uint64_t sum_of(const char *head, size_t nhead, const char *line, size_t n)
{
    return checksum(checksum(0xcbf29ce484222325U, head, nhead), line, n);
}

bool kept_is(const char *text, size_t n)
{
    return n == KEPT_SIZE && memcmp(text, mark, MARK) == 0;
}

/* A number and the blank behind it. */
static bool take_number(const char **p, const char *end, int base, uint64_t *out)
{
    char *rest;

    if (*p >= end || **p == ' ' || **p == '-' || **p == '+')
        return false;
    *out = strtoull(*p, &rest, base);
    if (rest == *p || rest >= end || (*rest != ' ' && *rest != '\n'))
        return false;
    *p = rest + 1;
    return true;
}

/* Read the slot; false when it is not whole. */
static bool read_slot(const char *slot, struct kept *out)
{
    char head[HEAD_MAX];
    const char *p = head + MARK, *word, *end, *sum_at;
    uint64_t n, sum;

    memcpy(head, slot, sizeof head); /* with an end, whatever the slot holds */
    head[sizeof head - 1] = '\0';
    end = strchr(head, '\n');
    if (end == NULL || memcmp(head, mark, MARK) != 0)
        return false;
    if (!take_number(&p, end, 10, &out->seq) ||
        !take_number(&p, end, 10, &out->series) ||
        !take_number(&p, end, 10, &out->gen) || !take_number(&p, end, 16, &out->file))
        return false;
    word = p;
    p = memchr(word, ' ', (size_t)(end - word));
    if (p == NULL || p == word || p - word >= KEPT_END)
        return false;
    memcpy(out->end, word, (size_t)(p - word));
    out->end[p - word] = '\0';
    if (strcmp(out->end, "-") == 0)
        out->end[0] = '\0';
    p++;
    if (!take_number(&p, end, 10, &n))
        return false;
    sum_at = p;
    if (end - sum_at != SUM || !take_number(&p, end + 1, 16, &sum))
        return false;
    out->at = (size_t)(end + 1 - head);
    out->n = (size_t)n;
    return n <= KEPT_SLOT - out->at && out->seq > 0 &&
           sum == sum_of(head, (size_t)(sum_at - head), slot + out->at, (size_t)n);
}

bool kept_last(const char *text, size_t n, struct kept *out, bool *settled)
{
    struct kept slot[2];
    bool whole[2];
    int last;

    if (settled != NULL)
        *settled = false;
    if (n != KEPT_SIZE)
        return false;
    for (size_t i = 0; i < 2; i++) {
        whole[i] = read_slot(text + i * KEPT_SLOT, &slot[i]) && slot[i].seq % 2 == i;
        slot[i].at += i * KEPT_SLOT;
    }
    if (!whole[0] && !whole[1])
        return false;
    last = !whole[0] || (whole[1] && slot[1].seq > slot[0].seq);
    *out = slot[last];
    if (settled != NULL && whole[0] && whole[1])
        *settled = slot[!last].seq + 1 == out->seq;
    return true;
}

/* Put a slot together; its length, or -E2BIG. */
static int format(char out[KEPT_SLOT], const struct kept *w, const char *line, size_t n)
{
    int head = snprintf(
        out, HEAD_MAX, "%s%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIx64 " %s %zu ",
        mark, w->seq, w->series, w->gen, w->file, w->end[0] != '\0' ? w->end : "-", n);

    if (head < 0 || head + SUM + 1 >= HEAD_MAX ||
        (size_t)head + SUM + 1 + n > KEPT_SLOT)
        return -E2BIG;
    sprintf(out + head, "%016" PRIx64 "\n", sum_of(out, (size_t)head, line, n));
    memcpy(out + head + SUM + 1, line, n);
    return head + SUM + 1 + (int)n;
}

int kept_open(char out[KEPT_SIZE], const struct kept *first, const char *line, size_t n)
{
    struct kept opening = {.seq = first->seq - 1,
                           .series = first->series,
                           .gen = first->series,
                           .file = first->file,
                           .end = "opened"};
    int rc;

    memset(out, 0, KEPT_SIZE);
    rc = format(out + opening.seq % 2 * KEPT_SLOT, &opening, "", 0);
    if (rc >= 0)
        rc = format(out + first->seq % 2 * KEPT_SLOT, first, line, n);
    return rc < 0 ? rc : 0;
}

int kept_write(int fd, const struct kept *w, const char *line, size_t n)
{
    off_t at = (off_t)(w->seq % 2) * KEPT_SLOT;
    char slot[KEPT_SLOT];
    int len = format(slot, w, line, n);
    size_t done = 0, part;

    if (len < 0)
        return len;
    crash_step("slot");
    part = crash_part((size_t)len);
    while (done < (size_t)len) {
        ssize_t m = pwrite(fd, slot + done, (done < part ? part : (size_t)len) - done,
                           at + (off_t)done);

        if (m < 0 && errno == EINTR)
            continue;
        if (m <= 0)
            return m < 0 ? -errno : -EIO;
        done += (size_t)m;
        if (done == part && part < (size_t)len)
            crash_step("rest of the slot");
    }
    return 0;
}
