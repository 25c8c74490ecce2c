// "tailmac-agent send PATH" and "tailmac-agent receive PATH NAME": what Host runs for `tailmac cp`.
#pragma once

// A tree on standard output or input (tree/tree.h). Returns the exit code: 0, or 1 with the reason
// on standard error.
int copy_send(const char *path);
int copy_receive(const char *path, const char *name);
