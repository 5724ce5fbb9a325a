// What a campaign's result looks like: JSON, a screen of text, JUnit.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tb/campaign/campaign.h"

namespace understudy::tb {

namespace {

std::string verdict(const campaign_result& r) {
  if (r.stopped) return "STOPPED: run the same command again to go on";
  if (!r.held())
    return r.not_allowed + r.control_mismatches + r.tail_mismatches == 0 && r.inconclusive
               ? "INCONCLUSIVE: run the same command again to try those once more"
               : "FAILED: see the lines above";
  switch (r.mode) {
    case campaign_mode::mutants:
      return "HELD: each defect is caught by its monitor, each run without it is clean";
    case campaign_mode::liveness:
      return "HELD: everything went on within the deadline";
    case campaign_mode::safety:
      return "HELD: nothing wrong was done until the last adapter was gone";
    default:
      return "HELD: no instant was found at which death hurts";
  }
}

}  // namespace

std::string to_json(const campaign_result& r) {
  nlohmann::ordered_json j;
  j["schema"] = 1;
  j["mode"] = name(r.mode);
  j["plan"] = r.plan;
  j["status"] = r.held() ? "held" : "failed";
  if (r.mode == campaign_mode::mutants) {
    j["mutants"] = r.mutants.size();
    j["killed"] = r.killed();
    j["rows"] = nlohmann::ordered_json::array();
    for (const mutant_verdict& v : r.mutants)
      j["rows"].push_back({{"mutant", v.row.mutant},
                           {"monitor", v.row.monitor},
                           {"scenario", v.row.scenario},
                           {"caught", v.caught},
                           {"clean_without", v.clean},
                           {"note", v.note}});
  } else {
    j["golden_events"] = r.golden_events;
    j["rtl"] = nlohmann::ordered_json::object();
    for (const rtl_block& b : r.rtl) j["rtl"][b.name] = {{"cycles", b.cycles}};
    j["points"] = r.points;
    j["injections"] = r.injections;
    j["resumed"] = r.resumed;
    j["control_forks"] = r.control_forks;
    j["control_mismatches"] = r.control_mismatches;
    j["tail_checks"] = r.tail_checks;
    j["tail_mismatches"] = r.tail_mismatches;
    j["outcomes"] = r.outcomes;
    j["not_allowed"] = r.not_allowed;
    j["inconclusive"] = r.inconclusive;
    j["injections_per_wall_s"] = r.injections_per_wall_s;
    j["speedup_over_rerun"] = r.speedup_over_rerun;
    j["failures"] = r.failures;
  }
  j["stopped"] = r.stopped;
  j["wall_s"] = r.wall_s;
  j["files"] = r.files;
  return j.dump(2) + "\n";
}

std::string summary_text(const campaign_result& r) {
  std::string t = fmt::format("campaign     {}: {}\n", name(r.mode), r.plan);
  if (r.mode == campaign_mode::mutants) {
    for (const mutant_verdict& v : r.mutants)
      t += fmt::format("             {:<24} {:<8} {}\n", v.row.mutant, v.row.monitor,
                       v.caught && v.clean ? "killed" : "NOT KILLED: " + v.note);
    t += fmt::format("mutants      {} of {} killed in {:.1f} s\n", r.killed(), r.mutants.size(), r.wall_s);
  } else {
    t += fmt::format("golden run   {} crash points; {} of the fault space selected\n", r.golden_events,
                     r.points);
    for (const rtl_block& b : r.rtl)
      t += fmt::format("{:<12} {}: {} cycles\n", &b == r.rtl.data() ? "rtl" : "", b.name, b.cycles);
    t += fmt::format("injections   {}{}, {:.0f} a second{}\n", r.injections,
                     r.resumed ? fmt::format(" ({} from before)", r.resumed) : "", r.injections_per_wall_s,
                     r.speedup_over_rerun > 0
                         ? fmt::format(", {:.1f} times faster than from the start", r.speedup_over_rerun)
                         : "");
    t += "outcomes    ";
    for (const auto& [what, n] : r.outcomes) t += fmt::format(" {} {}", what, n);
    t += fmt::format("; {} not allowed, {} inconclusive\n", r.not_allowed, r.inconclusive);
    t +=
        fmt::format("controls     {} un-injected forks, {} differ; {} ran on after their rest, {} disagree\n",
                    r.control_forks, r.control_mismatches, r.tail_checks, r.tail_mismatches);
    for (const std::string& f : r.failures) t += "             " + f.substr(0, 160) + "\n";
  }
  t += verdict(r) + "\n";
  if (!r.held() && !r.failures.empty())
    t += fmt::format("next         understudy replay {}\n", r.failures.front().substr(0, 20));
  return t;
}

namespace {

// Why the injections did not hold, in a line.
std::string why_not(const campaign_result& r) {
  std::string t = fmt::format(
      "{} of {} not allowed, {} inconclusive, {} controls differ, {} tails disagree{}", r.not_allowed,
      r.injections, r.inconclusive, r.control_mismatches, r.tail_mismatches, r.stopped ? ", stopped" : "");
  if (!r.failures.empty()) t += fmt::format("; understudy replay {}", r.failures.front());
  return t;
}

}  // namespace

std::string to_junit(const campaign_result& r) {
  const auto escaped = [](const std::string& s) {
    std::string out;
    for (const char c : s) {
      switch (c) {
        case '<':
          out += "&lt;";
          break;
        case '>':
          out += "&gt;";
          break;
        case '&':
          out += "&amp;";
          break;
        case '"':
          out += "&quot;";
          break;
        default:
          out += c;
      }
    }
    return out;
  };
  std::string cases;
  std::size_t failed = 0;
  std::size_t count = 0;
  const auto add = [&](const std::string& what, bool ok, const std::string& why) {
    ++count;
    failed += !ok;
    cases += fmt::format("    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3f}\"", escaped(r.plan),
                         escaped(what), r.wall_s);
    cases += ok ? "/>\n" : fmt::format("><failure message=\"{}\"/></testcase>\n", escaped(why));
  };
  if (r.mode == campaign_mode::mutants) {
    for (const mutant_verdict& v : r.mutants)
      add(v.row.mutant + " is caught by " + v.row.monitor, v.caught && v.clean, v.note);
  } else {
    add(fmt::format("{}: {}", r.scenario, class_of(r.mode).model), r.held(), why_not(r));
  }
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"{}\" tests=\"{}\" "
      "failures=\"{}\">\n{}"
      "  </testsuite>\n</testsuites>\n",
      name(r.mode), count, failed, cases);
}

}  // namespace understudy::tb
