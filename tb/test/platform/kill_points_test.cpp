// The kill-point matrix: the adapter dies at each named point in the life of a byte, a connection, a window;
// the streams stay exact, no connection is reset. Points are found in the events of a run without a fault.
#include <functional>
#include <iostream>

#include "tb/test/platform/event_text.h"
#include "tb/test/platform/program.h"

namespace understudy::tb {
namespace {

constexpr unsigned most_kills = 6;                         // at each point, spread over the run
constexpr std::uint64_t memory_write = 1, completion = 5;  // TLP types, as events name them

struct point {
  const char* name;
  std::vector<std::string> settings;
  // Is the instant behind event `i` of `all` one of them?
  std::function<bool(const std::vector<event_line>& all, std::size_t i)> here;
  const char* scenario = "hello.toml";
  friend void PrintTo(const point& p, std::ostream* to) { *to << p.name; }
};

// The two numbers of an event that is no segment.
std::pair<std::uint64_t, std::uint64_t> numbers(const event_line& e) {
  std::istringstream s(e.rest);
  std::string a, b;
  s >> a >> b;
  return {std::strtoull(a.c_str(), nullptr, 16), std::strtoull(b.c_str(), nullptr, 16)};
}

bool is_tlp(const event_line& e, const char* kind, std::uint64_t type, std::uint64_t least,
            std::uint64_t most) {
  if (e.unit != 0 || e.kind != kind) return false;
  const std::uint64_t b = numbers(e).second;
  return b >> 32 == type && (b & 0xffffffff) >= least && (b & 0xffffffff) <= most;
}

// A segment that adapter A sends (out) or takes.
bool segment(const event_line& e, bool out, const char* flag, bool payload) {
  if (e.unit != 0 || e.kind != (out ? "frame_out" : "frame_in") || !e.is_segment) return false;
  return (e.length > 0) == payload && (!*flag || e.rest.find(flag) != std::string::npos);
}

// A record becomes visible: 64 bytes that are not the heartbeat's.
bool record_visible(const event_line& e, std::uint64_t heartbeat) {
  return e.unit == 0 && e.kind == "write_visible" && numbers(e).second == 64 && numbers(e).first != heartbeat;
}
std::uint64_t heartbeat_of(const std::vector<event_line>& all) {
  for (const event_line& e : all)
    if (e.unit == 0 && e.kind == "write_visible") return numbers(e).first;
  return 0;
}

using events = std::vector<event_line>;
const std::vector<std::string> plain{"topology.adapters=2", R"(workload.bytes="64 KiB")",
                                     "workload.connections=4", "topology.twin_connections=1"};
std::vector<std::string> plus(std::vector<std::string> s, std::initializer_list<const char*> more) {
  s.insert(s.end(), more.begin(), more.end());
  return s;
}

const point points[] = {
    {"K1_mid_payload_write", plain,
     [](const events& all, std::size_t i) { return is_tlp(all[i], "tlp_up", memory_write, 256, 256); }},
    {"K2_payload_written_record_not", plain,
     [](const events& all, std::size_t i) { return is_tlp(all[i], "tlp_up", memory_write, 65, 255); }},
    {"K3_record_visible_ack_not_sent", plain,
     [](const events& all, std::size_t i) { return record_visible(all[i], heartbeat_of(all)); }},
    {"K4_ack_sent", plain,
     [](const events& all, std::size_t i) { return segment(all[i], true, "ACK", false); }},
    {"K5_segments_sent_ack_not_back", plain,
     [](const events& all, std::size_t i) { return segment(all[i], true, "", true); }},
    {"K6_ack_received_host_not_told", plain,
     [](const events& all, std::size_t i) { return segment(all[i], false, "ACK", false); }},
    {"K7_send_descriptor_fetched_nothing_sent", plain,
     [](const events& all, std::size_t i) { return is_tlp(all[i], "tlp_down", completion, 64, 64); }},
    {"K8a_syn_received", plain,
     [](const events& all, std::size_t i) { return segment(all[i], false, "SYN", false); }},
    {"K8b_syn_ack_sent", plain,
     [](const events& all, std::size_t i) { return segment(all[i], true, "SYN", false); }},
    {"K8c_established_host_not_told", plain,
     [](const events& all,
        std::size_t i) {  // the ACK of the SYN-ACK: the first of its connection without SYN
       if (!segment(all[i], false, "ACK", false) || all[i].rest.find("SYN") != std::string::npos)
         return false;
       for (std::size_t j = 0; j < i; ++j)
         if (all[j].unit == 0 && all[j].kind == "frame_in" && all[j].is_segment &&
             all[j].source_port == all[i].source_port && all[j].rest.find("SYN") == std::string::npos)
           return false;
       return true;
     }},
    {"K8_opened_by_the_host", plus(plain, {"workload.side=client"}),
     [](const events& all, std::size_t i) {
       return segment(all[i], true, "SYN", false) || segment(all[i], false, "SYN", false);
     }},
    {"K9_record_issued_not_visible", plain,
     [](const events& all, std::size_t i) { return is_tlp(all[i], "tlp_up", memory_write, 64, 64); }},
    {"K10_our_fin_sent", plain,
     [](const events& all, std::size_t i) {
       return segment(all[i], true, "FIN", false) || segment(all[i], true, "FIN", true);
     }},
    {"K10_peers_fin_received", plain,
     [](const events& all, std::size_t i) {
       return segment(all[i], false, "FIN", false) || segment(all[i], false, "FIN", true);
     }},
    {"K10_fins_acknowledged", plain,
     [](const events& all, std::size_t i) {  // segments after the connection's first FIN
       if (!segment(all[i], true, "ACK", false) && !segment(all[i], false, "ACK", false)) return false;
       for (std::size_t j = i; j-- > 0;)
         if (all[j].is_segment && all[j].rest.find("FIN") != std::string::npos &&
             (all[j].source_port == all[i].source_port || all[j].source_port == all[i].destination_port))
           return true;
       return false;
     }},
    {"K11_peers_window_shut",
     {"fault=[]"},
     [](const events& all, std::size_t i) {
       return all[i].unit == 0 && all[i].kind == "frame_in" &&
              all[i].rest.find(" win 0 ") != std::string::npos;
     },
     "reference.toml"},
    {"K11_our_window_below_a_segment",
     {"fault=[]"},
     [](const events& all, std::size_t i) {
       const std::size_t at = all[i].rest.find(" win ");
       return all[i].unit == 0 && all[i].kind == "frame_out" && at != std::string::npos &&
              std::atoi(all[i].rest.c_str() + at + 5) << 7 < 1460;
     },
     "reference.toml"},
    {"K14_sequence_numbers_wrap", plus(plain, {"workload.iss=4294934528"}),  // 32 KiB below the wrap
     [](const events& all, std::size_t i) {
       return segment(all[i], true, "", true) && all[i].seq > 0xfffff000u;
     }},
};

class kill_point : public ::testing::TestWithParam<point> {};

TEST_P(kill_point, leaves_every_stream_exact) {
  const point& p = GetParam();
  std::filesystem::create_directories(test_folder());
  const auto text = test_folder() / "events.txt";
  const program_run whole = run_program(scenario_file(p.scenario), p.settings, "--captures off -v -v", text);
  ASSERT_EQ(whole.status, 0) << whole.reasons();
  const events all = read_events(text);
  std::filesystem::remove(text);
  ASSERT_EQ(all.size(), whole.events());
  std::vector<std::uint64_t> here;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (p.here(all, i)) here.push_back(all[i].number);
  ASSERT_FALSE(here.empty()) << "the point does not occur";
  const std::size_t kills = std::min<std::size_t>(most_kills, here.size());
  std::cout << here.size() << " instants, " << kills << " kills\n";
  for (std::size_t k = 0; k < kills; ++k) {
    const std::uint64_t number = here[here.size() * k / kills];
    SCOPED_TRACE("behind event " + std::to_string(number));
    std::vector<std::string> settings = p.settings;
    settings.push_back(fault_at_event(number, "A"));
    const program_run r = run_program(scenario_file(p.scenario), settings);
    EXPECT_EQ(r.status, 0) << r.reasons();
    EXPECT_EQ(r.result["failovers"].size(), 1u);
    EXPECT_EQ(r.result["connections"]["reset"], 0);
    EXPECT_EQ(r.result["bytes"]["delivered"], r.result["bytes"]["expected"]);
  }
}
INSTANTIATE_TEST_SUITE_P(matrix, kill_point, ::testing::ValuesIn(points),
                         [](const auto& i) { return std::string(i.param.name); });

TEST(kill_points, K12_a_zombie_is_fenced_before_its_memory_is_used_again) {
  for (const double at : {0.3, 0.6}) {
    const program_run r =
        run_program(scenario_file("hello.toml"), plus(plain, {fault_at_fraction(at, "zombie").c_str()}));
    EXPECT_EQ(r.status, 0) << r.reasons();
    EXPECT_EQ(r.violations("I-DMA-2"), 0u);
    EXPECT_GT(r.monitor("I-DMA-2")["checked"], 0);
  }
}

TEST(kill_points, K13_the_substitute_dies_at_each_step_of_the_recovery) {
  const std::vector<std::string> three = plus(plain, {"topology.adapters=3"});
  const program_run one =
      run_program(scenario_file("hello.toml"), plus(three, {fault_at_fraction(0.5).c_str()}));
  ASSERT_EQ(one.status, 0) << one.reasons();
  const auto& f = one.result["failovers"][0];
  for (const char* step : {"block_ps", "drain_ps", "rebuild_ps", "load_ps", "identity_ps", "unblock_ps"}) {
    SCOPED_TRACE(step);
    const std::string both = "fault=[{kind=\"kill\", at_fraction=0.5}, {kind=\"kill\", target=\"B\", at=\"" +
                             std::to_string(f[step].get<std::uint64_t>()) + " ps\"}]";
    const program_run r = run_program(scenario_file("hello.toml"), plus(three, {both.c_str()}));
    EXPECT_EQ(r.status, 0) << r.reasons();
    EXPECT_EQ(r.result["connections"]["reset"], 0);
    EXPECT_EQ(r.result["failovers"].back()["to"], "C");
  }
}

}  // namespace
}  // namespace understudy::tb
