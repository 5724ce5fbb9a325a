// The station at the end of the modelled wire: where frames cross between the simulation and what lies
// beyond.
#pragma once
#include <functional>
#include <map>
#include <systemc>

#include "model/core/fifo.h"
#include "model/net/eth_if.h"
#include "model/sim/agenda.h"

namespace understudy::tb {

class outside_port : public sc_core::sc_module, private eth_if {
 public:
  // Takes a frame whose last bit has arrived here.
  using receiver = std::function<void(const frame_ref& f)>;
  // `inward`: from outside. Called at the frame's instant.
  using watcher = std::function<void(const frame_ref& f, bool inward, picos at)>;

  outside_port(const sc_core::sc_module_name& name, receiver r);
  eth_socket& ethernet() { return ethernet_; }
  void on_frame(watcher w) { watcher_ = std::move(w); }
  // Send on the modelled wire at `at`, or now if that is past, or as soon after as the wire is free. Frames
  // of one instant go in the order of calls. Between two steps of the simulation.
  void inject(frame_ref f, picos at = 0);

 private:
  picos take(frame_ref f) override;
  void enter(frame_ref f);
  void pump();

  receiver receive_;
  eth_socket ethernet_;
  watcher watcher_;
  std::multimap<picos, frame_ref> later_;
  fifo<frame_ref> waiting_;
  bool busy_ = false;
  agenda agenda_;
};

}  // namespace understudy::tb
