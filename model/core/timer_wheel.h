// A hierarchical timer wheel: at most one pending tick for each small integer id.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

namespace understudy {

// Ticks are 40-bit counts of whatever the owner chooses. Arming, cancelling and expiring take constant time;
// ids that share a tick expire in the order in which they were armed for it, except that ids armed from far
// away follow those armed nearby.
class timer_wheel {
 public:
  static constexpr std::uint32_t none = 0xffffffff;
  static constexpr std::uint64_t no_tick = ~std::uint64_t{0};

  timer_wheel();
  // Expire `id` at `tick`, replacing what was armed for it. A tick that is not in the future expires at the
  // next advance.
  void arm(std::uint32_t id, std::uint64_t tick);
  void cancel(std::uint32_t id);
  // The tick armed for `id`; no_tick: none.
  std::uint64_t armed(std::uint32_t id) const {
    return id < nodes_.size() && nodes_[id].slot != idle ? nodes_[id].tick : no_tick;
  }
  // Move the present to `tick`; ids due by then wait for pop().
  void advance(std::uint64_t tick);
  // Take the next due id; `none` if there is none. `tick`: where it was armed for.
  std::uint32_t pop(std::uint64_t* tick = nullptr);
  // A tick at or before the earliest armed one, after the present unless something is due; no_tick: nothing
  // is armed. It is exact for ticks in the present's block of 256.
  std::uint64_t next() const;

 private:
  static constexpr std::uint32_t levels = 5;
  static constexpr std::uint32_t slots = 256;
  static constexpr std::uint16_t due = levels * slots;
  static constexpr std::uint16_t idle = due + 1;
  struct node {
    std::uint64_t tick = 0;
    std::uint32_t next = none;
    std::uint32_t prev = none;
    std::uint16_t slot = idle;
  };
  struct list {
    std::uint32_t head = none;
    std::uint32_t tail = none;
  };
  void link(std::uint32_t id);
  void unlink(std::uint32_t id);
  void drain(std::uint16_t slot);
  int first_slot(std::uint32_t level) const;

  std::uint64_t now_ = 0;
  std::vector<node> nodes_;
  std::array<list, due + 1> lists_{};
  std::array<std::array<std::uint64_t, slots / 64>, levels> occupied_{};
};

}  // namespace understudy
