// The little of rtnetlink that the agent needs: a dump, an event socket, one request.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>

// A non-blocking socket that becomes readable when a link or an address changes, or -1.
int netlink_events_open(void);
// Reads the pending events away. What changed is found out by a dump, which cannot lose any.
void netlink_events_drain(int fd);

// Asks for all objects of a kind (RTM_GETLINK, RTM_GETADDR); fn sees each answer. 0 or -1.
int netlink_dump(int type, void (*fn)(const struct nlmsghdr *h, void *arg), void *arg);

// Sends one request (with NLM_F_ACK set) and awaits the kernel's word: 0, or -1 with errno.
int netlink_request(struct nlmsghdr *h);

// The attribute of a message whose fixed part takes header_size bytes, or NULL. At least
// min_size bytes of payload are sure to be there.
const struct rtattr *netlink_attr(const struct nlmsghdr *h, size_t header_size, int type,
                                  size_t min_size);
// Adds an attribute to a message in the making, which has room for cap bytes.
void netlink_put(struct nlmsghdr *h, size_t cap, int type, const void *data, size_t n);
