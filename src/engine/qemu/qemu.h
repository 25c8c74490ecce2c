// QEMU behind engine.h.
#pragma once

#include "engine/engine.h"

extern const struct engine_ops engine_qemu;
