// What a router's DNS server answers.
#include "vnet/dns.h"

#include <assert.h>

static const char *const fault_names[] = {
    [VNET_DNS_OK] = "ok",
    [VNET_DNS_SILENT] = "silent",
    [VNET_DNS_SERVFAIL] = "servfail",
    [VNET_DNS_REFUSED] = "refused",
    [VNET_DNS_NXDOMAIN] = "nxdomain",
    [VNET_DNS_TRUNCATED] = "truncated",
};
static_assert(sizeof fault_names / sizeof *fault_names == VNET_DNS_FAULT_COUNT, "all named");

const char *vnet_dns_fault_name(enum vnet_dns_fault fault)
{
    return fault_names[fault];
}

void vnet_set_dns_fault(struct vnet *v, unsigned network, enum vnet_dns_fault fault)
{
    assert(network < v->network_count);
    v->networks[network].dns_fault = fault;
}
