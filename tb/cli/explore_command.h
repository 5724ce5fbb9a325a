// `understudy explore`.
#pragma once
#include "tb/cli/commands.h"

namespace understudy::tb {

int explore_command(const explore_arguments& a, const cli_environment& env);

}  // namespace understudy::tb
