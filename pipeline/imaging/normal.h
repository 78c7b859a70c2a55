/*
 * normal.h: what an image of fluxes leaves in the dirty image, without the visibilities.
 *
 * Gridding the prediction of a model is a linear map of images, A.  With t = n - 1, T the
 * largest |t|, tau = t / T, and phi = 2 pi w' T of a sample (imager.c), fluxes I_p give at x
 *
 *   sum over samples of wi  sum over p of
 *       I_p Re exp(-i [2 pi (u, v).(x - x_p) + phi (tau - tau_p)])
 *
 * and the last part is a series in tau - tau_p, which never exceeds 1:
 *
 *   A I = sum over k + j = m < K of  C(m, k) tau^k [ P_m * ((-tau)^j I) ],
 *   P_m(d) = Re sum of wi (-i phi)^m / m! exp(-2 pi i (u, v).d)  /  sum of wi.
 *
 * P_0 is the point spread function.  The K kernels are made once, from the weights, on lags of
 * twice the image; then A costs 2 K transforms, however many samples there are.  It is
 * symmetric: <x, A y> = <A x, y>.
 *
 * With a beam that changes, b_q(x) g_q(t, c) summed over q < Q (beam_series.h), fluxes in the
 * mean beam leave
 *
 *   A I = sum over q of  A_q (b_q I),
 *
 * A_q being A with the weights wi g_q; later terms are small and need fewer kernels.  It costs
 * at most K Q + K transforms.  Each A_q is symmetric; their sum is only where the b_q are the
 * same in all directions, for the transpose is  sum over q of  b_q (A_q I).
 *
 * The normal operator of a flat array as a convolution is known from magnetic resonance imaging
 * (Fessler et al. 2005, IEEE Trans. Signal Process. 53, 3393).
 */
#ifndef PIPELINE_IMAGING_NORMAL_H
#define PIPELINE_IMAGING_NORMAL_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct imager;
struct normal; /* opaque: the transforms of the kernels */

/*
 * normal_new: grid the weights and transform the kernels.
 * Given:    im, with its beam, borrowed until normal_free
 * Returned: *out, to be freed by normal_free; psf [ny][nx] (or NULL) what a source of 1 Jy in
 *           the middle of the image leaves
 * Status:   0; -ENOMEM
 * Cost:     one pass over the nodes, or as many as the planes of all terms need, and two transforms
 *           of about twice the image for each kernel
 */
int normal_new(struct normal **out, const struct imager *im, float *psf, struct err *e);
void normal_free(struct normal *op);

/*
 * normal_subtract: image -= A model.
 * Given:    model [ny][nx] Jy/pixel, inside the image
 * Returned: image [ny][nx] Jy/beam
 */
void normal_subtract(struct normal *op, const float *model, float *image);

/*
 * normal_take_near: about the same for one component and a few pixels: what `flux` Jy/pixel at
 * (x, y) leaves at them is taken off.  For minor cycles: of 16 bits, and of the largest terms.
 * Given:    px, py [n] pixels
 * Given and returned: left [n] Jy/beam
 */
void normal_take_near(const struct normal *op, size_t x, size_t y, float flux,
                      const uint16_t *px, const uint16_t *py, size_t n, float *left);

#endif
