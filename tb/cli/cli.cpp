#include "tb/cli/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <limits>
#include <ostream>

#include "tb/cli/commands.h"

namespace understudy::tb {
namespace {

void add_common(CLI::App& command, common_arguments& a, const char* out_help) {
  command.add_option("--out", a.out, out_help)->type_name("DIR");
  command.add_flag("--json", a.json, "One JSON document on standard output and nothing else");
  command.add_flag("-v", a.verbosity, "Say more; twice: still more");
}

}  // namespace

int run_cli(const std::vector<std::string>& args, const cli_environment& env) {
  CLI::App app("Understudy: a model of a TCP offload adapter that may be killed at any instant.",
               "understudy");
  app.require_subcommand(1);

  run_arguments run;
  std::string captures = "on";
  std::uint64_t seed = 0;
  CLI::App* run_app =
      app.add_subcommand("run", "One simulation; writes result.json, summary.txt and captures");
  run_app->add_option("scenario", run.scenario, "Scenario file")->required()->type_name("SCENARIO.toml");
  run_app->add_option("--set", run.sets, "Another value for a parameter; repeatable")
      ->allow_extra_args(false)
      ->type_name("KEY=VALUE");
  CLI::Option* seed_option = run_app->add_option("--seed", seed, "The same as --set seed=N")
                                 ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{9223372036854775807u}))
                                 ->type_name("N");
  run_app->add_option("--captures", captures, "A nanosecond capture of every link, on or off; default on")
      ->check(CLI::IsMember({"on", "off"}))
      ->type_name("on|off");
  run_app->add_flag("--waves", run.waves, "Write waveforms");
  run_app->add_flag("--timeline", run.timeline, "Write a timeline");
  add_common(*run_app, run.common, "Folder for the results; default: results");

  common_arguments describe;
  std::string topic;
  CLI::App* describe_app = app.add_subcommand("describe", "Every parameter, register, fault or monitor");
  describe_app->add_option("topic", topic, "What to describe: params, registers, faults or monitors")
      ->required()
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(describe_topics), std::end(describe_topics))))
      ->type_name("TOPIC");
  add_common(*describe_app, describe, "Write to a file in this folder instead");

  common_arguments version;
  CLI::App* version_app = app.add_subcommand("version", "Version, revision and what it was built with");
  add_common(*version_app, version, "Not used");

  try {
    std::vector<std::string> reversed(args.rbegin(), args.rend());
    app.parse(reversed);
    if (run_app->parsed()) {
      run.captures = captures == "on";
      if (!seed_option->empty()) run.seed = seed;
      return run_command(run, env);
    }
    if (describe_app->parsed()) return describe_command(topic, describe, env);
    return version_command(version, env);
  } catch (const CLI::ParseError& e) {
    return app.exit(e, *env.out, *env.err) == 0 ? exit_held : exit_bad_input;
  } catch (const scenario_error& e) {
    *env.err << e.what() << '\n';
  } catch (const std::exception& e) {
    *env.err << "understudy: " << e.what() << '\n';
  }
  return exit_bad_input;
}

}  // namespace understudy::tb
