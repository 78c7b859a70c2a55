#include "pipeline/io/lzf.h"

#include <string.h>

size_t lzf_unpack(const unsigned char *in, size_t n, unsigned char *out, size_t size)
{
    size_t i = 0, k = 0;

    while (i < n) {
        size_t c = in[i++], len, back;

        if (c < 32) {
            len = c + 1;
            if (len > n - i || len > size - k)
                return 0;
            memcpy(out + k, in + i, len);
            i += len;
            k += len;
            continue;
        }
        len = c >> 5;
        if (len == 7 && i < n)
            len += in[i++];
        if (i >= n)
            return 0;
        back = ((c & 31) << 8 | in[i++]) + 1;
        len += 2;
        if (back > k || len > size - k)
            return 0;
        for (; len > 0; len--, k++) /* may overlap itself: a byte at a time */
            out[k] = out[k - back];
    }
    return k;
}
