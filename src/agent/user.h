// Users of the guest, as its own /etc/passwd and /etc/group have them.
#pragma once

#include <sys/types.h>

#define USER_TEXT_MAX 256
#define USER_GROUPS_MAX 64

struct user {
    uid_t uid;
    gid_t gid;
    gid_t groups[USER_GROUPS_MAX]; // with gid
    int group_count;
    char name[USER_TEXT_MAX], home[USER_TEXT_MAX], shell[USER_TEXT_MAX];
};

// By name, or by number, which needs no entry. 0, or -1: there is no such user.
int user_find(const char *who, struct user *out);
