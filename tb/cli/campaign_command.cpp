#include "tb/cli/campaign_command.h"

#include <fmt/format.h>

#include <csignal>
#include <filesystem>
#include <ostream>

#include "tb/campaign/campaign.h"
#include "tb/report/files.h"

namespace understudy::tb {

namespace {

// "I/N" with 1 <= I <= N.
void read_shard(const std::string& text, campaign_options& o) {
  unsigned long long i = 0;
  unsigned long long n = 0;
  char rest = 0;
  if (std::sscanf(text.c_str(), "%llu/%llu%c", &i, &n, &rest) != 2 || i < 1 || i > n)
    throw scenario_error("--shard: \"" + text + "\" is not I/N with 1 <= I <= N");
  o.shard = i;
  o.shards = n;
}

}  // namespace

int campaign_command(const campaign_arguments& a, const cli_environment& env) {
  campaign_options o;
  if (!a.shard.empty()) read_shard(a.shard, o);
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on files is an error like a full disk
  const campaign_plan plan = load_plan(a.plan, env.checks);
  o.jobs = a.jobs;
  o.stop = env.stop;
  o.out_dir =
      a.common.out.empty() ? "results/" + std::filesystem::path(a.plan).stem().string() : a.common.out;
  prepare_folder(o.out_dir);
  if (env.err_is_terminal)
    o.progress = [&env](const std::string& line) { *env.err << "\r\x1b[K" << line << std::flush; };
  const campaign_result r = run_campaign(plan, o);
  if (env.err_is_terminal) *env.err << "\r\x1b[K" << std::flush;
  const std::string json = to_json(r);
  write_whole((std::filesystem::path(o.out_dir) / "campaign.json").string(), json);
  *env.out << (a.common.json ? json : summary_text(r)) << std::flush;
  return r.held() ? exit_held : exit_failed;
}

int merge_command(const merge_arguments& a, const cli_environment& env) {
  const std::uint64_t fresh = merge_stores(a.into, a.from);
  if (a.common.json) {
    *env.out << fmt::format("{{\"into\":\"{}\",\"new\":{}}}\n", a.into, fresh);
  } else {
    *env.out << fmt::format("{}: {} new injections from {} databases\n", a.into, fresh, a.from.size());
  }
  return exit_held;
}

}  // namespace understudy::tb
