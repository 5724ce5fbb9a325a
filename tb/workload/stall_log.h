// How long deliveries paused around instants of interest (a fault): each connection, each direction.
#pragma once
#include <cstddef>
#include <vector>

#include "tb/workload/replay.h"

namespace understudy::tb {

// An observer of both ends of connections 0 .. connections - 1. A pause runs from the last delivery at or
// before the instant to the first one after it (in the order of calls).
class stall_log final : public replay_observer {
 public:
  explicit stall_log(std::size_t connections);
  // An instant of interest: now.
  void mark();
  std::size_t marks() const { return marks_.size(); }
  // The pauses around mark number `m` (from 0): one for each connection and direction that had bytes before
  // and after it, ordered by connection, client_to_server first.
  std::vector<picos> stalls(std::size_t m) const;

  void on_delivered(const replay_end& e, flow_direction d, std::uint64_t bytes, picos now) override;
  void on_finished(const replay_end& e, picos now) override;

 private:
  // By connection * 2 + direction; never: none.
  struct around {
    std::vector<picos> before;
    std::vector<picos> after;
  };
  std::vector<picos> last_;
  std::vector<around> marks_;
};

}  // namespace understudy::tb
