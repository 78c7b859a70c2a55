/*
 * probe.h: does a file's own content say that it is whole?
 *
 * One open and one or two short reads; never a library that could be harmed by what is
 * inside.  The kind is told by the extension, in a table in probe.c: HDF5 (.hdf5 .h5 .uvh5
 * .hdf), FITS (.fits .fit), .json, .csv, .tsv; anything else only has to have bytes.
 *
 * "Not yet" has two flavours, and `at_rest` tells them apart: what to conclude once the file
 * has been quiet for long and nobody on this machine has it open for writing.
 */
#ifndef WATCHERD_FILES_PROBE_H
#define WATCHERD_FILES_PROBE_H

#include "core/fileid.h"

enum probe_verdict {
    PROBE_OK,   /* whole, as far as the content can tell */
    PROBE_WAIT, /* growing, or not finished: ask again later */
    PROBE_BAD,  /* not what its name says, or unreadable */
    PROBE_GONE, /* no such file (any more) */
};

enum probe_writer {
    PROBE_WRITER_UNKNOWN, /* cannot be told: not our file, or a network file system */
    PROBE_WRITER_NONE,    /* no process of this machine has it open for writing */
    PROBE_WRITER_SOME,
};

struct probe_result {
    enum probe_verdict verdict;
    /* for WAIT: the verdict on a file that is proved to be at rest */
    enum probe_verdict at_rest;
    enum probe_writer writer;
    bool regular; /* false: a FIFO, device, socket, directory or symbolic link */
    bool link;    /* of these: a symbolic link, seen by probe_look */
    bool hole;    /* whole but for a hole: a sparse file, or a copy that was cut off */
    struct file_id id; /* zero unless it could be opened */
    int64_t ctime_ns;
    char reason[192]; /* one sentence, without the path; "" for OK */
};

/*
 * probe_file: look at `path` (relative to dirfd, or AT_FDCWD).  Returns r->verdict.
 *
 * HDF5  WAIT  open-for-write flag set; size below the stored end of file, or above it (at
 *             rest: OK, the library reads it)
 *       BAD   no signature, unknown superblock version, impossible sizes
 * FITS  WAIT  size below what the headers imply or no multiple of 2880 (at rest: OK when only
 *             the last padding is missing, or bytes follow the last block)
 *       BAD   does not begin with SIMPLE, or unreadable header values
 * JSON  WAIT  ends before the value does; not strict, but all brackets closed (at rest: OK)
 *       BAD   does not parse
 * CSV, TSV  WAIT  does not end in a newline (at rest: OK).  BAD  has NUL bytes
 * any   WAIT  open for writing on this machine; empty; a hole (at rest: BAD when it takes room
 *             on disk, a cut copy into preallocated space; else OK, a sparse file)
 *       BAD   cannot be read (EACCES, EIO ...)
 *
 * Notes:
 *   1) Never follows a symbolic link, never hangs on a FIFO, never changes the file.
 *   2) The superblock of HDF5 may stand behind a user block of 512, 1024, 2048 ... bytes.
 *   3) The writer is asked for with a read lease (fcntl F_SETLEASE), put back at once; needs
 *      the file's owner or CAP_LEASE, otherwise UNKNOWN; on network file systems nobody can
 *      be ruled out, and NONE becomes UNKNOWN when the verdict is WAIT.
 *   4) A few microseconds for HDF5 with a warm cache.
 *
 * See: HDF5 File Format Specification 3.0, section II.A; FITS standard 4.0, sections 3, 4.4.1;
 * fcntl(2) "Leases".
 */
enum probe_verdict probe_file(int dirfd, const char *path, struct probe_result *r);

/*
 * probe_directory: is a directory whose files are whole and quiet the whole of it?
 *
 * Any is, but a casacore table (a Measurement Set; told by a name ending in .ms, or by
 * table.info, table.lock or table.f0 in it) needs a table.dat that is not empty, and a
 * table.lock that no process holds for writing; the same holds for the tables directly below
 * it, its subtables.
 *
 * Status: OK; WAIT; GONE; BAD when it cannot be opened
 * Note: casacore locks byte 0 of table.lock with fcntl(2) for writing.  Seen are processes of
 * this machine, and on NFS those of others when its locks are not local; not seen: a writer
 * between two automatic locks, or one without locking.  That the table is open (byte 1) does
 * not count: readers have it open, too.
 */
enum probe_verdict probe_directory(const char *path, struct probe_result *r);

/* Only lstat: fills id, ctime_ns, regular; verdict is OK, GONE, or BAD with the reason. */
enum probe_verdict probe_look(int dirfd, const char *path, struct probe_result *r);

#endif
