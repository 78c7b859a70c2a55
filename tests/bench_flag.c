/*
 * bench_flag.c: what finding interference costs, on a made group of full size, for tests/bench.
 *
 *   bench_flag [ANTENNAS INTEGRATIONS CHANNELS [THREADS [SHARE]]]
 *
 * A source of three times the noise on every baseline, and in SHARE of the cells interference of
 * 20 times the noise.  Prints CPU and wall seconds, and what was found.
 */
#include <complex.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "core/err.h"
#include "pipeline/flag/flag.h"
#include "pipeline/sky/vis.h"

enum { NPOL = 2 };

static double cpu_s(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Four nearly normal numbers of rms 1 from two words: sums of four bytes each, and a quarter. */
static float noise(uint64_t word)
{
    int sum = 0;

    for (int i = 0; i < 4; i++, word >>= 8)
        sum += (int)(word & 0xff);
    return ((float)sum - 510) / 147.8F;
}

static void fill(struct vis *vis, double share)
{
    uint64_t seed = 4242;
    unsigned char *bad = calloc(vis->ntime, vis->nchan);

    for (size_t i = 0; bad != NULL && i < vis->ntime * vis->nchan; i++)
        bad[i] = (double)(next(&seed) >> 40) < share * 16777216.0;
    for (size_t r = 0; r < vis->nrow; r++) {
        double delay = 0.0003 * (vis->row_ant2[r] * 1.3 - vis->row_ant1[r]);
        float complex turn = 3, step = (float complex)cexp(2 * M_PI * I * delay);

        for (size_t c = 0; c < vis->nchan; c++, turn *= step)
            for (size_t p = 0; p < NPOL; p++) {
                size_t at = (r * vis->nchan + c) * NPOL + p;
                uint64_t word = next(&seed);
                float size =
                    bad != NULL && bad[(size_t)vis->row_time[r] * vis->nchan + c] ? 20
                                                                                  : 0;

                vis->data[at] = turn + noise(word) + size + noise(word >> 32) * I;
                vis->weight[at] = 3000;
            }
    }
    free(bad);
}

int main(int argc, char **argv)
{
    size_t nant = argc > 3 ? strtoul(argv[1], NULL, 10) : 96;
    size_t ntime = argc > 3 ? strtoul(argv[2], NULL, 10) : 24;
    size_t nchan = argc > 3 ? strtoul(argv[3], NULL, 10) : 768;
    struct flag_opts opts = {.threads = argc > 4 ? strtoul(argv[4], NULL, 10) : 2};
    double share = argc > 5 ? strtod(argv[5], NULL) : 0.003, cpu0, wall0;
    struct flag_report report;
    struct err e = {0};
    struct vis *vis;
    size_t row = 0;

    if (vis_alloc(&vis, nant, ntime, ntime * nant * (nant - 1) / 2, nchan, NPOL, &e) !=
        0) {
        fprintf(stderr, "bench_flag: %s\n", e.text);
        return 1;
    }
    for (size_t t = 0; t < ntime; t++)
        for (size_t a = 0; a < nant; a++)
            for (size_t b = a + 1; b < nant; b++, row++) {
                vis->row_time[row] = (int)t;
                vis->row_ant1[row] = (int)a;
                vis->row_ant2[row] = (int)b;
            }
    for (size_t c = 0; c < nchan; c++) {
        vis->freq_hz[c] = 1.31e9 + (double)c * 244140.625;
        vis->width_hz[c] = 244140.625;
    }
    vis->pol[0] = -5;
    vis->pol[1] = -6;
    fill(vis, share);
    cpu0 = cpu_s();
    wall0 = now_s();
    if (flag_samples(vis, &opts, &report, &e) != 0) {
        fprintf(stderr, "bench_flag: %s\n", e.text);
        return 1;
    }
    printf("flag_cpu_s=%.3f flag_s=%.3f found=%.5f of=%.5f\n", cpu_s() - cpu0,
           now_s() - wall0, report.total, share);
    flag_report_free(&report);
    vis_free(vis);
    return 0;
}
