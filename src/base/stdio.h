// The three descriptors that every program takes for granted.
#pragma once

// Descriptors 0 to 2 must be taken, or a file of ours becomes somebody's standard output; what was
// closed is opened the wrong way round, so that using it still fails.
void stdio_fill(void);
