// An adapter is lost with frames of the host's open in several of its transmit queues: each has one outcome,
// what was told sent has left, what was not can be sent by the substitute, and no connection notices.
#include <algorithm>
#include <deque>
#include <iostream>
#include <map>

#include "host_sw/driver/raw_send.h"
#include "tb/test/platform/inside.h"

namespace understudy::tb {
namespace {

constexpr unsigned queues = 4;
constexpr std::uint64_t frames = 3000;
constexpr std::size_t most_open = 24;  // in each queue
constexpr picos pause = 5_us;

// A stack of the host's that sends numbered frames by every queue, and again what it was told was not sent.
class frame_source final : public event_observer {
 public:
  // `how_many` frames; `poison`: with each, the next register write is poisoned.
  explicit frame_source(inside& i, std::uint64_t how_many = frames, bool poison = false)
      : i_(i), driver_(dynamic_cast<host::driver&>(*i.main().driver)), how_many_(how_many), poison_(poison) {
    i.sim.log().subscribe(this, {event_kind::frame_out, event_kind::fault});
    i.sim.on_started([this] { later(); });
  }
  void on_event(const event& e) override {
    if (e.kind == event_kind::fault) {
      for (unsigned q = 0; q < queues; ++q) open_at_death.push_back(paths_[q] ? paths_[q]->open() : 0);
      return;
    }
    if (e.unit > 1 || e.length < 22) return;
    if (e.data[12] != 0x88 || e.data[13] != 0xb5) {
      if (e.length > 500) order.push_back(false);
      return;
    }
    order.push_back(true);
    std::uint64_t number;
    std::memcpy(&number, e.data + 14, sizeof number);
    ++left[number];
  }

  std::vector<std::size_t> open_at_death;  // frames, by queue
  std::map<std::uint64_t, int> left;       // how often each left an adapter
  std::map<std::uint64_t, unsigned> sent;  // told sent: how often
  std::uint64_t lost = 0;                  // told unsent: so many times
  std::uint64_t told_too_early = 0;        // told sent before it had left
  std::vector<bool> order;                 // what left: one of these, or a segment with much payload
  bool done() const { return sent.size() == how_many_; }

 private:
  void later() {
    i_.main().machine->post_at(now_ps() + pause, [this] { work(); });
  }
  void work() {
    const unsigned now = driver_.active_adapter();
    if (now != host::driver::no_adapter && now != on_) open_paths(now);
    for (unsigned q = 0; q < queues && on_ == now; ++q) {
      while (paths_[q] && paths_[q]->open() < most_open) {
        std::deque<std::uint64_t>& again = again_[q];
        if (again.empty() && next_ == how_many_) break;
        const std::uint64_t number = again.empty() ? next_++ : again.front();
        if (!again.empty()) again.pop_front();
        queue_of_[number] = q;
        send(q, number);
      }
    }
    if (!done()) later();
  }
  void open_paths(unsigned adapter) {
    for (unsigned q = 0; q < queues; ++q) {
      EXPECT_TRUE(!paths_[q] || paths_[q]->open() == 0) << "what was open was told";
      paths_[q] = driver_.open_raw(
          {},
          [](void* self, std::uint64_t number, bool ok) {
            static_cast<frame_source*>(self)->told(number, ok);
          },
          this, q);
      EXPECT_TRUE(paths_[q]);
    }
    on_ = adapter;
  }
  void send(unsigned q, std::uint64_t number) {
    std::uint8_t header[22] = {};
    std::copy(lwip_mac.begin(), lwip_mac.end(), header);
    std::copy(host_mac.begin(), host_mac.end(), header + 6);
    header[12] = 0x88;
    header[13] = 0xb5;
    std::memcpy(header + 14, &number, sizeof number);
    host::tx_buffer* b = driver_.raw_buffers(q).take();
    ASSERT_TRUE(b);
    if (poison_) i_.main().slots[0].port->poison_next_mmio_write();
    paths_[q]->xmit(*b, number % 3 ? 40 : 1400, header, sizeof header, number);
  }
  void told(std::uint64_t number, bool ok) {
    if (!ok) {
      ++lost;
      again_[queue_of_[number]].push_back(number);
      return;
    }
    ++sent[number];
    told_too_early += left[number] == 0;
  }

  inside& i_;
  host::driver& driver_;
  std::uint64_t how_many_;
  bool poison_;
  host::raw_send* paths_[queues] = {};
  std::deque<std::uint64_t> again_[queues];
  std::map<std::uint64_t, unsigned> queue_of_;
  std::uint64_t next_ = 0;
  unsigned on_ = host::driver::no_adapter;
};

class tx_queues_death : public testing::TestWithParam<const char*> {};

TEST_P(tx_queues_death,
       with_frames_open_in_several_queues_loses_none_without_a_word_and_no_connection_notices) {
  inside i("failover.toml", {"adapter.tx_queues=4", std::string("fault=") + GetParam()});
  frame_source source(i);
  const run_result r = i.sim.run();
  EXPECT_EQ(r.reasons, std::vector<std::string>{}) << "every byte of every connection, no monitor violated";
  ASSERT_EQ(r.failovers.size(), 1u);
  ASSERT_EQ(source.open_at_death.size(), queues);
  int with_some = 0;
  for (const std::size_t n : source.open_at_death) with_some += n > 0;
  EXPECT_GE(with_some, 2) << "the fault struck with frames open in several queues";
  EXPECT_TRUE(source.done()) << source.sent.size() << " of " << frames;
  EXPECT_GT(source.lost, 0u) << "the dead adapter's were told";
  EXPECT_LE(source.lost, queues * most_open);
  for (const auto& [number, times] : source.sent) ASSERT_EQ(times, 1u) << number;
  EXPECT_EQ(source.told_too_early, 0u);
  // A frame that had left when its adapter died, and was not reported, leaves again; no other does.
  std::uint64_t twice = 0;
  for (const auto& [number, times] : source.left) {
    ASSERT_LE(times, 2) << number;
    twice += times == 2;
  }
  EXPECT_LE(twice, source.lost);
  EXPECT_EQ(source.left.size(), frames);
}
// The workload begins after a millisecond.
INSTANTIATE_TEST_SUITE_P(of, tx_queues_death,
                         testing::Values(R"([{kind="kill", at="1050 us"}])",
                                         R"([{kind="kill", at="1212 us"}])",
                                         R"([{kind="kill", at="1400 us"}])",
                                         R"([{kind="zombie", at="1300 us"}])",
                                         R"([{kind="link_down", at="1250 us"}])"));

// Of the only frame, so that no later doorbell makes it good.
TEST(tx_queues_doorbell, that_comes_poisoned_is_rung_again) {
  inside i("failover.toml", {"adapter.tx_queues=4", "fault=[]", "topology.adapters=1"});
  frame_source source(i, 1, true);
  const run_result r = i.sim.run();
  EXPECT_EQ(r.reasons, std::vector<std::string>{});
  EXPECT_TRUE(source.done());
  EXPECT_EQ(source.left[0], 1);
  EXPECT_EQ(r.pcie.poisoned_writes, 1u);
  EXPECT_EQ(r.host_interface.lost_doorbells, 1u);
}

TEST(tx_queues_beside_tcp, take_turns_with_the_segments_of_connections) {
  inside i("failover.toml",
           {"adapter.tx_queues=4", "fault=[]", "topology.adapters=1", "workload.connections=16",
            "workload.bytes=\"256 KiB\"", "workload.direction=\"up\""});
  frame_source source(i);
  const run_result r = i.sim.run();
  EXPECT_EQ(r.reasons, std::vector<std::string>{});
  EXPECT_TRUE(source.done());
  EXPECT_EQ(source.lost, 0u);
  for (const auto& [number, times] : source.left) ASSERT_EQ(times, 1) << number;
  EXPECT_EQ(source.left.size(), frames);
  // While frames of the queues wait, segments leave too, and never two in a row.
  const auto last_raw = std::find(source.order.rbegin(), source.order.rend(), true).base();
  std::size_t segments = 0, run = 0, longest = 0;
  for (auto is_raw = source.order.begin(); is_raw != last_raw; ++is_raw) {
    segments += !*is_raw;
    run = *is_raw ? 0 : run + 1;
    longest = std::max(longest, run);
  }
  std::cout << segments << " segments among the frames of the queues, " << longest << " in a row at most\n";
  EXPECT_GT(segments, 50u);
  EXPECT_EQ(longest, 1u);
}

}  // namespace
}  // namespace understudy::tb
