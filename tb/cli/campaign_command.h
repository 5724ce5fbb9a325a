// Sub-commands of the campaign engine, for main(): a library of their own would pull the simulation into the
// tests of the command line.
#pragma once
#include "tb/cli/commands.h"

namespace understudy::tb {

int campaign_command(const campaign_arguments& a, const cli_environment& env);
int merge_command(const merge_arguments& a, const cli_environment& env);
int replay_command(const replay_arguments& a, const cli_environment& env);

}  // namespace understudy::tb
