// The user's terminal: given key by key, and put back as it was.
#pragma once

#include <stdbool.h>
#include <termios.h>

struct terminal {
    bool raw;
    struct termios before;
};

// Where standard input is none, nothing happens and `raw` stays false.
void terminal_raw(struct terminal *t);
void terminal_restore(const struct terminal *t);

// Both 0 where standard input is no terminal.
void terminal_size(int *rows, int *cols);
