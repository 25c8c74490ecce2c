// Buckets of 1, 2 and 5.
#include "vnet/daemon/lateness.h"

static const uint64_t upto_us[LATENESS_BUCKETS - 1] = {10,   20,   50,    100,   200,   500,   1000,
                                                       2000, 5000, 10000, 20000, 50000, 100000};

void lateness_add(struct lateness *l, uint64_t ns)
{
    unsigned i = 0;
    while (i < LATENESS_BUCKETS - 1 && ns > upto_us[i] * 1000)
        i++;
    l->count[i]++;
}

json_t *lateness_document(const struct lateness *l)
{
    json_t *all = json_array();
    for (unsigned i = 0; i < LATENESS_BUCKETS; i++)
        json_array_append_new(
            all,
            json_pack("{s:o, s:I}", "upto_us",
                      i < LATENESS_BUCKETS - 1 ? json_integer((json_int_t)upto_us[i]) : json_null(),
                      "count", (json_int_t)l->count[i]));
    return all;
}
