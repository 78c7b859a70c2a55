#include "pipeline/sky/smear.h"

#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "pipeline/sky/astro.h"
#include "pipeline/sky/vis.h"
#include "pipeline/sky/wcs.h"

enum { LANES = 8, ORDERS = 3 };

#define LARGEST_TURN 2.5 /* rad: of a baseline, for the series */

/* Distance of nodes of a map. */
#define NODE_RAD (0.1 * ASTRO_DEG)

/* Sums over the baselines of an integration, b in ITRF metres, nu in Hz. */
struct sums {
    double weight;
    /* [k - 1][i] of weight nu^2k b_x^(2k - i) b_y^i */
    double power[ORDERS][2 * ORDERS + 1];
    double longest_m; /* of (b_x, b_y) */
};

struct smear {
    const struct vis *vis;
    double top_hz;             /* the highest channel; nu is taken in units of it */
    float *nu2;                /* [nchan + LANES] (nu / top_hz)^2 */
    struct sums *at;           /* [ntime] */
    double weight;             /* of all */
    struct astro_epoch *epoch; /* [ntime] */
};

struct smear *smear_new(const struct vis *vis)
{
    struct smear *smear = mem_calloc(1, sizeof *smear);

    smear->vis = vis;
    smear->top_hz = vis->freq_hz[vis->nchan - 1];
    smear->nu2 = mem_calloc(vis->nchan + LANES, sizeof *smear->nu2);
    smear->at = mem_calloc(vis->ntime, sizeof *smear->at);
    smear->epoch = mem_calloc(vis->ntime, sizeof *smear->epoch);
    for (size_t c = 0; c < vis->nchan; c++) {
        double nu = vis->freq_hz[c] / smear->top_hz;

        smear->nu2[c] = (float)(nu * nu);
    }
    for (size_t t = 0; t < vis->ntime; t++)
        astro_epoch_init(&smear->epoch[t], vis->time_jd[t], &vis->earth, &vis->site);
    return smear;
}

void smear_free(struct smear *smear)
{
    if (smear == NULL)
        return;
    free(smear->nu2);
    free(smear->at);
    free(smear->epoch);
    free(smear);
}

/* sum[k]: of weight nu^2k; in lanes, so that the compiler may add several at a time. */
static void sum_channels(const float *weight, const float *nu2, size_t n,
                         double sum[ORDERS + 1])
{
    float lane[ORDERS + 1][LANES] = {{0}};

    for (size_t c = 0; c < n; c += LANES) {
        size_t end = n - c < LANES ? n - c : LANES;

        for (size_t k = 0; k < end; k++) {
            float w = weight[c + k], y = nu2[c + k];

            lane[0][k] += w;
            lane[1][k] += w * y;
            lane[2][k] += w * y * y;
            lane[3][k] += w * y * y * y;
        }
    }
    for (int i = 0; i <= ORDERS; i++) {
        sum[i] = 0;
        for (size_t k = 0; k < LANES; k++)
            sum[i] += (double)lane[i][k];
    }
}

void smear_add(struct smear *smear, size_t row, const float *weight)
{
    const struct vis *vis = smear->vis;
    struct sums *at = &smear->at[vis->row_time[row]];
    const double *one = vis->ant_pos_m[vis->row_ant1[row]];
    const double *two = vis->ant_pos_m[vis->row_ant2[row]];
    double x[2 * ORDERS + 1] = {1}, y[2 * ORDERS + 1] = {1}, sum[ORDERS + 1];

    sum_channels(weight, smear->nu2, vis->nchan, sum);
    if (!(sum[0] > 0))
        return;
    for (int i = 1; i <= 2 * ORDERS; i++) {
        x[i] = x[i - 1] * (two[0] - one[0]);
        y[i] = y[i - 1] * (two[1] - one[1]);
    }
    at->weight += sum[0];
    smear->weight += sum[0];
    at->longest_m = fmax(at->longest_m, hypot(x[1], y[1]));
    for (int k = 1; k <= ORDERS; k++)
        for (int i = 0; i <= 2 * k; i++)
            at->power[k - 1][i] += sum[k] * x[2 * k - i] * y[i];
}

/* Sum of weight (nu (b_y x - b_x y))^2k, by the binomial theorem. */
static double sum_of_power(const struct sums *s, int k, double x, double y)
{
    double sum = 0, choose = 1;

    for (int i = 0; i <= 2 * k; i++) {
        sum += choose * s->power[k - 1][i] * pow(-y, 2 * k - i) * pow(x, i);
        choose *= (double)(2 * k - i) / (i + 1);
    }
    return sum;
}

/* What integration t adds to the mean, times its weight.  b . (z x off) = b_y off_x - b_x off_y. */
static double of_time(const struct smear *smear, size_t t, double ra_rad,
                      double dec_rad)
{
    const struct vis *vis = smear->vis;
    const struct sums *s = &smear->at[t];
    double omega = 2 * M_PI * ASTRO_TURNS_A_DAY / ASTRO_DAY_S;
    double scale = M_PI * smear->top_hz / ASTRO_C_M_S * vis->tint_s[t] * omega;
    double dir[3], x, y;

    astro_icrs_to_itrf(&smear->epoch[t], ra_rad, dec_rad, dir);
    x = scale * (dir[0] - vis->pointing[t][0]);
    y = scale * (dir[1] - vis->pointing[t][1]);
    if (!(hypot(x, y) * s->longest_m <= LARGEST_TURN))
        return NAN;
    return s->weight - sum_of_power(s, 1, x, y) / 6 + sum_of_power(s, 2, x, y) / 120 -
           sum_of_power(s, 3, x, y) / 5040;
}

double smear_at(const struct smear *smear, double ra_rad, double dec_rad)
{
    double sum = 0;

    if (!(smear->weight > 0))
        return 1;
    for (size_t t = 0; t < smear->vis->ntime; t++)
        if (smear->at[t].weight > 0)
            sum += of_time(smear, t, ra_rad, dec_rad);
    return sum / smear->weight;
}

void smear_map(const struct smear *smear, const struct wcs *wcs, size_t nx, size_t ny,
               float *map)
{
    size_t step = (size_t)fmin(fmax(NODE_RAD / wcs->cell_rad, 1), 64);
    size_t across = (nx + step - 2) / step + 2, up = (ny + step - 2) / step + 2;
    float *node = mem_calloc(across * up, sizeof *node);

    for (size_t j = 0; j < up; j++)
        for (size_t i = 0; i < across; i++) {
            double ra, dec;

            node[j * across + i] = wcs_pix_to_radec(wcs, (double)(i * step),
                                                    (double)(j * step), &ra, &dec) == 0
                                       ? (float)smear_at(smear, ra, dec)
                                       : NAN;
        }
    for (size_t y = 0; y < ny; y++)
        for (size_t x = 0; x < nx; x++) {
            const float *p = node + y / step * across + x / step, *q = p + across;
            float fx = (float)(x % step) / (float)step,
                  fy = (float)(y % step) / (float)step;

            map[y * nx + x] = (1 - fy) * (p[0] + fx * (p[1] - p[0])) +
                              fy * (q[0] + fx * (q[1] - q[0]));
        }
    free(node);
}
