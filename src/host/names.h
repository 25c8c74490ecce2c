// What a guest is called: its host name, and its machine-id.
#pragma once

#include "base/err.h"

enum { MACHINE_ID_TEXT = 33 }; // 32 hexadecimal digits and their NUL

// Labels of A-Za-z0-9- with dots between them, at most 64 bytes (Linux takes no more). ERR_USAGE
int hostname_check(const char *name, struct err *e);

// 32 hexadecimal digits, or "new" for a random one (machine-id(5): not all zero). ERR_USAGE
int machine_id_parse(const char *text, char out[static MACHINE_ID_TEXT], struct err *e);
