// A pair of connected byte streams in memory, on a time of its own, that misbehaves on request.
#pragma once
#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "tb/workload/replay.h"

namespace understudy::tb::test {

// Runs callbacks in order of time, then of entry.
class fake_clock final : public clock_if {
 public:
  picos now() const override { return now_; }
  void call_at(picos t, callback f) override { work_.emplace(std::max(t, now_), std::move(f)); }
  // Until nothing is left, or `steps` callbacks ran. True if nothing is left.
  bool run(std::size_t steps = 10'000'000) {
    for (; steps > 0 && !work_.empty(); --steps) {
      auto first = work_.extract(work_.begin());
      now_ = first.key();
      first.mapped()();
    }
    return work_.empty();
  }

 private:
  picos now_ = 0;
  std::multimap<picos, callback> work_;
};

// What happens to one direction's bytes.
struct mischief {
  enum class kind { none, drop, duplicate, corrupt, stop, reset };
  kind what = kind::none;
  std::uint64_t at = 0;  // at this byte of the stream
};

// One connection: what one end writes the other reads `delay` later, at most `window` bytes on the way and
// unread.
class fake_wire {
 public:
  fake_wire(fake_clock& clock, picos delay, std::size_t window, mischief to_server = {},
            mischief to_client = {})
      : clock_(clock),
        delay_(delay),
        window_(window),
        ends_{end(*this, 0, to_server), end(*this, 1, to_client)} {}
  fake_wire(const fake_wire&) = delete;
  fake_wire& operator=(const fake_wire&) = delete;

  void connect(replay_end& client, replay_end& server, picos at) {
    users_[0] = &client;
    users_[1] = &server;
    for (std::size_t i : {0u, 1u}) {
      users_[i]->attach(ends_[i]);
      clock_.call_at(at, [this, i] { users_[i]->on_open(); });
    }
  }

 private:
  class end final : public stream {
   public:
    end(fake_wire& w, std::size_t self, mischief m) : wire(w), me(self), trouble(m) {}
    std::size_t write(std::span<const std::uint8_t> bytes) override { return wire.write(*this, bytes); }
    std::size_t read(std::span<std::uint8_t> room) override {
      const std::size_t n = std::min(room.size(), inbox.size());
      std::copy_n(inbox.begin(), n, room.begin());
      inbox.erase(inbox.begin(), inbox.begin() + static_cast<std::ptrdiff_t>(n));
      wire.has_read(*this, n);
      return n;
    }
    void shutdown_write() override { wire.shut(*this); }
    void abort() override {}

    fake_wire& wire;
    std::size_t me;
    mischief trouble;
    std::uint64_t sent = 0;
    std::size_t unread = 0;  // of what this end wrote
    bool blocked = false;
    bool ended = false;
    std::deque<std::uint8_t> inbox;
  };

  std::size_t write(end& e, std::span<const std::uint8_t> bytes) {
    const std::size_t n = std::min(bytes.size(), window_ - std::min(window_, e.unread));
    e.blocked = n < bytes.size();
    std::vector<std::uint8_t> carried;
    for (std::size_t i = 0; i < n; ++i, ++e.sent) {
      std::uint8_t b = bytes[i];
      const bool here = e.sent == e.trouble.at;
      using kind = mischief::kind;
      if (e.trouble.what == kind::stop && e.sent >= e.trouble.at) continue;
      if (here && e.trouble.what == kind::reset)
        clock_.call_at(clock_.now() + delay_, [this] {
          users_[0]->on_error("reset by the wire");
          users_[1]->on_error("reset by the wire");
        });
      if (here && e.trouble.what == kind::drop) continue;
      if (here && e.trouble.what == kind::duplicate) carried.push_back(b);
      if (here && e.trouble.what == kind::corrupt) b ^= 0x10;
      carried.push_back(b);
    }
    e.unread += carried.size();
    if (!carried.empty())
      clock_.call_at(clock_.now() + delay_, [this, to = 1 - e.me, c = std::move(carried)] {
        ends_[to].inbox.insert(ends_[to].inbox.end(), c.begin(), c.end());
        users_[to]->on_readable();
      });
    return n;
  }
  void has_read(end& e, std::size_t n) {
    end& writer = ends_[1 - e.me];
    writer.unread -= n;
    if (n == 0 || !writer.blocked) return;
    writer.blocked = false;
    clock_.call_at(clock_.now() + delay_, [this, w = writer.me] { users_[w]->on_writable(); });
  }
  void shut(end& e) {
    e.ended = true;
    clock_.call_at(clock_.now() + delay_, [this, to = 1 - e.me] { users_[to]->on_eof(); });
    if (ends_[0].ended && ends_[1].ended)
      clock_.call_at(clock_.now() + 2 * delay_, [this] {
        users_[0]->on_closed();
        users_[1]->on_closed();
      });
  }

  fake_clock& clock_;
  picos delay_;
  std::size_t window_;
  end ends_[2];
  replay_end* users_[2] = {};
};

}  // namespace understudy::tb::test
