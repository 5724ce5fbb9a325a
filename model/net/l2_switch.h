// A store-and-forward Ethernet switch that learns addresses and can hold what is meant for a dead port.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <systemc>
#include <vector>

#include "model/core/inet.h"
#include "model/net/eth_if.h"
#include "model/sim/agenda.h"

namespace understudy {

struct l2_switch_config {
  unsigned ports = 2;      // 1 to 64
  picos latency = 300_ns;  // from a frame's last bit to its first bit on an idle output; cut-through ASICs
                           // state 200 to 500 ns
  std::uint64_t queue_bytes = 2 << 20;  // of each output; a frame that finds no room is dropped
  std::uint64_t hold_bytes =
      16 << 20;  // of all held frames together (failover.hold_bytes); 0: nothing is held
  // By port, ports that are not listed being 0. 0: a trunk, which passes frames of every VLAN as they are;
  // 1 to 4094: an access port of that VLAN. Untagged frames of a trunk are a VLAN of their own.
  std::vector<std::uint16_t> access_vlan = {};
};

// IEEE 802.1Q relay without ageing: addresses are learnt from the source field, in each VLAN for itself, and
// stay until they move. An access port gives what comes in its tag and takes it from what goes out; a frame
// that comes there with a tag of another VLAN is dropped (8.6.2). Frames to 01-80-C2-00-00-0X are not relayed
// (8.6.3).
class l2_switch : public sc_core::sc_module {
 public:
  l2_switch(const sc_core::sc_module_name& name, const l2_switch_config& config);
  ~l2_switch() override;

  // `f(port, up)` is called when a port goes down or comes up: whoever put a link there takes its carrier
  // away or gives it back.
  void on_port(std::function<void(unsigned port, bool up)> f) { on_port_ = std::move(f); }

  // `f` is told of each frame that does not arrive whole.
  void on_loss(loss_observer f) { on_loss_ = std::move(f); }

  // The connector of a port; port < ports().
  eth_socket& port(unsigned p);
  unsigned ports() const { return config_.ports; }

  // In one act the port goes down (nothing in or out; what waits in its queue is held) and everything for an
  // address that is known behind it is held, in order, as are its copies of flooded frames. The hold lasts
  // until release(): the address showing up on another port does not end it. Does nothing if the port holds
  // already.
  void port_down_and_hold(unsigned p);
  // End the hold of `from_port`: its addresses live behind `to_port` now, held frames go out there first, in
  // order, then new ones. If `to_port` holds too, the frames join its hold at their places in order of
  // arrival. `to_port` == `from_port`: the port comes up again. Does nothing if `from_port` does not hold.
  void release(unsigned from_port, unsigned to_port);
  // A port that went down comes up; what it held is dropped and counted as hold_dropped (release it first).
  void port_up(unsigned p);
  // Down without a hold: frames for it are dropped.
  void port_down(unsigned p);
  bool is_up(unsigned p) const;

  struct counters {
    std::uint64_t received = 0;
    std::uint64_t forwarded = 0;      // to one known port
    std::uint64_t flooded = 0;        // to all others; counted once a frame
    std::uint64_t sent = 0;           // left on some port
    std::uint64_t queue_dropped = 0;  // an output queue was full
    std::uint64_t vlan_dropped = 0;   // came to an access port in another VLAN
    std::uint64_t down_dropped = 0;   // came from or went to a port that was down
    std::uint64_t held = 0;           // entered a hold
    std::uint64_t hold_dropped = 0;   // found no room in the hold
    std::uint64_t released = 0;       // left a hold by release()
    std::uint64_t moved = 0;          // an address that was seen on another port than before
  };
  const counters& count() const { return count_; }
  // What is held now.
  std::uint64_t held_frames() const;
  std::uint64_t held_bytes() const { return held_bytes_; }
  // The port behind which an address is known in a VLAN, or -1.
  int port_of(const mac_address& mac, std::uint16_t vlan = 0) const;

 private:
  struct queued_frame {
    frame_ref f;
    unsigned from = 0;  // the port where it came in
  };
  struct held_frame {
    frame_ref f;
    unsigned from;
    std::uint64_t order;  // of arrival in a hold
  };
  using station = std::uint64_t;  // its VLAN above its 48-bit address
  struct port_state;
  void arrived(unsigned p, frame_ref f);
  void relay(unsigned from, std::uint16_t vlan, const frame_ref& f);
  std::uint16_t access_vlan(unsigned p) const {
    return p < config_.access_vlan.size() ? config_.access_vlan[p] : 0;
  }
  void send_to(unsigned p, unsigned from, const frame_ref& as_it_came);
  void hold(unsigned p, unsigned from, const frame_ref& f);
  void pump(unsigned p);
  void stop_holding(port_state& s);
  void set_up(unsigned p, bool up);
  // Count a lost frame and tell of it.
  void lose(std::uint64_t& counter, const frame_ref& f, frame_loss why);

  l2_switch_config config_;
  counters count_;
  std::vector<std::unique_ptr<port_state>> ports_;
  std::map<station, unsigned> table_;  // station -> port
  std::uint64_t held_bytes_ = 0;
  std::uint64_t order_ = 0;
  std::function<void(unsigned, bool)> on_port_;
  loss_observer on_loss_;
  agenda agenda_;
};

}  // namespace understudy
