// Capturing: Host's verb `exec` with one socket, read until the command's end.
#include "cli/capture.h"

#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cli/live.h"
#include "proto/unix.h"

enum { CAPTURE_MAX = 65536 };

struct text {
    size_t n;
    char bytes[CAPTURE_MAX + 1];
};

// What is there; more than there is room for is left out. False at the end.
static bool take(int sock, struct text *to)
{
    char rest[4096];
    bool full = to->n == CAPTURE_MAX;
    ssize_t n =
        full ? read(sock, rest, sizeof rest) : read(sock, to->bytes + to->n, CAPTURE_MAX - to->n);
    if (n > 0 && !full)
        to->n += (size_t)n;
    return n > 0;
}

enum { CONN, SOCK };

static int poll_both(struct pollfd p[2], int64_t deadline, struct err *e)
{
    int64_t left = deadline - clock_ms();
    if (left > INT_MAX)
        left = INT_MAX;
    if (left <= 0 || poll(p, 2, (int)left) == 0)
        return err_set(e, ERR_TIMEOUT, "the guest did not answer in time");
    return 0;
}

// Until the answer: what is printed after that is in the socket already.
static json_t *collect(struct client_conn *c, json_int_t request, int sock, int64_t deadline,
                       struct text *out, bool *gone, struct err *e)
{
    json_t *answer = NULL;
    struct pollfd p[] = {
        [CONN] = {.fd = client_fd(c), .events = POLLIN}, [SOCK] = {.fd = sock, .events = POLLIN}};
    for (int got = 0; got == 0;) {
        if (poll_both(p, deadline, e) < 0)
            return NULL;
        if (p[SOCK].revents && !take(sock, out))
            p[SOCK].fd = -1; // its end, which may come before the answer
        if (p[CONN].revents)
            got = client_answer(c, request, &answer, gone, e);
    }
    while (answer && take(sock, out))
        ;
    return answer;
}

static json_t *run(struct client_conn *c, json_t *order, int64_t deadline, struct text *out,
                   bool *gone, struct err *e)
{
    int io[2];
    if (unix_pair(io, e) < 0) {
        json_decref(order);
        return NULL;
    }
    AUTO_CLOSE int ours = io[0];
    json_int_t request = client_send(c, "exec", order, &io[1], 1, e);
    close(io[1]);
    shutdown(ours, SHUT_WR);
    *gone = request < 0;
    return request < 0 ? NULL : collect(c, request, ours, deadline, out, gone, e);
}

// Takes the answer.
static int judge(json_t *answer, char *said, struct err *e)
{
    const char *message = json_string_value(json_object_get(answer, "message"));
    bool good = json_integer_value(json_object_get(answer, "code")) == 0;
    said[strcspn(said, good ? "" : "\n")] = 0;
    if (!good)
        err_set(e, ERR_FAILED, "%s", message ? message : said);
    json_decref(answer);
    return good ? 0 : -1;
}

char *capture(const struct store *s, const char *id, const char *const *argv, const char *user,
              int64_t deadline, struct err *e)
{
    struct client_conn *c = live_connect(s, id, e);
    if (!c)
        return NULL;
    bool gone = false;
    AUTO_FREE struct text *out = xcalloc(1, sizeof *out);
    json_t *words = json_array();
    for (int i = 0; argv[i]; i++)
        json_array_append_new(words, json_string(argv[i]));
    json_t *order = json_pack("{s:o, s:s*}", "argv", words, "user", user);
    json_t *answer = run(c, order, deadline, out, &gone, e);
    client_close(c);
    if (!answer && gone)
        live_explain_gone(s, id, e);
    return answer && judge(answer, out->bytes, e) == 0 ? xstrdup(out->bytes) : NULL;
}
