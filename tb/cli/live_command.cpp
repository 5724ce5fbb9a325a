#include "tb/cli/live_command.h"

#include <filesystem>
#include <ostream>

#include "tb/live/live.h"
#include "tb/live/live_report.h"
#include "tb/report/files.h"
#include "tb/report/origin.h"

namespace understudy::tb {

int live_command(const live_arguments& a, const cli_environment& env) {
  const scenario s = load_scenario(a.scenario, a.sets, env.checks);
  live_options o;
  o.tap = a.tap;
  o.slirp = a.slirp;
  o.pcap_in = a.pcap_in;
  for (const std::string& f : a.hostfwd) o.forwards.push_back(parse_host_forward(f));
  o.factor = a.factor;
  if (!a.duration.empty()) o.duration = parse_wall_time("--duration", a.duration);
  for (const std::string& t : a.kill_after) o.kill_after.push_back(parse_wall_time("--kill-after", t));
  o.out_dir = a.common.out.empty() ? "results" : a.common.out;
  o.captures = a.captures;
  o.verbosity = a.common.verbosity;
  o.messages = env.err;
  prepare_folder(o.out_dir);

  live_result r = run_live(s, o);
  add_origin(r.run, s);
  r.run.files.insert(r.run.files.begin(), {"result.json", "summary.txt"});
  const std::string json = live_json(r);
  const std::string summary = live_summary(r, s, o.out_dir);
  const std::filesystem::path out = o.out_dir;
  const file_text files[] = {{(out / "result.json").string(), json},
                             {(out / "summary.txt").string(), summary}};
  write_set(files);
  *env.out << (a.common.json ? json : summary) << std::flush;
  return r.run.held() ? exit_held : exit_failed;
}

}  // namespace understudy::tb
