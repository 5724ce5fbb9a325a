// `understudy live`.
#pragma once
#include "tb/cli/commands.h"

namespace understudy::tb {

int live_command(const live_arguments& a, const cli_environment& env);

}  // namespace understudy::tb
