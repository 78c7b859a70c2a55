/*
 * caltable.h: gain tables on disk.
 *
 * HDF5 with pyuvdata's CalH5 names (Header/..., Data/gains [Nants_data][Nfreqs][Ntimes][Njones]
 * complex128, Data/flags, Data/qualities: signal to noise of a gain, amplitude over the error of
 * either part, 0 where it was interpolated), gain convention "divide", antennas by number; gains
 * of one channel are CalH5's wide_band.  Every key that pyuvdata's reader requires is there (its 3.0 asks for
 * x_orientation, later ones for feeds and mounts); lst_array is left to it.  What CalH5 has no name for is in Header/extra_keywords.
 */
#ifndef PIPELINE_IO_CALTABLE_H
#define PIPELINE_IO_CALTABLE_H

struct err;
struct gains;
struct vis;

struct caltable_info {
    char telescope[32], calibrator[32], group[64], kind[16]; /* kind: bandpass | gain */
    double t_jd;                                             /* mid time */
};
/*
 * caltable_write: make the file `path`, which must not exist, and write all of it.
 *
 * Given:  g: gains of vis's antennas and polarisations; the parallel hands go into the table
 *         vis: names, numbers and positions of the antennas, channels and times
 * Status: 0; ERR_SHAPE g is not of vis's size; -EEXIST; -ENOMEM; -EIO and other errnos.  A
 *         failure leaves no file behind.  Nothing is synced.
 */
int caltable_write(const char *path, const struct gains *g, const struct vis *vis,
                   const struct caltable_info *info, struct err *e);
/*
 * caltable_read: a CalH5 table, or a calfits one (HERA's, as pyuvdata writes it): gains
 * re-ordered to vis's antennas, polarisations and channels (nearest, at most half a channel
 * away).  An antenna that the table does not have gets no solution.  *out is the caller's; NULL
 * after a failure.
 * Status: 0; ERR_FORMAT (not such a table); ERR_SHAPE when telescope, polarisations or channels
 * do not fit or no antenna does; -ENOMEM; a negated errno.
 */
int caltable_read(struct gains **out, struct caltable_info *info, const char *path,
                  const struct vis *vis, struct err *e);

#endif
