// What experiments with frames of the host's own stack share: a driver to send by, frames that nobody
// answers, waiting until all is over.
#pragma once
#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "host_sw/driver/raw_send.h"
#include "tb/platform/configure.h"
#include "tb/platform/platform.h"
#include "tb/report/result.h"

namespace understudy::tb {

class raw_traffic {
 public:
  // std::runtime_error, which names the parameter `of` that wants the experiment: the host has another
  // driver.
  raw_traffic(platform& p, const std::string& of)
      : p_(p), driver_(dynamic_cast<host::driver*>(p.main.driver.get())) {
    if (!driver_) throw std::runtime_error(of + " needs the driver of the house");
  }
  host::driver& driver() { return *driver_; }

  // The path of `queue` of the active adapter; null: it has none. Inside of in_driver().
  host::raw_send* open_path(unsigned queue) {
    return driver_->open_raw(
        {}, [](void* self, std::uint64_t, bool sent) { static_cast<raw_traffic*>(self)->told(sent); }, this,
        queue);
  }
  // Frames that are expected from now on.
  void expect(std::uint32_t frames) { open_ = frames; }
  bool all_told() const { return open_ == 0; }

  // Simulate until `over` holds. std::runtime_error: it does not, or a frame was not sent.
  template <class F>
  void wait(F over) {
    for (int i = 0; i < patience && !over(); ++i) pass_time(slice);
    if (unsent_) throw std::runtime_error("a frame that the host has built was not sent");
    if (!over()) throw std::runtime_error("a frame that the host has built does not leave");
  }
  // Simulate until the host's CPU has carried out `f`.
  template <class F>
  void in_driver(F f) {
    bool done = false;
    p_.main.machine->post([&] {
      f();
      done = true;
    });
    wait([&] { return done; });
  }

 private:
  static constexpr picos slice = 20_us;
  static constexpr int patience = 1000;  // slices

  void told(bool sent) {
    unsent_ = unsent_ || !sent;
    --open_;
  }

  platform& p_;
  host::driver* driver_;
  std::uint32_t open_ = 0;  // frames under way
  bool unsent_ = false;     // one of them was not sent
};

// An Ethernet header from the host to the peer, of a type that nobody answers (local experimental, IEEE 802).
inline void address_frame(std::uint8_t* header) {
  std::copy(lwip_mac.begin(), lwip_mac.end(), header);
  std::copy(host_mac.begin(), host_mac.end(), header + 6);
  header[12] = 0x88;
  header[13] = 0xb5;
}

inline void add(raw_frame_counts& sum, const host::raw_send_counters& c) {
  sum.single += c.single;
  sum.gathered += c.gathered;
  sum.sent += c.sent;
  sum.failed += c.failed;
  sum.descriptors += c.descriptors;
  sum.copied_bytes += c.copied_bytes;
  sum.maps += c.maps;
  sum.unmaps += c.unmaps;
  sum.no_headroom += c.no_headroom;
  sum.other_interface += c.other_interface;
  sum.pool_empty += c.pool_empty;
}

}  // namespace understudy::tb
