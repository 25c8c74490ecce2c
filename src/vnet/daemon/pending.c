// Stands in for what the core is about to get: leases that can be listed, names.
#include "vnet/vnet.h"

#define WEAK __attribute__((weak))

WEAK int vnet_restore_lease(struct vnet *v, unsigned network, const struct vnet_lease *l,
                            struct err *e)
{
    return err_set(e, ERR_FAILED, "not yet");
}

WEAK uint64_t vnet_lease_changes(const struct vnet *v)
{
    return 0;
}

WEAK bool vnet_lease(const struct vnet *v, unsigned network, unsigned i, struct vnet_lease *out)
{
    return false;
}

WEAK const char *vnet_dns_fault_name(enum vnet_dns_fault fault)
{
    return fault == VNET_DNS_OK ? "ok" : "";
}

WEAK void vnet_set_dns_fault(struct vnet *v, unsigned network, enum vnet_dns_fault fault)
{
}

WEAK int vnet_add_record(struct vnet *v, const struct vnet_record *r, struct err *e)
{
    return 0;
}

WEAK int vnet_add_node(struct vnet *v, const struct vnet_node *n, struct err *e)
{
    return 0;
}
