// From the options' texts to a configuration, through config_options.
#include "cli/knobs.h"

#include "base/cleanup.h"
#include "base/mem.h"

bool knobs_given(const struct cli *cli)
{
    for (int i = 0; config_options[i].option; i++)
        if (cli->knob[i])
            return true;
    return false;
}

int knobs_apply(const struct cli *cli, struct vm_config *c, struct err *e)
{
    for (int i = 0; config_options[i].option; i++) {
        if (!cli->knob[i])
            continue;
        AUTO_FREE char *who = xasprintf("--%s", config_options[i].option);
        if (config_set_as(c, who, config_options[i].key, cli->knob[i], e) < 0)
            return -1;
    }
    return config_check(c, e);
}
