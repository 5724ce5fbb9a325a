// What happened in one injection, in some twenty lines for a person: what the adapter was doing, what went
// with it and what the host held, the steps of the recovery, how each connection went on.
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/abi/seq32.h"
#include "model/core/event_log.h"
#include "tb/monitors/wire_segment.h"
#include "tb/report/result.h"

namespace understudy::tb {

class simulation;

class story : public event_observer {
 public:
  // Subscribe it to the log of `s`, in front of whatever strikes.
  explicit story(simulation& s);
  void on_event(const event& e) override;
  // Lines without their ends, each within the columns of a screen. `r` is the result of the whole run.
  std::vector<std::string> lines(const run_result& r) const;

 private:
  using key = std::pair<std::uint16_t, std::uint16_t>;  // ports of host and peer
  struct deed {
    std::uint64_t number = 0;
    picos at = 0;
    std::string what;
    unsigned times = 1;
  };
  // One connection on the wire, as the main host's adapters see it.
  struct conversation {
    std::optional<seq32> said;   // end of the newest byte sent
    std::optional<seq32> heard;  // end of the newest byte that reached an adapter
    seq32 committed;             // what the substitute began with: the host had everything below
    bool alive = false;          // when the substitute began
    std::uint64_t resent = 0, again = 0, duplicate = 0;
    std::uint64_t lost = 0;                    // bytes that had reached the dead adapter and not the host
    std::optional<picos> first_out, first_in;  // new bytes with the substitute
    bool touched() const { return resent + again + duplicate + lost != 0; }
  };
  struct snapshot {
    picos at = 0;
    std::uint64_t connections = 0, unacknowledged = 0, busy = 0;
    std::uint64_t records = 0, received = 0, restored = 0, held = 0, released = 0;
  };

  void remember(const event& e);
  void segment(const event& e);
  void struck(const event& e);
  void step(const event& e);
  snapshot look() const;

  simulation& simulation_;
  std::vector<std::deque<deed>> deeds_;  // of each adapter, oldest first
  std::map<key, conversation> conversations_;
  std::optional<unsigned> first_struck_;
  std::vector<std::pair<unsigned, picos>> strikes_;
  std::deque<deed> last_deeds_;
  snapshot at_fault_, at_drain_, after_drain_, at_running_;
  std::optional<unsigned> serving_;  // the substitute that took over last
};

}  // namespace understudy::tb
