// tshark over what the adapter, lwIP and the twin say on a wire that does damage: it finds no more oddities
// than the damage explains, and none without. US_WHOLE_MATRIX in the environment: every cell, else four.
#include <cstdlib>
#include <ostream>
#include <set>
#include <tuple>

#include "tb/test/platform/tshark.h"

namespace understudy::tb {
namespace {

// Each connection carries so much in each direction: a dozen segments, which may all be under way.
constexpr const char* few_bytes = R"(workload.bytes="16 KiB")";
constexpr std::uint64_t flight = 12;
// A frame that is lost is sent again, perhaps twice; a time-out sends more than what was lost.
constexpr std::uint64_t most_repeats = 3;

// What the wire did, as its counters say.
struct damage {
  std::uint64_t lost = 0, duplicated = 0, corrupted = 0, overtaken = 0;
  std::uint64_t all() const { return lost + duplicated + corrupted + overtaken; }
};
damage damage_of(const program_run& r) {
  const auto& w = r.result["wire"];
  return {w["lost"], w["duplicated"], w["corrupted"], w["overtaken"]};
}

// What tshark finds odd about the frames of one link. Frames are captured where they leave their sender,
// before the wire touches them, with a comment on what it is going to do.
struct oddities {
  std::uint64_t frames = 0;
  std::uint64_t again = 0;  // retransmissions of every kind, out of order ones included
  std::uint64_t duplicate_acks = 0;
  std::uint64_t gaps = 0;          // a segment before it was not captured
  std::uint64_t strange_acks = 0;  // of what was not captured
  std::set<std::string> odd;       // conversations that have some
  std::set<std::string> damaged;   // conversations that the wire did something to; "": ARP
};

std::vector<std::string> columns(const std::string& line) {
  std::vector<std::string> all;
  std::istringstream in(line);
  for (std::string c; std::getline(in, c, '\t');) all.push_back(c);
  all.resize(7);
  return all;
}

oddities oddities_of(const std::filesystem::path& file) {
  oddities o;
  for (const std::string& line :
       packets(file, "frame",
               "-T fields -e tcp.stream -e frame.comment -e tcp.analysis.retransmission "
               "-e tcp.analysis.out_of_order -e tcp.analysis.duplicate_ack -e tcp.analysis.lost_segment "
               "-e tcp.analysis.ack_lost_segment")) {
    const auto c = columns(line);
    ++o.frames;
    o.again += !c[2].empty() || !c[3].empty();
    o.duplicate_acks += !c[4].empty();
    o.gaps += !c[5].empty();
    o.strange_acks += !c[6].empty();
    if (!(c[2] + c[3] + c[4] + c[5] + c[6]).empty()) o.odd.insert(c[0]);
    if (!c[1].empty()) o.damaged.insert(c[0]);
  }
  return o;
}

// One sentence for each oddity that the damage does not explain.
std::vector<std::string> unexplained(const oddities& o, const damage& d) {
  std::vector<std::string> all;
  const auto limit = [&all](const char* what, std::uint64_t n, std::uint64_t most) {
    if (n > most) all.push_back(std::to_string(n) + " " + what + ", explained are " + std::to_string(most));
  };
  limit("segments sent again", o.again, most_repeats * d.all());
  limit("duplicate ACKs", o.duplicate_acks, d.duplicated + flight * (d.lost + d.corrupted + d.overtaken));
  limit("gaps", o.gaps, d.all());
  limit("ACKs of what was never sent", o.strange_acks, 0);
  // Delays leave no comment, and a lost ARP answer concerns everybody.
  if (d.overtaken == 0 && !o.damaged.contains(""))
    for (const std::string& stream : o.odd)
      if (!o.damaged.contains(stream))
        all.push_back("conversation " + stream + " is odd, its frames were let alone");
  return all;
}

struct trouble {
  const char* name;
  const char* impair;
  friend void PrintTo(const trouble& t, std::ostream* to) { *to << t.name; }
};
using cell = std::tuple<std::string, std::string, trouble>;  // peer, side, trouble

constexpr trouble clean{"clean", ""}, loss_5{"loss_5", "loss 5%"},
    everything{"everything", "loss 2% duplicate 2% corrupt 1% delay 100us 80us"},
    duplication{"duplication", "duplicate 10%"};

std::vector<cell> cells() {
  if (!std::getenv("US_WHOLE_MATRIX"))
    return {{"lwip", "server", clean},
            {"twin", "client", loss_5},
            {"lwip", "client", duplication},
            {"twin", "server", everything}};
  std::vector<cell> all;
  for (const char* peer : {"lwip", "twin"})
    for (const char* side : {"server", "client"})
      for (const trouble& t :
           {clean, trouble{"loss_0_1", "loss 0.1%"}, trouble{"loss_1", "loss 1%"}, loss_5,
            trouble{"loss_10", "loss 10%"}, trouble{"reordering", "delay 50us reorder 25%"},
            trouble{"held", "reorder 5%"}, duplication, trouble{"corruption", "corrupt 2%"},
            trouble{"jitter", "delay 200us 150us"}, everything})
        all.emplace_back(peer, side, t);
  return all;
}

program_run run_captured(const std::string& peer, const std::string& side, const std::string& impair,
                         const std::string& more = "seed=1") {
  return run_program(
      scenario_file("interop.toml"),
      {"peer=" + peer, "workload.side=" + side, "wire.impair=\"" + impair + "\"", few_bytes, more},
      "--captures on");
}

class wire_matrix_control : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!tshark_is_installed()) GTEST_SKIP() << "tshark is not installed";
  }
};
class wire_matrix : public wire_matrix_control, public ::testing::WithParamInterface<cell> {};

TEST_P(wire_matrix, shows_no_oddity_that_the_wire_does_not_explain) {
  const auto& [peer, side, t] = GetParam();
  const program_run r = run_captured(peer, side, t.impair);
  ASSERT_EQ(r.status, 0) << r.reasons();
  const damage d = damage_of(r);
  // The peer drops its share, and some bits hit an address. 4: copies of a frame that was corrupted.
  std::uint64_t broken = 0;
  for (const char* cause : {"length", "header", "ip_checksum", "l4_checksum"})
    broken += r.result["dropped_frames"][cause].get<std::uint64_t>();
  EXPECT_EQ(broken > 0, d.corrupted > 0);
  EXPECT_LE(broken, d.corrupted + (d.duplicated ? 4 : 0));
  EXPECT_EQ(d.all() > 0, *t.impair != '\0') << r.result["wire"].dump();
  const oddities o = oddities_of(frames_of_link(r, peer));
  EXPECT_EQ(o.frames, r.result["wire"]["sent"]) << "every frame was judged";
  EXPECT_EQ(unexplained(o, d), std::vector<std::string>{});
  std::printf("%llu frames, %llu damaged: %llu sent again, %llu duplicate ACKs\n",
              static_cast<unsigned long long>(o.frames), static_cast<unsigned long long>(d.all()),
              static_cast<unsigned long long>(o.again), static_cast<unsigned long long>(o.duplicate_acks));
}

std::string name_of(const ::testing::TestParamInfo<cell>& i) {
  const auto& [peer, side, t] = i.param;
  return peer + "_" + side + "_" + t.name;
}
INSTANTIATE_TEST_SUITE_P(cell, wire_matrix, ::testing::ValuesIn(cells()), name_of);

// The same frames on a wire that had done nothing could not be explained.
TEST_F(wire_matrix_control, fails_if_the_wire_is_said_to_have_done_nothing) {
  const program_run r = run_captured("lwip", "server", "loss 5%");
  ASSERT_EQ(r.status, 0) << r.reasons();
  const oddities o = oddities_of(frames_of_link(r, "lwip"));
  EXPECT_EQ(unexplained(o, damage_of(r)), std::vector<std::string>{});
  EXPECT_FALSE(unexplained(o, {}).empty());
}

// An adapter that answers ACKs by ACKs repeats itself on a wire that does nothing.
TEST_F(wire_matrix_control, fails_for_an_adapter_that_answers_acks) {
  const program_run r = run_captured("lwip", "server", "", R"(mutants=["answer_acks"])");
  EXPECT_EQ(damage_of(r).all(), 0u);
  EXPECT_FALSE(unexplained(oddities_of(frames_of_link(r, "lwip")), damage_of(r)).empty());
}

}  // namespace
}  // namespace understudy::tb
