// The engines of this build.
#include "engine/engine.h"

#include <string.h>

#include "engine/qemu/qemu.h"

static const struct engine_ops *const engines[] = {&engine_qemu};

const struct engine_ops *engine_find(const char *name, struct err *e)
{
    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++)
        if (strcmp(engines[i]->name, name) == 0)
            return engines[i];
    err_set(e, ERR_HOST_CANNOT, "engine '%s' is not part of this build (qemu is)", name);
    return NULL;
}

bool engines_probe(const char *runtime, json_t *checks)
{
    bool able = false;
    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++)
        able |= engines[i]->probe(runtime, checks);
    return able;
}
