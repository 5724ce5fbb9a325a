// How Ethernet frames cross module borders.
#pragma once
#include <systemc>

#include "model/core/frame.h"
#include "model/core/units.h"

namespace understudy {

// Something that takes frames. A link takes a frame when its first bit leaves the sender and answers when the
// medium is free again (absolute time); the sender offers nothing before. A station or switch takes a frame
// when its last bit has arrived and answers now.
class eth_if : public virtual sc_core::sc_interface {
 public:
  virtual picos take(frame_ref f) = 0;
};

// A full-duplex Ethernet connector of a module: frames out through `out`, frames in through `in`.
struct eth_socket {
  sc_core::sc_port<eth_if> out;
  sc_core::sc_export<eth_if> in;
  // `in_handler` is what takes the frames that arrive.
  eth_socket(const char* out_name, const char* in_name, eth_if& in_handler) : out(out_name), in(in_name) {
    in(in_handler);
  }
  // Join two connectors: each one's frames arrive at the other.
  void bind(eth_socket& other) {
    out(other.in);
    other.out(in);
  }
};

}  // namespace understudy
