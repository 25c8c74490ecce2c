// The terminal on standard input.
#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

void terminal_raw(struct terminal *t)
{
    t->raw = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &t->before) == 0;
    if (!t->raw)
        return;
    struct termios raw = t->before;
    cfmakeraw(&raw);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

void terminal_restore(const struct terminal *t)
{
    if (t->raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &t->before);
}

void terminal_size(int *rows, int *cols)
{
    struct winsize size = {0};
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0)
        size = (struct winsize){0};
    *rows = size.ws_row;
    *cols = size.ws_col;
}
