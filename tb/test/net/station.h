// A station that sends given frames and notes what arrives.
#pragma once
#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "model/core/inet.h"
#include "model/net/eth_if.h"
#include "model/sim/agenda.h"

namespace understudy::tb {

class test_station : public sc_core::sc_module, public eth_if {
 public:
  struct arrival {
    picos at;
    frame_ref f;
  };
  explicit test_station(const sc_core::sc_module_name& name) : sc_module(name) {}
  picos take(frame_ref f) override {
    arrivals.push_back({now_ps(), f});
    if (on_frame) on_frame(f);
    return now_ps();
  }
  // Send as soon as the medium is free, in order.
  void send(frame_ref f) {
    queue_.push_back(std::move(f));
    pump();
  }
  void send_at(picos t, frame_ref f) {
    work.at(t, [this, f = std::move(f)] { send(f); });
  }

  eth_socket eth{"out", "in", *this};
  agenda work;
  std::vector<arrival> arrivals;
  std::function<void(const frame_ref&)> on_frame;

 private:
  void pump() {
    while (!waiting_ && !queue_.empty()) {
      if (now_ps() < free_at_) {
        waiting_ = true;
        work.at(free_at_, [this] {
          waiting_ = false;
          pump();
        });
        return;
      }
      frame_ref f = std::move(queue_.front());
      queue_.pop_front();
      free_at_ = eth.out->take(std::move(f));
    }
  }
  std::deque<frame_ref> queue_;
  picos free_at_ = 0;
  bool waiting_ = false;
};

inline mac_address mac_of(std::uint8_t n) {
  return {0x02, 0, 0, 0, 0, n};
}

// A frame of `length` bytes of an experimental EtherType whose payload starts with `tag`.
inline frame_ref tagged_frame(const mac_address& to, const mac_address& from, std::uint8_t tag,
                              std::uint32_t length = 60) {
  frame_ref f = frame_ref::make(length);
  std::memset(f.data(), 0, length);
  std::memcpy(f.data(), to.data(), 6);
  std::memcpy(f.data() + 6, from.data(), 6);
  f.data()[12] = 0x88;
  f.data()[13] = 0xb5;
  f.data()[14] = tag;
  return f;
}
inline std::uint8_t tag_of(const frame_ref& f) {
  return f.data()[14];
}

inline std::vector<int> tags_of(const test_station& s) {
  std::vector<int> tags;
  for (const auto& a : s.arrivals) tags.push_back(tag_of(a.f));
  return tags;
}

}  // namespace understudy::tb
