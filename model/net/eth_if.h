// How Ethernet frames cross module borders.
#pragma once
#include <cstdint>
#include <functional>
#include <systemc>

#include "model/core/frame.h"
#include "model/core/units.h"

namespace understudy {

// Why a frame that was sent does not arrive whole.
enum class frame_loss : std::uint8_t {
  wire,     // impairment: lost or corrupted
  carrier,  // an end of its link was down
  queue,    // an output queue of a switch was full
  hold,     // no room in a switch's hold
};
// Told of each frame that is lost, at the instant it is.
using loss_observer = std::function<void(const frame_ref&, frame_loss)>;

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
