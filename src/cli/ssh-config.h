// How ssh is told to reach a guest: the same words for a command line and for ssh_config(5).
#pragma once

#include "base/spawn.h"

struct ssh_target {
    const char *id;           // what the guest is called, for people and in known_hosts
    const char *user;         // in the guest
    const char *directory;    // of the VM: its key and known_hosts are there
    const char *const *proxy; // the command whose input and output are the guest's sshd
};

// A "Host" of ssh_config(5); the caller frees.
char *ssh_stanza(const struct ssh_target *t);

// The words of `ssh` up to the host, which is `id`.
void ssh_words(const struct ssh_target *t, struct argv *out);
