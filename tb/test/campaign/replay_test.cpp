// A replay tells its story, and its timeline is one that a viewer can load.
#include <map>
#include <set>
#include <tuple>

#include "tb/test/campaign/campaign_program.h"

namespace understudy::tb {
namespace {

struct flow_facts {
  std::string wrong;                    // first contradiction; empty: none
  std::map<std::string, int> complete;  // tracks along an arrow, "doorbells>descriptors>DMA": how often
  std::set<std::string> tracks;         // "adapter A: DMA"
};

// Judge a document of the Trace Event Format: every point of an arrow lies on a slice of its track, an arrow
// begins once, before its other points, and ends at most once.
flow_facts judge(const nlohmann::json& doc) {
  flow_facts facts;
  const auto fail = [&facts](const std::string& why) {
    if (facts.wrong.empty()) facts.wrong = why;
  };
  if (!doc.is_object() || !doc.contains("traceEvents")) {
    fail("no traceEvents");
    return facts;
  }
  std::map<int, std::string> adapters;
  std::map<std::pair<int, int>, std::string> tracks;
  std::set<std::tuple<int, int, double>> slices;
  for (const auto& e : doc["traceEvents"]) {
    if (e["ph"] == "M" && e["name"] == "process_name") adapters[e["pid"]] = e["args"]["name"];
    if (e["ph"] == "M" && e["name"] == "thread_name") tracks[{e["pid"], e["tid"]}] = e["args"]["name"];
    if (e["ph"] == "X") slices.emplace(e["pid"], e["tid"], e["ts"]);
  }
  struct arrow {
    std::string path;
    double last = 0;
    bool ended = false;
  };
  std::map<int, arrow> arrows;
  for (const auto& e : doc["traceEvents"]) {
    const std::string ph = e["ph"];
    if (ph == "X" && !tracks.contains({e["pid"], e["tid"]}) && adapters.contains(e["pid"]))
      fail("a slice on a track without a name");
    if (ph != "s" && ph != "t" && ph != "f") continue;
    const std::string id = e["id"].dump();
    if (!slices.contains({e["pid"], e["tid"], e["ts"]})) fail("a point of arrow " + id + " is on no slice");
    arrow& a = arrows[e["id"]];
    if ((ph == "s") != a.path.empty()) fail("arrow " + id + " begins twice or not at all");
    if (a.ended) fail("arrow " + id + " goes on behind its end");
    if (e["ts"].get<double>() < a.last) fail("arrow " + id + " runs back in time");
    a.last = e["ts"];
    a.path += (a.path.empty() ? "" : ">") + tracks[{e["pid"], e["tid"]}];
    a.ended = ph == "f";
    if (a.ended) ++facts.complete[a.path];
  }
  for (const auto& [where, name] : tracks) facts.tracks.insert(adapters[where.first] + ": " + name);
  return facts;
}

nlohmann::json document(const std::filesystem::path& file) {
  std::ifstream in(file);
  return nlohmann::json::parse(in, nullptr, false);
}

// Make a campaign of `p` and replay the injection that `order` puts first.
program_run replay(const std::string& p, const std::string& order = "trigger_event DESC",
                   const std::string& more = {}) {
  const program_run r = campaign(p, "out", more);
  EXPECT_EQ(r.status, 0) << r.output;
  const std::string id =
      query("out", "SELECT id FROM injection JOIN result ON injection = id ORDER BY " + order + " LIMIT 1");
  return shell(quoted(US_PROGRAM) + " replay " + id + " --db " +
               quoted((test_folder() / "out" / "results.sqlite").string()) + " --out " +
               quoted((test_folder() / "replay").string()));
}

TEST(replay, tells_in_some_twenty_lines_what_happened) {
  const program_run r = replay(plan("crash_points", "stride = 20011\n"), "bytes_resent DESC");
  ASSERT_EQ(r.status, 0) << r.output;
  std::cout << r.output;
  for (const char* part :
       {"before: A", "fault", "host held", "lost", "detected", "fenced", "blocked", "drained", "rebuilt",
        "loaded", "running", "went on", "outcome", "waves        none", "files", "next"})
    EXPECT_NE(r.output.find(part), std::string::npos) << part;
  EXPECT_LE(std::count(r.output.begin(), r.output.end(), '\n'), 25);
  EXPECT_GE(std::count(r.output.begin(), r.output.end(), '\n'), 15);
  // What it wrote stands in the database, as sha256sum sees it.
  const std::string row = query("out", "SELECT path || ' ' || sha256 FROM artifact WHERE kind = 'timeline'");
  const std::string path = row.substr(0, row.rfind(' '));
  EXPECT_EQ(shell("sha256sum " + quoted(path)).output.substr(0, 64), row.substr(row.rfind(' ') + 1));
}

TEST(replay, its_timeline_has_a_track_a_block_and_arrows_along_the_chain) {
  ASSERT_EQ(replay(plan("crash_points", "stride = 40001\n")).status, 0);
  const flow_facts facts = judge(document(test_folder() / "replay" / "timeline.json"));
  EXPECT_EQ(facts.wrong, "");
  for (const char* track :
       {"doorbells", "descriptors", "DMA", "commit", "interrupts", "engine", "wire", "recovery"})
    for (const char* adapter : {"adapter A: ", "adapter B: ", "adapter C: "})
      EXPECT_TRUE(facts.tracks.contains(adapter + std::string(track))) << adapter << track;
  for (const char* path : {"doorbells>descriptors>DMA", "DMA>commit>wire", "commit>interrupts"})
    EXPECT_GT(facts.complete.contains(path) ? facts.complete.at(path) : 0, 100) << path;
}

TEST(replay, a_timeline_with_a_broken_arrow_is_seen_to_be_broken) {
  const auto slice = R"({"ph":"X","pid":0,"tid":1,"ts":1.0,"dur":0.001,"name":"a"},)";
  const auto name = R"({"ph":"M","pid":0,"tid":1,"name":"thread_name","args":{"name":"DMA"}},)";
  const auto doc = [&](const std::string& more) {
    return nlohmann::json::parse(std::string("{\"traceEvents\":[") + slice + name + more + "]}");
  };
  const std::string begin = R"({"ph":"s","id":1,"pid":0,"tid":1,"ts":1.0,"name":"c"})";
  const std::string end = R"({"ph":"f","id":1,"pid":0,"tid":1,"ts":1.0,"name":"c"})";
  const std::string nowhere = R"({"ph":"s","id":1,"pid":0,"tid":1,"ts":2.0,"name":"c"})";
  EXPECT_EQ(judge(doc(begin + "," + end)).wrong, "");
  EXPECT_NE(judge(doc(end)).wrong, "");
  EXPECT_NE(judge(doc(begin + "," + begin)).wrong, "");
  EXPECT_NE(judge(doc(nowhere)).wrong, "");
}

TEST(replay, blocks_in_rtl_give_their_waveforms) {
  const std::string p = (fresh_folder() / "plan.toml").string();
  std::ofstream(p) << "mode = \"crash_points\"\nscenario = \"" << scenario_file("bulk.toml")
                   << "\"\nstride = 401\nset = [\"topology.adapters=2\", \"workload.connections=1\", "
                      "\"workload.bytes=20000\", 'adapter.rtl=[\"checksum\"]']\n";
  const program_run r = replay(p, "trigger_event", "--shard 2/2");
  EXPECT_EQ(r.status, 0) << r.output;
  EXPECT_NE(r.output.find("waves_A.vcd"), std::string::npos) << r.output;
  EXPECT_EQ(r.output.find("waves        none"), std::string::npos) << r.output;
  EXPECT_GT(std::filesystem::file_size(test_folder() / "replay" / "waves_A.vcd"), 1000u);
}

TEST(replay, a_train_of_faults_strikes_again_where_it_did) {
  const program_run r = replay(plan("liveness", "stride = 40001\nkinds = [\"kill\", \"zombie\"]\n"));
  EXPECT_EQ(r.status, 0) << r.output;
  EXPECT_NE(r.output.find("train of faults"), std::string::npos) << r.output;
  const auto result = document(test_folder() / "replay" / "result.json");
  EXPECT_GE(result["failovers"].size(), 1u);
}

}  // namespace
}  // namespace understudy::tb
