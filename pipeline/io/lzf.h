/*
 * lzf.h: unpack LZF, the compression that h5py has and the HDF5 library has not;
 * pyuvdata's default for flags and nsamples.
 *
 * A control byte below 32 is followed by that many literal bytes plus one.  Another holds a
 * length in its upper 3 bits (7: one more byte of it follows) and the upper 5 bits of a
 * distance, whose lower 8 bits follow: copy length + 2 bytes from distance + 1 back.
 */
#ifndef PIPELINE_IO_LZF_H
#define PIPELINE_IO_LZF_H

#include <stddef.h>

/* The bytes unpacked into out[size]; 0 when the input is not LZF or has more than that. */
size_t lzf_unpack(const unsigned char *in, size_t n, unsigned char *out, size_t size);

#endif
