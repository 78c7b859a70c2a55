#include "pipeline/sky/source.h"

#include <stdlib.h>

void source_list_free(struct source_list *list)
{
    free(list->src);
    list->src = NULL;
    list->n = 0;
}
