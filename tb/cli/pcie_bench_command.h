// `understudy pcie-bench` and `understudy calibrate`.
#pragma once
#include "tb/cli/commands.h"

namespace understudy::tb {

int pcie_bench_command(const pcie_bench_arguments& a, const cli_environment& env);
int calibrate_command(const calibrate_arguments& a, const cli_environment& env);

}  // namespace understudy::tb
