// Descriptors that stay open once they were needed: a guest that was just restored waits, and
// opening one takes an emulator, which translates all that code for the first time, as long as
// using it.
#pragma once

enum kept_kind { KEPT_RANDOM, KEPT_INET, KEPT_PACKET, KEPT_KINDS };

struct kept {
    int fd[KEPT_KINDS]; // 0: not needed yet
};

// /dev/urandom for writing; sockets for requests about NICs, and for frames, which hears none.
// -1 with errno.
int kept_fd(struct kept *k, enum kept_kind kind);
void kept_close(struct kept *k);
