// What must fail does fail, and whoever must say so says so.
#include <fstream>
#include <iostream>

#include "tb/test/platform/event_text.h"
#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

constexpr unsigned lwip_unit = 200;  // in the event text

std::string mutant(const std::string& name) {
  return "mutants=[\"" + name + "\"]";
}

struct control {
  const char* mutant;
  std::vector<const char*> monitors;  // each must fire
  std::vector<std::string> settings;
  const char* scenario = "failover.toml";
  friend void PrintTo(const control& p, std::ostream* to) { *to << p.mutant; }
};

const control controls[] = {
    {"ack_before_commit", {"I-RX-1"}, {}},
    {"record_before_payload", {"I-RX-2"}, {}},
    {"snd_max_reset", {"I-TX-3"}, {R"(run.deadline="5 s")"}},
    {"shrink_window", {"I-RX-6"}, {}},
    {"tsval_regress", {"I-TX-5"}, {}},
    {"free_before_ack", {"I-TX-1"}, {}},
    {"reuse_isn", {"I-TX-6"}, {"workload.rounds=2"}},
    {"lost_wakeup",
     {"I-LV-2"},
     {R"(failover.heartbeat="5 ms")"},  // else the driver's watchdog is soon enough
     "hello.toml"},
    {"no_fence",
     {"I-DMA-2", "I-DMA-3"},
     {fault_at_fraction(0.5, "zombie"), "wire.impair=loss 1%", R"(run.deadline="20 s")"}},
};

class mutant_of : public ::testing::TestWithParam<control> {};

TEST_P(mutant_of, the_model_is_caught_by_its_monitor) {
  const control& c = GetParam();
  std::vector<std::string> settings = c.settings;
  const program_run sound = run_program(scenario_file(c.scenario), settings);
  EXPECT_EQ(sound.status, 0) << "without the mutant: " << sound.reasons();
  settings.push_back(mutant(c.mutant));
  const program_run r = run_program(scenario_file(c.scenario), settings);
  EXPECT_EQ(r.status, 1);
  for (const char* id : c.monitors) {
    EXPECT_GT(r.violations(id), 0u) << id;
    EXPECT_NE(r.reasons().find(id), std::string::npos);
    EXPECT_NE(r.monitor(id).value("first", "").find("event "), std::string::npos) << r.monitor(id).dump();
  }
}
INSTANTIATE_TEST_SUITE_P(all, mutant_of, ::testing::ValuesIn(controls),
                         [](const auto& i) { return std::string(i.param.mutant); });

// Identity, event, instant, witness, and what came before it: in the result and, with -v, on standard error.
TEST(negative_control, a_violation_is_reported_with_the_events_that_led_to_it) {
  std::filesystem::create_directories(test_folder());
  const auto errors = test_folder() / "errors.txt";
  const program_run r =
      run_program(scenario_file("hello.toml"), {mutant("ack_before_commit")}, "--captures off -v", errors);
  EXPECT_EQ(r.status, 1);
  const auto m = r.monitor("I-RX-1");
  ASSERT_TRUE(m["event"].is_number()) << m.dump();
  EXPECT_GT(m["at_ps"], 0);
  EXPECT_NE(m["witness"].get<std::string>().find("ACK "), std::string::npos);
  ASSERT_EQ(m["before"].size(), 64u);
  EXPECT_EQ(std::stoull(m["before"].back().get<std::string>()), m["event"].get<std::uint64_t>());
  EXPECT_TRUE(r.monitor("I-RX-2")["event"].is_null());
  EXPECT_TRUE(r.monitor("I-RX-2")["before"].empty());
  std::ifstream in(errors);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  EXPECT_NE(text.find("I-RX-1 violated "), std::string::npos) << text;
  EXPECT_NE(text.find(m["before"].back().get<std::string>()), std::string::npos);
}

TEST(negative_control, a_substitute_that_receives_too_early_breaks_connections) {
  const program_run r =
      run_program(scenario_file("failover.toml"), {mutant("no_block"), R"(run.deadline="100 ms")"});
  EXPECT_EQ(r.status, 1);
  const auto& c = r.result["connections"];
  EXPECT_LT(c["completed"], c["opened"]);
  EXPECT_GT(r.result["bytes"]["lost"], 0);
}

TEST(negative_control, without_a_substitute_the_run_names_what_died_and_why) {
  const program_run r = run_program(scenario_file("failover.toml"), {"topology.adapters=1"});
  EXPECT_EQ(r.status, 1);
  EXPECT_EQ(r.held(), "failed");
  EXPECT_GT(r.result["connections"]["aborted"], 0);
  EXPECT_GT(r.result["bytes"]["lost"], 0);
  const std::string why = r.reasons();
  for (const char* words :
       {"connections aborted", "no adapter left", "no substitute", "bytes lost", "connection 1 "})
    EXPECT_NE(why.find(words), std::string::npos) << words << " is not in " << why;
}

TEST(negative_control, a_fault_that_never_comes_fails_the_run) {
  const program_run r =
      run_program(scenario_file("hello.toml"), {"fault=[{kind=\"kill\", target=\"A\", at=\"500 s\"}]"});
  EXPECT_EQ(r.status, 1);
  EXPECT_NE(r.reasons().find("never activated"), std::string::npos) << r.reasons();
  EXPECT_FALSE(r.result["faults"][0]["activated"]);
}

TEST(negative_control, a_deadline_that_passes_names_what_is_stuck) {
  const program_run r =
      run_program(scenario_file("hello.toml"), {R"(run.deadline="2 ms")", R"(workload.bytes="64 MiB")"});
  EXPECT_EQ(r.status, 1);
  EXPECT_NE(r.reasons().find("not finished"), std::string::npos) << r.reasons();
}

// ACK before commit is not a matter of form: killed between an ACK and its commit, the adapter takes bytes
// with it that the peer will never send again. On a slow bus the record follows its ACK at some distance.
TEST(negative_control, a_kill_between_an_early_ack_and_its_commit_loses_bytes) {
  std::filesystem::create_directories(test_folder());
  const auto text = test_folder() / "events.txt";
  std::vector<std::string> settings{
      "topology.adapters=2",        R"(run.deadline="20 s")",    "pcie.generation=1", "pcie.lanes=1",
      R"(workload.bytes="64 KiB")", mutant("ack_before_commit"), "fault=[]"};
  const std::size_t rule = settings.size() - 2;
  const program_run whole = run_program(scenario_file("hello.toml"), settings, "--captures off -v -v", text);
  ASSERT_FALSE(whole.result.is_discarded());
  ASSERT_GT(whole.violations("I-RX-1"), 0u);
  std::vector<std::uint64_t> heard;  // the peer hears an ACK
  for (const event_line& e : read_events(text))
    if (e.kind == "frame_in" && e.unit == lwip_unit && e.is_segment && e.length == 0)
      heard.push_back(e.number);
  ASSERT_GT(heard.size(), 10u);
  unsigned tried = 0, lost = 0;
  for (std::size_t i = 0; i < heard.size(); i += std::max<std::size_t>(1, heard.size() / 20)) {
    ++tried;
    settings.back() = fault_at_event(heard[i], "A");
    const program_run r = run_program(scenario_file("hello.toml"), settings);
    if (r.result["bytes"]["lost"] > 0) {
      ++lost;
      EXPECT_EQ(r.status, 1);
    }
    std::vector<std::string> sound = settings;  // with the rule the same instant is harmless
    sound[rule] = "mutants=[]";
    const program_run kept = run_program(scenario_file("hello.toml"), sound);
    EXPECT_EQ(kept.status, 0) << heard[i] << ": " << kept.reasons();
  }
  std::cout << lost << " of " << tried << " kills behind an ACK lose bytes\n";
  EXPECT_GT(lost, 0u);
}

// Also where they would finish while stock is taken, and where the deadline has passed before they are
// opened.
TEST(deadline, a_run_past_it_fails_and_names_the_connections_that_are_stuck) {
  for (const char* deadline : {"1 us", "1100 us"}) {
    const program_run r =
        run_program(scenario_file("hello.toml"), {std::string("run.deadline=\"") + deadline + "\""});
    EXPECT_EQ(r.status, 1) << deadline;
    EXPECT_EQ(r.held(), "failed") << deadline;
    EXPECT_NE(r.reasons().find("2 ends of connections not finished at 1 ms; the first: "), std::string::npos)
        << r.reasons();
  }
  EXPECT_EQ(run_program(scenario_file("hello.toml"), {"run.deadline=\"1 s\""}).status, 0);
}

}  // namespace
}  // namespace understudy::tb
