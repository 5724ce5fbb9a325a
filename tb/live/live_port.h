// Where frames cross between the modelled wire and the real network.
#pragma once
#include <functional>
#include <systemc>

#include "model/net/eth_if.h"
#include "model/net/frame_ring.h"
#include "model/sim/agenda.h"
#include "tb/live/far_end.h"

namespace understudy::tb {

class live_port : public sc_core::sc_module, private eth_if {
 public:
  // `inward`: from the real network. Called at the frame's instant.
  using watcher = std::function<void(const frame_ref& f, bool inward, picos at)>;

  live_port(const sc_core::sc_module_name& name, far_end& f);
  eth_socket& ethernet() { return ethernet_; }
  void on_frame(watcher w) { watcher_ = std::move(w); }
  // Send on the modelled wire now, or as soon as it is free. Between two steps of the simulation.
  void inject(frame_ref f);

 private:
  picos take(frame_ref f) override;
  void pump();

  far_end& far_;
  eth_socket ethernet_;
  watcher watcher_;
  frame_ring<frame_ref> waiting_;
  bool busy_ = false;
  agenda agenda_;
};

}  // namespace understudy::tb
