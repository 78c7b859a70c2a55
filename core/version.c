#include "core/version.h"

#ifndef COMMIT
#define COMMIT ""
#endif

const char *version_text(void)
{
    return COMMIT[0] != '\0' ? "watcherd " VERSION " (" COMMIT ")"
                             : "watcherd " VERSION;
}
