/*
 * version.h: which program this is.
 */
#ifndef CORE_VERSION_H
#define CORE_VERSION_H

/* "watcherd 0.1.0 (4e80669)": with the commit it was built from, where that was known. */
const char *version_text(void);

#endif
