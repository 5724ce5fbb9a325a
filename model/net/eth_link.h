// A full-duplex point-to-point Ethernet link.
#pragma once
#include <array>
#include <cstdint>
#include <systemc>
#include <vector>

#include "model/core/event_log.h"
#include "model/net/capture.h"
#include "model/net/eth_if.h"
#include "model/net/impairment.h"
#include "model/sim/agenda.h"

namespace understudy {

// A port number that is not logged.
inline constexpr std::uint16_t no_unit = 0xffff;

// Bytes that a frame of `length` bytes (without FCS) takes on the wire: padded to 64 with FCS, plus preamble
// and start delimiter 8 and inter-packet gap 12 (IEEE 802.3 3.1.1, 4.4.2).
constexpr std::uint32_t wire_bytes(std::uint32_t length) {
  const std::uint32_t with_fcs = length + 4;
  return (with_fcs < 64 ? 64 : with_fcs) + 20;
}

struct eth_link_config {
  bits_per_second rate = 10'000'000'000;  // 10GBASE-R, the slowest rate at which TCP offload is sold
  picos delay = 500_ns;                   // one-way propagation; 5 ns a metre of fibre or copper
  std::uint16_t unit_a = no_unit;         // port number of side a in the event log
  std::uint16_t unit_b = no_unit;
  impairment_config ab;  // of frames from a to b
  impairment_config ba;
};

// Each station binds its connector to `a` or `b`. Frames are logged when they leave (frame_out, the sender's
// unit) and when they arrive (frame_in, the receiver's unit).
class eth_link : public sc_core::sc_module {
 public:
  enum side : std::uint8_t { side_a, side_b };

  // `seed` feeds the streams "wire/<name>/ab/..." and "wire/<name>/ba/...". `log` outlives the link.
  eth_link(const sc_core::sc_module_name& name, const eth_link_config& config, event_log& log,
           std::uint64_t seed);

  // A side that is down sends nothing and hears nothing: what it offers vanishes, what flies towards it
  // vanishes, and so does the frame that it had not finished sending. The other side has no carrier then, and
  // what it offers does not leave it either (IEEE 802.3 46.3.4). Both sides start up.
  void set_up(side s, bool up);
  bool is_up(side s) const { return up_[s]; }
  // Record every frame that leaves as `interface` of `sink`, which outlives the link; nullptr: none.
  void set_capture(capture_sink* sink, unsigned interface) {
    sink_ = sink;
    interface_ = interface;
  }

  // `f` is told of each frame that does not arrive whole.
  void on_loss(loss_observer f) { on_loss_ = std::move(f); }

  struct direction_counters {
    std::uint64_t sent = 0;                                           // left the sender
    std::uint64_t bytes = 0;                                          // of frames that left, without FCS
    std::uint64_t delivered = 0;                                      // arrived, copies included
    std::uint64_t lost = 0, duplicated = 0, corrupted = 0, held = 0;  // by impairment
    std::uint64_t overtaken = 0;  // arrived behind a frame that had left later; copies left out
    std::uint64_t vanished = 0;   // because a side was down
  };
  // Of the frames that `from` sends.
  const direction_counters& counters(side from) const { return way_[from].count; }
  const eth_link_config& config() const { return config_; }

 private:
  // Takes the frames of one side.
  struct entry : eth_if {
    entry(eth_link& l, side s) : link(l), from(s) {}
    picos take(frame_ref f) override { return link.offer(from, std::move(f)); }
    eth_link& link;
    side from;
  };
  // A frame on its way.
  struct flight {
    picos start;
    std::uint32_t epoch;  // of its direction when it left
    bool held;
    std::uint64_t number;  // of its direction, from 1; 0: a copy
  };
  struct held_frame {
    frame_ref f;
    std::uint64_t id;
    std::uint64_t number;
    unsigned to_pass;  // frames that must still overtake it
  };
  // One direction.
  struct way {
    way(const impairment_config& c, std::uint64_t seed, const std::string& path) : dice(c, seed, path) {}
    impairment dice;
    picos busy_until = 0;
    std::uint32_t epoch = 0;  // counts the times when its receiver went down: older frames vanish
    picos cut_at = never;     // when its sender last went down
    std::vector<held_frame> held;
    std::uint64_t held_ids = 0;
    std::uint64_t newest = 0;  // number of those that have arrived
    direction_counters count;
  };

  picos offer(side from, frame_ref f);
  void leave(side from, frame_ref f, picos start);
  void arrive(side from, const frame_ref& f, const flight& how);
  void deliver(side from, const frame_ref& f, std::uint64_t number);
  void release_held(side from, std::uint64_t id);

  eth_link_config config_;
  event_log& log_;
  entry entry_a_{*this, side_a};
  entry entry_b_{*this, side_b};

 public:
  eth_socket a;
  eth_socket b;

 private:
  std::array<way, 2> way_;
  std::array<bool, 2> up_{true, true};
  void lose(const frame_ref& f, frame_loss why) const {
    if (on_loss_) on_loss_(f, why);
  }
  loss_observer on_loss_;
  capture_sink* sink_ = nullptr;
  unsigned interface_ = 0;
  agenda agenda_;
};

}  // namespace understudy
