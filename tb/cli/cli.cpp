#include "tb/cli/cli.h"

#include <fmt/format.h>

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

// A message as one line, whatever a user's words in it hold.
std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20; }, ' ');
  return text;
}

// "understudy campaign merge": what of the command line was understood.
std::string command_of(const CLI::App& app) {
  std::string name = app.get_name();
  for (const CLI::App* sub : app.get_subcommands())
    if (!sub->get_name().empty()) name += " " + command_of(*sub);
  return name;
}

std::string usage_error(const CLI::App* app, const CLI::Error& e) {
  const std::string command = command_of(*app);
  return fmt::format("{}: {} (allowed: see {} --help)\n", command, one_line(e.what()), command);
}

}  // namespace

int run_cli(const std::vector<std::string>& args, const cli_environment& env) {
  CLI::App app("Understudy: a model of a TCP offload adapter that may be killed at any instant.",
               "understudy");
  app.require_subcommand(1);
  app.failure_message(usage_error);

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
  run_app
      ->add_option(
          "--captures", captures,
          "A nanosecond capture of every link, on or off; all: of TLPs and descriptors too; default on")
      ->check(CLI::IsMember({"on", "off", "all"}))
      ->type_name("on|off|all");
  run_app->add_flag("--waves", run.waves, "Write waveforms");
  run_app->add_flag("--timeline", run.timeline, "Write a timeline");
  add_common(*run_app, run.common, "Folder for the results; default: results");

  common_arguments describe;
  std::string topic;
  CLI::App* describe_app = app.add_subcommand("describe", "Every parameter, register, fault or monitor");
  describe_app
      ->add_option("topic", topic,
                   "What to describe: params, registers, faults, monitors or connection_state")
      ->required()
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(describe_topics), std::end(describe_topics))))
      ->type_name("TOPIC");
  add_common(*describe_app, describe, "Write to a file in this folder instead");

  common_arguments version;
  CLI::App* version_app = app.add_subcommand("version", "Version, revision and what it was built with");
  add_common(*version_app, version, "Not used");

  campaign_arguments campaign;
  merge_arguments merge;
  replay_arguments replay;
  CLI::App* campaign_app = nullptr;
  CLI::App* merge_app = nullptr;
  CLI::App* replay_app = nullptr;
  if (env.campaign) {
    campaign_app = app.add_subcommand("campaign", "Many injections from one golden run, by fork");
    CLI::Option* plan =
        campaign_app->add_option("plan", campaign.plan, "Campaign plan")->type_name("PLAN.toml");
    campaign_app->add_option("-j,--jobs", campaign.jobs, "Injections at a time; default 1")
        ->check(CLI::Range(1u, 256u))
        ->type_name("N");
    campaign_app->add_option("--shard", campaign.shard, "Only the I-th of N parts, from 1")->type_name("I/N");
    add_common(*campaign_app, campaign.common, "Folder for the results; default: results/<plan's name>");
    merge_app = campaign_app->add_subcommand("merge", "Join the result databases of shards");
    merge_app->add_option("into", merge.into, "Database to write")->required()->type_name("INTO.sqlite");
    merge_app->add_option("from", merge.from, "Databases to read")->required()->type_name("FROM.sqlite");
    add_common(*merge_app, merge.common, "Not used");
    campaign_app->require_subcommand(0, 1);
    campaign_app->final_callback([plan, merge_app] {
      if (!merge_app->parsed() && plan->empty()) throw CLI::RequiredError("PLAN.toml");
    });
    replay_app =
        app.add_subcommand("replay", "One injection again, alone, with captures, waveforms and timeline");
    replay_app->add_option("id", replay.id, "Id of the injection: fi1-...")->required()->type_name("ID");
    replay_app
        ->add_option("--db", replay.database, "Result database; default: the newest under --out or ./results")
        ->type_name("FILE");
    add_common(*replay_app, replay.common, "Folder for the results; default: results/<id>");
  }

  explore_arguments explore;
  CLI::App* explore_app = nullptr;
  if (env.explore) {
    explore_app = app.add_subcommand("explore", "A grid of parameters: one run a cell, a table of them");
    explore_app->add_option("sweep", explore.sweep, "Sweep file")->required()->type_name("SWEEP.toml");
    explore_app->add_option("-j,--jobs", explore.jobs, "Runs at a time; default 1")
        ->check(CLI::Range(1u, 256u))
        ->type_name("N");
    add_common(*explore_app, explore.common, "Folder for the results; default: results/<sweep's name>");
  }

  live_arguments live;
  std::string live_captures = "off";
  CLI::App* live_app = nullptr;
  if (env.live) {
    live_app = app.add_subcommand("live", "The adapter on a real network, against real programs");
    live_app->add_option("scenario", live.scenario, "Scenario file")->required()->type_name("SCENARIO.toml");
    CLI::Option_group* far_end = live_app->add_option_group("Far end", "What is at the end of the wire");
    far_end->add_option("--tap", live.tap, "A TAP device; made if there is none")->type_name("NAME");
    CLI::Option* slirp = far_end->add_flag("--slirp", live.slirp,
                                           "A network of this program's own, without privileges (libslirp)");
    far_end->add_option("--pcap-in", live.pcap_in, "Frames of a capture, at their times")->type_name("FILE");
    far_end->require_option(1);
    live_app
        ->add_option("--hostfwd", live.hostfwd,
                     "With --slirp: connections to an address of this machine reach the adapter; repeatable")
        ->needs(slirp)
        ->allow_extra_args(false)
        ->type_name("[tcp:][HOSTADDR]:PORT-:GUESTPORT");
    live_app->add_option("--set", live.sets, "Another value for a parameter; repeatable")
        ->allow_extra_args(false)
        ->type_name("KEY=VALUE");
    live_app->add_option("--duration", live.duration, "End so long after `ready`; default: at Ctrl-C")
        ->type_name("T");
    live_app
        ->add_option("--kill-after", live.kill_after,
                     "Kill the adapter that serves so long after `ready`; repeatable")
        ->allow_extra_args(false)
        ->type_name("T");
    live_app
        ->add_option("--factor", live.factor, "Simulated seconds in a second of the wall clock; default 1")
        ->check(CLI::Range(0.000001, 1000.0))
        ->check([](const std::string& v) { return v.find_first_of("nN") == v.npos ? "" : "not a number"; })
        ->type_name("F");
    live_app
        ->add_option("--captures", live_captures,
                     "A nanosecond capture of every link, on or off; default off")
        ->check(CLI::IsMember({"on", "off"}))
        ->type_name("on|off");
    add_common(*live_app, live.common, "Folder for the results; default: results");
  }

  pcie_bench_arguments bench;
  calibrate_arguments calibrate;
  CLI::App* bench_app = nullptr;
  CLI::App* calibrate_app = nullptr;
  if (env.pcie_bench) {
    bench_app = app.add_subcommand("pcie-bench", "The public pcie-bench measurements on the model");
    bench_app->add_flag("--ideal", bench.ideal, "The link alone, by the published analytic convention");
    // As typed: an empty value is none to CLI11, and numbers beyond its types are others.
    const auto add_number = [bench_app](const char* name, std::optional<std::string>& to, const char* type,
                                        const char* help) {
      bench_app
          ->add_option_function<std::string>(
              name, [&to](const std::string& v) { to = v; }, help)
          ->type_name(type);
    };
    add_number("--gen", bench.generation, "G", "PCI Express generation, 1 to 5");
    add_number("--lanes", bench.lanes, "L", "Lanes");
    add_number("--mps", bench.mps, "BYTES", "Maximum payload size; default 256");
    add_number("--mrrs", bench.mrrs, "BYTES", "Maximum read request size; default 512");
    add_number("--rcb", bench.rcb, "BYTES", "Read completion boundary, 64 or 128; default 64");
    bench_app->add_flag("--chop", bench.chop, "Completions end at every read completion boundary");
    bench_app->add_option("--device", bench.device, "A card: nfp6000, or a file")->type_name("NAME");
    bench_app->add_option("--host", bench.host, "Its host: a file by `understudy calibrate`")
        ->type_name("HOST.toml");
    bench_app->add_option("--iommu", bench.iommu, "IOMMU with pages of 4k or 2m; default: by HOST.toml")
        ->check(CLI::IsMember({"off", "4k", "2m"}))
        ->type_name("off|4k|2m");
    bench_app->add_option("--window", bench.windows, "Bandwidth by window too, in bytes; writes window.csv")
        ->type_name("BYTES,...");
    bench_app->add_option("--sizes", bench.sizes, "Transfer sizes; default: those of the data set")
        ->type_name("BYTES,...");
    add_common(*bench_app, bench.common, "Folder for the tables; default: results");
    calibrate_app = app.add_subcommand("calibrate", "A host from three measured latencies");
    calibrate_app
        ->add_option("--latency", calibrate.latency,
                     "Latencies by size, in the format of pcie-bench's data set")
        ->required()
        ->type_name("FILE");
    calibrate_app->add_option("-o,--output", calibrate.output, "Host profile to write")
        ->required()
        ->type_name("HOST.toml");
    calibrate_app->add_option("--device", calibrate.device, "The card that measured; default nfp6000")
        ->type_name("NAME");
    add_common(*calibrate_app, calibrate.common, "Not used");
  }

  try {
    std::vector<std::string> reversed(args.rbegin(), args.rend());
    app.parse(reversed);
    if (run_app->parsed()) {
      run.captures = captures != "off";
      run.bus_captures = captures == "all";
      if (!seed_option->empty()) run.seed = seed;
      return run_command(run, env);
    }
    if (describe_app->parsed()) return describe_command(topic, describe, env);
    if (merge_app && merge_app->parsed()) return env.merge(merge, env);
    if (campaign_app && campaign_app->parsed()) return env.campaign(campaign, env);
    if (replay_app && replay_app->parsed()) return env.replay(replay, env);
    if (explore_app && explore_app->parsed()) return env.explore(explore, env);
    if (live_app && live_app->parsed()) {
      live.captures = live_captures == "on";
      return env.live(live, env);
    }
    if (bench_app && bench_app->parsed()) return env.pcie_bench(bench, env);
    if (calibrate_app && calibrate_app->parsed()) return env.calibrate(calibrate, env);
    return version_command(version, env);
  } catch (const CLI::ParseError& e) {
    return app.exit(e, *env.out, *env.err) == 0 ? exit_held : exit_bad_input;
  } catch (const scenario_error& e) {
    *env.err << one_line(e.what()) << '\n';
  } catch (const std::exception& e) {
    *env.err << "understudy: " << one_line(e.what()) << '\n';
  }
  return exit_bad_input;
}

}  // namespace understudy::tb
