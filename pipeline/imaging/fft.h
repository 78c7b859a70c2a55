/*
 * fft.h: real images to half uv-planes and back (fftw3.h stays in fft.c).
 *
 * A plane has columns u = 0 .. nu/2 and rows v = -nv/2 .. nv/2 - 1, in that order; an image has
 * pixel (nx/2, ny/2) as its origin and x running against u (east is left), y with v:
 *
 *   image[y][x] = sum over u, v of plane(v, u) exp(+2 pi i u (x - nx/2) / nu)
 *                                              exp(-2 pi i v (y - ny/2) / nv)
 *
 * where the columns u < 0 are the conjugates of those at -u.  Rows and columns are
 * transformed in small batches, and only what is inside the image is.
 *
 * Making and freeing a struct fft or fft_lines is not thread-safe (FFTW's planner is not).
 */
#ifndef PIPELINE_IMAGING_FFT_H
#define PIPELINE_IMAGING_FFT_H

#include <complex.h>
#include <stddef.h>

struct fft;

/* An even number >= n of the form 2^a 3^b 5^c that is fast to transform: from 256 on a multiple of
 * 32, at most an eighth above n. */
size_t fft_good_size(size_t n);
/* The one of those sizes that is nearest to n. */
size_t fft_near_size(double n);

/*
 * fft_new: plans and buffers for a plane of nu x nv cells (even), used by `nthread` threads.
 * Status: 0 or -ENOMEM
 */
int fft_new(struct fft **out, size_t nu, size_t nv, size_t nthread);
void fft_free(struct fft *fft);

/*
 * fft_plane_to_image: the sum above, not scaled.
 * Given:    rows   rows v = -rows/2 .. rows/2 - 1 are there, the rest taken as 0; even, from ny
 *                  to nv
 *           ncol   columns u < ncol are used, the rest taken as 0
 *           nx, ny image size, even, at most nu and nv
 * Given and returned: plane [rows][stride], destroyed
 * Returned: image [ny][nx]
 */
void fft_plane_to_image(struct fft *fft, float complex *plane, size_t rows,
                        size_t stride, size_t ncol, float *image, size_t nx, size_t ny);

/*
 * fft_image_to_plane: the adjoint: plane(v, u) = sum over the image of
 * image[y][x] exp(-2 pi i u (x - nx/2) / nu) exp(+2 pi i v (y - ny/2) / nv).
 * Returned: columns u < ncol of plane [rows][stride]
 */
void fft_image_to_plane(struct fft *fft, const float *image, size_t nx, size_t ny,
                        float complex *plane, size_t rows, size_t stride, size_t ncol);

/* Transforms of one row of reals or one column of complex numbers at a time, for those who walk
 * through images their own way; used by any number of threads. */
struct fft_lines;

/*
 * fft_lines_new: plans for rows of nreal (even) and columns of ncomplex.
 * Status: 0 or -ENOMEM
 */
int fft_lines_new(struct fft_lines **out, size_t nreal, size_t ncomplex);
void fft_lines_free(struct fft_lines *fft);

/* All arrays at multiples of 64 bytes; nothing is scaled. */
/* half[k] = sum of row[i] exp(-2 pi i k i / nreal), k = 0 .. nreal / 2; row stays */
void fft_row_to_half(const struct fft_lines *fft, const float *row,
                     float complex *half);
/* The adjoint, with the cells past nreal / 2 the conjugates; half is destroyed. */
void fft_half_to_row(const struct fft_lines *fft, float complex *half, float *row);
/* column[k] = sum of column[i] exp(-2 pi i k i / ncomplex), in place; and exp(+) */
void fft_column(const struct fft_lines *fft, float complex *column);
void fft_column_back(const struct fft_lines *fft, float complex *column);

/*
 * fft_convolve: image [ny][nx] (even sizes) convolved by a small even-sized kernel
 * [ky][kx] with its origin at [ky/2][kx/2], in place; outside the image is 0.
 * Status: 0 or -ENOMEM (image untouched).
 */
int fft_convolve(float *image, size_t nx, size_t ny, const float *kernel, size_t kx,
                 size_t ky);

#endif
