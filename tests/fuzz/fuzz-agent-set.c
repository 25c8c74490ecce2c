// Fuzzes what a guest can be given (SET), as nobody, who may change nothing of this computer.
// Inputs are the request's payload: lines "key=value".
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOBODY = 65534 };

// In the place of libc's: it would take its time.
void sync(void)
{
}

static void check(const struct set_report *r)
{
    static unsigned char buf[WIRE_FRAME_MAX];
    struct wire_writer w;

    wire_begin(&w, buf, sizeof buf, WIRE_OK, 1);
    wire_put(&w, "id", "1");
    set_answer(r, &w);
    if (wire_end(&w) == 0 || r->count > SET_ITEMS_MAX)
        abort(); // no answer
    for (unsigned i = 0; i < r->count; i++)
        if (r->list[i].done && strcmp(r->list[i].key, "sync") != 0 &&
            strcmp(r->list[i].key, "mac") != 0) // a NIC that has it counts as done
            abort();                            // something of this computer was changed
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_frame f = {.type = WIRE_SET, .payload = (const char *)data, .length = size};
    static struct nics known, former;
    static struct set_report report;
    struct kept kept = {0};
    const struct set_context context = {.known = &known, .former = &former, .kept = &kept};
    char why[WHY_MAX];
    uid_t who = geteuid();

    if (size == 0 || data[size - 1] != '\n' || memchr(data, 0, size))
        return 0; // no payload
    if (who == 0 && seteuid(NOBODY) != 0)
        return 0;
    if (set_perform(&f, &context, &report, why) == 0)
        check(&report);
    kept_close(&kept);
    if (who == 0 && seteuid(0) != 0)
        abort();
    return 0;
}
