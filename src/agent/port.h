/* The virtio-serial port that leads to Host. */
#ifndef TAILMAC_AGENT_PORT_H
#define TAILMAC_AGENT_PORT_H

/*
 * Opens the port of that name, non-blocking, with SIGIO for whatever happens on it. Returns -1
 * with errno; ENOENT means there is none (yet), EBUSY that another process has it.
 */
int port_open(const char *name);

#endif
