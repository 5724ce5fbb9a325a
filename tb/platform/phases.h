// Opens the phases of each round of a workload one after the other, each when everything of the one before
// has come to rest: nothing unsaid, unheard, unacknowledged or under way.
#pragma once
#include <cstdint>
#include <functional>

#include "model/core/event_log.h"
#include "model/sim/agenda.h"
#include "tb/platform/connections.h"

namespace understudy::tb {

class phases : public event_observer {
 public:
  static constexpr picos look_every = 250_us;
  static constexpr picos quiet = 1_ms;  // without a frame: longer than the reference scenario's delayed ACK

  // `stagger`: see connections::open_phase(). `open` is the phase that is open, which the connections look
  // at; `at_rest` hears of every phase of the first round that has come to rest.
  phases(platform& p, connections& c, std::uint32_t count, std::uint32_t& open, picos stagger,
         std::function<void(std::uint32_t)> at_rest);

  // A round begins, in phase 0.
  void start();
  void on_event(const event& e) override;

 private:
  void look();
  bool resting() const;

  platform& platform_;
  connections& connections_;
  std::uint32_t count_;
  std::uint32_t& open_;
  picos stagger_;
  std::function<void(std::uint32_t)> at_rest_;
  picos last_frame_ = 0;
  bool looking_ = false;
  agenda agenda_;
};

}  // namespace understudy::tb
