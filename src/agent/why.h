// Why a request could not be done, for the answer to Host.
#pragma once

#define WHY_MAX 256

// Fills why; returns -1.
int why_not(char why[static WHY_MAX], const char *fmt, ...) __attribute__((format(printf, 2, 3)));
