/* group.h: moved; include core/group.h. */
#ifndef WATCHERD_GROUP_H
#define WATCHERD_GROUP_H

#include "core/group.h"

#endif
