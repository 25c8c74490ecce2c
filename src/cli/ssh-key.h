// A VM's key for ssh, and the file of its guest's host keys: in the VM's directory.
#pragma once

#include "base/err.h"

// Makes the key where there is none. Its public half as a line of authorized_keys, without a
// newline; the caller frees. ERR_HOST_CANNOT where there is no ssh-keygen.
char *ssh_key(int dirfd, struct err *e);

// `text`: what the guest's /etc/ssh/ssh_host_*_key.pub hold. As lines of a known_hosts file for
// `name`, owned by the caller; what does not look like a key is left out. NULL: there is none.
char *ssh_known_hosts(const char *name, const char *text);
