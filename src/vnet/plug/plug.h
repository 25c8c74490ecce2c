// `vnet plug`: a container, a namespace or this computer becomes a node of a lab, by a TAP.
#pragma once

// argv[0] is "plug", and becomes what the help calls the program. Returns the exit code.
int plug_main(int argc, const char **argv);
