#include "tb/cli/explore_command.h"

#include <fmt/format.h>

#include <filesystem>
#include <ostream>

#include "tb/explore/explore.h"
#include "tb/report/files.h"

namespace understudy::tb {

int explore_command(const explore_arguments& a, const cli_environment& env) {
  const sweep_plan plan = load_sweep(a.sweep, env.checks);
  const std::filesystem::path out =
      a.common.out.empty() ? "results/" + std::filesystem::path(a.sweep).stem().string() : a.common.out;
  prepare_folder(out.string());
  explore_options o;
  o.jobs = a.jobs;
  o.stop = env.stop;
  o.checks = env.checks;
  o.run = [&env](const scenario& s) {
    run_options options;
    options.captures = false;
    return to_json(env.run(s, options));
  };
  if (env.err_is_terminal)
    o.progress = [&env](std::size_t begun, std::size_t of) {
      *env.err << fmt::format("\r\x1b[Krun {} of {}", begun + 1, of) << std::flush;
    };
  const explored r = run_sweep(plan, o);
  if (env.err_is_terminal) *env.err << "\r\x1b[K" << std::flush;
  const std::string table = explored_table(plan, r);
  const std::string json = explored_json(plan, r);
  if (!r.stopped) {  // a part of a grid is shown, not kept
    const file_text files[] = {{(out / "explore.csv").string(), explored_csv(plan, r)},
                               {(out / "explore.json").string(), json},
                               {(out / "explore.txt").string(), table}};
    write_set(files);
  }
  *env.out << (a.common.json ? json : table) << std::flush;
  return r.held() ? exit_held : exit_failed;
}

}  // namespace understudy::tb
