// Text from outside, made fit to be shown: in JSON, in logs, on terminals.
#pragma once

// Replaces, in place, each control character and each byte that is no UTF-8 (RFC 3629) by '?'.
void text_clean(char *text);
