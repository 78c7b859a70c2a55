#include "pipeline/sky/image.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/err.h"

int image_alloc(struct image **out, size_t nx, size_t ny, struct err *e)
{
    struct image *img = NULL;

    *out = NULL;
    if (nx == 0 || ny == 0)
        return err_set(e, -EINVAL, "an image of %zu x %zu pixels is empty", nx, ny);
    if (nx > SIZE_MAX / sizeof *img->pix / ny || (img = calloc(1, sizeof *img)) == NULL)
        goto nomem;
    img->pix = calloc(nx * ny, sizeof *img->pix);
    if (img->pix == NULL)
        goto nomem;
    img->nx = nx;
    img->ny = ny;
    *out = img;
    return 0;

nomem:
    free(img);
    return err_set(e, -ENOMEM, "no memory for an image of %zu x %zu pixels", nx, ny);
}

int image_like(struct image **out, const struct image *like, struct err *e)
{
    int rc = image_alloc(out, like->nx, like->ny, e);
    float *pix;

    if (rc != 0)
        return rc;
    pix = (*out)->pix;
    **out = *like;
    (*out)->pix = pix;
    return 0;
}

void image_free(struct image *img)
{
    if (img != NULL)
        free(img->pix);
    free(img);
}
