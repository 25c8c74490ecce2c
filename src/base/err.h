// How every function of tailmac that can fail says why.
//
// A function that can fail takes `struct err *e` last and returns 0 or -1 (or NULL). Success leaves
// `*e` alone. Callers add context with err_wrap(). The message is printed once, at the top, as
// `tailmac: what was tried: why`.
#pragma once

// The codes are the exit codes of every program of tailmac (docs/man/tailmac.1, EXIT STATUS).
enum err_code {
    ERR_FAILED = 1,
    ERR_USAGE = 2,
    ERR_NO_VM = 3,
    ERR_EXISTS = 4,
    ERR_BUSY = 5,
    ERR_NOT_RUNNING = 6,
    ERR_TIMEOUT = 7,
    ERR_HOST_CANNOT = 8,
    ERR_INTERRUPTED = 130,
};

struct err {
    enum err_code code;
    char msg[1024]; // one sentence, valid UTF-8 without control characters; cut when longer
};

// Sets the error and returns -1.
int err_set(struct err *e, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

// Like err_set() with ": " and the text of errno appended. ENOSPC, EDQUOT and ENOMEM become
// ERR_HOST_CANNOT, everything else ERR_FAILED.
int err_sys(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// Puts "context: " in front of the message; the code stays. Returns -1.
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// The name of a code on the wire ("busy") and back; an unknown name is ERR_FAILED.
const char *err_code_name(enum err_code code);
enum err_code err_code_parse(const char *name);
