// One command that runs in the guest, or a job that has ended: what of its input waits to be
// written, and what of its output may be read.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/command.h"

enum { OUT, ERR, OUTPUTS };

struct output {
    int fd;        // -1: it has ended
    bool readable; // as poll said; not asked again before it is read
    uint64_t at;   // bytes sent
    uint64_t limit;
    size_t rest; // once the command has ended: what is still read at most
};

struct input {
    int fd;
    unsigned char *buf; // a ring of WIRE_WINDOW bytes
    size_t head, held;
    uint64_t at;    // bytes received
    uint64_t limit; // that Host knows of
    bool end;       // after what is held
};

struct running {
    uint32_t id; // 0: a job that nobody waits for
    pid_t pid;   // 0: it has ended
    int failure;
    int status;   // of waitpid(), once it has ended
    unsigned job; // number of a detached command; 0: it is none
    bool tty, announced, told;
    struct input in;
    struct output out[OUTPUTS];
    char why[COMMAND_WHY_MAX]; // the program did not run, or had to be ended
    int code;                  // then: what a shell would say; 0: nothing
};

bool running_has_ended(const struct running *st);
// Nobody waits for the job any more; it stays.
void running_let_go(struct running *st);
// Closes a descriptor of it that may be closed already.
void running_close(int *fd);

bool input_wants(const struct running *st);
// Into the ring, which has room for it.
void input_keep(struct input *in, const unsigned char *data, size_t n);
void input_write(struct running *st);

bool output_wants(const struct output *o);
// Up to n bytes into data, or 0: there is nothing now, or it has ended.
size_t output_read(const struct running *st, struct output *o, void *data, size_t n);
// The command has ended: what is in its pipes by now is the last of its output.
void output_last(struct running *st);
